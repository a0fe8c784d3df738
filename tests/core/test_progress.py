"""The clock's estimates, against a hand-made time."""

import pytest

from impasto.core import progress
from impasto.core.progress import EtaEstimator


@pytest.fixture
def now(monkeypatch):
    """The time, to be set by hand."""
    held = {"now": 100.0}
    monkeypatch.setattr(progress.time, "monotonic", lambda: held["now"])
    return held


def test_the_estimate_is_the_rest_at_the_pace_so_far(now):
    clock = EtaEstimator(start_time=100.0)
    now["now"] = 110.0
    assert clock.elapsed == 10.0
    assert clock.remaining(0.25) == pytest.approx(30.0)
    assert clock.remaining(1.0) == 0.0


def test_a_clock_starts_when_it_is_made():
    assert 0 <= EtaEstimator().elapsed < 60


def test_a_resumed_run_is_measured_from_where_it_went_on(now):
    clock = EtaEstimator(initial_fraction=0.5, start_time=100.0)
    now["now"] = 110.0
    assert clock.remaining(0.75) == pytest.approx(10.0)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.5])
def test_there_is_no_estimate_before_anything_is_done(now, share):
    clock = EtaEstimator(initial_fraction=0.5, start_time=100.0)
    now["now"] = 110.0
    assert clock.remaining(share) is None
