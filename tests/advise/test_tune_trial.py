"""How trials are compared: the score, the frontier, and what a weighted sum would do."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.advise.tune.trial import Trial, best_trial, pareto_front, tchebycheff_score
from impasto.advise.tune.trial_sheet import spread_trials

errors = st.floats(0, 2)


def trial(style, content, number=0, aim=0.5):
    measures = {"style_error": style, "content_error": content}
    return Trial(number, {}, "optuna", measures, tchebycheff_score(style, content, aim), 1.0)


def test_with_an_aim_of_a_half_the_score_is_the_larger_error_and_a_fiftieth_of_both():
    assert tchebycheff_score(0.6, 0.4, 0.5) == pytest.approx(0.6 + 0.02 * (0.6 + 0.4))


@given(errors, errors, st.floats(0, 1), st.floats(0, 0.5))
def test_no_score_gets_lower_by_a_larger_error(style, content, aim, more):
    before = tchebycheff_score(style, content, aim)
    assert tchebycheff_score(style + more, content, aim) >= before
    assert tchebycheff_score(style, content + more, aim) >= before


@pytest.mark.parametrize("aim", [0.2, 0.35, 0.5, 0.65, 0.8])
def test_the_aim_is_the_ratio_of_the_errors_even_where_the_frontier_bulges_outwards(aim):
    # A quarter of a circle through both ends, on which any weighted sum is least at an end.
    arc = [(math.cos(a / 2000 * math.pi), math.sin(a / 2000 * math.pi)) for a in range(1001)]
    best = min(arc, key=lambda p: tchebycheff_score(*p, aim))
    assert best[0] / sum(best) == pytest.approx(aim, abs=0.01)
    ends = min(arc, key=lambda p: (1 - aim) * p[0] + aim * p[1])
    assert min(ends) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(errors, errors), min_size=1, max_size=30))
def test_the_frontier_is_every_trial_that_no_other_beats(points):
    trials = [trial(s, c, n) for n, (s, c) in enumerate(points)]
    found = {(t.style_error, t.content_error) for t in pareto_front(trials)}
    unbeaten = {
        (s, c)
        for s, c in points
        if not any(a <= s and b <= c and (a, b) != (s, c) for a, b in points)
    }
    assert found == unbeaten


def test_the_frontier_goes_from_the_most_content_to_the_most_style():
    trials = [trial(0.3, 0.8), trial(0.9, 0.1), trial(0.95, 0.9), trial(0.5, 0.5)]
    assert [t.content_error for t in pareto_front(trials)] == [0.1, 0.5, 0.8]


def test_of_equal_trials_the_first_is_the_best():
    assert best_trial([trial(0.5, 0.5, 3), trial(0.5, 0.5, 1)]).number == 1


def test_a_strip_of_many_trials_is_spread_and_has_the_best():
    many = [trial(1 - c / 100, c / 100, c) for c in range(100)]
    best = many[47]
    shown = spread_trials(many, best)
    assert best in shown
    assert len(shown) <= 12
    assert shown[0].content_error < 0.05
    assert shown[-1].content_error > 0.95
    gaps = [b.content_error - a.content_error for a, b in itertools.pairwise(shown)]
    assert max(gaps) < 0.2
