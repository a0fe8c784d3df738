"""Masks as rasters that are made a window at a time: softened, resized, and put together.

So those of a picture that lies on disk never fill the memory. All of them share one rule: what a
window holds does not depend on how the whole was cut into windows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from impasto.core.picture import Pixels, Raster

MAX_READ_PIXELS = 1 << 23
"""Pixels of a mask that are read at a time to resize it."""
MIN_WEIGHT = 1e-6
"""Weights below it are rounding errors, and are none."""


class LazyRaster(ABC):
    """A raster whose pixels are computed when they are asked for."""

    shape: tuple[int, ...]

    @abstractmethod
    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """The pixels of a window that lies within the raster."""

    def __getitem__(self, window: tuple[slice, slice], /) -> Pixels:
        rows, columns = (s.indices(n) for s, n in zip(window, self.shape[:2], strict=True))
        return self.window(rows[0], max(rows[:2]), columns[0], max(columns[:2]))

    def __array__(
        self, dtype: DTypeLike | None = None, /, *, copy: bool | None = None
    ) -> NDArray[Any]:
        whole: NDArray[Any] = self[:, :].astype(dtype or np.float32, copy=False)
        return whole


class LabelMask(LazyRaster):
    """Where a label picture has a label: 1 there, 0 elsewhere.

    Args:
        labels: (height, width) of small integers.
        label: the label.
    """

    def __init__(self, labels: NDArray[Any], label: int) -> None:
        self.labels, self.label = labels, label
        self.shape = labels.shape

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        there: Pixels = (self.labels[top:bottom, left:right] == self.label).astype(np.float32)
        return there


class FeatheredMask(LazyRaster):
    """A mask with a ramp in the place of its edges.

    The ramp is an S of two parabolas: twice the mean over a square. It lies half on either side of
    the edge; so masks that add up to 1 still do. ``inward`` moves all of it inside: what was 0
    stays 0.

    Args:
        mask: (height, width).
        feather: width of the ramp in pixels; more than twice the mask's long side counts as that.
    """

    def __init__(self, mask: Raster, feather: float, *, inward: bool = False) -> None:
        self.mask, self.inward, self.shape = mask, inward, mask.shape
        # A window is read with margins of it: without a bound, a small mask would fill the memory.
        self.box_side = max(1, min(round(feather / 2), max(mask.shape)))

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        reach = self.box_side - 1
        margin = reach * (2 if self.inward else 1)
        mask = _padded_window(
            self.mask, top - margin, bottom + margin, left - margin, right + margin
        )
        if self.inward:
            mask = _sliding_min(_sliding_min(mask, 2 * reach + 1, 0), 2 * reach + 1, 1)
        sums = mask.astype(np.float64)  # of hard masks they are whole numbers, and exact
        for axis in (0, 0, 1, 1):
            sums = _box_sums(sums, self.box_side, axis)
        soft = sums / self.box_side**4
        soft[soft < MIN_WEIGHT] = 0
        return soft.astype(np.float32)


def _padded_window(mask: Raster, top: int, bottom: int, left: int, right: int) -> Pixels:
    """A window that may lie beyond the edges, where the mask is as at its edge."""
    height, width = mask.shape[:2]
    inside = mask[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    rows = (max(-top, 0), max(bottom - height, 0))
    return np.pad(inside, (rows, (max(-left, 0), max(right - width, 0))), mode="edge")


def _box_sums(values: NDArray[Any], side: int, axis: int) -> NDArray[Any]:
    """Sums of ``side`` neighbors along an axis, wherever that many are there."""
    sums = np.cumsum(values, axis=axis)
    length = values.shape[axis]
    ends = np.take(sums, range(side - 1, length), axis=axis)
    starts = np.take(sums, range(length - side), axis=axis)
    starts = np.pad(starts, [(int(a == axis), 0) for a in range(values.ndim)])
    found: NDArray[Any] = ends - starts
    return found


def _sliding_min(values: Pixels, side: int, axis: int) -> Pixels:
    """The least of ``side`` neighbors along an axis, wherever that many are there."""
    known = 1
    while known < side:  # of windows of this many; two of them make a longer one
        step = min(known, side - known)
        length = values.shape[axis]
        one = np.take(values, range(length - step), axis=axis)
        values = np.minimum(one, np.take(values, range(step, length), axis=axis))
        known += step
    return values


class ResizedMask(LazyRaster):
    """A mask at another size, by a triangular filter that is widened when shrinking.

    It neither overshoots nor changes sums: masks that add up to 1 still do.
    """

    def __init__(self, mask: Raster, height: int, width: int) -> None:
        self.mask, self.shape = mask, (height, width)

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        spans = zip(self.mask.shape, self.shape, ((top, bottom), (left, right)), strict=True)
        (first, last, y, y_end), (start, end, x, x_end) = (_source_span(*each) for each in spans)
        if (last - first) * (end - start) > MAX_READ_PIXELS and bottom - top > 1:
            middle = (top + bottom) // 2
            halves = ((top, middle), (middle, bottom))
            return np.concatenate([self.window(*half, left, right) for half in halves])
        part = np.asarray(self.mask[first:last, start:end], np.float32)
        image = Image.fromarray(np.ascontiguousarray(part))
        size, box = (right - left, bottom - top), (x, y, x_end, y_end)
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box)).clip(0, 1)


def _source_span(
    length: int, new_length: int, span: tuple[int, int]
) -> tuple[int, int, float, float]:  # fmt: skip
    """What is read along one side for a span of the result, and where the span lies in that."""
    scale = length / new_length
    reach = max(scale, 1.0) + 1
    first = max(0, math.floor(span[0] * scale - reach))
    last = min(length, math.ceil(span[1] * scale + reach))
    return first, last, span[0] * scale - first, min(span[1] * scale, length) - first


class RegionWeights(LazyRaster):
    """What each part of a painting counts at every pixel: (height, width, regions + 1), the sum 1.

    Where regions overlap they share; the last channel is the rest, what they leave over.
    """

    def __init__(self, masks: Sequence[Raster]) -> None:
        self.masks = tuple(masks)
        self.shape = (*self.masks[0].shape[:2], len(self.masks) + 1)

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        masks = np.dstack([mask[top:bottom, left:right] for mask in self.masks])
        total = masks.sum(axis=2, keepdims=True)
        rest = 1 - total
        rest[rest < MIN_WEIGHT] = 0
        return np.dstack([masks / np.maximum(total, 1), rest]).astype(np.float32, copy=False)


class Coverage(LazyRaster):
    """How much all regions together cover of every pixel: (height, width), 1 at most."""

    def __init__(self, masks: Sequence[Raster]) -> None:
        self.masks, self.shape = tuple(masks), masks[0].shape[:2]

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        total = sum(mask[top:bottom, left:right] for mask in self.masks)
        return np.minimum(np.asarray(total, np.float32), 1)


class ChannelStack(LazyRaster):
    """The channels of several rasters of one size, one after the other."""

    def __init__(self, *rasters: Raster) -> None:
        self.rasters = rasters
        self.shape = (*rasters[0].shape[:2], sum(r.shape[2] for r in rasters))

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        return np.dstack([raster[top:bottom, left:right] for raster in self.rasters])


def resize_mask(mask: Raster, height: int, width: int) -> Raster:
    """The mask at a size; the same size is the mask itself."""
    return mask if mask.shape[:2] == (height, width) else ResizedMask(mask, height, width)


def coverage_fraction(mask: Raster, long_side: int = 256) -> float:
    """The share of a picture that a mask covers, 0 to 1, measured on a small copy of large ones."""
    height, width = mask.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    small = resize_mask(mask, max(1, round(height * scale)), max(1, round(width * scale)))
    return float(np.asarray(small).mean(dtype=np.float64))
