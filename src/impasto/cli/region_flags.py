"""The flags that divide a picture into regions.

See :mod:`impasto.pipeline.region_options` for what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from impasto.core.errors import KnobError
from impasto.core.request import BACKGROUND_MODES

F = TypeVar("F", bound=Callable[..., Any])

RegionArgs = str | tuple[tuple[str, str], ...]
"""Pairs of a mask and a style, or "auto"."""


def region_flags(command: F) -> F:
    """Parts of the content with a style of their own."""
    for option in reversed(_REGION_OPTIONS):
        command = option(command)
    return command


def _parse_regions(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> RegionArgs:
    automatic = [v for v in values if v == "auto" or v.startswith("auto:")]
    if automatic and len(values) > 1:
        raise KnobError(f"--region {automatic[0]} stands alone: it finds all regions.")
    return automatic[0] if automatic else tuple(_parse_region(value) for value in values)


def _parse_region(value: str) -> tuple[str, str]:
    """A mask and a style; where names hold a "=", the first that makes two files is meant."""
    parts = value.split("=")
    splits = [("=".join(parts[:i]), "=".join(parts[i:])) for i in range(1, len(parts))]
    for mask, style in splits:
        if Path(mask).is_file() and Path(style).is_file():
            return mask, style
    if not splits or not all(splits[0]):
        raise KnobError(
            f"--region {value} does not fit: it must be MASK=STYLE, two pictures, or auto."
        )
    return splits[0]


_REGION_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--region",
        "regions",
        multiple=True,
        metavar="MASK=STYLE|auto[:N]",
        callback=_parse_regions,
        help="A part of CONTENT (white in MASK, a gray picture) in a style of its own; "
        "again for each part. auto finds N parts in CONTENT and STYLE that are alike "
        "[2 to 8; default 3].",
    ),
    click.option(
        "--labels",
        type=click.Path(),
        metavar="FILE",
        help="Instead: a label picture of CONTENT, in which each color is a part.",
    ),
    click.option(
        "--style-labels",
        multiple=True,
        type=click.Path(),
        metavar="FILE",
        help="A label picture of STYLE: parts of the same color go together.",
    ),
    click.option(
        "--background",
        type=click.Choice(BACKGROUND_MODES),
        default=BACKGROUND_MODES[0],
        metavar="|".join(BACKGROUND_MODES),
        help="What no part covers: in the manner of STYLE, or kept as it is, to the bit "
        f"[default {BACKGROUND_MODES[0]}].",
    ),
    click.option(
        "--feather",
        type=float,
        default=0.0,
        metavar="PX",
        help="Width of a soft edge for the parts, in pixels of CONTENT [default 0].",
    ),
    click.option(
        "--regions-out",
        type=click.Path(),
        default="",
        metavar="DIR",
        help="Also the parts as pictures, to be edited and given back.",
    ),
)
