"""What strokes a picture is made of: direction, size, relief, edges; measured on its lightness.

Directions come from the structure tensor, the local mean of the gradient's outer product (Bigün
and Granlund, "Optimal orientation detection of linear symmetry", ICCV 1987): its eigenvalues say
how much the marks of a neighborhood lie in one direction, its eigenvectors in which.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_SIDE_PX = 48
"""Pixels of the shorter side from which on strokes can be measured."""

_NEIGHBORHOOD_SIGMA_PX = 8.0
"""Deviation in px of the neighborhood whose marks are compared."""
_FAINT_GRADIENT = 0.02
"""Gradient of lightness per px: what is well below is as good as nothing."""
_STROKE_PERIOD_RANGE = 2.5 / 512, 0.08
"""Shortest and longest period that is still a stroke, as a part of the long side."""
_FLAT_MAX_DEVIATION = 0.015
"""Local deviation of color below which nothing is to be seen: a flat place."""
_MIN_EDGE_RISE = 0.15
"""Rise of lightness from which on it is an edge."""
_EDGE_RADIUS_PX = 6
"""Pixels around an edge in which its rise is looked for."""


@dataclass(frozen=True)
class StrokeTexture:
    """What the marks are like.

    Attributes:
        coherence: how much neighboring marks lie in one direction: 0 in all, 1 in one.
        alignment: how much those of the whole picture do.
        direction: theirs, in degrees: 0 horizontal, 45 rising to the right, 90 vertical, up to 180.
        direction_entropy: entropy of the directions: 0 if all are one, 1 if all are equally
        frequent. axis_alignment: 1 if all are vertical or horizontal, -1 if all are diagonal.
        evenness: how evenly marks fill their neighborhood: 1 everywhere alike, near 0 a contour
            alone.
        detail_period: mean period of the detail, as a part of the long side, 0.005 to 0.08.
        relief: median of the local deviation of color in OKLab; 0 smooth, 0.1 rough.
        edge_width: median width of the edges in px, as a step blurred to it would have.
        flat_fraction: share of the area where nothing is to be seen, 0..1.
    """

    coherence: float
    alignment: float
    direction: float
    direction_entropy: float
    axis_alignment: float
    evenness: float
    detail_period: float
    relief: float
    edge_width: float
    flat_fraction: float


def measure_strokes(lab: FloatArray) -> StrokeTexture:
    """Measure the marks of a picture.

    Args:
        lab: OKLab, shape (height, width, 3), neither side below ``MIN_SIDE_PX``; the scales are
        meant
            for a long side of 512 px.
    """
    light = lab[:, :, 0]
    relief = np.sqrt(sum(_local_variance(channel, 2.0) for channel in np.moveaxis(lab, 2, 0)))
    return StrokeTexture(
        **_measure_directions(light),
        detail_period=_detail_period(light),
        relief=float(np.median(relief)),
        edge_width=_edge_width(light),
        flat_fraction=float((relief < _FLAT_MAX_DEVIATION).mean()),
    )


def _measure_directions(light: FloatArray) -> dict[str, float]:
    down, right = map(np.asarray, np.gradient(gaussian_blur(light, 0.7)))
    # The tensor as a number: twice the gradient's angle, so that opposite gradients agree.
    energy = gaussian_blur(right**2 + down**2, _NEIGHBORHOOD_SIGMA_PX)
    common = gaussian_blur(right**2 - down**2, _NEIGHBORHOOD_SIGMA_PX) + 1j * gaussian_blur(
        2 * right * down, _NEIGHBORHOOD_SIGMA_PX
    )
    coherence = np.abs(common) / (energy + 1e-7)
    weight = energy / (
        energy + _FAINT_GRADIENT**2
    )  # every place counts, not only the boldest edges
    if weight.mean() < 1e-3:
        names = (
            "coherence",
            "alignment",
            "direction",
            "direction_entropy",
            "axis_alignment",
            "evenness",
        )
        return dict.fromkeys(names, 0.0)
    even = gaussian_blur(np.hypot(right, down), _NEIGHBORHOOD_SIGMA_PX) ** 2 / (energy + 1e-12)
    told = weight * coherence
    turn = common / (np.abs(common) + 1e-12)
    mean = (told * turn).sum() / told.sum()
    compass = np.histogram(np.angle(turn), 18, (-np.pi, np.pi), weights=told / told.sum())[0]
    return {
        "coherence": float(told.sum() / weight.sum()),
        "alignment": float(abs(mean)),
        # A stroke lies across its gradient, and rows are counted downwards.
        "direction": float((90 - np.degrees(np.angle(mean)) / 2) % 180),
        "direction_entropy": float(-(compass * np.log(compass + 1e-12)).sum() / np.log(18)),
        "axis_alignment": float((told * turn**2).real.sum() / told.sum()),
        "evenness": float((weight * even).sum() / weight.sum()),
    }


def _detail_period(light: FloatArray) -> float:
    """The mean of the logarithm of the periods, weighted by their power."""
    height, width = light.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2((light - light.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    period = 1 / np.maximum(frequency, 1e-9) / max(height, width)
    inside = (period >= _STROKE_PERIOD_RANGE[0]) & (period <= _STROKE_PERIOD_RANGE[1])
    power = power[inside] + 1e-12
    return float(np.exp((power * np.log(period[inside])).sum() / power.sum()))


def _edge_width(light: FloatArray) -> float:
    """Rise over slope, where the slope is steepest; 0 if there are no edges."""
    slope = np.hypot(*np.gradient(light))
    rise = local_extremum(light, _EDGE_RADIUS_PX, np.maximum) - local_extremum(
        light, _EDGE_RADIUS_PX, np.minimum
    )
    steepest = (slope >= local_extremum(slope, _EDGE_RADIUS_PX, np.maximum)) & (
        rise > _MIN_EDGE_RISE
    )
    if not steepest.any():
        return 0.0
    return float(np.median(rise[steepest] / slope[steepest]))


def _local_variance(channel: FloatArray, sigma: float) -> FloatArray:
    return np.maximum(gaussian_blur(channel**2, sigma) - gaussian_blur(channel, sigma) ** 2, 0.0)


def gaussian_blur(plane: FloatArray, sigma: float) -> FloatArray:
    """A Gaussian of this deviation in px; beyond its border a picture goes on mirrored."""
    reach = int(np.ceil(3 * sigma))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        total = np.zeros_like(plane)
        for weight, part in zip(
            kernel, _shifted_copies(plane, axis, reach, "symmetric"), strict=True
        ):
            total += weight * part
        plane = total
    return plane


def local_extremum(plane: FloatArray, radius: int, ufunc: np.ufunc) -> FloatArray:
    """The largest (``np.maximum``) or smallest value in a square around each pixel."""
    for axis in (0, 1):
        plane = reduce(ufunc, _shifted_copies(plane, axis, radius, "edge"))
    return plane


def _shifted_copies(plane: FloatArray, axis: int, radius: int, mode: str) -> list[FloatArray]:
    """The plane moved along an axis by -reach to reach px."""
    around = [(0, 0), (0, 0)]
    around[axis] = (radius, radius)
    padded = np.pad(plane, around, mode=mode)  # type: ignore[call-overload]
    starts = range(2 * radius + 1)
    if axis == 0:
        return [padded[i : i + plane.shape[0]] for i in starts]
    return [padded[:, i : i + plane.shape[1]] for i in starts]
