"""Scores from comparisons of two: the model of Bradley and Terry, with ties as Davidson has them.

R. A. Bradley, M. E. Terry, *Rank analysis of incomplete block designs*, Biometrika 39 (1952);
R. R. Davidson, *On extending the Bradley-Terry model to accommodate ties in paired comparison
experiments*, JASA 65 (1970). With the score θ of each method and nu ≥ 0 for the readiness to say
"cannot tell" (his πᵢ is exp θᵢ):

    P(i preferred) : P(j preferred) : P(cannot tell) = exp θᵢ : exp θⱼ : nu √(exp θᵢ exp θⱼ)

so that of those who can tell, 1 / (1 + exp(θⱼ - θᵢ)) prefer i: that is Bradley and Terry's. It is a
multinomial logit in (θ, log nu), whose likelihood is concave; Newton's method finds its maximum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LEVEL = 0.95
"""Of the intervals."""
FEWEST = 5
"""Of how many people (or scenes) at least the spread between them is estimated."""

_HALF = 0.5
"""What is added to the wins of every method over every other where the maximum is at infinity."""
_STEPS = 200
_ENOUGH = 1e-10


@dataclass(frozen=True)
class Votes:
    """Answers to one question, one entry each: arrays of whole numbers of one length.

    Attributes:
        first, second: the two methods, by their numbers.
        outcome: 1 the first is preferred, -1 the second, 0 cannot tell.
        rater, scene: who said so, and of which scene.
    """

    first: Whole
    second: Whole
    outcome: Whole
    rater: Whole
    scene: Whole

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int, int]]) -> Votes:
        """From rows (first, second, outcome, rater, scene)."""
        table = np.asarray(rows, dtype=np.int64).reshape(-1, 5)
        return cls(*table.T)

    def __len__(self) -> int:
        return len(self.outcome)

    def wins(self, methods: int) -> Whole:
        """(methods, methods): how often the row's method was preferred to the column's."""
        table = np.zeros((methods, methods), dtype=np.int64)
        for sign, winner, loser in ((1, self.first, self.second), (-1, self.second, self.first)):
            told = self.outcome == sign
            np.add.at(table, (winner[told], loser[told]), 1)
        return table


@dataclass(frozen=True)
class Interval:
    """An estimate and where the true value lies, at :data:`LEVEL`."""

    value: float
    low: float
    high: float

    def map(self, function: Callable[[float], float]) -> Interval:
        """The same of a rising function of the value."""
        return Interval(function(self.value), function(self.low), function(self.high))


@dataclass(frozen=True)
class Fit:
    """Fitted scores.

    Attributes:
        scores: θ of each method; their mean is 0.
        tie: nu; 0 if nobody said "cannot tell".
        plain: covariance of θ as if every answer were independent (inverse Fisher information).
        spread: covariance of θ that lets the answers of one rater, or on one scene, hang together;
            None with fewer than :data:`FEWEST` of both.
        freedom: degrees of freedom of ``spread``.
        regularised: whether half an answer was added each way to every two methods.
    """

    scores: Floats
    tie: float
    plain: Floats
    spread: Floats | None
    freedom: int
    regularised: bool

    def score(self, method: int) -> Interval:
        """θ of a method, relative to the mean of all."""
        weights = np.full(len(self.scores), -1 / len(self.scores))
        weights[method] += 1
        return self._contrast(weights)

    def preference(self, method: int, other: int) -> Interval:
        """The share, of those who can tell, that prefers ``method`` to ``other``: 0..1."""
        return self._contrast(self._between(method, other)).map(logistic)

    def excess(self, method: int, other: int) -> float:
        """How many answers count as one independent answer, about two methods; at least 1."""
        weights = self._between(method, other)
        return (self._reach(weights) / self._reach(weights, alone=True)) ** 2

    def _between(self, method: int, other: int) -> Floats:
        weights = np.zeros(len(self.scores))
        weights[method], weights[other] = 1, -1
        return weights

    def _reach(self, weights: Floats, alone: bool = False) -> float:
        """Half of an interval's width: the wider of both ways to estimate it, or the plain one."""
        share = 0.5 + LEVEL / 2
        plain = quantile(share) * math.sqrt(weights @ self.plain @ weights)
        if alone or self.spread is None:
            return plain
        variance = max(0.0, float(weights @ self.spread @ weights))
        return max(plain, quantile(share, self.freedom) * math.sqrt(variance))

    def _contrast(self, weights: Floats) -> Interval:
        middle, reach = float(weights @ self.scores), self._reach(weights)
        return Interval(middle, middle - reach, middle + reach)


def fit(votes: Votes, methods: int) -> Fit:
    """Fit the scores of ``methods`` methods, at least 2.

    The maximum is finite if every method is preferred to every other, directly or through others
    (Ford 1957). Otherwise, as where one always wins, half an answer each way is added to every two
    methods (Haldane 1956); of two methods that is Firth's (1993) reduction of the bias.

    The covariance ``spread`` is the sandwich estimate for clusters (Liang and Zeger 1986), for
    raters and scenes at once (Cameron, Gelbach and Miller 2011), each with the factor G / (G - 1).
    """
    rows = _Rows.of(votes, methods)
    regularised = not _connected(votes.wins(methods) > 0)
    full = rows.with_halves() if regularised else rows
    values, information = full.maximise()
    inverse: Floats = np.linalg.pinv(information, hermitian=True).astype(np.float64)
    spread, freedom = _spread(votes, rows.gradients(values), inverse, methods)
    return Fit(
        scores=values[:methods] - values[:methods].mean(),
        tie=math.exp(values[methods]) if full.ties else 0.0,
        plain=inverse[:methods, :methods],
        spread=spread,
        freedom=freedom,
        regularised=regularised,
    )


@dataclass(frozen=True)
class _Rows:
    """The multinomial logit: for each answer the derivatives of its outcomes' logits.

    Attributes:
        design: (answers, outcomes, parameters); outcomes are first, second and, if anybody said
            so, cannot tell; parameters are θ and then log nu.
        chosen: (answers,): the outcome.
        weight: (answers,).
        methods: how many.
    """

    design: Floats
    chosen: Whole
    weight: Floats
    methods: int

    @property
    def ties(self) -> bool:
        return int(self.design.shape[1]) == 3

    @classmethod
    def of(cls, votes: Votes, methods: int) -> _Rows:
        ties = bool((votes.outcome == 0).any())
        chosen = np.select([votes.outcome == 1, votes.outcome == -1], [0, 1], 2)
        design = _design(votes.first, votes.second, methods, ties)
        return cls(design, chosen, np.ones(len(votes)), methods)

    def with_halves(self) -> _Rows:
        """With half an answer each way between every two methods."""
        low, high = np.triu_indices(self.methods, 1)
        more = _design(np.r_[low, high], np.r_[high, low], self.methods, self.ties)
        return _Rows(
            np.concatenate([self.design, more]),
            np.r_[self.chosen, np.zeros(len(more), dtype=np.int64)],
            np.r_[self.weight, np.full(len(more), _HALF)],
            self.methods,
        )

    def maximise(self) -> tuple[Floats, Floats]:
        """The parameters at the maximum, and the Fisher information there."""
        values = np.zeros(self.design.shape[2])
        height = self._height(values)
        for _ in range(_STEPS):
            gradient = self.weight @ self.gradients(values)
            step = np.linalg.pinv(self._information(values), hermitian=True) @ gradient
            if float(gradient @ step) < _ENOUGH:  # so near, one whole step more is exact
                return values + step, self._information(values + step)
            length = 1.0
            while (new := self._height(values + length * step)) < height and length > _ENOUGH:
                length /= 2
            values, height = values + length * step, new
        return values, self._information(values)

    def gradients(self, values: Floats) -> Floats:
        """(answers, parameters): the derivative of each answer's log likelihood."""
        chosen = np.take_along_axis(self.design, self.chosen[:, None, None], axis=1)[:, 0]
        expected: Floats = np.einsum("ak,akp->ap", self._odds(values), self.design)
        return np.asarray(chosen - expected)

    def _height(self, values: Floats) -> float:
        odds = np.take_along_axis(self._odds(values), self.chosen[:, None], axis=1)[:, 0]
        return float(self.weight @ np.log(np.maximum(odds, 1e-300)))

    def _odds(self, values: Floats) -> Floats:
        logits = self.design @ values
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _information(self, values: Floats) -> Floats:
        odds = self._odds(values)
        mean = np.einsum("ak,akp->ap", odds, self.design)
        away = self.design - mean[:, None]
        return np.asarray(
            np.einsum("a,ak,akp,akq->pq", self.weight, odds, away, away, optimize=True)
        )


def _design(first: Whole, second: Whole, methods: int, ties: bool) -> Floats:
    """Logits less the mean of the two scores: half the difference, minus that, and log nu."""
    rows = np.arange(len(first))
    design = np.zeros((len(first), 3 if ties else 2, methods + ties))
    design[rows, 0, first] += 0.5
    design[rows, 0, second] -= 0.5
    design[:, 1] = -design[:, 0]
    if ties:
        design[:, 2, methods] = 1
    return design


def _connected(beats: NDArray[np.bool_]) -> bool:
    """Whether every method beats every other, directly or through others."""
    reach = beats | np.eye(len(beats), dtype=bool)
    for _ in range(len(beats)):
        reach = (reach.astype(np.int64) @ reach.astype(np.int64)) > 0
    return bool(reach.all())


def _spread(
    votes: Votes, gradients: Floats, inverse: Floats, methods: int
) -> tuple[Floats | None, int]:
    """The clustered covariance of θ and its degrees of freedom, if there is enough to tell."""
    ways = [w for w in (votes.rater, votes.scene) if len(np.unique(w)) >= FEWEST]
    if not ways:
        return None, 0
    terms = [(way, 1.0) for way in ways]
    if len(ways) == 2:
        terms.append((votes.rater * (int(votes.scene.max()) + 1) + votes.scene, -1.0))
    middle = np.zeros_like(inverse)
    for way, sign in terms:
        _, place = np.unique(way, return_inverse=True)
        count = int(place.max()) + 1
        sums = np.zeros((count, gradients.shape[1]))
        np.add.at(sums, place, gradients)
        middle += sign * count / (count - 1) * sums.T @ sums
    freedom = min(len(np.unique(way)) for way in ways) - 1
    return (inverse @ middle @ inverse)[:methods, :methods], freedom


def logistic(value: float) -> float:
    """1 / (1 + exp(-value)), also of large values."""
    return 0.5 * (1 + math.tanh(value / 2))


def quantile(share: float, freedom: int | None = None) -> float:
    """Of the normal distribution, or of Student's with at least 4 degrees of freedom.

    Student's by the expansion 26.7.5 of Abramowitz and Stegun, which is right to 0.001 there.
    """
    z = NormalDist().inv_cdf(share)
    if freedom is None:
        return z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (k + 1) for k, term in enumerate(terms))
