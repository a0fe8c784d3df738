"""Cutting a method down to the limits, against a method whose cost is a closed form."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_method import BYTES, MICROSECONDS, Toy

from impasto.advise.recommend import limits
from impasto.advise.recommend.benchmark_figures import load_figures
from impasto.advise.recommend.scenario import Scenario
from impasto.core.picture import Picture
from impasto.core.plan import ExecutionSettings, Plan
from impasto.core.request import Request

SIDE = 1000
HELD = 10**8


def seconds(side, steps, start=True):
    """Of the whole command, on a square picture."""
    pixels = side * side
    common = load_figures()["common"]
    beside = common.start_seconds + common.seconds_per_megapixel * pixels / 1e6
    return 1.0 + MICROSECONDS * 1e-6 * steps * pixels + beside


def request(side=SIDE):
    pixels = np.broadcast_to(np.float32(0.5), (side, side, 3))
    picture = Picture(pixels, sha256="content")
    return Request(picture, (Picture(pixels, sha256="style"),), Toy(), size=side, precision="fp32")


@pytest.fixture(autouse=True)
def _fixed(monkeypatch):
    _fix(monkeypatch)


def _fix(patch):
    """A machine with 100 GB free, and a process that holds as much as at its start."""
    patch.setattr(limits, "resident_bytes", lambda: HELD)
    patch.setattr(
        limits,
        "make_plan",
        lambda asked: Plan(
            ExecutionSettings(SIDE, SIDE, "cpu", "fp32"),
            asked.method.forecast(asked, SMALL),
            10**11,
        ),
    )


SMALL = ExecutionSettings(1, 1, "cpu", "fp32")


def fitted(**case):
    given_side = case.pop("side", SIDE)
    situation = Scenario(long_side=given_side, **case)
    return limits.fit_to_limits(situation, request(given_side), HELD)


def test_what_fits_is_left_as_it_is():
    found = fitted(deadline=1e6)
    assert (found.size, found.knobs, found.reductions) == (SIDE, {}, ())
    assert found.seconds == pytest.approx(seconds(SIDE, 300))
    assert found.peak_bytes == BYTES * SIDE * SIDE


def test_what_this_process_holds_by_now_does_not_count(monkeypatch):
    monkeypatch.setattr(limits, "resident_bytes", lambda: HELD + 777)
    assert fitted(deadline=1e6).peak_bytes == BYTES * SIDE * SIDE - 777


@given(st.floats(seconds(SIDE, 100) + 0.01, seconds(SIDE, 300) - 0.01))
def test_a_deadline_costs_steps_first_and_no_more_than_it_must(deadline):
    with pytest.MonkeyPatch.context() as patch:
        _fix(patch)
        found = fitted(deadline=deadline)
    steps = found.knobs["steps"]
    affordable = [n for n in range(100, 301, 50) if seconds(SIDE, n) <= deadline]
    assert (found.size, steps) == (SIDE, max(affordable))
    assert found.seconds <= deadline
    assert f"so {steps} steps" in found.reductions[0]


@given(st.floats(seconds(512, 100) + 1e-6, seconds(SIDE, 100) - 0.01))
def test_then_it_costs_size(deadline):
    with pytest.MonkeyPatch.context() as patch:
        _fix(patch)
        found = fitted(deadline=deadline)
    sizes = [s for s in (512, *range(544, SIDE, 32)) if seconds(s, 100) <= deadline]
    assert (found.size, found.knobs) == (max(sizes), {"steps": 100})


def test_below_512_px_it_is_ruled_out_with_the_number():
    with pytest.raises(limits.LimitViolation) as out:
        fitted(deadline=seconds(512, 100) * 0.9)
    needs = round(seconds(512, 100))
    assert needs < 60
    assert out.value.limit == "time"
    assert out.value.reason.startswith(
        f"512 px with 100 steps takes {needs} s, and the deadline is"
    )


@pytest.mark.parametrize("case", [{"is_size_fixed": True}, {"purpose": "print"}])
def test_a_size_that_was_asked_for_and_that_of_a_print_stay(case):
    with pytest.raises(limits.LimitViolation, match=f"^{SIDE} px with 100 steps takes"):
        fitted(deadline=seconds(SIDE, 100) - 1, **case)


def test_without_a_deadline_the_purpose_has_patience():
    assert fitted(purpose="picture").seconds <= 600
    with pytest.raises(
        limits.LimitViolation, match="more than the 10 s allowed for pictures by the"
    ):
        fitted(purpose="batch")


@given(st.integers(BYTES * 512 * 512, BYTES * SIDE * SIDE - 1))
def test_little_memory_costs_size(memory):
    with pytest.MonkeyPatch.context() as patch:
        _fix(patch)
        found = fitted(memory=memory, deadline=1e6)
    sizes = [s for s in (512, *range(544, SIDE, 32)) if BYTES * s * s <= memory]
    assert found.size == max(sizes)
    assert f"so {found.size} px" in found.reductions[0]


def test_too_little_memory_rules_out_with_both_numbers():
    with pytest.raises(
        limits.LimitViolation, match=r"^512 px needs 0\.3 GB of memory; 90 MB may be"
    ):
        fitted(memory=90_000_000)


def test_numbers_that_round_alike_are_told_apart():
    pixels = 512 * 512 * BYTES
    with pytest.raises(
        limits.LimitViolation, match=r"^512 px needs 262 MB of memory; 260 MB may be"
    ):
        fitted(memory=260_000_000)
    assert pixels == 262_144_000
    limit = seconds(512, 100) - 0.05
    with pytest.raises(limits.LimitViolation, match=rf"and the deadline is {limit:.2f} s\.$"):
        fitted(deadline=limit)


def test_of_pictures_that_are_many_only_painting_counts():
    found = fitted(purpose="video", deadline=1e6)
    painting = seconds(SIDE, 300) - seconds(1, 300)
    assert found.seconds == pytest.approx(painting, rel=0.01)


def test_a_small_content_is_not_asked_to_be_512_px():
    found = fitted(side=200, deadline=1e6)
    assert found.size == 200


def test_a_method_without_steps_is_cut_to_size_at_once():
    class Still:
        forecast = staticmethod(Toy().forecast)

    asked = dataclasses.replace(request(), method=Still())
    found = limits.fit_to_limits(Scenario(long_side=SIDE, deadline=seconds(640, 300)), asked, HELD)
    assert (found.size, found.knobs) == (640, {})
