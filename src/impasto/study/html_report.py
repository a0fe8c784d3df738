"""The report as a page: one file with charts and pictures, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import io
import sqlite3
from collections.abc import Iterable
from typing import Any

from PIL import Image

from impasto.study import report_text
from impasto.study.bradley_terry import Estimate
from impasto.study.database import StudyDatabase
from impasto.study.pages import read_asset, render_template
from impasto.study.questions import QUESTIONS
from impasto.study.report import QuestionResult, Report

_THUMBNAIL_HEIGHT_PX = 220
"""Of the pictures, in px."""
_JPEG_QUALITY = 82


def render_report(report: Report, note: str = "") -> str:
    """The HTML of a report; the pictures come from its study.

    Args:
        report: the report.
        note: a line to be put at its head.

    Raises:
        InputError: the study cannot be read any more.
    """
    with StudyDatabase(report.study).read_transaction() as base:
        scenes = list(_scene_data(base, report))
    scores = [s for each in report.questions.values() for s in each.scores.values()]
    scale = min((s.low for s in scores), default=0), max((s.high for s in scores), default=0)
    return render_template(
        "report.html",
        style=read_asset("study.css") + read_asset("report.css"),
        note=note,
        extent=report_text.participation_text(report),
        findings=[_chart_data(each, scale) for each in report.questions.values()],
        scenes=scenes,
    )


def _chart_data(result: QuestionResult, scale: tuple[float, float]) -> dict[str, Any]:
    """What the template needs for a question; all charts have one scale."""
    low, high = scale

    def place(value: float) -> float:
        """Per cent from the left."""
        return round(100 * (value - low) / (high - low), 2)

    heads, rows = report_text.score_table(result)
    return {
        "words": QUESTIONS[result.question].text,
        "who": report_text.answer_count_text(result),
        "heads": heads,
        "rows": list(zip(rows, (_bar_data(s, place) for s in result.scores.values()), strict=True)),
        "average": place(0),
        "said": [report_text.preference_sentence(result.question, pair) for pair in result.pairs],
        "quality": list(report_text.reliability_sentences(result)),
        "notes": result.notes,
    }


def _bar_data(score: Estimate, to_percent: Any) -> dict[str, float]:
    left, right = to_percent(score.low), to_percent(score.high)
    return {"left": left, "width": round(right - left, 2), "dot": to_percent(score.value)}


def _scene_data(base: sqlite3.Connection, report: Report) -> Iterable[dict[str, Any]]:
    """Each scene's pictures with what was said of them."""
    for scene in base.execute("SELECT * FROM scene ORDER BY id"):
        given = [
            {"name": role, "picture": _thumbnail_uri(base, scene[role])}
            for role in ("content", "style")
            if scene[role] is not None
        ]
        results = [
            {
                "name": row["name"],
                "picture": _thumbnail_uri(base, row["picture"]),
                "votes": _win_counts(report, scene["name"], row["name"]),
            }
            for row in base.execute(
                "SELECT method.name, result.picture FROM result JOIN method "
                "ON method.id = result.method WHERE result.scene = ? ORDER BY method.id",
                (scene["id"],),
            )
        ]
        yield {"name": scene["name"], "given": given, "results": results}


def _win_counts(report: Report, scene: str, method: str) -> list[tuple[str, int]]:
    return [
        (name, findings.by_scene.get(scene, {}).get(method, 0))
        for name, findings in report.questions.items()
    ]


def _thumbnail_uri(base: sqlite3.Connection, picture: int) -> str:
    """A data URL."""
    row = base.execute("SELECT jpeg FROM picture WHERE id = ?", (picture,)).fetchone()
    with Image.open(io.BytesIO(row["jpeg"])) as image:
        image.thumbnail((3 * _THUMBNAIL_HEIGHT_PX, _THUMBNAIL_HEIGHT_PX))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
