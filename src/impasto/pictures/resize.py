"""Other sizes: Lanczos with three lobes, widened when shrinking so that nothing aliases."""

from __future__ import annotations

import numpy as np
from PIL import Image

from impasto.core.errors import InputError
from impasto.core.picture import Pixels


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


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resample to another size with Pillow's Lanczos filter in 32-bit floating point.

    The filter works on the sRGB values as they are. Where it overshoots at edges, the result is
    clipped to 0..1. The same size gives the same values, bit for bit.

    Args:
        pixels: float32 (height, width, channels), or (height, width) for alpha, in 0..1.
        height: new height, at least 1 px.
        width: new width, at least 1 px.

    Returns:
        float32 (height, width, channels) or (height, width), in 0..1.

    Raises:
        InputError: a size below 1.
    """
    if min(height, width) < 1:
        raise InputError(f"Cannot resize to {width} x {height}: a side must be at least 1 px.")
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    if pixels.ndim == 3:
        channels = [resize(pixels[:, :, c], height, width) for c in range(pixels.shape[2])]
        return np.stack(channels, axis=2)
    plane = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    small = np.asarray(plane.resize((width, height), Image.Resampling.LANCZOS))
    return small.clip(0, 1)
