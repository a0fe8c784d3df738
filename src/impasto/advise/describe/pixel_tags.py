"""Style words from pixels alone: what is measured, and from which values on it is called what.

The limits were set by looking at the thirteen pictures of ``examples/styles``; docs/describe.md
says how the words suit pictures that were not looked at then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from impasto.advise.describe.palette import Color, Palette, measure_palette, srgb_to_oklab
from impasto.advise.describe.stroke_texture import MIN_SIDE_PX, StrokeTexture, measure_strokes
from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.pictures import fit_long_side, resize

MEASUREMENT_SIDE_PX = 512
"""Long side in px at which a picture is measured."""

UNBOUNDED = float("inf")


@dataclass(frozen=True)
class TagRule:
    """A word, and the range in which each measure lies where it fits.

    Attributes:
        category: of the words of one kind, the first that fits is taken.
        word: what is said.
        ranges: measure → (lowest, highest).
    """

    category: str
    word: str
    ranges: Mapping[str, tuple[float, float]]

    def matches(self, measures: Mapping[str, float]) -> bool:
        return all(low <= measures[name] <= high for name, (low, high) in self.ranges.items())


_FEW_FLAT_AREAS = (0.0, 0.1)  # of flat: there are marks nearly everywhere
_ONE_DIRECTION = {
    "alignment": (0.5, 1.0),
    "coherence": (0.25, 1.0),
    "flat_fraction": _FEW_FLAT_AREAS,
}
_AXIS_ALIGNED = {
    **_ONE_DIRECTION,
    "axis_alignment": (0.1, 1.0),
}  # not two diagonals whose mean is upright

STROKE_RULES = (
    TagRule(
        "strokes",
        "vertical and horizontal lines",
        {"axis_alignment": (0.8, 1), "alignment": (0, 0.6), "coherence": (0.3, 1)},
    ),
    TagRule("strokes", "crossing diagonals", {"axis_alignment": (-1, -0.8), "alignment": (0, 0.6)}),
    TagRule(
        "strokes",
        "swirling strokes",
        {
            "coherence": (0.49, 1),
            "alignment": (0, 0.35),
            "direction_entropy": (0.88, 1),
            "evenness": (0.54, 1),  # contours of things may swirl too
            "flat_fraction": _FEW_FLAT_AREAS,
        },
    ),
    TagRule("strokes", "horizontal strokes", {**_AXIS_ALIGNED, "tilt": (0, 22.5)}),
    TagRule("strokes", "vertical strokes", {**_AXIS_ALIGNED, "tilt": (67.5, 90)}),
    TagRule("strokes", "diagonal strokes", {**_ONE_DIRECTION, "tilt": (22.5, 67.5)}),
    TagRule(
        "strokes", "dappled, broken marks", {"coherence": (0, 0.36), "relief": (0.04, UNBOUNDED)}
    ),
    TagRule("strokes", "large flat areas", {"flat_fraction": (0.28, 1)}),
    TagRule("detail", "fine detail", {"detail_period": (0, 0.02), "relief": (0.03, UNBOUNDED)}),
    TagRule("detail", "broad forms", {"detail_period": (0.03, 1)}),
    TagRule(
        "surface", "rough texture", {"relief": (0.07, UNBOUNDED), "flat_fraction": _FEW_FLAT_AREAS}
    ),
    TagRule("surface", "smooth surface", {"relief": (0, 0.03)}),
    TagRule("edges", "crisp edges", {"edge_width": (0.1, 1.85)}),
    TagRule("edges", "soft edges", {"edge_width": (2.55, UNBOUNDED)}),
)
COLOR_RULES = (
    TagRule("strength", "vivid color", {"chroma": (0.065, 1), "hue_concentration": (0, 0.9)}),
    TagRule("strength", "muted color", {"chroma": (0.012, 0.036)}),
    TagRule("warmth", "warm palette", {"warm_fraction": (0.8, 1), "chroma": (0.02, 1)}),
    TagRule("warmth", "cool palette", {"warm_fraction": (0, 0.2), "chroma": (0.02, 1)}),
    TagRule("warmth", "multicolored", {"hues": (5, UNBOUNDED), "chroma": (0.04, 1)}),
    TagRule("light", "high key", {"lightness": (0.74, 1), "contrast": (0, 0.75)}),
    TagRule("light", "dark, low key", {"lightness": (0, 0.45)}),
    TagRule("contrast", "strong contrast", {"contrast": (0.64, 1)}),
    TagRule("contrast", "gentle contrast", {"contrast": (0, 0.48)}),
)
"""Measures are the attributes of :class:`StrokeTexture` and :class:`Palette`, and ``tilt``,
degrees from the horizontal, 0 to 90, and ``hues``, how many colors there are that count."""

CATEGORY_ORDER = (
    "strokes",
    "colors",
    "surface",
    "warmth",
    "contrast",
    "light",
    "detail",
    "strength",
)
"""Kinds, those first that say most; the others follow."""

_MIN_HUE_SALIENCE = 0.06
"""Worth of a color that counts among the hues."""


@dataclass(frozen=True)
class PixelMeasurements:
    """What the pixels say.

    Attributes:
        palette: the colors.
        strokes: the marks; None where the picture is too small.
        words: (kind, word), the most telling first.
    """

    palette: Palette
    strokes: StrokeTexture | None
    words: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """The measures by name, rounded, and the colors."""
        found = {**asdict(self.palette), **(asdict(self.strokes) if self.strokes else {})}
        colors = [{**each, **_round_values(each)} for each in found.pop("colors")]
        return {**_round_values(found), "colors": colors}


def measure_style(picture: Picture) -> PixelMeasurements:
    """Measure a style picture at a long side of ``MEASUREMENT_SIDE_PX`` px at most.

    Raises:
        InputError: a picture that is wholly transparent.
    """
    height, width = picture.height, picture.width
    if picture.long_side > MEASUREMENT_SIDE_PX:
        height, width = fit_long_side(height, width, MEASUREMENT_SIDE_PX)
    pixels = np.asarray(resize(picture.pixels, height, width))
    opaque = None
    if picture.alpha is not None:
        cover = np.asarray(resize(picture.alpha, height, width))
        opaque = cover > 0.5
        if not opaque.any():
            raise InputError(f"{picture.name} is wholly transparent: there is nothing to describe.")
        # What is transparent gets the mean color, which adds no edges that are not there.
        ground = pixels[opaque].mean(axis=0)
        pixels = pixels * cover[:, :, None] + ground * (1 - cover[:, :, None])
    colors = measure_palette(pixels, opaque)
    marks = measure_strokes(srgb_to_oklab(pixels)) if min(height, width) >= MIN_SIDE_PX else None
    return PixelMeasurements(colors, marks, _tag_words(colors, marks))


def color_words(palette: Palette) -> str:
    """The main colors as people say them: "cobalt and ochre", "shades of sepia"."""
    names = [color.name for color in palette.main_colors]
    families = {color.family for color in palette.main_colors}
    if families <= {"white", "gray", "black"}:
        return (
            "black and white" if "black" in families and len(families) > 1 else _join_names(names)
        )
    if palette.hue_concentration > 0.93 and palette.chroma > 0.02 and len(names) > 1:
        return f"shades of {names[0]}"
    return _join_names(names)


def _tag_words(palette: Palette, strokes: StrokeTexture | None) -> tuple[tuple[str, str], ...]:
    found = {"colors": color_words(palette)}
    hues = sum(
        color.salience >= _MIN_HUE_SALIENCE and not _is_neutral(color) for color in palette.colors
    )
    measures = {**_float_values(asdict(palette)), "hues": float(hues)}
    rules: tuple[TagRule, ...] = COLOR_RULES
    if strokes is not None:
        tilt = min(strokes.direction, 180 - strokes.direction)
        measures |= {**_float_values(asdict(strokes)), "tilt": tilt}
        rules = STROKE_RULES + COLOR_RULES
    for rule in rules:
        if rule.category not in found and rule.matches(measures):
            found[rule.category] = rule.word
    ranks = {kind: rank for rank, kind in enumerate(CATEGORY_ORDER)}
    return tuple(sorted(found.items(), key=lambda item: ranks.get(item[0], len(CATEGORY_ORDER))))


def _is_neutral(color: Color) -> bool:
    return color.family in ("white", "gray", "black")


def _float_values(measures: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in measures.items() if isinstance(value, float)}


def _round_values(measures: Mapping[str, Any]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in _float_values(measures).items()}


def _join_names(color_names: list[str]) -> str:
    return " and ".join(
        [", ".join(color_names[:-1]), color_names[-1]] if len(color_names) > 1 else color_names
    )
