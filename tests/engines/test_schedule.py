"""From coarse to fine: the stages of a run, and how much of it is done."""

import pytest

from impasto.engines.optimization.schedule import COMPACT_STEP_COST_FRACTION, ScaleSchedule, Stage

SIZES = ((10, 20), (20, 40))


def test_without_warm_steps_there_is_a_stage_for_each_scale():
    route = ScaleSchedule.from_sizes(SIZES, 30, 0)
    assert route.stages == (Stage(0, 30), Stage(1, 30))
    assert route.total_steps == 60


def test_warm_steps_come_first_on_the_coarsest_scale_and_on_top():
    route = ScaleSchedule.from_sizes(SIZES, 30, 10)
    assert route.stages == (Stage(0, 10, compact=True), Stage(0, 30), Stage(1, 30))
    assert route.total_steps == 70
    assert [route.steps_done(0, 4), route.steps_done(1, 0), route.steps_done(2, 30)] == [4, 10, 70]


def test_the_share_counts_pixels_and_what_a_step_costs():
    route = ScaleSchedule.from_sizes(SIZES, 30, 10)
    work = [200 * 10 * COMPACT_STEP_COST_FRACTION, 200 * 30, 800 * 30]
    assert route.work_fraction(0, 5) == pytest.approx(work[0] / 2 / sum(work))
    assert route.work_fraction(2, 15) == pytest.approx(
        (work[0] + work[1] + work[2] / 2) / sum(work)
    )
    assert route.work_fraction(2, 30) == 1.0
