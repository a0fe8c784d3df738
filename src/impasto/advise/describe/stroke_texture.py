"""What strokes a picture is made of: direction, size, relief, edges; measured on its lightness.

Directions come from the structure tensor, the local mean of the gradient's outer product (Bigün
and Granlund, "Optimal orientation detection of linear symmetry", ICCV 1987): its eigenvalues say
how much the marks of a neighbourhood lie in one direction, its eigenvectors in which.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LEAST = 48
"""Pixels of the shorter side from which on strokes can be measured."""

_NEAR = 8.0
"""Deviation in px of the neighbourhood whose marks are compared."""
_FAINT = 0.02
"""Gradient of lightness per px: what is well below is as good as nothing."""
_PERIODS = 2.5 / 512, 0.08
"""Shortest and longest period that is still a stroke, as a part of the long side."""
_PLAIN = 0.015
"""Local deviation of colour below which nothing is to be seen: a flat place."""
_STEP = 0.15
"""Rise of lightness from which on it is an edge."""
_REACH = 6
"""Pixels around an edge in which its rise is looked for."""


@dataclass(frozen=True)
class Strokes:
    """What the marks are like.

    Attributes:
        coherence: how much neighbouring marks lie in one direction: 0 in all, 1 in one.
        aligned: how much those of the whole picture do.
        direction: theirs, in degrees: 0 horizontal, 45 rising to the right, 90 vertical, up to 180.
        spread: entropy of the directions: 0 if all are one, 1 if all are equally frequent.
        upright: 1 if all are vertical or horizontal, -1 if all are diagonal.
        even: how evenly marks fill their neighbourhood: 1 everywhere alike, near 0 a contour alone.
        scale: mean period of the detail, as a part of the long side, 0.005 to 0.08.
        relief: median of the local deviation of colour in OKLab; 0 smooth, 0.1 rough.
        edge: median width of the edges in px, as a step blurred to it would have.
        flat: share of the area where nothing is to be seen, 0..1.
    """

    coherence: float
    aligned: float
    direction: float
    spread: float
    upright: float
    even: float
    scale: float
    relief: float
    edge: float
    flat: float


def strokes(lab: Numbers) -> Strokes:
    """Measure the marks of a picture.

    Args:
        lab: OKLab, shape (height, width, 3), neither side below ``LEAST``; the scales are meant
            for a long side of 512 px.
    """
    light = lab[:, :, 0]
    relief = np.sqrt(sum(_variance(channel, 2.0) for channel in np.moveaxis(lab, 2, 0)))
    return Strokes(
        **_directions(light),
        scale=_scale(light),
        relief=float(np.median(relief)),
        edge=_edge(light),
        flat=float((relief < _PLAIN).mean()),
    )


def _directions(light: Numbers) -> dict[str, float]:
    down, right = map(np.asarray, np.gradient(blur(light, 0.7)))
    # The tensor as a number: twice the gradient's angle, so that opposite gradients agree.
    energy = blur(right**2 + down**2, _NEAR)
    common = blur(right**2 - down**2, _NEAR) + 1j * blur(2 * right * down, _NEAR)
    coherence = np.abs(common) / (energy + 1e-7)
    weight = energy / (energy + _FAINT**2)  # every place counts, not only the boldest edges
    if weight.mean() < 1e-3:
        names = "coherence", "aligned", "direction", "spread", "upright", "even"
        return dict.fromkeys(names, 0.0)
    even = blur(np.hypot(right, down), _NEAR) ** 2 / (energy + 1e-12)
    told = weight * coherence
    turn = common / (np.abs(common) + 1e-12)
    mean = (told * turn).sum() / told.sum()
    compass = np.histogram(np.angle(turn), 18, (-np.pi, np.pi), weights=told / told.sum())[0]
    return {
        "coherence": float(told.sum() / weight.sum()),
        "aligned": float(abs(mean)),
        # A stroke lies across its gradient, and rows are counted downwards.
        "direction": float((90 - np.degrees(np.angle(mean)) / 2) % 180),
        "spread": float(-(compass * np.log(compass + 1e-12)).sum() / np.log(18)),
        "upright": float((told * turn**2).real.sum() / told.sum()),
        "even": float((weight * even).sum() / weight.sum()),
    }


def _scale(light: Numbers) -> float:
    """The mean of the logarithm of the periods, weighted by their power."""
    height, width = light.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2((light - light.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    period = 1 / np.maximum(frequency, 1e-9) / max(height, width)
    inside = (period >= _PERIODS[0]) & (period <= _PERIODS[1])
    power = power[inside] + 1e-12
    return float(np.exp((power * np.log(period[inside])).sum() / power.sum()))


def _edge(light: Numbers) -> float:
    """Rise over slope, where the slope is steepest; 0 if there are no edges."""
    slope = np.hypot(*np.gradient(light))
    rise = extreme(light, _REACH, np.maximum) - extreme(light, _REACH, np.minimum)
    steepest = (slope >= extreme(slope, _REACH, np.maximum)) & (rise > _STEP)
    if not steepest.any():
        return 0.0
    return float(np.median(rise[steepest] / slope[steepest]))


def _variance(channel: Numbers, deviation: float) -> Numbers:
    return np.maximum(blur(channel**2, deviation) - blur(channel, deviation) ** 2, 0.0)


def blur(plane: Numbers, deviation: float) -> Numbers:
    """A Gaussian of this deviation in px; beyond its border a picture goes on mirrored."""
    reach = int(np.ceil(3 * deviation))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / deviation) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        total = np.zeros_like(plane)
        for weight, part in zip(kernel, _shifted(plane, axis, reach, "symmetric"), strict=True):
            total += weight * part
        plane = total
    return plane


def extreme(plane: Numbers, reach: int, which: np.ufunc) -> Numbers:
    """The largest (``np.maximum``) or smallest value in a square around each pixel."""
    for axis in (0, 1):
        plane = reduce(which, _shifted(plane, axis, reach, "edge"))
    return plane


def _shifted(plane: Numbers, axis: int, reach: int, mode: str) -> list[Numbers]:
    """The plane moved along an axis by -reach to reach px."""
    around = [(0, 0), (0, 0)]
    around[axis] = (reach, reach)
    padded = np.pad(plane, around, mode=mode)  # type: ignore[call-overload]
    starts = range(2 * reach + 1)
    if axis == 0:
        return [padded[i : i + plane.shape[0]] for i in starts]
    return [padded[:, i : i + plane.shape[1]] for i in starts]
