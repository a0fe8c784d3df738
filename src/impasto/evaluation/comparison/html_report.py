"""The page of a comparison: one HTML file that needs no other, no network and no script to be read.

The template and its styles lie in ``templates``; here is what they are filled with.
"""

from __future__ import annotations

import base64
import functools
import io
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from impasto.core.picture import Pixels
from impasto.core.words import format_duration
from impasto.evaluation.comparison.pareto_plot import pareto_plot_data
from impasto.evaluation.comparison.result import Comparison, ComparisonRow, impasto_version
from impasto.metrics.registry import METRICS

WEBP_QUALITY = 86
"""Of the pictures inside the page (WebP, 1..100)."""
SIGNIFICANT_DIGITS = 3
"""Significant digits of a column's largest value."""

COST_HEADS = (
    ("seconds", "command", "the whole command, in a process of its own: start, painting, saving"),
    ("painting_seconds", "painting", "the painting alone, once everything was loaded"),
    ("peak_bytes", "memory", "the most that the process held at once"),
)
"""Column, head and explanation of what a painting took."""


def render_comparison(
    comparison: Comparison,
    content: Pixels,
    styles: Sequence[Pixels],
    images: Mapping[str, Pixels],
) -> str:
    """The page as HTML. Whatever comes from outside is escaped.

    Args:
        comparison: what it shows.
        content: the content, as it is to be seen.
        styles: the styles likewise.
        images: label → painting likewise, for each row that has one.
    """
    names = [PurePath(style).name for style in comparison.styles]
    return _template().render(
        about=comparison,
        title=PurePath(comparison.content).stem,
        after=_join_names(PurePath(style).stem for style in comparison.styles),
        content=_picture_data(content, PurePath(comparison.content).name),
        styles=[_picture_data(*each) for each in zip(styles, names, strict=True)],
        cards=[_card(row, images.get(row.label), comparison) for row in comparison.rows],
        table=comparison_table(comparison),
        metrics=[METRICS[name] for name in comparison.metrics],
        costs=COST_HEADS,
        frontier=pareto_plot_data(comparison),
        lacking=missing_metrics(comparison),
        version=impasto_version(),
    )


def comparison_table(comparison: Comparison) -> dict[str, Any]:
    """The table: heads, and a line for each row and for the unpainted content.

    A cell has its text, its value (None where there is none) and whether it is the column's best.
    """
    heads = [{"name": name, "title": title, "arrow": "↓", "about": about}
             for name, title, about in COST_HEADS]  # fmt: skip
    heads += [
        {"name": m.name, "title": m.title, "arrow": m.arrow, "about": m.compares}
        for m in (METRICS[name] for name in comparison.metrics)
    ]
    formats = {name: _metric_formatter(comparison, name) for name in comparison.metrics}
    formats |= {"seconds": format_time, "painting_seconds": format_time, "peak_bytes": format_bytes}
    best = {head["name"]: comparison.best_labels(head["name"]) for head in heads}
    lines = []
    for row in comparison.rows:
        cells = [
            _cell(_cell_value(row, name), show, row.label in best[name])
            for name, show in ((head["name"], formats[head["name"]]) for head in heads)
        ]
        lines.append({"label": row.label, "status": row.status, "cells": cells})
    unpainted = [_cell(comparison.unpainted.get(head["name"]), formats[head["name"]], False)
                 for head in heads]  # fmt: skip
    return {"heads": heads, "lines": lines, "unpainted": unpainted if any(
        cell["value"] is not None for cell in unpainted) else []}  # fmt: skip


def missing_metrics(comparison: Comparison) -> list[tuple[str, str]]:
    """The metrics that were not measured, those with the same reason together, and the reason."""
    reasons: dict[str, list[str]] = {}
    for name, lack in comparison.missing.items():
        reasons.setdefault(lack, []).append(METRICS[name].title if name in METRICS else name)
    return [(_join_names(names), lack) for lack, names in reasons.items()]


def format_time(seconds: float) -> str:
    """A time with two digits at least, to be compared: "37 ms", "4.2 s", "58 s", "2 min 5 s"."""
    if seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else format_duration(seconds)


def format_bytes(count: float) -> str:
    """Bytes with three digits, to be compared: "394 MB", "1.34 GB"."""
    return f"{count / 1e6:.0f} MB" if count < 9.995e8 else f"{count / 1e9:.2f} GB"


def _cell_value(row: ComparisonRow, column: str) -> float | None:
    if not row.file:
        return None
    return row.values.get(column) if column in METRICS else getattr(row, column)


def _cell(value: float | None, format_value: Any, best: bool) -> dict[str, Any]:
    return {"text": "–" if value is None else format_value(value), "value": value, "best": best}


def _metric_formatter(comparison: Comparison, metric: str) -> Any:
    """How the values of a metric are written: all with as many decimals."""
    values = [row.values[metric] for row in comparison.rows if metric in row.values]
    top = max(map(abs, values), default=0.0)
    decimals = (
        SIGNIFICANT_DIGITS
        if top <= 0
        else min(5, max(0, SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(top))))
    )
    return f"{{:.{decimals}f}}".format


def _card(row: ComparisonRow, pixels: Pixels | None, comparison: Comparison) -> dict[str, Any]:
    return {
        "row": row,
        "picture": None if pixels is None else _picture_data(pixels, row.label),
        "time": format_time(row.seconds),
        "painting": format_time(row.painting_seconds),
        "memory": format_bytes(row.peak_bytes),
        "command": shlex.join(row.command),
        "knobs": [(name, _format_knob(value)) for name, value in row.knobs.items()],
    }


def _picture_data(pixels: Pixels, name: str) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    return {"uri": data_uri(pixels), "name": name, "height": height, "width": width}


def data_uri(pixels: Pixels) -> str:
    """A picture (height, width, 3) in 0..1 as the text of a ``data:`` address."""
    image = Image.fromarray((np.asarray(pixels).clip(0, 1) * 255).round().astype(np.uint8))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=WEBP_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _format_knob(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _join_names(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("impasto.evaluation.comparison"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("compare.html")
