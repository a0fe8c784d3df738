"""From coarse to fine: the stages of a run, and how much of it is done."""

import pytest

from impasto.engines.optimization.schedule import SHARE, Route, Stage

SIZES = ((10, 20), (20, 40))


def test_without_warm_steps_there_is_a_stage_for_each_scale():
    route = Route.over(SIZES, 30, 0)
    assert route.stages == (Stage(0, 30), Stage(1, 30))
    assert route.steps == 60


def test_warm_steps_come_first_on_the_coarsest_scale_and_on_top():
    route = Route.over(SIZES, 30, 10)
    assert route.stages == (Stage(0, 10, compact=True), Stage(0, 30), Stage(1, 30))
    assert route.steps == 70
    assert [route.done(0, 4), route.done(1, 0), route.done(2, 30)] == [4, 10, 70]


def test_the_share_counts_pixels_and_what_a_step_costs():
    route = Route.over(SIZES, 30, 10)
    work = [200 * 10 * SHARE, 200 * 30, 800 * 30]
    assert route.share(0, 5) == pytest.approx(work[0] / 2 / sum(work))
    assert route.share(2, 15) == pytest.approx((work[0] + work[1] + work[2] / 2) / sum(work))
    assert route.share(2, 30) == 1.0
