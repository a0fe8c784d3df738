"""What the pictures themselves say: few features, each measured and easily explained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from impasto import methods
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.request import BuiltInStyles
from impasto.pictures import as_picture, fit_long_side, resize

SMALL = 256
"""Long side in pixels at which features are measured."""
FORECAST = 512
"""Long side in pixels of the content that forecasts are made with: they look at thumbnails."""
APART = 0.08
"""Mean difference, in 0..1, from which on two small pictures are not the same one. Scans of the
same painting differ by up to 0.05, different paintings by 0.17 and more."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Style:
    """A style as it was given.

    Attributes:
        name: how messages call it.
        picture: its picture, or the small one that a network keeps of it.
        learnt: method → the name by which that method knows it.
        shown: False if only a learnt name was given.
    """

    name: str
    picture: Picture
    learnt: Mapping[str, str] = field(default_factory=dict)
    shown: bool = True


def look_at(style: object, number: int = 1) -> Style:
    """Read a style, and see which methods have learnt it: by its name, or by its looks.

    Args:
        style: a path, a picture in memory, or the name of a learnt style.
        number: of the style among several, for messages.

    Raises:
        InputError: a picture that cannot be read, and no learnt style's name either.
    """
    known = {name: kind for name in methods.method_names() if (kind := _names_styles(name))}
    if isinstance(style, str) and not Path(style).exists():
        learnt = {m: style for m, kind in known.items() if style in kind.style_names()}
        if learnt:
            kept = known[next(iter(learnt))].load_style(style)
            return Style(style, kept, learnt, shown=False)
    picture = as_picture(style, f"style {number}")
    short = Path(style).name if isinstance(style, (str, os.PathLike)) else picture.name
    learnt = {m: name for m, kind in known.items() if (name := _recognised(picture, kind))}
    return Style(short, picture, learnt)


def knows_by_name(method: str) -> bool:
    """Whether a method's styles are named instead of shown."""
    return _names_styles(method) is not None


def reduced(pixels: Raster, side: int = FORECAST) -> Pixels:
    """The picture in small, never enlarged."""
    height, width = pixels.shape[:2]
    return np.asarray(resize(pixels, *fit_long_side(height, width, min(side, max(height, width)))))


def contrast(pixels: Raster) -> float:
    """Standard deviation of luminance, in 0..1, of the picture in small."""
    return float((reduced(pixels, SMALL) @ LUMINANCE).std())


def _names_styles(method: str) -> type[BuiltInStyles] | None:
    kind = methods.get_method(method)
    return kind if issubclass(kind, BuiltInStyles) else None


def _recognised(picture: Picture, kind: type[BuiltInStyles]) -> str:
    """The learnt style that looks like a picture, or nothing."""
    for name in kind.style_names():
        if _alike(picture.pixels, np.asarray(kind.load_style(name).pixels)):
            return name
    return ""


def _alike(pixels: Raster, small: Pixels) -> bool:
    height, width = pixels.shape[:2]
    high, wide = small.shape[:2]
    fitted = fit_long_side(height, width, max(high, wide))
    if max(abs(fitted[0] - high), abs(fitted[1] - wide)) > 2:  # another shape, cut or turned
        return False
    return float(np.abs(np.asarray(resize(pixels, high, wide)) - small).mean()) < APART
