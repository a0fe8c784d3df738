"""How long work tells where it is.

A method calls a callback once per step with a :class:`ProgressEvent`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from impasto.core.picture import Raster


@dataclass(frozen=True)
class ProgressEvent:
    """One step of a method's work.

    Attributes:
        step, steps: steps done and steps in all.
        fraction: work done so far, 0..1. Differs from step / steps where steps cost unlike amounts,
            as they do in a coarse-to-fine run.
        losses: the terms of the loss at this step.
        image: computes the picture as it is now, (height, width, 3) in 0..1; only on demand.
        state: all that is needed to go on from here (tensors and plain numbers, by name). It shares
            its memory with the run: write it out before the callback returns.
    """

    step: int
    steps: int
    fraction: float
    losses: Mapping[str, float]
    image: Callable[[], Raster]
    state: Callable[[], Mapping[str, Any]]


class ProgressCallback(Protocol):
    """Told of every step. It may raise KeyboardInterrupt to stop the work without loss."""

    def __call__(self, event: ProgressEvent) -> None: ...


def ignore_progress(event: ProgressEvent) -> None:
    """A callback that does nothing."""


@dataclass
class EtaEstimator:
    """Estimates the time left from the share of work done per second since it was started."""

    initial_fraction: float = 0.0
    start_time: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start_time

    def remaining(self, fraction: float) -> float | None:
        """Seconds left when ``fraction`` (0..1) of the work is done; None if nothing is yet."""
        done = fraction - self.initial_fraction
        return self.elapsed * (1.0 - fraction) / done if done > 0 else None
