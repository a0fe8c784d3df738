"""Label pictures: pictures of flat colors, each of which is a region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import InputError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.pictures.convert import as_picture
from impasto.pictures.disk_array import row_chunks
from impasto.pictures.masks import LabelMask

MIN_LABEL_FRACTION = 0.002
"""The share of a label picture's pixels that a color has at least, to be a label."""
MIN_CLEAN_FRACTION = 0.999
"""The share of pixels of frequent colors from which on a picture has no noise, and every frequent
color is a label, however near another one."""
MERGE_DISTANCE = 40.0
"""Distance in steps of 8 bits below which two colors of a noisy picture are one label."""
MAX_LABELS = 64
"""Labels in a picture at most."""
MAX_STRAY_FRACTION = 0.2
"""The share of pixels far from every label from which on a picture is none of labels."""

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label picture.

    Attributes:
        indices: uint8 (height, width): which of the colors each pixel is nearest to.
        colors: of the labels, the most frequent first, as 8-bit RGB.
        fractions: of the pixels, for each color.
        name, sha256: of the file.
        notes: what was done to it, one sentence each.
    """

    indices: NDArray[np.uint8]
    colors: tuple[Color, ...]
    fractions: tuple[float, ...]
    name: str
    sha256: str
    notes: tuple[str, ...] = ()

    def mask(self, color: Color) -> Raster:
        """Where a label is."""
        return LabelMask(self.indices, self.colors.index(color))

    def resize_to(self, picture: Picture) -> LabelMap:
        """The labels at the size of the picture that they are for; edges stay hard."""
        size = picture.height, picture.width
        if self.indices.shape == size:
            return self
        (h, w), (height, width) = self.indices.shape, size
        rows = (2 * np.arange(height) + 1) * h // (2 * height)
        columns = (2 * np.arange(width) + 1) * w // (2 * width)
        note = (
            f"{self.name} has {w} x {h} px and is resampled to the {width} x {height} px of "
            f"{picture.name}."
        )
        numbers = self.indices[rows[:, None], columns]
        return replace(self, indices=numbers, notes=(*self.notes, note))


def color_to_hex(color: Color) -> str:
    """A color as "#0000ff"."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def hex_to_color(hex_code: str) -> Color:
    """The color of :func:`color_to_hex`."""
    red, green, blue = bytes.fromhex(hex_code[1:])
    return red, green, blue


def read_label_map(image: object, name: str) -> LabelMap:
    """The labels in a picture of flat colors.

    Labels are the colors with at least 0.2 % of the pixels; every other pixel counts as the
    nearest of them. In a picture with noise, as JPEG leaves it, colors within a distance of 40
    are one label; in one without, they are as many as there are.

    Args:
        image: a path, array, or whatever else :func:`impasto.pictures.as_picture` takes.
        name: what messages call it; a path is called by itself.

    Raises:
        InputError: no picture, or none of labels.
    """
    found = as_picture(image, name)
    counts: Counter[int] = Counter()
    for codes in _iter_color_codes(found):
        values, times = np.unique(codes, return_counts=True)
        counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
    total = found.height * found.width
    frequent = [code for code, n in counts.most_common() if n >= MIN_LABEL_FRACTION * total]
    exact = sum(counts[code] for code in frequent) / total
    colors = _distinct_colors(frequent, 0.0 if exact >= MIN_CLEAN_FRACTION else MERGE_DISTANCE)
    palette = np.array(colors, np.float32).reshape(-1, 3)
    nearest, apart = _nearest_colors(np.fromiter(counts, np.uint32), palette)
    stray = (
        sum(n for n, d in zip(counts.values(), apart, strict=True) if d > 1.5 * MERGE_DISTANCE)
        / total
    )
    if not colors or len(colors) > MAX_LABELS or stray > MAX_STRAY_FRACTION:
        raise InputError(
            f"{found.name} does not look like a label picture: it has {len(counts)} colors, "
            f"{len(colors)} of them frequent. Give one of {MAX_LABELS} flat colors at most, as PNG."
        )
    number = dict(zip(counts, nearest.tolist(), strict=True))
    numbers = np.empty((found.height, found.width), np.uint8)
    top = 0
    for codes in _iter_color_codes(found):
        values, where = np.unique(codes, return_inverse=True)
        lookup = np.array([number[code] for code in values.tolist()], np.uint8)
        numbers[top : top + len(codes)] = lookup[where].reshape(codes.shape)
        top += len(codes)
    shares = np.bincount(numbers.reshape(-1), minlength=len(colors)) / total
    notes: tuple[str, ...] = ()
    if exact < 1:
        notes = (f"In {found.name}, {1 - exact:.2%} of the pixels are of no label's color: they "
                 "count as the nearest.",)  # fmt: skip
    return LabelMap(numbers, tuple(colors), tuple(shares.tolist()), found.name, found.sha256, notes)


def _iter_color_codes(picture: Picture) -> Iterator[NDArray[np.uint32]]:
    """The colors of a picture as numbers of 24 bits, some rows at a time."""
    for top, bottom in row_chunks(picture.height, picture.width):
        part = np.rint(picture.pixels[top:bottom, 0 : picture.width] * 255).astype(np.uint32)
        yield (part @ np.array([1 << 16, 1 << 8, 1], np.uint32)).astype(np.uint32)


def _code_to_color(code: int) -> Color:
    return code >> 16, code >> 8 & 255, code & 255


def _distinct_colors(codes: Sequence[int], min_distance: float) -> list[Color]:
    """The colors of some codes that are further than ``min_distance`` from all before them."""
    found: list[Color] = []
    for color in map(_code_to_color, codes):
        if all(color_distance(color, other) > min_distance for other in found):
            found.append(color)
    return found


def color_distance(one: Color, other: Color) -> float:
    """Between two colors, in steps of 8 bits."""
    return float(np.hypot.reduce(np.subtract(one, other, dtype=np.float64)))


def _nearest_colors(
    codes: NDArray[np.uint32], palette: Pixels
) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each code the nearest color of a palette, and how far it is."""
    if not len(palette):
        return np.zeros(len(codes), int), np.full(len(codes), np.inf)
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.float32)
    best = np.zeros(len(codes), int)
    least = np.full(len(codes), np.inf, np.float32)
    for number, one in enumerate(palette):
        apart = np.linalg.norm(colors - one, axis=1)
        closer = apart < least
        best[closer], least[closer] = number, apart[closer]
    return best, least
