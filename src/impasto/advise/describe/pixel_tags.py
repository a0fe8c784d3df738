"""Style words from pixels alone: what is measured, and from which values on it is called what.

The limits were set by looking at the thirteen pictures of ``examples/styles``; docs/describe.md
says how the words suit pictures that were not looked at then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from impasto.advise.describe.palette import Colour, Palette, oklab, palette
from impasto.advise.describe.stroke_texture import LEAST, Strokes, strokes
from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.pictures import fit_long_side, resize

SIDE = 512
"""Long side in px at which a picture is measured."""

MAX = float("inf")


@dataclass(frozen=True)
class Rule:
    """A word, and the range in which each measure lies where it fits.

    Attributes:
        kind: of the words of one kind, the first that fits is taken.
        word: what is said.
        ranges: measure → (lowest, highest).
    """

    kind: str
    word: str
    ranges: Mapping[str, tuple[float, float]]

    def fits(self, measures: Mapping[str, float]) -> bool:
        return all(low <= measures[name] <= high for name, (low, high) in self.ranges.items())


_LIVELY = (0.0, 0.1)  # of flat: there are marks nearly everywhere
_ONE_WAY = {"aligned": (0.5, 1.0), "coherence": (0.25, 1.0), "flat": _LIVELY}
_UPRIGHT = {**_ONE_WAY, "upright": (0.1, 1.0)}  # not two diagonals whose mean is upright

STROKE_RULES = (
    Rule(
        "strokes",
        "vertical and horizontal lines",
        {"upright": (0.8, 1), "aligned": (0, 0.6), "coherence": (0.3, 1)},
    ),
    Rule("strokes", "crossing diagonals", {"upright": (-1, -0.8), "aligned": (0, 0.6)}),
    Rule(
        "strokes",
        "swirling strokes",
        {
            "coherence": (0.49, 1),
            "aligned": (0, 0.35),
            "spread": (0.88, 1),
            "even": (0.54, 1),  # contours of things may swirl too
            "flat": _LIVELY,
        },
    ),
    Rule("strokes", "horizontal strokes", {**_UPRIGHT, "tilt": (0, 22.5)}),
    Rule("strokes", "vertical strokes", {**_UPRIGHT, "tilt": (67.5, 90)}),
    Rule("strokes", "diagonal strokes", {**_ONE_WAY, "tilt": (22.5, 67.5)}),
    Rule("strokes", "dappled, broken marks", {"coherence": (0, 0.36), "relief": (0.04, MAX)}),
    Rule("strokes", "large flat areas", {"flat": (0.28, 1)}),
    Rule("detail", "fine detail", {"scale": (0, 0.02), "relief": (0.03, MAX)}),
    Rule("detail", "broad forms", {"scale": (0.03, 1)}),
    Rule("surface", "rough texture", {"relief": (0.07, MAX), "flat": _LIVELY}),
    Rule("surface", "smooth surface", {"relief": (0, 0.03)}),
    Rule("edges", "crisp edges", {"edge": (0.1, 1.85)}),
    Rule("edges", "soft edges", {"edge": (2.55, MAX)}),
)
COLOUR_RULES = (
    Rule("strength", "vivid colour", {"chroma": (0.065, 1), "one_hue": (0, 0.9)}),
    Rule("strength", "muted colour", {"chroma": (0.012, 0.036)}),
    Rule("warmth", "warm palette", {"warm": (0.8, 1), "chroma": (0.02, 1)}),
    Rule("warmth", "cool palette", {"warm": (0, 0.2), "chroma": (0.02, 1)}),
    Rule("warmth", "multicoloured", {"hues": (5, MAX), "chroma": (0.04, 1)}),
    Rule("light", "high key", {"lightness": (0.74, 1), "contrast": (0, 0.75)}),
    Rule("light", "dark, low key", {"lightness": (0, 0.45)}),
    Rule("contrast", "strong contrast", {"contrast": (0.64, 1)}),
    Rule("contrast", "gentle contrast", {"contrast": (0, 0.48)}),
)
"""Measures are the attributes of :class:`Strokes` and :class:`Palette`, and ``tilt``, degrees from
the horizontal, 0 to 90, and ``hues``, how many colours there are that count."""

ORDER = ("strokes", "colours", "surface", "warmth", "contrast", "light", "detail", "strength")
"""Kinds, those first that say most; the others follow."""

_SOME = 0.06
"""Worth of a colour that counts among the hues."""


@dataclass(frozen=True)
class Measured:
    """What the pixels say.

    Attributes:
        palette: the colours.
        strokes: the marks; None where the picture is too small.
        words: (kind, word), the most telling first.
    """

    palette: Palette
    strokes: Strokes | None
    words: tuple[tuple[str, str], ...]

    def facts(self) -> dict[str, Any]:
        """The measures by name, rounded, and the colours."""
        found = {**asdict(self.palette), **(asdict(self.strokes) if self.strokes else {})}
        colours = [{**each, **_rounded(each)} for each in found.pop("colours")]
        return {**_rounded(found), "colours": colours}


def measure(picture: Picture) -> Measured:
    """Measure a style picture at a long side of ``SIDE`` px at most.

    Raises:
        InputError: a picture that is wholly transparent.
    """
    height, width = picture.height, picture.width
    if picture.long_side > SIDE:
        height, width = fit_long_side(height, width, SIDE)
    pixels = np.asarray(resize(picture.pixels, height, width))
    opaque = None
    if picture.alpha is not None:
        cover = np.asarray(resize(picture.alpha, height, width))
        opaque = cover > 0.5
        if not opaque.any():
            raise InputError(f"{picture.name} is wholly transparent: there is nothing to describe.")
        # What is transparent gets the mean colour, which adds no edges that are not there.
        ground = pixels[opaque].mean(axis=0)
        pixels = pixels * cover[:, :, None] + ground * (1 - cover[:, :, None])
    colours = palette(pixels, opaque)
    marks = strokes(oklab(pixels)) if min(height, width) >= LEAST else None
    return Measured(colours, marks, _words(colours, marks))


def colour_words(colours: Palette) -> str:
    """The main colours as people say them: "cobalt and ochre", "shades of sepia"."""
    names = [colour.name for colour in colours.main]
    families = {colour.family for colour in colours.main}
    if families <= {"white", "grey", "black"}:
        return "black and white" if "black" in families and len(families) > 1 else _and(names)
    if colours.one_hue > 0.93 and colours.chroma > 0.02 and len(names) > 1:
        return f"shades of {names[0]}"
    return _and(names)


def _words(colours: Palette, marks: Strokes | None) -> tuple[tuple[str, str], ...]:
    found = {"colours": colour_words(colours)}
    hues = sum(colour.worth >= _SOME and not _neutral(colour) for colour in colours.colours)
    measures = {**_numbers(asdict(colours)), "hues": float(hues)}
    rules: tuple[Rule, ...] = COLOUR_RULES
    if marks is not None:
        tilt = min(marks.direction, 180 - marks.direction)
        measures |= {**_numbers(asdict(marks)), "tilt": tilt}
        rules = STROKE_RULES + COLOUR_RULES
    for rule in rules:
        if rule.kind not in found and rule.fits(measures):
            found[rule.kind] = rule.word
    ranks = {kind: rank for rank, kind in enumerate(ORDER)}
    return tuple(sorted(found.items(), key=lambda item: ranks.get(item[0], len(ORDER))))


def _neutral(colour: Colour) -> bool:
    return colour.family in ("white", "grey", "black")


def _numbers(measures: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in measures.items() if isinstance(value, float)}


def _rounded(measures: Mapping[str, Any]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in _numbers(measures).items()}


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
