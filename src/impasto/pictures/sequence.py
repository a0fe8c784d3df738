"""Numbered pictures: which one comes next, and how much changes from one to the other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from impasto.core.picture import Pixels
from impasto.pictures._vips import pyvips

THUMBNAIL_SIDE_PX = 64
"""Long side in pixels of the thumbnails that are compared."""


def adjacent_picture(path: Path) -> Path | None:
    """The picture beside ``path`` with the next number, or the last before it; None if none is.

    The number is the last run of digits in the name: ``walk_0007.png`` → ``walk_0008.png``.
    """
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem)
    if not match:
        return None
    before, digits, after = match.groups()
    for number in (int(digits) + 1, int(digits) - 1):
        beside = path.with_name(f"{before}{number:0{len(digits)}d}{after}{path.suffix}")
        if number >= 0 and beside != path and beside.is_file():
            return beside
    return None


def mean_abs_difference(first: Path, second: Path) -> float:
    """Mean absolute difference of two pictures in 0..1; infinite if they cannot be compared."""
    try:
        a, b = (_thumbnail(path) for path in (first, second))
    except pyvips.Error:  # one is no picture, or broken
        return float("inf")
    return float(np.abs(a - b).mean()) if a.shape == b.shape else float("inf")


def _thumbnail(path: Path) -> Pixels:
    small = pyvips.Image.thumbnail(
        str(path), THUMBNAIL_SIDE_PX, height=THUMBNAIL_SIDE_PX
    ).colourspace("srgb")
    if small.hasalpha():
        small = small.flatten()
    return np.asarray(small.numpy(), np.float32) / np.float32(255)
