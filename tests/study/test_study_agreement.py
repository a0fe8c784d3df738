"""Agreement against Krippendorff's own examples, proportions and sample sizes against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from impasto.study.agreement import (
    MAX_NEEDED_ANSWERS,
    agreement_rate,
    krippendorff_alpha,
    needed_answers,
    preference_alpha,
    wilson_proportion,
)

#: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers,
#: twelve units, missing data. He gives 0.743 (nominal) and 0.849 (interval).
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)


def units_of(observers):
    return [[v for v in unit if v is not None] for unit in zip(*observers, strict=True)]


@pytest.mark.parametrize(("ordered", "published"), [(False, 0.743), (True, 0.849)])
def test_alpha_is_that_of_krippendorffs_example(ordered, published):
    assert krippendorff_alpha(units_of(OBSERVERS), is_interval_scale=ordered) == pytest.approx(
        published, abs=5e-4
    )


def test_alpha_is_that_of_his_binary_example():
    # The same, section A: two observers, ten units, 0.095.
    first, second = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    units = units_of((first, second))
    assert krippendorff_alpha(units, is_interval_scale=False) == pytest.approx(0.095, abs=5e-4)


def test_those_who_all_prefer_the_first_agree():
    # Plain alpha cannot tell: only one value was ever given.
    units = [[1, 1, 1], [1, 1]]
    assert krippendorff_alpha(units, is_interval_scale=True) is None
    assert preference_alpha(units) == pytest.approx(1)


def test_those_who_throw_a_coin_agree_by_chance():
    random = np.random.default_rng(0)
    units = random.choice([-1, 1], (2000, 3)).tolist()
    assert preference_alpha(units) == pytest.approx(0, abs=0.03)
    assert agreement_rate(units) == pytest.approx(0.5, abs=0.02)


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=5), min_size=1))
def test_which_of_two_methods_is_called_the_first_does_not_matter(units):
    turned = [[-v for v in unit] if k % 2 else unit for k, unit in enumerate(units)]
    found = preference_alpha(units)
    assert preference_alpha(turned) == (None if found is None else pytest.approx(found))


def test_one_answer_a_pair_says_nothing_about_agreement():
    assert preference_alpha([[1], [-1]]) is None
    assert agreement_rate([[1], [-1]]) is None


@given(st.integers(1, 300), st.integers(0, 300))
def test_proportions_have_wilsons_interval(of, count):
    count = min(count, of)
    found = wilson_proportion(count, of)
    expected = stats.binomtest(count, of).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def exact_power(preference, answers):
    """Of the two-sided binomial test at 5 %, each tail at most 2.5 %."""
    critical = stats.binom.isf(0.025, answers, 0.5) + 1
    upper = stats.binom.sf(critical - 1, answers, preference)
    return upper + stats.binom.cdf(answers - critical, answers, preference)


@pytest.mark.parametrize("preference", [0.55, 0.6, 0.63, 0.7, 0.8])
def test_so_many_answers_find_the_difference_in_four_of_five_studies(preference):
    answers = needed_answers(preference)
    powers = [exact_power(preference, n) for n in range(answers - 6, answers + 7)]
    assert np.mean(powers) == pytest.approx(0.8, abs=0.05)  # the exact power is a saw


@given(st.floats(0.02, 0.48))
def test_a_preference_against_needs_as_many_as_one_for(preference):
    assert needed_answers(preference) == needed_answers(1 - preference)


def test_ties_and_people_who_hang_together_need_more_answers():
    alone = needed_answers(0.63)
    assert needed_answers(0.63, tie_fraction=0.5) == pytest.approx(2 * alone, abs=2)
    assert needed_answers(0.63, design_effect=1.7) == pytest.approx(1.7 * alone, abs=2)


@pytest.mark.parametrize("preference", [0.5, 0.5 + 1e-4])
def test_what_no_study_would_find_has_no_number(preference):
    assert needed_answers(preference) is None
    assert needed_answers(0.51) < MAX_NEEDED_ANSWERS
