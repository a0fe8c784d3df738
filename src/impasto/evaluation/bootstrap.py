"""How far a mean over a set can be trusted.

Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13: the percentile
interval of the mean over resamples, drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 2
"""Of one value nothing can be said."""


@dataclass(frozen=True)
class Interval:
    """A mean, with the bounds between which it lies at 95 %; None where one value is all."""

    mean: float
    low: float | None
    high: float | None
    count: int


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of some values and its percentile interval from 2000 resamples.

    Of few values it is too narrow, as any bootstrap: below about ten it is a hint.
    """
    given = np.asarray(values, dtype=np.float64)
    if len(given) < FEWEST:
        return Interval(float(given.mean()), None, None, len(given))
    random = np.random.default_rng(seed)
    means = given[random.integers(0, len(given), (RESAMPLES, len(given)))].mean(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(given.mean()), float(low), float(high), len(given))
