"""Report the progress of long work: one event type and one callback for all of it.

Stylizing, training, tuning, comparing, downloading and sampling call a
:data:`ProgressCallback` once per step, so that a progress bar, a log, a web page and a notebook
need one reader each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from impasto.core.picture import Raster


@dataclass(frozen=True)
class ProgressEvent:
    """One step of long work.

    Attributes:
        step, steps: steps done, and steps in total; 0 where the total is not known.
        fraction: work done so far, 0..1; by default ``step / steps``. It differs from that where
            steps cost unlike amounts, as in a coarse-to-fine run.
        values: numbers at this step: loss terms, scores.
        image: computes the current image, (height, width, 3) in 0..1, on demand; None if there is
            none to show.
        state: returns all that is needed to resume from here (tensors and plain numbers, by name).
        It
            shares its memory with the run: write it out before the callback returns.
        stage: what is being done: a method, "train", "download", "evaluate"; "" if there is one
            stage.
        seconds_left: estimated time left in seconds; None if it is not known.

    Example:
        >>> ProgressEvent(step=3, steps=12).fraction
        0.25
    """

    step: int
    steps: int = 0
    fraction: float = math.nan
    values: Mapping[str, float] = field(default_factory=dict)
    image: Callable[[], Raster] | None = None
    state: Callable[[], Mapping[str, Any]] = dict
    stage: str = ""
    seconds_left: float | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.fraction):
            done = min(self.step / self.steps, 1.0) if self.steps else 0.0
            object.__setattr__(self, "fraction", done)


ProgressCallback = Callable[[ProgressEvent], None]
"""Called after every step. It may raise KeyboardInterrupt to stop the work without loss."""


def ignore_progress(event: ProgressEvent) -> None:
    """Do nothing."""


@dataclass
class EtaEstimator:
    """Estimate the time left from the fraction of the work that was done since the start."""

    initial_fraction: float = 0.0
    start_time: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.start_time

    def remaining(self, fraction: float) -> float | None:
        """Return the seconds left at ``fraction`` (0..1) of the work; None before any is done."""
        done = fraction - self.initial_fraction
        return self.elapsed * (1.0 - fraction) / done if done > 0 else None
