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

FEATURE_SIDE_PX = 256
"""Long side in pixels at which features are measured."""
FORECAST_SIDE_PX = 512
"""Long side in pixels of the content that forecasts are made with: they look at thumbnails."""
SAME_PICTURE_TOLERANCE = 0.08
"""Mean difference, in 0..1, from which on two small pictures are not the same one. Scans of the
same painting differ by up to 0.05, different paintings by 0.17 and more."""
LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class StyleInput:
    """A style as it was given.

    Attributes:
        name: how messages call it.
        picture: its picture, or the small one that a network keeps of it.
        built_in_names: method → the name by which that method knows it.
        has_picture: False if only a built-in name was given.
    """

    name: str
    picture: Picture
    built_in_names: Mapping[str, str] = field(default_factory=dict)
    has_picture: bool = True


def read_style(style: object, number: int = 1) -> StyleInput:
    """Read a style, and see which methods have learnt it: by its name, or by its looks.

    Args:
        style: a path, a picture in memory, or the name of a built-in style.
        number: of the style among several, for messages.

    Raises:
        InputError: a picture that cannot be read, and no learnt style's name either.
    """
    known = {
        name: kind for name in methods.method_names() if (kind := _built_in_styles_class(name))
    }
    if isinstance(style, str) and not Path(style).exists():
        learnt = {m: style for m, kind in known.items() if style in kind.style_names()}
        if learnt:
            kept = known[next(iter(learnt))].load_style(style)
            return StyleInput(style, kept, learnt, has_picture=False)
    picture = as_picture(style, f"style {number}")
    short = Path(style).name if isinstance(style, (str, os.PathLike)) else picture.name
    learnt = {
        m: name for m, kind in known.items() if (name := _match_built_in_style(picture, kind))
    }
    return StyleInput(short, picture, learnt)


def has_built_in_styles(method: str) -> bool:
    """Whether a method's styles are named instead of shown."""
    return _built_in_styles_class(method) is not None


def shrink_pixels(pixels: Raster, side: int = FORECAST_SIDE_PX) -> Pixels:
    """The picture in small, never enlarged."""
    height, width = pixels.shape[:2]
    return np.asarray(resize(pixels, *fit_long_side(height, width, min(side, max(height, width)))))


def luminance_contrast(pixels: Raster) -> float:
    """Standard deviation of luminance, in 0..1, of the picture in small."""
    return float((shrink_pixels(pixels, FEATURE_SIDE_PX) @ LUMINANCE_WEIGHTS).std())


def _built_in_styles_class(method: str) -> type[BuiltInStyles] | None:
    kind = methods.get_method(method)
    return kind if issubclass(kind, BuiltInStyles) else None


def _match_built_in_style(picture: Picture, method_class: type[BuiltInStyles]) -> str:
    """The learnt style that looks like a picture, or nothing."""
    for name in method_class.style_names():
        if _is_same_picture(picture.pixels, np.asarray(method_class.load_style(name).pixels)):
            return name
    return ""


def _is_same_picture(pixels: Raster, thumbnail: Pixels) -> bool:
    height, width = pixels.shape[:2]
    high, wide = thumbnail.shape[:2]
    fitted = fit_long_side(height, width, max(high, wide))
    if max(abs(fitted[0] - high), abs(fitted[1] - wide)) > 2:  # another shape, cut or turned
        return False
    return (
        float(np.abs(np.asarray(resize(pixels, high, wide)) - thumbnail).mean())
        < SAME_PICTURE_TOLERANCE
    )
