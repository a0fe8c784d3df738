"""The flags that keep the content's colors.

See :mod:`impasto.pipeline.color_preservation` for what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from impasto.core.color_options import COLOR_STAGES, KEEP_COLOR_MODES

F = TypeVar("F", bound=Callable[..., Any])


def color_flags(command: F) -> F:
    """Whose colors the painting has."""
    for option in reversed(_COLOR_OPTIONS):
        command = option(command)
    return command


_COLOR_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--keep-color", type=click.Choice(KEEP_COLOR_MODES), default=KEEP_COLOR_MODES[0],
                 metavar="|".join(KEEP_COLOR_MODES),
                 help="The colors of CONTENT: luminance paints only lightness, in a perceptual "
                 "space, or in yuv; histogram and covariance match all colors "
                 f"[default {KEEP_COLOR_MODES[0]}]."),
    click.option("--color-strength", type=float, default=1.0, metavar="NUMBER",
                 help="How far they are kept [0 to 1; default 1]."),
    click.option("--color-stage", type=click.Choice(COLOR_STAGES), default=COLOR_STAGES[0],
                 metavar="|".join(COLOR_STAGES),
                 help="The painting takes them afterwards, or STYLE before (histogram and "
                 f"covariance) [default {COLOR_STAGES[0]}]."),
    click.option("--color-mask", type=click.Path(), metavar="FILE",
                 help="Where they are kept: white in a gray picture; unset: everywhere."),
)  # fmt: skip
