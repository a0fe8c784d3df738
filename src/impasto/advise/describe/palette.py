"""The colors of a picture by name, and how light, strong and warm they are.

All of it is measured in OKLab (Ottosson, "A perceptual color space for image processing", 2020):
L is lightness, 0 black to 1 white; a and b are the color, whose strength (chroma) is their length
and goes from 0 for gray to about 0.3; their angle is the hue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.core.picture import Pixels

FloatArray = NDArray[np.float64]

COLOR_FAMILIES: dict[str, dict[str, str]] = {
    "blue": {
        "midnight blue": "161c38",
        "Prussian blue": "1e3c58",
        "indigo": "2e2f6e",
        "ultramarine": "2c3a9e",
        "cobalt": "2356a8",
        "steel blue": "526896",
        "slate blue": "566e8e",
        "cerulean": "4690c6",
        "sky blue": "8fbde2",
        "powder blue": "bcd2e2",
    },
    "cyan": {
        "petrol": "10444a",
        "teal": "1f6d73",
        "turquoise": "3ab5b0",
        "aquamarine": "8fd0c8",
        "pale turquoise": "bfe2df",
    },
    "green": {
        "bottle green": "16302a",
        "forest green": "24472c",
        "viridian": "2c7d66",
        "emerald": "1f9a58",
        "sap green": "4d6b2a",
        "moss green": "7d8a45",
        "olive": "5c5a26",
        "sage": "9cab8b",
        "mint": "b3dcc0",
        "lime": "a6c63a",
    },
    "yellow": {
        "lemon yellow": "f3e04a",
        "cadmium yellow": "f4ba10",
        "ochre": "c8912f",
        "mustard": "ad8f26",
        "straw": "e2cf88",
    },
    "orange": {
        "orange": "ec7d1e",
        "apricot": "f3b480",
        "amber": "dc9420",
        "vermilion": "e04e28",
        "terracotta": "c56c4b",
        "rust": "a54a28",
    },
    "red": {
        "scarlet": "cc2128",
        "crimson": "9d1a33",
        "burgundy": "5c1a27",
        "brick red": "8c3a2e",
    },
    "pink": {
        "rose": "d9788f",
        "blush pink": "efc6c5",
        "coral": "ee7d6b",
        "salmon": "efa48f",
        "magenta": "b8307f",
    },
    "violet": {
        "aubergine": "36203e",
        "violet": "6a3f98",
        "blue-violet": "5a56a6",
        "plum": "6a3560",
        "mauve": "9a7b9c",
        "lilac": "b69fd2",
        "lavender": "cac7e7",
    },
    "brown": {
        "burnt umber": "44301f",
        "raw umber": "796040",
        "sepia": "5a4530",
        "burnt sienna": "8a4a2a",
        "raw sienna": "b5824a",
        "taupe": "85776a",
    },
    "beige": {"khaki": "a59c74", "tan": "c9a778", "sand": "d9c8a4", "cream": "efe2be"},
    "white": {"white": "fafaf8", "ivory": "f6f2e6"},
    "gray": {
        "pale gray": "d4d4d3",
        "gray": "9c9c9c",
        "warm gray": "a59f97",
        "blue-gray": "949ca4",
        "dark gray": "656566",
        "charcoal": "3c3c3e",
    },
    "black": {"black": "131313"},
}
"""Family → name of a color → its sRGB value; a phrase takes one name of a family.

The names are a painter's. The values are ours: pigments of one name differ more than they do.
"""

NEUTRAL_FAMILIES = ("white", "gray", "black")
"""The families of what is no color."""

MIN_CHROMA = 0.02
"""Chroma below which a color is called white, gray or black."""

_CLUSTER_COUNT = 24
_PURE_QUANTILE = 2 / 3
_MIN_MAIN_SALIENCE = 0.11
"""Of all that strikes the eye, the part a color must have to be mentioned."""


@dataclass(frozen=True)
class Color:
    """One of the main colors: all of a family, by the name that suits it best.

    Attributes:
        name: from ``COLOR_FAMILIES``.
        family: whose name it is.
        area_fraction: of the picture's area, 0..1.
        rgb: sRGB, "#rrggbb"; the mean of its purest third.
        salience: how much of all that strikes the eye it is, 0..1: its area times its chroma, grays
            having some too.
    """

    name: str
    family: str
    area_fraction: float
    rgb: str
    salience: float


@dataclass(frozen=True)
class Palette:
    """What the colors are like.

    Attributes:
        colors: one of each family, the most striking first.
        lightness: the median, 0 black to 1 white.
        contrast: from the 5th to the 95th percentile of lightness.
        chroma: the mean strength; a gray picture has 0, most paintings 0.03 to 0.1.
        warm_fraction: share of the color (weighted by its strength) that is red, orange or yellow,
        0..1. hue_concentration: 0 if the hues are all around the circle, 1 if there is but one.
    """

    colors: tuple[Color, ...]
    lightness: float
    contrast: float
    chroma: float
    warm_fraction: float
    hue_concentration: float

    @property
    def main_colors(self) -> tuple[Color, ...]:
        """The colors to mention: at most three."""
        return tuple(color for color in self.colors if color.salience >= _MIN_MAIN_SALIENCE)[:3]


def measure_palette(pixels: Pixels, opaque_mask: NDArray[np.bool_] | None = None) -> Palette:
    """Measure the colors.

    Args:
        pixels: float32 (height, width, 3), sRGB 0..1.
        opaque_mask: (height, width), which pixels count; None: all.

    The main colors are clusters: a median cut in OKLab, then k-means.
    """
    kept = pixels.reshape(-1, 3) if opaque_mask is None else pixels[opaque_mask]
    lab = srgb_to_oklab(kept)
    light, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    turned = lab[:, 1] + 1j * lab[:, 2]
    hue = np.degrees(np.angle(turned))
    total = max(float(chroma.sum()), 1e-9)
    low, high = np.percentile(light, (5, 95))
    return Palette(
        colors=_find_colors(lab),
        lightness=float(np.median(light)),
        contrast=float(high - low),
        chroma=float(chroma.mean()),
        warm_fraction=float(chroma[(hue > -20) & (hue < 112)].sum() / total),
        hue_concentration=float(abs(turned.sum()) / total),
    )


def srgb_to_oklab(rgb: Pixels | FloatArray) -> FloatArray:
    """From sRGB 0..1 to OKLab; the last axis holds the three channels."""
    rgb = np.asarray(rgb, np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _RGB_TO_LMS) @ _LMS_TO_LAB)


_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
)

_NAMED_COLORS = [(family, name) for family, names in COLOR_FAMILIES.items() for name in names]
_NAMED_COLORS_LAB = srgb_to_oklab(
    np.array([tuple(bytes.fromhex(COLOR_FAMILIES[f][n])) for f, n in _NAMED_COLORS]) / 255
)

_LAB_RANGES = np.array([1.0, 0.4, 0.4])
"""Of L, a and b, in the 8 bits of the clustering: color counts more than lightness."""


def nearest_color_name(lab: FloatArray, family: str = "") -> tuple[str, str]:
    """(family, name) of the named color that is nearest, in all families or in one.

    In the distance hue counts most and lightness least, as in a painter's names.
    """
    chroma, chromas = (
        np.hypot(lab[1], lab[2]),
        np.hypot(_NAMED_COLORS_LAB[:, 1], _NAMED_COLORS_LAB[:, 2]),
    )
    light = _NAMED_COLORS_LAB[:, 0] - lab[0]
    off_hue = ((_NAMED_COLORS_LAB[:, 1:] - lab[1:]) ** 2).sum(axis=1) - (chromas - chroma) ** 2
    far = 0.4 * light**2 + (chromas - chroma) ** 2 + 3 * off_hue
    allowed = [
        f == family if family else (f in NEUTRAL_FAMILIES) == (chroma < MIN_CHROMA)
        for f, _ in _NAMED_COLORS
    ]
    return _NAMED_COLORS[int(np.argmin(np.where(allowed, far, np.inf)))]


def _find_colors(lab: FloatArray) -> tuple[Color, ...]:
    from PIL import Image

    coded = np.rint((lab / _LAB_RANGES + (0, 0.5, 0.5)).clip(0, 1) * 255).astype(np.uint8)
    clusters = Image.fromarray(coded[None]).quantize(
        _CLUSTER_COUNT, method=Image.Quantize.MEDIANCUT, kmeans=_CLUSTER_COUNT
    )
    labels = np.asarray(clusters).ravel()
    families: dict[str, list[int]] = {}
    for label in np.unique(labels):
        family, _ = nearest_color_name(lab[labels == label].mean(axis=0))
        families.setdefault(family, []).append(int(label))
    every = _salience(lab).sum()
    found = [
        _make_color(family, lab[np.isin(labels, same)], len(lab), every)
        for family, same in families.items()
    ]
    return tuple(sorted(found, key=lambda color: -color.salience))


def _salience(lab: FloatArray) -> FloatArray:
    return np.asarray(np.hypot(lab[:, 1], lab[:, 2]) + 0.02)


def _make_color(family: str, lab: FloatArray, pixel_count: int, total_salience: float) -> Color:
    strikes = _salience(lab)
    mean = lab[strikes >= np.quantile(strikes, _PURE_QUANTILE)].mean(axis=0)
    rgb = "".join(f"{value:02x}" for value in np.rint(oklab_to_srgb(mean) * 255).astype(int))
    _, name = nearest_color_name(mean, family)
    return Color(
        name, family, len(lab) / pixel_count, f"#{rgb}", float(strikes.sum() / total_salience)
    )


def oklab_to_srgb(lab: FloatArray) -> FloatArray:
    """From OKLab to sRGB, clipped to 0..1."""
    linear = np.clip((lab @ np.linalg.inv(_LMS_TO_LAB)) ** 3 @ np.linalg.inv(_RGB_TO_LMS), 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
