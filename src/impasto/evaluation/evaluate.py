"""Measuring results: of one pair to be compared, or a whole set with intervals of the means."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.core.request import NamesStyles
from impasto.core.result import Result
from impasto.evaluation.bootstrap import Interval, interval
from impasto.evaluation.pairing import Pool, belongs, is_folder, listed, pictures_in, pool, stem
from impasto.metrics.evaluator import SIZE, Judge, Scores
from impasto.metrics.registry import METRICS
from impasto.pictures import from_any

Progress = Callable[[int, int], None]
"""Called with the results done and the results there are."""


@dataclass(frozen=True)
class Row:
    """One result: its name, what it was measured against, and its scores.

    ``set`` is the folder that it came from, as it was given; "" for a single file.
    """

    result: str
    content: str
    style: str
    set: str
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate` found.

    Attributes:
        rows: the results, in the order in which they were given.
        size: long side in pixels to which they were reduced.
        missing: metric → what it lacks, in a sentence.
        left_out: picture → why it was not measured.
    """

    rows: tuple[Row, ...]
    size: int
    missing: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that at least one result has."""
        found = {name for row in self.rows for name in row.scores.values}
        return tuple(name for name in METRICS if name in found)

    @property
    def pairs(self) -> int:
        """How many pairs of content and style there are."""
        return len({(row.content, row.style) for row in self.rows})

    def means(self) -> dict[str, dict[str, Interval]]:
        """Set → metric → mean over the set, with its interval."""
        found: dict[str, dict[str, Interval]] = {}
        for each in dict.fromkeys(row.set for row in self.rows):
            rows = [row.scores.values for row in self.rows if row.set == each]
            columns = {m: [row[m] for row in rows if m in row] for m in self.metrics}
            found[each] = {m: interval(values) for m, values in columns.items() if values}
        return found

    def data(self) -> dict[str, Any]:
        """All of it as JSON values, with what each metric means."""
        return {
            "size": self.size,
            "metrics": {name: dataclasses.asdict(METRICS[name]) for name in self.metrics},
            "rows": [
                {
                    "result": row.result,
                    "content": row.content,
                    "style": row.style,
                    "set": row.set,
                    "scores": dict(row.scores.values),
                    "layers": {name: dict(layers) for name, layers in row.scores.layers.items()},
                    "notes": list(row.scores.notes),
                }
                for row in self.rows
            ],
            "means": [
                {"set": each, "scores": {name: dataclasses.asdict(i) for name, i in found.items()}}
                for each, found in self.means().items()
            ],
            "missing": dict(self.missing),
            "left_out": dict(self.left_out),
        }

    def csv(self) -> str:
        """A line for each result, with a head; what has no meaning for one is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["result", "content", "style", "set", *self.metrics])
        for row in self.rows:
            values = [row.scores.values.get(name, "") for name in self.metrics]
            writer.writerow([row.result, row.content, row.style, row.set, *values])
        return out.getvalue()


@dataclass(frozen=True)
class _Task:
    """A result to be measured, and what it is of."""

    place: int
    result: Any
    set: str
    content: str
    style: str


def evaluate(
    content: object,
    style: object,
    results: object,
    *,
    metrics: Sequence[str] = (),
    text: str = "",
    clip: str = "",
    size: int = SIZE,
    style_weights: Sequence[float] = (),
    watch: Progress | None = None,
) -> Evaluation:
    """Measure results: what is left of the content, how much there is of the style.

    Args:
        content: a picture as :func:`impasto.stylize` takes it, or a folder.
        style: likewise; or a list of pictures, of which the results are a blend.
        results: a picture, what :func:`impasto.stylize` returned, or a folder; or a list of them.
            Of folders they are matched by name, as :mod:`impasto.evaluation.pairing` says; what
            does not match is left out, and told.
        metrics: names in ``impasto.evaluation.METRICS``; none means all that are at hand.
        text: what the metric ``clip_text`` compares with.
        clip: a CLIP by its name on the hub or its folder.
        size: long side in pixels to which results are reduced.
        style_weights: shares of the blend.
        watch: called after every result.

    Returns:
        A row for each result, and intervals of the means.

    Raises:
        InputError: a picture that cannot be used, or no result that matches.
        KnobError: an unknown metric, or a setting that does not fit.
        WeightsError, MissingExtraError: none of the metrics can be measured.
    """
    contents = pool(content, "content")
    blend = list(style) if isinstance(style, (list, tuple)) else []
    if any(is_folder(each) for each in blend):
        raise InputError("A blend is made of single pictures: give the style folder alone.")
    styles = Pool({"blend": blend}, one=True) if blend else pool(style, "style")
    tasks, left_out = _tasks(contents, styles, results)

    def judged(task: _Task, judge: Judge | None) -> Judge:
        """The judge of a task's pair, which shares its networks with the one before."""
        main = from_any(contents.things[task.content], "the content")
        found = styles.things[task.style]
        several = [from_any(s, f"style {i}") for i, s in enumerate(blend or [found], start=1)]
        if judge:
            return judge.of(main, several, style_weights)
        return Judge(
            main,
            several,
            style_weights=style_weights,
            metrics=metrics,
            text=text,
            clip=clip,
            size=size,
        )

    return _measured(tasks, left_out, judged, size, watch)


def evaluate_made(
    results: object,
    *,
    metrics: Sequence[str] = (),
    text: str = "",
    clip: str = "",
    size: int = SIZE,
    watch: Progress | None = None,
) -> Evaluation:
    """The same for paintings by Impasto, whose recipes say what content and styles they are of.

    Content and styles must still be where they were, or beside the painting, and unchanged.
    See :func:`evaluate` for the arguments and errors.
    """
    from impasto.pipeline.rerun import rerun_request

    tasks = [
        _Task(place, result, group, str(result), str(result))
        for place, (result, group) in enumerate(_results(results))
    ]

    def judged(task: _Task, judge: Judge | None) -> Judge:
        request = rerun_request(task.result)
        if isinstance(request.method, NamesStyles):
            raise InputError(
                f"{task.result} was made by {request.method.name}, whose recipes only name their "
                "styles: give content, style and painting."
            )
        if judge:
            return judge.of(request.content, request.styles, request.shares)
        return Judge(
            request.content,
            request.styles,
            style_weights=request.shares,
            metrics=metrics,
            text=text,
            clip=clip,
            size=size,
        )

    return _measured(tasks, {}, judged, size, watch)


def _measured(
    tasks: Sequence[_Task],
    left_out: dict[str, str],
    judged: Callable[[_Task, Judge | None], Judge],
    size: int,
    watch: Progress | None,
) -> Evaluation:
    """The rows of all tasks; pair by pair, so that content and style are looked at once."""
    judge: Judge | None = None
    pair = None
    rows: dict[int, Row] = {}
    for done, task in enumerate(sorted(tasks, key=lambda t: (t.content, t.style, t.place)), 1):
        try:
            if (task.content, task.style) != pair:
                judge = judged(task, judge)
                pair = task.content, task.style
            assert judge
            rows[task.place] = _row(task, judge)
        except InputError as error:
            if len(tasks) == 1:
                raise
            left_out[_name(task)] = str(error)
        if watch:
            watch(done, len(tasks))
    if not rows or not judge:
        raise InputError(f"Nothing could be measured. {' '.join(list(left_out.values())[:3])}")
    ordered = tuple(rows[place] for place in sorted(rows))
    return Evaluation(ordered, size, dict(judge.missing), left_out)


def _row(task: _Task, judge: Judge) -> Row:
    given, name = task.result, _name(task)
    painting = (
        Picture(given.pixels, given.alpha, name)
        if isinstance(given, Result)
        else from_any(given, name)
    )
    styles = " + ".join(style.name for style in judge.styles)
    return Row(name, judge.content.name, styles, task.set, judge(painting))


def _name(task: _Task) -> str:
    in_memory = not isinstance(task.result, (str, Path))
    return f"result {task.place + 1}" if in_memory else str(task.result)


def _results(results: object) -> list[tuple[Any, str]]:
    """Every result, and the folder that it came from."""
    several = results if isinstance(results, (list, tuple)) else [results]
    found: list[tuple[Any, str]] = []
    for each in several:
        if isinstance(each, (str, os.PathLike)) and Path(each).is_dir():
            found += [(file, str(each)) for file in pictures_in(each)]
        else:
            found.append((each, ""))
    if not found:
        raise InputError("No result to be measured: give at least one.")
    missing = [str(r) for r, _ in found if isinstance(r, (str, Path)) and not Path(r).exists()]
    if missing:
        raise InputError(f"There is no file {listed(missing)}.")
    return found


def _tasks(contents: Pool, styles: Pool, results: object) -> tuple[list[_Task], dict[str, str]]:
    """The results that belong to a content and a style, and why the others do not.

    Raises:
        InputError: none does.
    """
    tasks, left_out = [], {}
    for place, (result, group) in enumerate(_results(results)):
        pair = belongs(stem(result, "result"), contents, styles)
        if pair:
            tasks.append(_Task(place, result, group, *pair))
        else:
            left_out[str(result)] = "its name is made of no content's and style's names"
    used = {task.content for task in tasks}
    lonely = [str(thing) for name, thing in contents.things.items() if name not in used]
    if not tasks:
        raise InputError(
            "The folders do not match up: a result must be called as its content (canal.png), or "
            "as content and style (canal-scream.png). Results without a pair: "
            f"{listed(left_out)}. Contents without a result: {listed(lonely)}. "
            f"Styles: {listed(map(str, styles.things.values()))}."
        )
    left_out |= dict.fromkeys(lonely, "no result is called after it")
    return tasks, left_out
