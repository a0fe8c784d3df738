"""How far a mean over a set can be trusted.

Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13: the percentile
interval of the mean over resamples, drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLE_COUNT = 2000
CONFIDENCE_LEVEL = 0.95
MIN_SAMPLES = 2
"""Of one value nothing can be said."""


@dataclass(frozen=True)
class MeanInterval:
    """A mean, with the bounds between which it lies at 95 %; None where one value is all."""

    mean: float
    low: float | None
    high: float | None
    count: int


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> MeanInterval:
    """The mean of some values and its percentile interval from 2000 resamples.

    Of few values it is too narrow, as any bootstrap: below about ten it is a hint.
    """
    given = np.asarray(values, dtype=np.float64)
    if len(given) < MIN_SAMPLES:
        return MeanInterval(float(given.mean()), None, None, len(given))
    random = np.random.default_rng(seed)
    means = given[random.integers(0, len(given), (RESAMPLE_COUNT, len(given)))].mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return MeanInterval(float(given.mean()), float(low), float(high), len(given))
