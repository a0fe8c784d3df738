"""Style against content as a drawing: each painting is a point, and the upper right is better."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from impasto.evaluation.comparison.result import Comparison
from impasto.metrics.registry import METRICS

AXIS_METRICS = (("style_error", "content_error"), ("gram", "ssim"))
"""Metrics of style and content; the first pair of which there are values is drawn."""
PLOT_WIDTH, PLOT_HEIGHT = 480, 340
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 60, 12, 12, 52
"""Margins of the drawing in its own units."""
MAX_LABEL_LENGTH = 32
"""Characters of a label that fit beside a point."""
LABEL_SPACING = 18
"""Least distance between two labels, one above the other."""


def pareto_plot_data(comparison: Comparison) -> dict[str, Any] | None:
    """Where points, labels and ticks of the drawing lie; None if there is nothing to compare."""
    known = comparison.metrics
    pair = next((p for p in AXIS_METRICS if all(name in known for name in p)), None)
    rows = [r for r in comparison.rows if pair and all(name in r.values for name in pair)]
    if pair is None or len(rows) < 2:
        return None
    values = [tuple(row.values[name] for name in pair) for row in rows]
    across = _Axis(pair[0], [x for x, _ in values], MARGIN_LEFT, PLOT_WIDTH - MARGIN_RIGHT)
    up = _Axis(pair[1], [y for _, y in values], PLOT_HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    placed = [
        {
            "label": textwrap.shorten(row.label, MAX_LABEL_LENGTH, placeholder=" …"),
            "x": across(x),
            "y": up(y),
        }
        for row, (x, y) in zip(rows, values, strict=True)
    ]
    _place_labels(placed)
    return {
        "width": PLOT_WIDTH,
        "height": PLOT_HEIGHT,
        "left": MARGIN_LEFT,
        "bottom": PLOT_HEIGHT - MARGIN_BOTTOM,
        "right": PLOT_WIDTH - MARGIN_RIGHT,
        "top": MARGIN_TOP,
        "x": across,
        "y": up,
        "points": placed,
    }


class _Axis:
    """An axis from ``start`` to ``end``, along which the metric gets better.

    Args:
        metric: its name.
        values: what is to have a place on it.
        start, end: in units of the drawing.
    """

    def __init__(self, metric: str, values: list[float], start: float, end: float) -> None:
        self.metric = METRICS[metric]
        extent = max(values) - min(values)
        pad = 0.12 * extent if extent > 1e-9 else 0.1  # values as good as equal have no scale
        span = min(values) - pad, max(values) + pad
        worse, better = span if self.metric.better == "higher" else span[::-1]
        self._worse, self._scale, self._start = worse, (end - start) / (better - worse), start
        step = _tick_step((span[1] - span[0]) / 5)
        first = math.ceil(span[0] / step)
        count = math.floor(span[1] / step) - first + 1
        decimals = max(0, -math.floor(math.log10(step)))
        self.ticks = [
            {"at": self(step * i), "text": f"{step * i:.{decimals}f}"}
            for i in range(first, first + count)
        ]

    def __call__(self, value: float) -> float:
        return round(self._start + (value - self._worse) * self._scale, 1)


def _tick_step(min_step: float) -> float:
    """The next of 1, 2, 5, 10, … times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(min_step))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= min_step * 0.999)


def _place_labels(points: list[dict[str, Any]]) -> None:
    """Put labels beside the points, on the side with more room, and none upon another."""
    sides: dict[str, list[float]] = {"start": [], "end": []}
    for point in sorted(points, key=lambda point: float(point["y"])):
        anchor = "start" if point["x"] < (MARGIN_LEFT + PLOT_WIDTH - MARGIN_RIGHT) / 2 else "end"
        taken = sides[anchor]
        at = max([point["y"] + 5, *(y + LABEL_SPACING for y in taken[-1:])])
        taken.append(at)
        point |= {"anchor": anchor, "text_y": at}
        point["text_x"] = point["x"] + (12 if anchor == "start" else -12)
