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
from impasto.core.request import BuiltInStyles
from impasto.core.result import Result
from impasto.evaluation.bootstrap import MeanInterval, bootstrap_mean
from impasto.evaluation.pairing import (
    NamedImages,
    collect_images,
    format_names,
    is_folder,
    list_pictures,
    match_result,
    picture_stem,
)
from impasto.metrics.evaluator import EVALUATION_SIZE_PX, Evaluator, Scores
from impasto.metrics.registry import METRICS
from impasto.pictures import as_picture

CountCallback = Callable[[int, int], None]
"""Called with the results done and the results there are."""


@dataclass(frozen=True)
class EvaluationRow:
    """One result: its name, what it was measured against, and its scores.

    ``folder`` is the folder that it came from, as it was given; "" for a single file.
    """

    result: str
    content: str
    style: str
    folder: str
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

    rows: tuple[EvaluationRow, ...]
    size: int
    missing: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that at least one result has."""
        found = {name for row in self.rows for name in row.scores.values}
        return tuple(name for name in METRICS if name in found)

    @property
    def pair_count(self) -> int:
        """How many pairs of content and style there are."""
        return len({(row.content, row.style) for row in self.rows})

    def means(self) -> dict[str, dict[str, MeanInterval]]:
        """Set → metric → mean over the set, with its interval."""
        found: dict[str, dict[str, MeanInterval]] = {}
        for each in dict.fromkeys(row.folder for row in self.rows):
            rows = [row.scores.values for row in self.rows if row.folder == each]
            columns = {m: [row[m] for row in rows if m in row] for m in self.metrics}
            found[each] = {m: bootstrap_mean(values) for m, values in columns.items() if values}
        return found

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values, with what each metric means."""
        return {
            "size": self.size,
            "metrics": {name: dataclasses.asdict(METRICS[name]) for name in self.metrics},
            "rows": [
                {
                    "result": row.result,
                    "content": row.content,
                    "style": row.style,
                    "set": row.folder,
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

    def to_csv(self) -> str:
        """A line for each result, with a head; what has no meaning for one is empty."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["result", "content", "style", "set", *self.metrics])
        for row in self.rows:
            values = [row.scores.values.get(name, "") for name in self.metrics]
            writer.writerow([row.result, row.content, row.style, row.folder, *values])
        return out.getvalue()


@dataclass(frozen=True)
class _PendingResult:
    """A result to be measured, and what it is of."""

    index: int
    result: Any
    folder: str
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
    size: int = EVALUATION_SIZE_PX,
    style_weights: Sequence[float] = (),
    callback: CountCallback | None = None,
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
        callback: called after every result.

    Returns:
        A row for each result, and intervals of the means.

    Raises:
        InputError: a picture that cannot be used, or no result that matches.
        KnobError: an unknown metric, or a setting that does not fit.
        WeightsError, MissingExtraError: none of the metrics can be measured.
    """
    contents = collect_images(content, "content")
    blend = list(style) if isinstance(style, (list, tuple)) else []
    if any(is_folder(each) for each in blend):
        raise InputError("A blend is made of single pictures: give the style folder alone.")
    styles = (
        NamedImages({"blend": blend}, is_single=True) if blend else collect_images(style, "style")
    )
    tasks, left_out = _match_results(contents, styles, results)

    def judged(task: _PendingResult, judge: Evaluator | None) -> Evaluator:
        """The judge of a task's pair, which shares its networks with the one before."""
        main = as_picture(contents.images[task.content], "the content")
        found = styles.images[task.style]
        several = [as_picture(s, f"style {i}") for i, s in enumerate(blend or [found], start=1)]
        if judge:
            return judge.with_inputs(main, several, style_weights)
        return Evaluator(
            main,
            several,
            style_weights=style_weights,
            metrics=metrics,
            text=text,
            clip=clip,
            size=size,
        )

    return _evaluate_all(tasks, left_out, judged, size, callback)


def evaluate_from_recipes(
    results: object,
    *,
    metrics: Sequence[str] = (),
    text: str = "",
    clip: str = "",
    size: int = EVALUATION_SIZE_PX,
    callback: CountCallback | None = None,
) -> Evaluation:
    """The same for paintings by Impasto, whose recipes say what content and styles they are of.

    Content and styles must still be where they were, or beside the painting, and unchanged.
    See :func:`evaluate` for the arguments and errors.
    """
    from impasto.pipeline.rerun import rerun_request

    tasks = [
        _PendingResult(place, result, group, str(result), str(result))
        for place, (result, group) in enumerate(_list_results(results))
    ]

    def judged(task: _PendingResult, judge: Evaluator | None) -> Evaluator:
        request = rerun_request(task.result)
        if isinstance(request.method, BuiltInStyles):
            raise InputError(
                f"{task.result} was made by {request.method.name}, whose recipes only name their "
                "styles: give content, style and painting."
            )
        if judge:
            return judge.with_inputs(
                request.content, request.styles, request.normalized_style_weights
            )
        return Evaluator(
            request.content,
            request.styles,
            style_weights=request.normalized_style_weights,
            metrics=metrics,
            text=text,
            clip=clip,
            size=size,
        )

    return _evaluate_all(tasks, {}, judged, size, callback)


def _evaluate_all(
    pending: Sequence[_PendingResult],
    left_out: dict[str, str],
    make_evaluator: Callable[[_PendingResult, Evaluator | None], Evaluator],
    size: int,
    callback: CountCallback | None,
) -> Evaluation:
    """The rows of all tasks; pair by pair, so that content and style are looked at once."""
    judge: Evaluator | None = None
    pair = None
    rows: dict[int, EvaluationRow] = {}
    for done, task in enumerate(sorted(pending, key=lambda t: (t.content, t.style, t.index)), 1):
        try:
            if (task.content, task.style) != pair:
                judge = make_evaluator(task, judge)
                pair = task.content, task.style
            assert judge
            rows[task.index] = _score_result(task, judge)
        except InputError as error:
            if len(pending) == 1:
                raise
            left_out[_result_name(task)] = str(error)
        if callback:
            callback(done, len(pending))
    if not rows or not judge:
        raise InputError(f"Nothing could be measured. {' '.join(list(left_out.values())[:3])}")
    ordered = tuple(rows[place] for place in sorted(rows))
    return Evaluation(ordered, size, dict(judge.missing), left_out)


def _score_result(task: _PendingResult, evaluator: Evaluator) -> EvaluationRow:
    given, name = task.result, _result_name(task)
    painting = (
        Picture(given.pixels, given.alpha, name)
        if isinstance(given, Result)
        else as_picture(given, name)
    )
    styles = " + ".join(style.name for style in evaluator.styles)
    return EvaluationRow(name, evaluator.content.name, styles, task.folder, evaluator(painting))


def _result_name(task: _PendingResult) -> str:
    in_memory = not isinstance(task.result, (str, Path))
    return f"result {task.index + 1}" if in_memory else str(task.result)


def _list_results(results: object) -> list[tuple[Any, str]]:
    """Every result, and the folder that it came from."""
    several = results if isinstance(results, (list, tuple)) else [results]
    found: list[tuple[Any, str]] = []
    for each in several:
        if isinstance(each, (str, os.PathLike)) and Path(each).is_dir():
            found += [(file, str(each)) for file in list_pictures(each)]
        else:
            found.append((each, ""))
    if not found:
        raise InputError("No result to be measured: give at least one.")
    missing = [str(r) for r, _ in found if isinstance(r, (str, Path)) and not Path(r).exists()]
    if missing:
        raise InputError(f"There is no file {format_names(missing)}.")
    return found


def _match_results(
    contents: NamedImages, styles: NamedImages, results: object
) -> tuple[list[_PendingResult], dict[str, str]]:
    """The results that belong to a content and a style, and why the others do not.

    Raises:
        InputError: none does.
    """
    tasks, left_out = [], {}
    for place, (result, group) in enumerate(_list_results(results)):
        pair = match_result(picture_stem(result, "result"), contents, styles)
        if pair:
            tasks.append(_PendingResult(place, result, group, *pair))
        else:
            left_out[str(result)] = "its name is made of no content's and style's names"
    used = {task.content for task in tasks}
    lonely = [str(thing) for name, thing in contents.images.items() if name not in used]
    if not tasks:
        raise InputError(
            "The folders do not match up: a result must be called as its content (canal.png), or "
            "as content and style (canal-scream.png). Results without a pair: "
            f"{format_names(left_out)}. Contents without a result: {format_names(lonely)}. "
            f"Styles: {format_names(map(str, styles.images.values()))}."
        )
    left_out |= dict.fromkeys(lonely, "no result is called after it")
    return tasks, left_out
