"""``impasto evaluate --video``: measure painted films."""

from __future__ import annotations

from typing import Any

import click

from impasto.cli.console import Reporter
from impasto.cli.progress import ProgressBar
from impasto.cli.table import show_table

VIDEO_METRIC_TITLES = {
    "warping_1": "warping error ↓",
    "warping_5": "at 5 frames ↓",
    "drift": "drift ↓",
    "seen": "seen",
    "film": "film itself",
    "style_error": "style error ↓",
}
IMAGE_ONLY_FLAGS = {"metrics": "", "text": "", "clip": "", "csv_file": "", "per_layer": False}


def evaluate_videos(ctx: click.Context, reporter: Reporter) -> None:
    """Measure films, and show a table or JSON."""
    for name, unset in IMAGE_ONLY_FLAGS.items():
        if ctx.params[name] != unset:
            flag = "--csv" if name == "csv_file" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{flag} is not for films.", ctx)
    if len(ctx.params["paths"]) < 3:
        raise click.UsageError("CONTENT, STYLE and at least one RESULT are wanted.", ctx)
    from impasto.evaluation.video import VideoScores, evaluate_video
    from impasto.metrics.video import VIDEO_METRICS

    content, style, *results = ctx.params["paths"]
    found: list[VideoScores] = []
    with ProgressBar(reporter, "Measuring") as meter:
        for place, result in enumerate(results):

            def watch(done: int, count: int, place: int = place) -> None:
                meter.update(
                    min(1.0, (place + done / count) / len(results)), f"frame {done} of {count}"
                )

            given = {name: ctx.params[name] for name in ("flow", "flow_truth", "size")}
            found.append(evaluate_video(content, [style], result, **given, callback=watch))
    reporter.print_json(
        {"rows": [_video_scores_json(each) for each in found], "measures": dict(VIDEO_METRICS)}
    )
    if reporter.as_json:
        return
    names = [name for name in VIDEO_METRICS if any(name in each.values for each in found)]
    rows = [
        [each.result, *(f"{each.values[n]:.4f}" if n in each.values else "–" for n in names)]
        for each in found
    ]
    show_table(("result", *(VIDEO_METRIC_TITLES[name] for name in names)), rows)
    if ctx.params["explain"]:
        for name in names:
            click.echo(f"\n{VIDEO_METRIC_TITLES[name]} ({name}): {VIDEO_METRICS[name]}.")


def _video_scores_json(scores: Any) -> dict[str, Any]:
    return {"result": scores.result, "frames": scores.frames, "scores": dict(scores.values)}
