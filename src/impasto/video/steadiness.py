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
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.core.picture import Pixels
from impasto.nets.flow import at_most, light, trusted, warp
from impasto.nets.tiles import as_tensor
from impasto.pictures import fit_long_side, resize
from impasto.video.flow import Flow

DISTANCES = (1, 5)
"""In frames."""
DRIFTS = 5
"""Every so many frames a painting is compared with the first one of its shot."""
LEAST = 0.1
"""Share of the pixels that must be seen in both frames for them to be compared."""

Truth = Callable[[int, int], Tensor | None]
"""The flow (1, 2, H, W) between two frames of the film, by their numbers, if it is known."""


@dataclass(frozen=True)
class Steadiness:
    """What was measured; values are in 0..1 of the range of pixels, NaN where nothing could be.

    Attributes:
        warping: distance in frames → warping error; less is steadier.
        drift: warping error against the first frame of a shot.
        seen: share of the pixels that were compared at a distance of 1.
        frames: frames that were looked at.
        film: the same error of the film itself at a distance of 1: how exact the flow is, and
            the grain.
    """

    warping: dict[int, float]
    drift: float
    seen: float
    frames: int
    film: float


class Gauge:
    """Measures a film while it is painted. Memory is that of six frames.

    Args:
        flow: who finds the motion in the film.
        size: long side in pixels at which frames are compared; None: as they are.
        every: only every so many frames are compared with those before them.
        truth: the true flow where it is known.
    """

    def __init__(
        self, flow: Flow, *, size: int | None = None, every: int = 1, truth: Truth | None = None
    ) -> None:
        self._flow, self._size, self._every = flow, size, every
        self._truth = truth
        self._past: deque[tuple[int, Pixels, Tensor]] = deque(maxlen=max(DISTANCES))
        self._first: tuple[int, Pixels, Tensor] | None = None
        self._errors: dict[int | str, list[float]] = {}
        self._seen: list[float] = []
        self._count = 0

    def begin(self) -> None:
        """A new shot starts: nothing is compared across it."""
        self._past.clear()
        self._first = None

    @torch.inference_mode()
    def add(self, frame: Pixels, painted: Pixels) -> None:
        """The next frame of the film (H, W, 3), and its painting, of any size of that shape."""
        height, width = painted.shape[:2]
        size = fit_long_side(height, width, min(self._size or 30_000, max(height, width)))
        film, now = (np.asarray(resize(each, *size)) for each in (frame, painted))
        here = (self._count, film, as_tensor(now))
        if self._count % self._every == 0:
            for distance in DISTANCES:
                if len(self._past) >= distance:
                    self._compare(distance, here, self._past[distance - 1])
        if self._first is None:
            self._first = here
        elif (self._count - self._first[0]) % (DRIFTS * self._every) == 0:
            self._compare("drift", here, self._first)
        self._past.appendleft(here)
        self._count += 1

    def found(self) -> Steadiness:
        """What was measured so far."""

        def mean(key: int | str) -> float:
            values = self._errors.get(key, [])
            return math.sqrt(sum(values) / len(values)) if values else math.nan

        seen = sum(self._seen) / len(self._seen) if self._seen else math.nan
        warping = {distance: mean(distance) for distance in DISTANCES}
        return Steadiness(warping, mean("drift"), seen, self._count, mean("film"))

    def _compare(
        self, key: int | str, here: tuple[int, Pixels, Tensor], there: tuple[int, Pixels, Tensor]
    ) -> None:
        (i, frame, painted), (j, before, earlier) = here, there
        back, ahead = self._motion(i, j, frame, before), self._motion(j, i, before, frame)
        known = trusted(back, ahead)
        share = float(known.mean())
        if share < LEAST:
            return
        now, then = as_tensor(frame), warp(as_tensor(before), back)
        lit = light(then, now, known)
        brought = warp(earlier, back)
        gain, offset = at_most(light(brought, painted, known), lit)
        self._errors.setdefault(key, []).append(
            _mean_square(brought * gain + offset - painted, known)
        )
        if key == 1:
            self._seen.append(share)
            film = _mean_square(then * lit[0] + lit[1] - now, known)
            self._errors.setdefault("film", []).append(film)

    def _motion(self, i: int, j: int, one: Pixels, other: Pixels) -> Tensor:
        found = self._truth(i, j) if self._truth else None
        return self._flow(one, other) if found is None else found


def _mean_square(difference: Tensor, weights: Tensor) -> float:
    total = weights.sum() * difference.shape[1]
    return float((weights * difference.square()).sum() / total)
