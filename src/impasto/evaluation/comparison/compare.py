"""Every method on the same pictures: painted one after another, measured, shown side by side."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.core.interrupt import InterruptHandler
from impasto.core.knobs import knobs_to_dict
from impasto.core.picture import Picture, Pixels
from impasto.evaluation.comparison import html_report, worker
from impasto.evaluation.comparison.candidates import ALL_METHODS, MethodSelection, PlannedCandidate
from impasto.evaluation.comparison.plan import (
    STARTUP_SECONDS,
    ComparisonPlan,
    ensure_folder,
    plan_comparison,
)
from impasto.evaluation.comparison.result import RESULTS_FOLDER, Comparison, ComparisonRow
from impasto.metrics.evaluator import Evaluator
from impasto.metrics.inputs import resize_on_white
from impasto.pictures import (
    check_writable,
    fit_long_side,
    make_contact_sheet,
    read,
    write,
    write_bytes,
)

GRACE_SECONDS = 30.0
"""Seconds on top of a deadline in which a process may start, and save its painting."""
MAX_SHOWN_SIDE_PX = 1024
"""Long side in pixels that a picture has at most on the page and the sheet."""
SHEET_ROW_HEIGHT_PX = 384
"""Height in pixels of the sheet's pictures."""


@dataclass(frozen=True)
class ComparisonProgress:
    """Where a comparison is.

    Attributes:
        label: what is done now: "gatys", or "measuring".
        number, count: which painting this is, and how many there are; 0 while nothing is painted.
        fraction: of the whole, 0..1.
        remaining_seconds: seconds left, by the forecasts.
    """

    label: str
    number: int
    count: int
    fraction: float
    remaining_seconds: float


def ignore_progress(stage: ComparisonProgress) -> None:
    """A callback that does nothing."""


def compare(
    content: object,
    styles: object | Sequence[object],
    *,
    methods: MethodSelection = ALL_METHODS,
    folder: str | Path = "",
    size: int | None = None,
    text: str = "",
    clip: str = "",
    seed: int = 0,
    style_weights: Sequence[float] = (),
    device: str = "auto",
    deadline: str | float | None = None,
    force: bool = False,
    callback: Callable[[ComparisonProgress], None] = ignore_progress,
) -> Comparison:
    """Paint with every method that fits this machine, measure, and show it side by side.

    Each method paints in a process of its own, one after another, so that time and memory are its
    own. The folder then holds ``index.html`` (one file that needs no other), ``sheet.png``,
    ``comparison.json`` and the paintings in ``results``.

    Args:
        content: what is kept: a path, or a picture in memory, which is written to the folder.
        styles: whose manner is taken: one such picture, or a list of them to be blended.
        methods: ``"all"``; a text as ``"gatys,adain"`` or ``"all;gatys:steps=100,structure=0.7"``;
            or a list of names and of pairs (name, knobs).
        folder: where everything goes; "" is ``compare-<content>-<style>`` in the working folder.
            A comparison of the same pictures that lies there is gone on with.
        size: long side of the paintings in pixels; None is 512, or the content's if that is less.
        text: what the metric ``clip_text`` compares with.
        clip: a CLIP by its name on the hub, or its folder; "" is the usual one, if it is here.
        seed: of everything random, 0 to 2³² - 1.
        style_weights: the share of each style; empty means equal shares.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        deadline: what a painting may take: seconds, or a text as "90s" or "5m". A method that
            would need longer is left out; one that does is stopped, and shows what it has.
        force: paint anew what an earlier run has finished.
        callback: called several times a second with a :class:`ComparisonProgress`.

    Returns:
        The comparison. If Ctrl-C came in between, it has the rows until then, and is not finished.

    Raises:
        ImpastoError: a picture or setting that cannot be used, a folder with other things in it,
            or no method that fits.
    """
    contest = plan_comparison(
        content,
        styles,
        methods=methods,
        folder=folder,
        size=size,
        text=text,
        clip=clip,
        seed=seed,
        style_weights=style_weights,
        device=device,
        deadline=deadline,
        force=force,
    )
    return run_comparison(contest, callback)


def run_comparison(
    plan: ComparisonPlan, callback: Callable[[ComparisonProgress], None] = ignore_progress
) -> Comparison:
    """Paint what is planned, measure, and write the sheet and the page.

    Raises:
        InputError: something cannot be written.
        KeyboardInterrupt: a second Ctrl-C; the paintings until then are kept, and gone on with.
    """
    ensure_folder(plan.folder)
    ensure_folder(plan.folder / RESULTS_FOLDER)
    check_writable(plan.folder / RESULTS_FOLDER / "painting.png")
    there = {**plan.resumable, **plan.done}
    rows = {f.candidate.label: row for f in plan.candidates if (row := there.get(f.candidate.file))}
    plan.make_comparison(rows, finished=False).save()  # from now on it shows whose the folder is
    with InterruptHandler() as stop:
        finished = _run_pending(plan, rows, stop, callback)
        callback(ComparisonProgress("measuring", 0, 0, 1.0, 0.0))
        comparison, pictures = _evaluate_rows(plan, plan.make_comparison(rows, finished))
        _write_report(plan, comparison, pictures)
    return comparison


def _run_pending(
    plan: ComparisonPlan,
    rows: dict[str, ComparisonRow],
    stop: InterruptHandler,
    callback: Callable[[ComparisonProgress], None],
) -> bool:
    """Paint what is to be painted into ``rows``; whether it came to its end."""
    todo, start = plan.pending, STARTUP_SECONDS
    for index, fit in enumerate(todo):
        told = functools.partial(_report_progress, callback, todo, index, start)
        told(0.0)
        row = _run_candidate(plan, fit, stop, told)
        if row:
            rows[fit.candidate.label] = row
            start = max(0.0, row.seconds - row.painting_seconds) or start
        plan.make_comparison(rows, finished=False).save()
        if worker.is_stop_requested(stop):
            return index == len(todo) - 1 and row is not None and row.status == "painted"
    return True


def _report_progress(
    callback: Callable[[ComparisonProgress], None],
    pending: Sequence[PlannedCandidate],
    index: int,
    startup_seconds: float,
    seconds: float,
) -> None:
    """Report the progress ``seconds`` after method ``index`` began."""
    costs = [fit.plan.forecast.seconds + startup_seconds for fit in pending]
    passed = min(seconds, costs[index])
    done, whole = sum(costs[:index]) + passed, sum(costs)
    label = pending[index].candidate.label
    callback(ComparisonProgress(label, index + 1, len(pending), done / whole, whole - done))


def _run_candidate(
    plan: ComparisonPlan,
    candidate: PlannedCandidate,
    stop: InterruptHandler,
    callback: Callable[[float], None],
) -> ComparisonRow | None:
    """Paint one; None if it was stopped before there was anything."""
    entry = candidate.candidate
    words = plan.options.cli_args(entry, str(plan.folder / entry.file))
    row = ComparisonRow(
        label=entry.label,
        method=entry.method,
        title=candidate.request.method.card.title,
        status="failed",
        knobs=knobs_to_dict(candidate.request.method),
        command=("impasto", *words),
    )
    resumes = entry.file in plan.resumable
    before = plan.resumable.get(entry.file) or row
    limit = None
    if plan.deadline is not None:
        limit = plan.deadline + GRACE_SECONDS - before.painting_seconds
    outcome = worker.run([*words, "--resume"] if resumes else words, stop, callback, limit)
    row = dataclasses.replace(row, code=outcome.exit_code, seconds=before.seconds + outcome.seconds)
    recipe: Mapping[str, Any] | None = outcome.report.get("recipe")
    late = outcome.stopped and not worker.is_stop_requested(stop)
    if recipe is None:
        if outcome.stopped and not late:
            return None
        why = "It did not come to a painting within the deadline." if late else outcome.reason
        return dataclasses.replace(row, notes=(why,))
    notes = list(recipe["warnings"])
    if resumes and not before.file:
        notes.insert(0, "It was begun in an earlier run, whose share of the time is not known.")
    if not recipe["finished"]:
        by = "the deadline" if late else "Ctrl-C"
        notes.insert(0, f"Stopped by {by} after step {recipe['steps']}: the painting so far.")
    return dataclasses.replace(
        row,
        status="painted" if recipe["finished"] else "stopped",
        file=entry.file,
        painting_seconds=before.painting_seconds + recipe["seconds"],
        peak_bytes=max(before.peak_bytes, recipe["peak_bytes"]),
        notes=tuple(notes),
    )


def _evaluate_rows(
    plan: ComparisonPlan, comparison: Comparison
) -> tuple[Comparison, dict[str, Pixels]]:
    """The comparison with its values, and its paintings by label, small enough to be shown."""
    paintings = {
        row.label: read(comparison.folder / row.file) for row in comparison.rows_with_image
    }
    pictures = {label: display_pixels(painting) for label, painting in paintings.items()}
    content = plan.content
    try:
        judge = Evaluator(
            content,
            plan.styles,
            style_weights=plan.options.style_weights,
            text=plan.text,
            clip=plan.clip,
        )
        size = fit_long_side(content.height, content.width, plan.options.size)
        unpainted = judge(resize_on_white(content, *size))
        scores = {label: judge(painting) for label, painting in paintings.items()}
    except ImpastoError as error:
        note = f"Nothing was measured: {error}"
        return dataclasses.replace(comparison, notes=(note,)), pictures
    rows = [
        dataclasses.replace(row, values=dict(scores[row.label].values)) if row.file else row
        for row in comparison.rows
    ]
    notes = dict.fromkeys(note for each in scores.values() for note in each.notes)
    size_note = f"{content.name} is "  # of another size than the paintings: no wonder here
    whole = dataclasses.replace(
        comparison,
        rows=tuple(rows),
        unpainted=dict(unpainted.values),
        missing=dict(judge.missing),
        notes=tuple(note for note in notes if not note.startswith(size_note)),
    )
    return whole, pictures


def display_pixels(picture: Picture) -> Pixels:
    """A picture as it is shown: on white, and not larger than it need be."""
    side = min(MAX_SHOWN_SIDE_PX, picture.long_side)
    return resize_on_white(picture, *fit_long_side(picture.height, picture.width, side))


def _write_report(
    plan: ComparisonPlan, comparison: Comparison, pictures: Mapping[str, Pixels]
) -> None:
    """Write the sheet, the page and the data."""
    content, styles = display_pixels(plan.content), [display_pixels(style) for style in plan.styles]
    labels = ["style"] if len(styles) == 1 else [f"style {i + 1}" for i in range(len(styles))]
    tiles = [("content", content), *zip(labels, styles, strict=True)]
    for row in comparison.rows_with_image:
        tiles.append((f"{row.label}, {html_report.format_time(row.seconds)}", pictures[row.label]))
    write(
        make_contact_sheet(tiles, height=SHEET_ROW_HEIGHT_PX, columns=sheet_columns(len(tiles))),
        comparison.contact_sheet_path,
    )
    text = html_report.render_comparison(comparison, content, styles, pictures)
    write_bytes(comparison.report_path, text.encode("utf-8", "replace"))  # a name in odd bytes
    comparison.save()


def sheet_columns(tiles: int) -> int:
    """How many pictures stand in a row of the sheet, so that the rows are about as long."""
    rows = max(1, round(math.sqrt(tiles / 2)))
    return math.ceil(tiles / rows)
