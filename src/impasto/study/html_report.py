"""The report as a page: one file with charts and pictures, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import sqlite3
from collections.abc import Iterable
from typing import Any

from PIL import Image

from impasto.study import report_text
from impasto.study.bradley_terry import Interval
from impasto.study.database import Store
from impasto.study.pages import render, text_of
from impasto.study.questions import QUESTIONS
from impasto.study.report import Findings, Report

_HEIGHT = 220
"""Of the pictures, in px."""
_QUALITY = 82


def report_page(report: Report, note: str = "") -> str:
    """The HTML of a report; the pictures come from its study.

    Args:
        report: the report.
        note: a line to be put at its head.

    Raises:
        InputError: the study cannot be read any more.
    """
    with Store(report.study).reading() as base:
        scenes = list(_scenes(base, report))
    scores = [s for each in report.questions.values() for s in each.scores.values()]
    scale = min((s.low for s in scores), default=0), max((s.high for s in scores), default=0)
    return render(
        "report.html",
        style=text_of("study.css") + text_of("report.css"),
        note=note,
        extent=report_text.extent(report),
        findings=[_chart(each, scale) for each in report.questions.values()],
        scenes=scenes,
    )


def _chart(findings: Findings, scale: tuple[float, float]) -> dict[str, Any]:
    """What the template needs for a question; all charts have one scale."""
    low, high = scale

    def place(value: float) -> float:
        """Per cent from the left."""
        return round(100 * (value - low) / (high - low), 2)

    heads, rows = report_text.score_table(findings)
    return {
        "words": QUESTIONS[findings.question].words,
        "who": report_text.who(findings),
        "heads": heads,
        "rows": list(zip(rows, (_bar(s, place) for s in findings.scores.values()), strict=True)),
        "average": place(0),
        "said": [report_text.preference(findings.question, pair) for pair in findings.pairs],
        "quality": list(report_text.quality(findings)),
        "notes": findings.notes,
    }


def _bar(score: Interval, place: Any) -> dict[str, float]:
    left, right = place(score.low), place(score.high)
    return {"left": left, "width": round(right - left, 2), "dot": place(score.value)}


def _scenes(base: sqlite3.Connection, report: Report) -> Iterable[dict[str, Any]]:
    """Each scene's pictures with what was said of them."""
    for scene in base.execute("SELECT * FROM scene ORDER BY id"):
        given = [
            {"name": role, "picture": _thumbnail(base, scene[role])}
            for role in ("content", "style")
            if scene[role] is not None
        ]
        results = [
            {
                "name": row["name"],
                "picture": _thumbnail(base, row["picture"]),
                "votes": _votes(report, scene["name"], row["name"]),
            }
            for row in base.execute(
                "SELECT method.name, result.picture FROM result JOIN method "
                "ON method.id = result.method WHERE result.scene = ? ORDER BY method.id",
                (scene["id"],),
            )
        ]
        yield {"name": scene["name"], "given": given, "results": results}


def _votes(report: Report, scene: str, method: str) -> list[tuple[str, int]]:
    return [
        (name, findings.by_scene.get(scene, {}).get(method, 0))
        for name, findings in report.questions.items()
    ]


def _thumbnail(base: sqlite3.Connection, picture: int) -> str:
    """A data URL."""
    row = base.execute("SELECT jpeg FROM picture WHERE id = ?", (picture,)).fetchone()
    with Image.open(io.BytesIO(row["jpeg"])) as image:
        image.thumbnail((3 * _HEIGHT, _HEIGHT))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
