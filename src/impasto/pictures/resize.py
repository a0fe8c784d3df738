"""Other sizes: Lanczos with three lobes, widened when shrinking so that nothing aliases."""

from __future__ import annotations

import math
from typing import overload

import numpy as np
from PIL import Image

from impasto.core.errors import InputError
from impasto.core.picture import Pixels, Raster
from impasto.pictures.disk_array import DiskArray, is_large, row_chunks

_LANCZOS_LOBES = 3
"""How far the filter reaches, in pixels of the smaller picture."""
THUMBNAIL_SIDE_PX = 1024
"""Long side in pixels of the picture that a painting of several tiles takes its statistics from."""


def fit_long_side(height: int, width: int, long_side: int) -> tuple[int, int]:
    """The (height, width) whose longer side is ``long_side`` px, nearest to the aspect ratio.

    The shorter side is at least 1 px.

    Raises:
        InputError: a size below 1.
    """
    if min(height, width, long_side) < 1:
        raise InputError(f"Cannot fit {width} x {height} to a long side of {long_side} px.")
    longer, shorter = max(height, width), min(height, width)
    other = max(1, (2 * shorter * long_side + longer) // (2 * longer))
    return (long_side, other) if height >= width else (other, long_side)


@overload
def resize(pixels: Pixels, height: int, width: int) -> Pixels: ...


@overload
def resize(pixels: Raster, height: int, width: int, *, to_disk: bool = ...) -> Raster: ...


def resize(pixels: Raster, height: int, width: int, *, to_disk: bool = False) -> Raster:
    """Resample to another size with Pillow's Lanczos filter in 32-bit floating point.

    The filter works on the sRGB values as they are. Where it overshoots at edges, the result is
    clipped to 0..1. The same size gives the same values, bit for bit.

    What lies on disk is never in memory as a whole: it is read in bands, and a result that is
    large (:func:`~impasto.pictures.disk_array.is_large`) lies on disk too. The same size gives back
    the same disk array.

    Args:
        pixels: float32 (height, width, channels), or (height, width) for alpha, in 0..1.
        height: new height, at least 1 px.
        width: new width, at least 1 px.
        to_disk: have a large result on disk, with 16 bits, also if the pixels are in memory.

    Returns:
        float32 (height, width, channels) or (height, width), in 0..1.

    Raises:
        InputError: a size below 1.
        ResourceError: the disk cannot hold a large result.
    """
    if min(height, width) < 1:
        raise InputError(f"Cannot resize to {width} x {height}: a side must be at least 1 px.")
    if isinstance(pixels, DiskArray):
        if pixels.shape[:2] == (height, width):
            return pixels
        return _resize_in_chunks(pixels, height, width, pixels.bits)
    pixels = np.asarray(pixels)
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    if to_disk and is_large(height, width):
        return _resize_in_chunks(pixels, height, width, bits=16)
    return _lanczos(pixels, height, width).clip(0, 1)


def _resize_in_chunks(pixels: Raster, height: int, width: int, bits: int) -> Raster:
    """Some rows at a time; a large result is a spool of so many bits."""
    shape = (height, width, *pixels.shape[2:])
    out = DiskArray(shape, bits) if is_large(height, width) else np.empty(shape, np.float32)
    for top, bottom in row_chunks(height, max(width, pixels.shape[1])):
        out[top:bottom, :] = _resize_rows(pixels, top, bottom, height, width).clip(0, 1)
    return out


def _resize_rows(pixels: Raster, top: int, bottom: int, height: int, width: int) -> Pixels:
    """Rows ``top`` to ``bottom`` of a picture at a height and width.

    As Pillow does for a whole picture, all rows that the filter reaches become narrower (or wider)
    first, and then fewer (or more).
    """
    long, broad = pixels.shape[:2]
    scale = long / height
    reach = _LANCZOS_LOBES * max(scale, 1.0) + 1
    first = max(0, math.floor(top * scale - reach))
    last = min(long, math.ceil(bottom * scale + reach))
    strips = [
        _lanczos(pixels[first + start : first + end, 0:broad], end - start, width)
        for start, end in row_chunks(last - first, broad)
    ]
    box = (0.0, top * scale - first, float(width), bottom * scale - first)
    return _lanczos(np.concatenate(strips), bottom - top, width, box)


def _lanczos(
    pixels: Pixels, height: int, width: int, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    """The pixels in ``box`` (left, top, right, bottom; None: all) at another size, not clipped."""
    if pixels.ndim == 3:
        channels = [_lanczos(pixels[:, :, c], height, width, box) for c in range(pixels.shape[2])]
        return np.stack(channels, axis=2)
    plane = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    return np.asarray(plane.resize((width, height), Image.Resampling.LANCZOS, box))


def thumbnail(source: Raster, long_side: int = THUMBNAIL_SIDE_PX) -> Pixels:
    """The whole of a raster in small, never enlarged: what statistics are taken from."""
    return np.asarray(resize(source, *_thumbnail_size(source, long_side)))


def _thumbnail_size(source: Raster, long_side: int) -> tuple[int, int]:
    """Return the (height, width) of a raster with its long side at most ``long_side`` px."""
    height, width = source.shape[:2]
    return fit_long_side(height, width, min(long_side, max(height, width)))
