"""The intervals of means, against scipy and what they promise."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from impasto.evaluation.bootstrap import bootstrap_mean


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_scipys(seed):
    values = np.random.default_rng(seed).gamma(2.0, 1.0, 40)
    found = bootstrap_mean(values.tolist())
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=50_000, method="percentile", rng=1
    ).confidence_interval
    width = wanted.high - wanted.low
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(wanted.low, abs=0.06 * width)
    assert found.high == pytest.approx(wanted.high, abs=0.06 * width)


def test_it_holds_the_true_mean_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        found = bootstrap_mean(random.normal(3.0, 1.0, 40).tolist())
        held += found.low <= 3.0 <= found.high
    assert 0.88 <= held / 200 <= 0.98


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30))
def test_it_holds_the_mean_and_lies_within_the_values(values):
    found = bootstrap_mean(values)
    assert found == bootstrap_mean(values)
    assert min(values) - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= max(values) + 1e-9
    assert found.count == len(values)


def test_of_one_value_no_bounds_are_claimed():
    assert bootstrap_mean([0.4]) == bootstrap_mean([0.4])
    assert (bootstrap_mean([0.4]).low, bootstrap_mean([0.4]).high, bootstrap_mean([0.4]).mean) == (
        None,
        None,
        0.4,
    )
