"""How far answers agree, how far a person keeps to one, and how many more it would take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from impasto.study.bradley_terry import CONFIDENCE_LEVEL, Estimate, quantile

DEFAULT_POWER = 0.8
"""With which probability a study of the needed size finds the difference."""
MAX_NEEDED_ANSWERS = 100_000
"""A difference that needs more answers than that is called none."""


def krippendorff_alpha(
    units: Iterable[Sequence[float]], *, is_interval_scale: bool
) -> float | None:
    """Krippendorff's alpha: 1 all agree, 0 as by chance, below that they contradict each other.

    K. Krippendorff, *Computing Krippendorff's Alpha-Reliability*, University of Pennsylvania, 2011.

    Args:
        units: for each thing that was judged, what was said of it; things of which less than two
            judgments exist do not count.
        is_interval_scale: whether the squared difference of two values measures their disagreement
        (his
            interval metric), or only whether they differ (nominal).

    Returns:
        None if there is nothing to compare, or only one value ever was given.
    """
    judged = [list(unit) for unit in units if len(unit) > 1]
    values = sorted({value for unit in judged for value in unit})
    if len(values) < 2:
        return None
    index = {value: k for k, value in enumerate(values)}
    together = np.zeros((len(values), len(values)))  # his coincidence matrix
    for unit in judged:
        counts = np.bincount([index[value] for value in unit], minlength=len(values))
        together += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    each = together.sum(axis=1)
    apart = np.subtract.outer(values, values) ** 2 if is_interval_scale else 1 - np.eye(len(values))
    total = each.sum()
    observed = float((together * apart).sum() / total)
    expected = float((np.outer(each, each) * apart).sum() / (total * (total - 1)))
    return 1 - observed / expected


def preference_alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Return Krippendorff's alpha of preferences.

    A preference is 1 for one picture, -1 for the other, 0 for "cannot tell".
    Which of the two is called the first is arbitrary. So each unit counts both ways round, and
    chance is that people throw a coin. "Cannot tell" lies halfway between the two.
    """
    given = [list(unit) for unit in units]
    return krippendorff_alpha(
        [*given, *([-value for value in unit] for unit in given)], is_interval_scale=True
    )


def agreement_rate(units: Iterable[Sequence[int]]) -> float | None:
    """How often two answers to the same pair are the same, over all twos of answers; 0..1."""
    same = twos = 0
    for unit in units:
        counts = np.unique(np.asarray(unit), return_counts=True)[1]
        same += int((counts * (counts - 1)).sum())
        twos += len(unit) * (len(unit) - 1)
    return same / twos if twos else None


def wilson_proportion(count: int, total: int) -> Estimate | None:
    """A proportion with the interval of Wilson (JASA 22, 1927); None of nothing."""
    if total == 0:
        return None
    z = quantile(0.5 + CONFIDENCE_LEVEL / 2)
    p, shrink = count / total, 1 + z * z / total
    middle = (p + z * z / (2 * total)) / shrink
    reach = z / shrink * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return Estimate(p, max(0.0, middle - reach), min(1.0, middle + reach))


def needed_answers(
    preference: float,
    tie_fraction: float = 0.0,
    design_effect: float = 1.0,
    power: float = DEFAULT_POWER,
) -> int | None:
    """How many answers it takes to tell two methods apart, if the preference is what it seems.

    It is the size of a two-sided test of a share against one half at the level 1 -
    :data:`CONFIDENCE_LEVEL`
    (Fleiss, Levin and Paik, *Statistical Methods for Rates and Proportions*, 2003, chapter 2),
    in the normal approximation with the correction for continuity, enlarged for answers that do not
    count and that hang together.

    Args:
        preference: the share, of those who can tell, that prefers one of them; 0..1.
        tie_fraction: the share who cannot tell; 0..1.
        design_effect: the variance as a multiple of that of independent answers; at least 1.
        power: with which probability the difference is to be found.

    Returns:
        The number of answers to this pair of methods, or None if it is above
        :data:`MAX_NEEDED_ANSWERS`.
    """
    distance = abs(preference - 0.5)
    if distance == 0 or tie_fraction >= 1:
        return None
    deviation = math.sqrt(preference * (1 - preference))
    root = (quantile(0.5 + CONFIDENCE_LEVEL / 2) * 0.5 + quantile(power) * deviation) / distance
    plain = root * root
    corrected = plain / 4 * (1 + math.sqrt(1 + 2 / (plain * distance))) ** 2
    answers = corrected * design_effect / (1 - tie_fraction)
    return math.ceil(answers) if answers <= MAX_NEEDED_ANSWERS else None
