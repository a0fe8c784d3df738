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

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CONFIDENCE_LEVEL = 0.95
"""Of the intervals."""
MIN_CLUSTERS = 5
"""Of how many people (or scenes) at least the spread between them is estimated."""

_PSEUDO_WINS = 0.5
"""What is added to the wins of every method over every other where the maximum is at infinity."""
_MAX_STEPS = 200
_TOLERANCE = 1e-10


@dataclass(frozen=True)
class PairedComparisons:
    """Answers to one question, one entry each: arrays of whole numbers of one length.

    Attributes:
        first, second: the two methods, by their numbers.
        outcome: 1 the first is preferred, -1 the second, 0 cannot tell.
        rater, scene: who said so, and of which scene.
    """

    first: IntArray
    second: IntArray
    outcome: IntArray
    rater: IntArray
    scene: IntArray

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, int, int, int, int]]) -> PairedComparisons:
        """From rows (first, second, outcome, rater, scene)."""
        table = np.asarray(rows, dtype=np.int64).reshape(-1, 5)
        return cls(*table.T)

    def __len__(self) -> int:
        return len(self.outcome)

    def wins(self, methods: int) -> IntArray:
        """(methods, methods): how often the row's method was preferred to the column's."""
        table = np.zeros((methods, methods), dtype=np.int64)
        for sign, winner, loser in ((1, self.first, self.second), (-1, self.second, self.first)):
            told = self.outcome == sign
            np.add.at(table, (winner[told], loser[told]), 1)
        return table


@dataclass(frozen=True)
class Estimate:
    """An estimate and where the true value lies, at :data:`CONFIDENCE_LEVEL`."""

    value: float
    low: float
    high: float

    def map(self, function: Callable[[float], float]) -> Estimate:
        """The same of a rising function of the value."""
        return Estimate(function(self.value), function(self.low), function(self.high))


@dataclass(frozen=True)
class BradleyTerryFit:
    """Fitted scores.

    Attributes:
        scores: θ of each method; their mean is 0.
        tie_parameter: nu; 0 if nobody said "cannot tell".
        naive_covariance: covariance of θ as if every answer were independent (inverse Fisher
        information).
        clustered_covariance: covariance of θ that lets the answers of one rater, or on one scene,
        hang together;
            None with fewer than :data:`MIN_CLUSTERS` of both.
        degrees_of_freedom: degrees of freedom of ``clustered_covariance``.
        regularized: whether half an answer was added each way to every two methods.
    """

    scores: FloatArray
    tie_parameter: float
    naive_covariance: FloatArray
    clustered_covariance: FloatArray | None
    degrees_of_freedom: int
    regularized: bool

    def score(self, method: int) -> Estimate:
        """θ of a method, relative to the mean of all."""
        weights = np.full(len(self.scores), -1 / len(self.scores))
        weights[method] += 1
        return self._estimate(weights)

    def preference(self, method: int, other: int) -> Estimate:
        """The share, of those who can tell, that prefers ``method`` to ``other``: 0..1."""
        return self._estimate(self._difference_weights(method, other)).map(logistic)

    def design_effect(self, method: int, other: int) -> float:
        """How many answers count as one independent answer, about two methods; at least 1."""
        weights = self._difference_weights(method, other)
        return (self._half_width(weights) / self._half_width(weights, naive=True)) ** 2

    def _difference_weights(self, method: int, other: int) -> FloatArray:
        weights = np.zeros(len(self.scores))
        weights[method], weights[other] = 1, -1
        return weights

    def _half_width(self, weights: FloatArray, naive: bool = False) -> float:
        """Half of an interval's width: the wider of both ways to estimate it, or the plain one."""
        share = 0.5 + CONFIDENCE_LEVEL / 2
        plain = quantile(share) * math.sqrt(weights @ self.naive_covariance @ weights)
        if naive or self.clustered_covariance is None:
            return plain
        variance = max(0.0, float(weights @ self.clustered_covariance @ weights))
        return max(plain, quantile(share, self.degrees_of_freedom) * math.sqrt(variance))

    def _estimate(self, weights: FloatArray) -> Estimate:
        middle, reach = float(weights @ self.scores), self._half_width(weights)
        return Estimate(middle, middle - reach, middle + reach)


def fit_bradley_terry(comparisons: PairedComparisons, methods: int) -> BradleyTerryFit:
    """Fit the scores of ``methods`` methods, at least 2.

    The maximum is finite if every method is preferred to every other, directly or through others
    (Ford 1957). Otherwise, as where one always wins, half an answer each way is added to every two
    methods (Haldane 1956); of two methods that is Firth's (1993) reduction of the bias.

    The covariance ``spread`` is the sandwich estimate for clusters (Liang and Zeger 1986), for
    raters and scenes at once (Cameron, Gelbach and Miller 2011), each with the factor G / (G - 1).
    """
    rows = _LogitModel.from_comparisons(comparisons, methods)
    regularized = not _is_connected(comparisons.wins(methods) > 0)
    full = rows.with_pseudo_wins() if regularized else rows
    values, information = full.maximize()
    inverse: FloatArray = np.linalg.pinv(information, hermitian=True).astype(np.float64)
    spread, freedom = _clustered_covariance(comparisons, rows.gradients(values), inverse, methods)
    return BradleyTerryFit(
        scores=values[:methods] - values[:methods].mean(),
        tie_parameter=math.exp(values[methods]) if full.has_ties else 0.0,
        naive_covariance=inverse[:methods, :methods],
        clustered_covariance=spread,
        degrees_of_freedom=freedom,
        regularized=regularized,
    )


@dataclass(frozen=True)
class _LogitModel:
    """The multinomial logit: for each answer the derivatives of its outcomes' logits.

    Attributes:
        design: (answers, outcomes, parameters); outcomes are first, second and, if anybody said
            so, cannot tell; parameters are θ and then log nu.
        choices: (answers,): the outcome.
        weights: (answers,).
        methods: how many.
    """

    design: FloatArray
    choices: IntArray
    weights: FloatArray
    methods: int

    @property
    def has_ties(self) -> bool:
        return int(self.design.shape[1]) == 3

    @classmethod
    def from_comparisons(cls, comparisons: PairedComparisons, methods: int) -> _LogitModel:
        ties = bool((comparisons.outcome == 0).any())
        chosen = np.select([comparisons.outcome == 1, comparisons.outcome == -1], [0, 1], 2)
        design = _design_matrix(comparisons.first, comparisons.second, methods, ties)
        return cls(design, chosen, np.ones(len(comparisons)), methods)

    def with_pseudo_wins(self) -> _LogitModel:
        """With half an answer each way between every two methods."""
        low, high = np.triu_indices(self.methods, 1)
        more = _design_matrix(np.r_[low, high], np.r_[high, low], self.methods, self.has_ties)
        return _LogitModel(
            np.concatenate([self.design, more]),
            np.r_[self.choices, np.zeros(len(more), dtype=np.int64)],
            np.r_[self.weights, np.full(len(more), _PSEUDO_WINS)],
            self.methods,
        )

    def maximize(self) -> tuple[FloatArray, FloatArray]:
        """The parameters at the maximum, and the Fisher information there."""
        values = np.zeros(self.design.shape[2])
        height = self._log_likelihood(values)
        for _ in range(_MAX_STEPS):
            gradient = self.weights @ self.gradients(values)
            step = np.linalg.pinv(self._fisher_information(values), hermitian=True) @ gradient
            if float(gradient @ step) < _TOLERANCE:  # so near, one whole step more is exact
                return values + step, self._fisher_information(values + step)
            length = 1.0
            while (
                new := self._log_likelihood(values + length * step)
            ) < height and length > _TOLERANCE:
                length /= 2
            values, height = values + length * step, new
        return values, self._fisher_information(values)

    def gradients(self, values: FloatArray) -> FloatArray:
        """(answers, parameters): the derivative of each answer's log likelihood."""
        chosen = np.take_along_axis(self.design, self.choices[:, None, None], axis=1)[:, 0]
        expected: FloatArray = np.einsum("ak,akp->ap", self._probabilities(values), self.design)
        return np.asarray(chosen - expected)

    def _log_likelihood(self, values: FloatArray) -> float:
        odds = np.take_along_axis(self._probabilities(values), self.choices[:, None], axis=1)[:, 0]
        return float(self.weights @ np.log(np.maximum(odds, 1e-300)))

    def _probabilities(self, values: FloatArray) -> FloatArray:
        logits = self.design @ values
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _fisher_information(self, values: FloatArray) -> FloatArray:
        odds = self._probabilities(values)
        mean = np.einsum("ak,akp->ap", odds, self.design)
        away = self.design - mean[:, None]
        return np.asarray(
            np.einsum("a,ak,akp,akq->pq", self.weights, odds, away, away, optimize=True)
        )


def _design_matrix(first: IntArray, second: IntArray, methods: int, ties: bool) -> FloatArray:
    """Logits less the mean of the two scores: half the difference, minus that, and log nu."""
    rows = np.arange(len(first))
    design = np.zeros((len(first), 3 if ties else 2, methods + ties))
    design[rows, 0, first] += 0.5
    design[rows, 0, second] -= 0.5
    design[:, 1] = -design[:, 0]
    if ties:
        design[:, 2, methods] = 1
    return design


def _is_connected(beats: NDArray[np.bool_]) -> bool:
    """Whether every method beats every other, directly or through others."""
    reach = beats | np.eye(len(beats), dtype=bool)
    for _ in range(len(beats)):
        reach = (reach.astype(np.int64) @ reach.astype(np.int64)) > 0
    return bool(reach.all())


def _clustered_covariance(
    comparisons: PairedComparisons, gradients: FloatArray, inverse: FloatArray, methods: int
) -> tuple[FloatArray | None, int]:
    """The clustered covariance of θ and its degrees of freedom, if there is enough to tell."""
    ways = [w for w in (comparisons.rater, comparisons.scene) if len(np.unique(w)) >= MIN_CLUSTERS]
    if not ways:
        return None, 0
    terms = [(way, 1.0) for way in ways]
    if len(ways) == 2:
        terms.append(
            (comparisons.rater * (int(comparisons.scene.max()) + 1) + comparisons.scene, -1.0)
        )
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


def quantile(probability: float, degrees_of_freedom: int | None = None) -> float:
    """Of the normal distribution, or of Student's with at least 4 degrees of freedom.

    Student's by the expansion 26.7.5 of Abramowitz and Stegun, which is right to 0.001 there.
    """
    z = NormalDist().inv_cdf(probability)
    if degrees_of_freedom is None:
        return z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / degrees_of_freedom ** (k + 1) for k, term in enumerate(terms))
