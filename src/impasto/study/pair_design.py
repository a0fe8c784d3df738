"""Which pair comes next, and on which sides: evenly, and by chance where that leaves a choice.

Every pair of methods is shown about equally often, and so is every scene of such a pair; each
method of a pair stands on the left as often as on the right. After every :data:`PAIRS_PER_REPEAT`
pairs a
rater gets one again with its sides swapped, unannounced: how often the answer is the same is the
rater's consistency.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PAIRS_PER_REPEAT = 6
"""Pairs between two repeats."""
MIN_REPEAT_DISTANCE_PAIRS = 3
"""A repeat is of a pair that lies more than so many pairs back."""


class Pair(NamedTuple):
    """Two methods' results of one scene, by their numbers; ``first`` < ``second``."""

    scene: int
    first: int
    second: int

    @property
    def methods(self) -> tuple[int, int]:
        return self.first, self.second


def all_pairs(scenes: Iterable[int], methods: Iterable[int]) -> list[Pair]:
    """Every two methods of every scene."""
    twos = list(itertools.combinations(sorted(methods), 2))
    return [Pair(scene, *two) for scene in scenes for two in twos]


def next_pair(
    unseen: Sequence[Pair],
    shown_counts: Mapping[Pair, int],
    last_scene: int | None,
    rng: random.Random,
) -> Pair:
    """The pair that a rater shall see next.

    Args:
        unseen: what this rater has not seen; not empty.
        shown_counts: how often each pair has been shown to anybody.
        last_scene: of the pair before; another one follows if there is a choice.
        rng: decides among equals.
    """
    of_methods: dict[tuple[int, int], int] = {}
    for pair, times in shown_counts.items():
        of_methods[pair.methods] = of_methods.get(pair.methods, 0) + times
    return min(
        unseen,
        key=lambda pair: (
            of_methods.get(pair.methods, 0),
            pair.scene == last_scene,
            shown_counts.get(pair, 0),
            rng.random(),
        ),
    )


def choose_sides(
    pair: Pair, left_counts: Mapping[tuple[int, int], int], rng: random.Random
) -> tuple[int, int]:
    """The methods on the left and on the right.

    Args:
        pair: the pair.
        left_counts: (left, right) → how often the methods have been shown so.
        rng: decides where both ways have been shown as often.
    """
    first, second = pair.methods
    lead = left_counts.get((first, second), 0) - left_counts.get((second, first), 0)
    straight = lead < 0 or (lead == 0 and rng.random() < 0.5)
    return (first, second) if straight else (second, first)


def repeat_is_due(pairs: int, repeats: int) -> bool:
    """Whether a rater who has seen so many pairs, and repeats of them, gets a repeat now."""
    return pairs // PAIRS_PER_REPEAT > repeats


def total_pairs(goal: int) -> int:
    """How many pairs are shown to a rater who shall see ``goal``, repeats included."""
    return goal + goal // PAIRS_PER_REPEAT
