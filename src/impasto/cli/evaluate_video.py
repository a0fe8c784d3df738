"""``impasto evaluate --video``: measure painted films."""

from __future__ import annotations

from typing import Any

import click

from impasto.cli.console import Voice
from impasto.cli.progress import Meter
from impasto.cli.table import show_table

HEADS = {
    "warping_1": "warping error ↓",
    "warping_5": "at 5 frames ↓",
    "drift": "drift ↓",
    "seen": "seen",
    "film": "film itself",
    "style_error": "style error ↓",
}
NOT_OF_FILMS = {"metrics": "", "text": "", "clip": "", "csv_file": "", "layers": False}


def evaluate_films(ctx: click.Context, voice: Voice) -> None:
    """Measure films, and show a table or JSON."""
    for name, unset in NOT_OF_FILMS.items():
        if ctx.params[name] != unset:
            flag = "--csv" if name == "csv_file" else f"--{name}"
            raise click.UsageError(f"{flag} is not for films.", ctx)
    if len(ctx.params["paths"]) < 3:
        raise click.UsageError("CONTENT, STYLE and at least one RESULT are wanted.", ctx)
    from impasto.evaluation.video import FilmScores, evaluate_film
    from impasto.metrics.video import FILM_MEASURES

    content, style, *results = ctx.params["paths"]
    found: list[FilmScores] = []
    with Meter(voice, "Measuring") as meter:
        for place, result in enumerate(results):

            def watch(done: int, count: int, place: int = place) -> None:
                meter.show(
                    min(1.0, (place + done / count) / len(results)), f"frame {done} of {count}"
                )

            given = {name: ctx.params[name] for name in ("flow", "flow_truth", "size")}
            found.append(evaluate_film(content, [style], result, **given, watch=watch))
    voice.data({"rows": [_data(each) for each in found], "measures": dict(FILM_MEASURES)})
    if voice.as_json:
        return
    names = [name for name in FILM_MEASURES if any(name in each.values for each in found)]
    rows = [
        [each.result, *(f"{each.values[n]:.4f}" if n in each.values else "–" for n in names)]
        for each in found
    ]
    show_table(("result", *(HEADS[name] for name in names)), rows)
    if ctx.params["explain"]:
        for name in names:
            click.echo(f"\n{HEADS[name]} ({name}): {FILM_MEASURES[name]}.")


def _data(scores: Any) -> dict[str, Any]:
    return {"result": scores.result, "frames": scores.frames, "scores": dict(scores.values)}
