"""The drawing of style against content."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.evaluation.comparison.pareto_plot import LABEL_SPACING, pareto_plot_data
from impasto.evaluation.comparison.result import Comparison, ComparisonRow

values = st.floats(0, 3, allow_subnormal=False)


def drawing(*points, metrics=("style_error", "content_error")):
    rows = tuple(
        ComparisonRow(
            f"m{i}", "adain", "", "painted", values=dict(zip(metrics, point, strict=True))
        )
        for i, point in enumerate(points)
    )
    return pareto_plot_data(Comparison("", "", (), 1, rows=rows))


def test_the_better_lies_further_right_and_further_up():
    one, other = drawing((0.9, 0.2), (0.5, 0.7))["points"]
    assert other["x"] > one["x"]  # less distance to the style
    assert one["y"] < other["y"]  # less distance to the content; y counts from above


def test_where_higher_is_better_it_lies_further_up():
    one, other = drawing((0.9, 0.2), (0.5, 0.7), metrics=("gram", "ssim"))["points"]
    assert other["y"] < one["y"]


def test_distances_keep_their_proportions():
    points = drawing((0.2, 0.1), (0.4, 0.5), (0.8, 0.2))["points"]
    x = [point["x"] for point in points]
    assert (x[0] - x[2]) / (x[0] - x[1]) == pytest.approx(3, rel=0.01)


@given(st.lists(st.tuples(values, values), min_size=2, max_size=12))
def test_everything_lies_inside_and_no_label_on_another(points):
    found = drawing(*points)
    for point in found["points"]:
        assert found["left"] <= point["x"] <= found["right"]
        assert found["top"] <= point["y"] <= found["bottom"]
    for side in ("start", "end"):
        heights = sorted(p["text_y"] for p in found["points"] if p["anchor"] == side)
        assert all(b - a >= LABEL_SPACING - 1e-6 for a, b in pairwise(heights))


@given(st.lists(st.tuples(values, values), min_size=2, max_size=4))
def test_a_tick_lies_where_its_number_says(points):
    found = drawing(*points)
    for axis, start, end in (("x", "left", "right"), ("y", "top", "bottom")):
        ticks = found[axis].ticks
        assert 1 <= len(ticks) <= 7
        for tick in ticks:
            assert found[start] - 0.1 <= tick["at"] <= found[end] + 0.1
            assert found[axis](float(tick["text"])) == pytest.approx(tick["at"], abs=0.2)


def test_one_painting_or_none_that_is_measured_makes_no_drawing():
    assert drawing((0.5, 0.5)) is None
    assert drawing((0.5,), (0.6,), metrics=("noise",)) is None


def test_a_long_label_is_shortened():
    rows = tuple(
        ComparisonRow(
            f"gatys structure=0.{i} style_layers=conv1_1,conv2_1,conv3_1",
            "gatys",
            "",
            "painted",
            values={"gram": i / 10, "ssim": 0.5},
        )
        for i in (1, 2)
    )
    labels = [p["label"] for p in pareto_plot_data(Comparison("", "", (), 1, rows=rows))["points"]]
    assert labels == ["gatys structure=0.1 …", "gatys structure=0.2 …"]
