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
from impasto.core.interrupt import Stop
from impasto.core.knobs import as_mapping
from impasto.core.picture import Picture, Pixels
from impasto.evaluation.comparison import html_report, worker
from impasto.evaluation.comparison.candidates import ALL, Fit, Wanted
from impasto.evaluation.comparison.plan import START_SECONDS, Contest, make_folder, prepare
from impasto.evaluation.comparison.result import RESULTS, Comparison, Row
from impasto.metrics.evaluator import Judge
from impasto.metrics.inputs import at_size
from impasto.pictures import check_writable, fit_long_side, read, replace, sheet, write

GRACE = 30.0
"""Seconds on top of a deadline in which a process may start, and save its painting."""
SHOWN = 1024
"""Long side in pixels that a picture has at most on the page and the sheet."""
TALL = 384
"""Height in pixels of the sheet's pictures."""


@dataclass(frozen=True)
class Stage:
    """Where a comparison is.

    Attributes:
        doing: what is done now: "gatys", or "measuring".
        number, of: which painting this is, and how many there are; 0 while nothing is painted.
        share: of the whole, 0..1.
        remaining: seconds left, by the forecasts.
    """

    doing: str
    number: int
    of: int
    share: float
    remaining: float


def unwatched(stage: Stage) -> None:
    """A watch that looks away."""


def compare(
    content: object,
    styles: object | Sequence[object],
    *,
    methods: Wanted = ALL,
    folder: str | Path = "",
    size: int | None = None,
    text: str = "",
    clip: str = "",
    seed: int = 0,
    style_weights: Sequence[float] = (),
    device: str = "auto",
    deadline: str | float | None = None,
    again: bool = False,
    watch: Callable[[Stage], None] = unwatched,
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
        again: paint anew what an earlier run has finished.
        watch: called several times a second with a :class:`Stage`.

    Returns:
        The comparison. If Ctrl-C came in between, it has the rows until then, and is not finished.

    Raises:
        ImpastoError: a picture or setting that cannot be used, a folder with other things in it,
            or no method that fits.
    """
    contest = prepare(
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
        again=again,
    )
    return hold(contest, watch)


def hold(contest: Contest, watch: Callable[[Stage], None] = unwatched) -> Comparison:
    """Paint what is planned, measure, and write the sheet and the page.

    Raises:
        InputError: something cannot be written.
        KeyboardInterrupt: a second Ctrl-C; the paintings until then are kept, and gone on with.
    """
    make_folder(contest.folder)
    make_folder(contest.folder / RESULTS)
    check_writable(contest.folder / RESULTS / "painting.png")
    there = {**contest.begun, **contest.done}
    rows = {f.entry.label: row for f in contest.fits if (row := there.get(f.entry.file))}
    contest.comparison(rows, finished=False).keep()  # from now on it shows whose the folder is
    with Stop() as stop:
        finished = _paint(contest, rows, stop, watch)
        watch(Stage("measuring", 0, 0, 1.0, 0.0))
        comparison, pictures = _measured(contest, contest.comparison(rows, finished))
        _show(contest, comparison, pictures)
    return comparison


def _paint(
    contest: Contest, rows: dict[str, Row], stop: Stop, watch: Callable[[Stage], None]
) -> bool:
    """Paint what is to be painted into ``rows``; whether it came to its end."""
    todo, start = contest.todo, START_SECONDS
    for index, fit in enumerate(todo):
        told = functools.partial(_tell, watch, todo, index, start)
        told(0.0)
        row = _row(contest, fit, stop, told)
        if row:
            rows[fit.entry.label] = row
            start = max(0.0, row.seconds - row.painting_seconds) or start
        contest.comparison(rows, finished=False).keep()
        if worker.asked(stop):
            return index == len(todo) - 1 and row is not None and row.status == "painted"
    return True


def _tell(
    watch: Callable[[Stage], None], todo: Sequence[Fit], index: int, start: float, seconds: float
) -> None:
    """Where it is, ``seconds`` after painting ``index`` began, if a process starts in ``start``."""
    costs = [fit.plan.forecast.seconds + start for fit in todo]
    passed = min(seconds, costs[index])
    done, whole = sum(costs[:index]) + passed, sum(costs)
    label = todo[index].entry.label
    watch(Stage(label, index + 1, len(todo), done / whole, whole - done))


def _row(contest: Contest, fit: Fit, stop: Stop, told: Callable[[float], None]) -> Row | None:
    """Paint one; None if it was stopped before there was anything."""
    entry = fit.entry
    words = contest.match.words(entry, str(contest.folder / entry.file))
    row = Row(
        label=entry.label,
        method=entry.method,
        title=fit.request.method.card.title,
        status="failed",
        knobs=as_mapping(fit.request.method),
        command=("impasto", *words),
    )
    resumes = entry.file in contest.begun
    before = contest.begun.get(entry.file) or row
    limit = None
    if contest.deadline is not None:
        limit = contest.deadline + GRACE - before.painting_seconds
    outcome = worker.carry_out([*words, "--resume"] if resumes else words, stop, told, limit)
    row = dataclasses.replace(row, code=outcome.code, seconds=before.seconds + outcome.seconds)
    recipe: Mapping[str, Any] | None = outcome.report.get("recipe")
    late = outcome.stopped and not worker.asked(stop)
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


def _measured(contest: Contest, comparison: Comparison) -> tuple[Comparison, dict[str, Pixels]]:
    """The comparison with its values, and its paintings by label, small enough to be shown."""
    paintings = {row.label: read(comparison.folder / row.file) for row in comparison.shown}
    pictures = {label: shown(painting) for label, painting in paintings.items()}
    content = contest.content
    try:
        judge = Judge(
            content,
            contest.styles,
            style_weights=contest.match.style_weights,
            text=contest.text,
            clip=contest.clip,
        )
        size = fit_long_side(content.height, content.width, contest.match.size)
        unpainted = judge(at_size(content, *size))
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


def shown(picture: Picture) -> Pixels:
    """A picture as it is shown: on white, and not larger than it need be."""
    side = min(SHOWN, picture.long_side)
    return at_size(picture, *fit_long_side(picture.height, picture.width, side))


def _show(contest: Contest, comparison: Comparison, pictures: Mapping[str, Pixels]) -> None:
    """Write the sheet, the page and the data."""
    content, styles = shown(contest.content), [shown(style) for style in contest.styles]
    labels = ["style"] if len(styles) == 1 else [f"style {i + 1}" for i in range(len(styles))]
    tiles = [("content", content), *zip(labels, styles, strict=True)]
    for row in comparison.shown:
        tiles.append((f"{row.label}, {html_report.time_words(row.seconds)}", pictures[row.label]))
    write(sheet(tiles, height=TALL, columns=columns(len(tiles))), comparison.sheet)
    text = html_report.render(comparison, content, styles, pictures)
    replace(comparison.page, text.encode("utf-8", "replace"))  # a name in odd bytes
    comparison.keep()


def columns(tiles: int) -> int:
    """How many pictures stand in a row of the sheet, so that the rows are about as long."""
    rows = max(1, round(math.sqrt(tiles / 2)))
    return math.ceil(tiles / rows)
