"""Label pictures: pictures of flat colours, each of which is a region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import InputError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.pictures.convert import from_any
from impasto.pictures.disk_array import bands
from impasto.pictures.masks import Label

FREQUENT = 0.002
"""The share of a label picture's pixels that a colour has at least, to be a label."""
CLEAN = 0.999
"""The share of pixels of frequent colours from which on a picture has no noise, and every frequent
colour is a label, however near another one."""
NEAR = 40.0
"""Distance in steps of 8 bits below which two colours of a noisy picture are one label."""
MOST = 64
"""Labels in a picture at most."""
STRAY = 0.2
"""The share of pixels far from every label from which on a picture is none of labels."""

Colour = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Labels:
    """A label picture.

    Attributes:
        numbers: uint8 (height, width): which of the colours each pixel is nearest to.
        colours: of the labels, the most frequent first, as 8-bit RGB.
        shares: of the pixels, for each colour.
        name, sha256: of the file.
        notes: what was done to it, one sentence each.
    """

    numbers: NDArray[np.uint8]
    colours: tuple[Colour, ...]
    shares: tuple[float, ...]
    name: str
    sha256: str
    notes: tuple[str, ...] = ()

    def mask(self, colour: Colour) -> Raster:
        """Where a label is."""
        return Label(self.numbers, self.colours.index(colour))

    def fitted(self, picture: Picture) -> Labels:
        """The labels at the size of the picture that they are for; edges stay hard."""
        size = picture.height, picture.width
        if self.numbers.shape == size:
            return self
        (h, w), (height, width) = self.numbers.shape, size
        rows = (2 * np.arange(height) + 1) * h // (2 * height)
        columns = (2 * np.arange(width) + 1) * w // (2 * width)
        note = (
            f"{self.name} has {w} x {h} px and is resampled to the {width} x {height} px of "
            f"{picture.name}."
        )
        numbers = self.numbers[rows[:, None], columns]
        return replace(self, numbers=numbers, notes=(*self.notes, note))


def named(colour: Colour) -> str:
    """A colour as "#0000ff"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def code(name: str) -> Colour:
    """The colour of :func:`named`."""
    red, green, blue = bytes.fromhex(name[1:])
    return red, green, blue


def labels_of(thing: object, name: str) -> Labels:
    """The labels in a picture of flat colours.

    Labels are the colours with at least 0.2 % of the pixels; every other pixel counts as the
    nearest of them. In a picture with noise, as JPEG leaves it, colours within a distance of 40
    are one label; in one without, they are as many as there are.

    Args:
        thing: a path, array, or whatever else :func:`impasto.pictures.from_any` takes.
        name: what messages call it; a path is called by itself.

    Raises:
        InputError: no picture, or none of labels.
    """
    found = from_any(thing, name)
    counts: Counter[int] = Counter()
    for codes in _codes(found):
        values, times = np.unique(codes, return_counts=True)
        counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
    total = found.height * found.width
    frequent = [code for code, n in counts.most_common() if n >= FREQUENT * total]
    exact = sum(counts[code] for code in frequent) / total
    colours = _distinct(frequent, 0.0 if exact >= CLEAN else NEAR)
    palette = np.array(colours, np.float32).reshape(-1, 3)
    nearest, apart = _nearest(np.fromiter(counts, np.uint32), palette)
    stray = sum(n for n, d in zip(counts.values(), apart, strict=True) if d > 1.5 * NEAR) / total
    if not colours or len(colours) > MOST or stray > STRAY:
        raise InputError(
            f"{found.name} does not look like a label picture: it has {len(counts)} colours, "
            f"{len(colours)} of them frequent. Give one of {MOST} flat colours at most, as PNG."
        )
    number = dict(zip(counts, nearest.tolist(), strict=True))
    numbers = np.empty((found.height, found.width), np.uint8)
    top = 0
    for codes in _codes(found):
        values, where = np.unique(codes, return_inverse=True)
        lookup = np.array([number[code] for code in values.tolist()], np.uint8)
        numbers[top : top + len(codes)] = lookup[where].reshape(codes.shape)
        top += len(codes)
    shares = np.bincount(numbers.reshape(-1), minlength=len(colours)) / total
    notes: tuple[str, ...] = ()
    if exact < 1:
        notes = (f"In {found.name}, {1 - exact:.2%} of the pixels are of no label's colour: they "
                 "count as the nearest.",)  # fmt: skip
    return Labels(numbers, tuple(colours), tuple(shares.tolist()), found.name, found.sha256, notes)


def _codes(picture: Picture) -> Iterator[NDArray[np.uint32]]:
    """The colours of a picture as numbers of 24 bits, some rows at a time."""
    for top, bottom in bands(picture.height, picture.width):
        part = np.rint(picture.pixels[top:bottom, 0 : picture.width] * 255).astype(np.uint32)
        yield (part @ np.array([1 << 16, 1 << 8, 1], np.uint32)).astype(np.uint32)


def _colour(code: int) -> Colour:
    return code >> 16, code >> 8 & 255, code & 255


def _distinct(codes: Sequence[int], least: float) -> list[Colour]:
    """The colours of some codes that are further than ``least`` from all before them."""
    found: list[Colour] = []
    for colour in map(_colour, codes):
        if all(distance(colour, other) > least for other in found):
            found.append(colour)
    return found


def distance(one: Colour, other: Colour) -> float:
    """Between two colours, in steps of 8 bits."""
    return float(np.hypot.reduce(np.subtract(one, other, dtype=np.float64)))


def _nearest(codes: NDArray[np.uint32], palette: Pixels) -> tuple[NDArray[Any], NDArray[Any]]:
    """For each code the nearest colour of a palette, and how far it is."""
    if not len(palette):
        return np.zeros(len(codes), int), np.full(len(codes), np.inf)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.float32)
    best = np.zeros(len(codes), int)
    least = np.full(len(codes), np.inf, np.float32)
    for number, one in enumerate(palette):
        apart = np.linalg.norm(colours - one, axis=1)
        closer = apart < least
        best[closer], least[closer] = number, apart[closer]
    return best, least
