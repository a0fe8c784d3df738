"""Scores against other ways to the same numbers: scipy's optimizer, closed forms, simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from impasto.study.bradley_terry import PairedComparisons, fit_bradley_terry, logistic, quantile


def votes_of(counts):
    """From (first, second, wins, losses, ties), every answer by a person of its own."""
    rows = [
        (first, second, outcome, 0, 0)
        for first, second, wins, losses, ties in counts
        for outcome, times in ((1, wins), (-1, losses), (0, ties))
        for _ in range(times)
    ]
    return PairedComparisons.from_rows(rows)


def loss(values, votes, methods, ties):
    """Minus the log likelihood as Davidson writes it, θ of the last method 0."""
    strength = np.exp(np.r_[values[: methods - 1], 0.0])
    nu = math.exp(values[methods - 1]) if ties else 0.0
    first, second = strength[votes.first], strength[votes.second]
    middle = nu * np.sqrt(first * second)
    chosen = np.select([votes.outcome == 1, votes.outcome == -1], [first, second], middle)
    return -np.log(chosen / (first + second + middle)).sum()


COUNTS = [(0, 1, 14, 6, 0), (1, 2, 9, 8, 0), (2, 0, 5, 13, 0), (3, 1, 4, 15, 0), (0, 3, 11, 2, 0)]
TIED = [(a, b, wins, losses, 3 + a) for a, b, wins, losses, _ in COUNTS]


@pytest.mark.parametrize("counts", [COUNTS, TIED], ids=["without ties", "with ties"])
def test_scores_are_those_of_a_general_optimizer(counts):
    votes, ties = votes_of(counts), counts is TIED
    best = optimize.minimize(loss, np.zeros(3 + ties), args=(votes, 4, ties), tol=1e-12)
    expected = np.r_[best.x[:3], 0.0]
    found = fit_bradley_terry(votes, 4)
    assert found.scores == pytest.approx(expected - expected.mean(), abs=1e-4)
    assert found.tie_parameter == pytest.approx(math.exp(best.x[3]) if ties else 0.0, abs=1e-4)
    assert not found.regularized


def test_variances_are_those_of_the_numeric_hessian():
    votes = votes_of(TIED)
    best = optimize.minimize(loss, np.zeros(4), args=(votes, 4, True), tol=1e-12).x
    step, eye = 1e-3, np.eye(4)
    hessian = np.array([
        [
            sum(
                s * t * loss(best + step * (s * eye[i] + t * eye[j]), votes, 4, True)
                for s in (1, -1) for t in (1, -1)
            ) / (4 * step**2)
            for j in range(4)
        ]
        for i in range(4)
    ])  # fmt: skip
    expected = np.linalg.inv(hessian)[:3, :3]  # of the differences to the last method
    plain = fit_bradley_terry(votes, 4).naive_covariance
    differences = np.c_[np.eye(3), -np.ones(3)]
    assert differences @ plain @ differences.T == pytest.approx(expected, rel=1e-3)


@given(st.integers(1, 60), st.integers(1, 60))
def test_of_two_methods_the_preference_is_the_share_of_wins(wins, losses):
    found = fit_bradley_terry(votes_of([(0, 1, wins, losses, 0)]), 2).preference(0, 1)
    share, count = wins / (wins + losses), wins + losses
    reach = stats.norm.ppf(0.975) / math.sqrt(count * share * (1 - share))
    assert found.value == pytest.approx(share)
    assert found.low == pytest.approx(logistic(math.log(wins / losses) - reach))
    assert found.high == pytest.approx(logistic(math.log(wins / losses) + reach))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_of_two_methods_ties_change_the_tie_parameter_alone(wins, losses, ties):
    found = fit_bradley_terry(votes_of([(0, 1, wins, losses, ties)]), 2)
    assert found.preference(0, 1).value == pytest.approx(wins / (wins + losses))
    assert found.tie_parameter == pytest.approx(ties / math.sqrt(wins * losses))


def test_a_preference_and_its_reverse_are_the_same_statement():
    found = fit_bradley_terry(votes_of(TIED), 4)
    there, back = found.preference(0, 2), found.preference(2, 0)
    assert (back.value, back.low, back.high) == pytest.approx(
        (1 - there.value, 1 - there.high, 1 - there.low)
    )


@given(st.permutations(range(4)))
def test_the_order_of_the_methods_does_not_matter(order):
    plain = fit_bradley_terry(votes_of(TIED), 4)
    moved = fit_bradley_terry(votes_of([(order[a], order[b], *rest) for a, b, *rest in TIED]), 4)
    assert [moved.scores[order[k]] for k in range(4)] == pytest.approx(list(plain.scores))
    assert moved.score(order[1]).low == pytest.approx(plain.score(1).low)


def test_who_always_wins_gets_half_an_answer_against_it():
    found = fit_bradley_terry(votes_of([(0, 1, 10, 0, 0)]), 2)
    assert found.regularized
    assert found.preference(0, 1).value == pytest.approx(10.5 / 11)
    assert 0.5 < found.preference(0, 1).low < found.preference(0, 1).high < 1


def test_who_wins_or_ties_always_has_no_finite_maximum_either():
    found = fit_bradley_terry(votes_of([(0, 1, 6, 0, 6)]), 2)
    assert found.regularized
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("counts", [[], [(0, 1, 0, 0, 8)]], ids=["no answers", "only ties"])
def test_without_a_preference_all_scores_are_the_same(counts):
    found = fit_bradley_terry(votes_of(counts), 3)
    assert found.scores == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.regularized
    assert found.preference(0, 2).low < 0.2
    assert found.preference(0, 2).high > 0.8


def test_methods_that_never_met_are_compared_through_a_third():
    found = fit_bradley_terry(votes_of([(0, 1, 12, 6, 0), (1, 2, 12, 6, 0)]), 3)
    assert not found.regularized
    assert found.preference(0, 2).value == pytest.approx(logistic(2 * math.log(2)))
    assert found.preference(0, 2).high - found.preference(0, 2).low > (
        found.preference(0, 1).high - found.preference(0, 1).low
    )


def test_answers_of_one_person_hang_together_as_in_the_textbook():
    random = np.random.default_rng(0)
    outcome = np.where(random.random((6, 12)) < random.uniform(0.2, 0.9, (6, 1)), 1, -1)
    rows = [(0, 1, outcome[r, k], r, 0) for r in range(6) for k in range(12)]
    found = fit_bradley_terry(PairedComparisons.from_rows(rows), 2)
    share = (outcome == 1).mean()
    sums = ((outcome == 1) - share).sum(axis=1)
    expected = 6 / 5 * (sums**2).sum() / (72 * share * (1 - share)) ** 2
    contrast = np.array([1.0, -1.0])
    assert contrast @ found.clustered_covariance @ contrast == pytest.approx(expected)
    assert found.degrees_of_freedom == 5
    assert found.design_effect(0, 1) > 1


def test_people_and_scenes_are_allowed_for_at_once():
    # Cameron, Gelbach and Miller (2011): by rater, and by scene, less by both.
    random = np.random.default_rng(1)
    rater, scene = random.integers(0, 7, 150), random.integers(0, 6, 150)
    outcome = np.where(random.random(150) < 0.4 + 0.05 * rater + 0.03 * scene, 1, -1)
    rows = np.c_[np.zeros(150), np.ones(150), outcome, rater, scene].astype(int)
    found = fit_bradley_terry(PairedComparisons.from_rows(rows.tolist()), 2)
    share = (outcome == 1).mean()
    expected = 0.0
    for way, sign in ((rater, 1), (scene, 1), (rater * 6 + scene, -1)):
        sums = [((outcome == 1) - share)[way == each].sum() for each in np.unique(way)]
        expected += sign * len(sums) / (len(sums) - 1) * np.square(sums).sum()
    contrast = np.array([1.0, -1.0])
    variance = contrast @ found.clustered_covariance @ contrast
    assert variance == pytest.approx(expected / (150 * share * (1 - share)) ** 2)
    assert found.degrees_of_freedom == 5


def test_four_people_are_too_few_to_tell_their_spread():
    rows = [(0, 1, 1 if k % 3 else -1, k % 4, 0) for k in range(24)]
    assert fit_bradley_terry(PairedComparisons.from_rows(rows), 2).clustered_covariance is None


@pytest.mark.parametrize("freedom", [4, 5, 9, 30])
def test_quantiles_are_students(freedom):
    assert quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1.5e-3)


def simulated(random, theta, nu, raters, scenes, each, spread):
    """Answers of people who differ from each other by ``spread`` in what they think of a method."""
    own = random.normal(0, spread, (raters, len(theta)))
    rows = []
    for rater in range(raters):
        worth = theta + own[rater]
        for k in range(each):
            first, second = random.permutation(len(theta))[:2]
            half = (worth[first] - worth[second]) / 2
            odds = np.array([math.exp(half), math.exp(-half), nu])
            outcome = (1, -1, 0)[random.choice(3, p=odds / odds.sum())]
            rows.append((first, second, outcome, rater, k % scenes))
    return PairedComparisons.from_rows(rows)


def coverage(times, **settings):
    """How often the interval of a preference holds the true one, and how often the plain one."""
    random, theta = np.random.default_rng(1), np.array([0.4, 0.0, -0.4])
    held = plain = 0
    for _ in range(times):
        found = fit_bradley_terry(simulated(random, theta, 0.5, **settings), 3)
        interval, truth = found.preference(0, 2), theta[0] - theta[2]
        held += interval.low <= logistic(truth) <= interval.high
        reach = 1.96 * math.sqrt(
            found.naive_covariance[0, 0]
            + found.naive_covariance[2, 2]
            - 2 * found.naive_covariance[0, 2]
        )
        plain += abs(found.scores[0] - found.scores[2] - truth) <= reach
    return held / times, plain / times


def test_intervals_hold_the_truth_as_often_as_they_say():
    held, _ = coverage(200, raters=3, scenes=4, each=20, spread=0.0)
    assert 0.92 <= held <= 0.98


def test_intervals_allow_for_people_who_differ():
    held, plain = coverage(150, raters=10, scenes=4, each=24, spread=0.9)
    assert held >= 0.9
    assert plain <= 0.85  # what they would be if every answer were a person's of its own
