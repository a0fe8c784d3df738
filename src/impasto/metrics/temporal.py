"""How steady a film is: by how much it changes where the film that was painted does not.

The warping error of Chen et al., "Coherent Online Video Style Transfer", ICCV 2017, section 5.1
(e_stab), with the masks of Ruder et al., GCPR 2016, eq. 3 and 4: the root of the mean square
difference between a painting and an earlier one that is brought to its place along the flow, over
the pixels that both frames of the film show. At a distance of 1 frame it is flicker, at 5 frames
what swims, and against the first frame of a shot what drifts. A change of the light in the film
is no error: the earlier painting is first given as much of it as the later one took.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from impasto.core.picture import Pixels
from impasto.ops.convert import as_tensor
from impasto.ops.flow_estimation import FlowEstimator
from impasto.ops.warping import fit_gain_offset, reliability_mask, resize_flow, warp
from impasto.pictures import fit_long_side, resize

FRAME_DISTANCES = (1, 5)
"""In frames."""
DRIFTS = 5
"""Every so many frames a painting is compared with the first one of its shot."""
MIN_VALID_FRACTION = 0.1
"""Share of the pixels that must be seen in both frames for them to be compared."""

TEMPORAL_METRICS = {
    "warping_1": "warping error at 1 frame: flicker",
    "warping_5": "warping error at 5 frames: what swims",
    "drift": "warping error against the first frame of a shot",
    "seen": "share of the pixels that two neighboring frames both show, which were compared",
    "film": "warping error of the film itself at 1 frame: how exact the flow is, and the grain",
}
"""What :meth:`Gauge.measures` gives. Errors are in 0..1, the range of pixels; less is steadier."""

TrueFlow: TypeAlias = "Callable[[int, int], Tensor | None]"
"""The flow (1, 2, H, W) from a frame to a later one, by their numbers, if it is known."""


@dataclass(frozen=True)
class _Moment:
    number: int
    frame: Pixels
    painted: Tensor


class TemporalError:
    """Measures a film while it is painted. Memory is that of seven frames.

    Args:
        flow: who finds the motion in the film.
        size: long side in pixels at which frames are compared; None: as they were painted.
        every: only every so many frames are compared with those before them.
        truth: the true flow where it is known.
    """

    def __init__(
        self,
        flow: FlowEstimator,
        *,
        size: int | None = None,
        every: int = 1,
        truth: TrueFlow | None = None,
    ) -> None:
        self._flow, self._size, self._every, self._truth = flow, size, every, truth
        self._past: dict[int, _Moment] = {}
        self._first: _Moment | None = None
        self._squares: dict[str, list[float]] = {}
        self._seen: list[float] = []
        self._count = 0

    def start_shot(self) -> None:
        """A new shot starts: nothing is compared across it."""
        self._past.clear()
        self._first = None

    @torch.inference_mode()
    def update(self, frame: Pixels, painted: Pixels) -> None:
        """The next frame of the film (H, W, 3), and its painting, of any size of that shape."""
        number = self._count
        self._count += 1
        since = number - self._first.number if self._first else 0
        drifts = since % (DRIFTS * self._every) == 0
        if not drifts and all((number + d) % self._every for d in (0, *FRAME_DISTANCES)):
            return  # nothing is compared with it
        height, width = painted.shape[:2]
        size = fit_long_side(height, width, min(self._size or 30_000, max(height, width)))
        film, seen = (np.asarray(resize(each, *size)) for each in (frame, painted))
        now = _Moment(number, film, as_tensor(seen))
        if number % self._every == 0:
            for distance in FRAME_DISTANCES:
                if number - distance in self._past:
                    self._compare(f"warping_{distance}", now, self._past[number - distance])
        if self._first is None:
            self._first = now
        elif drifts:
            self._compare("drift", now, self._first)
        kept = (m for m in self._past.values() if m.number > number - max(FRAME_DISTANCES))
        self._past = {m.number: m for m in (*kept, now)}

    def compute(self) -> dict[str, float]:
        """What was measured so far, of :data:`TEMPORAL_METRICS`; what could not be is left out."""
        found = {
            name: math.sqrt(sum(self._squares[name]) / len(self._squares[name]))
            for name in TEMPORAL_METRICS
            if name in self._squares
        }
        if self._seen:
            found["seen"] = sum(self._seen) / len(self._seen)
        return {name: found[name] for name in TEMPORAL_METRICS if name in found}

    def _compare(self, name: str, now: _Moment, then: _Moment) -> None:
        """The error of two moments of a shot, in the place of the one that the flow starts from."""
        true = self._truth(then.number, now.number) if self._truth else None
        if true is None:
            flow = self._flow(now.frame, then.frame)
        else:
            now, then = then, now
            flow = resize_flow(true, *now.painted.shape[2:])
        known = reliability_mask(flow, self._flow(then.frame, now.frame))
        share = float(known.mean())
        if share < MIN_VALID_FRACTION:
            return
        film, brought = as_tensor(now.frame), warp(as_tensor(then.frame), flow)
        lit = fit_gain_offset(brought, film, known)
        painted = warp(then.painted, flow)
        followed = fit_gain_offset(painted, now.painted, known).clamp_to(lit)
        error = _mean_square(followed(painted) - now.painted, known)
        self._squares.setdefault(name, []).append(error)
        if name == "warping_1":
            self._seen.append(share)
            error = _mean_square(lit(brought) - film, known)
            self._squares.setdefault("film", []).append(error)


def _mean_square(difference: Tensor, weights: Tensor) -> float:
    total = weights.sum() * difference.shape[1]
    return float((weights * difference.square()).sum() / total)
