"""The flags that keep the content's colours.

See :mod:`impasto.pipeline.color_preservation` for what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from impasto.core.color_options import COLOR_STAGES, KEEP_COLOR_MODES

F = TypeVar("F", bound=Callable[..., Any])


def colour_flags(command: F) -> F:
    """Whose colours the painting has."""
    for option in reversed(_COLOR_OPTIONS):
        command = option(command)
    return command


_COLOR_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--keep-colour", type=click.Choice(KEEP_COLOR_MODES), default=KEEP_COLOR_MODES[0],
                 metavar="|".join(KEEP_COLOR_MODES),
                 help="The colours of CONTENT: luminance paints only lightness, in a perceptual "
                 "space, or in yuv; histogram and covariance match all colours "
                 f"[default {KEEP_COLOR_MODES[0]}]."),
    click.option("--colour-share", type=float, default=1.0, metavar="NUMBER",
                 help="How far they are kept [0 to 1; default 1]."),
    click.option("--colour-when", type=click.Choice(COLOR_STAGES), default=COLOR_STAGES[0],
                 metavar="|".join(COLOR_STAGES),
                 help="The painting takes them afterwards, or STYLE before (histogram and "
                 f"covariance) [default {COLOR_STAGES[0]}]."),
    click.option("--colour-mask", type=click.Path(), metavar="FILE",
                 help="Where they are kept: white in a grey picture; unset: everywhere."),
)  # fmt: skip
