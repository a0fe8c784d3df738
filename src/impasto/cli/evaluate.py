"""``impasto evaluate``: measure paintings, one by one or a whole set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
from click.shell_completion import CompletionItem

from impasto.cli.console import Reporter
from impasto.cli.evaluate_video import evaluate_videos
from impasto.cli.flags import ContextCommand, reporter_flags, reporter_from_flags
from impasto.cli.progress import ProgressBar
from impasto.cli.table import show_table
from impasto.metrics.registry import METRICS

if TYPE_CHECKING:
    from impasto.evaluation.evaluate import Evaluation

NOT_AVAILABLE = "–"
"""What stands where a metric has no meaning."""


def _complete_metrics(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    before, comma, last = incomplete.rpartition(",")
    return [CompletionItem(before + comma + name) for name in METRICS if name.startswith(last)]


@click.command("evaluate", cls=ContextCommand)
@click.argument(
    "paths", metavar="[CONTENT STYLE] RESULT…", nargs=-1, required=True, type=click.Path()
)
@click.option(
    "--metrics",
    default="",
    metavar="NAME,…",
    shell_complete=_complete_metrics,
    help=f"Only these; unset: all that are at hand of {', '.join(METRICS)}.",
)
@click.option("--text", default="", help="What clip_text compares the results with.")
@click.option(
    "--clip",
    default="",
    metavar="NAME|DIR",
    help="A CLIP by its name on the hub, from where it is fetched once, or its folder; "
    "unset: the usual one, if it is here.",
)
@click.option(
    "--size",
    type=int,
    default=512,
    metavar="PX",
    help="Long side to which results are reduced before they are measured [default 512].",
)
@click.option("--per-layer", is_flag=True, help="Also each layer of what is made of layers.")
@click.option(
    "--explain",
    is_flag=True,
    help="Also what each metric compares, what is usual, and whose it is.",
)
@click.option(
    "--csv",
    "csv_file",
    default="",
    type=click.Path(),
    metavar="FILE|-",
    help="Also a file with a line for each result; -: on stdout, instead of the table.",
)
@click.option(
    "--video",
    is_flag=True,
    help="CONTENT and RESULTs are films: how steady they are, and how much there is of the style.",
)
@click.option(
    "--flow",
    default="auto",
    metavar="dis|FILE",
    help="Who finds the motion in a film: dis, or a checkpoint of RAFT [default dis].",
)
@click.option(
    "--flow-truth",
    default="",
    type=click.Path(),
    metavar="DIR",
    help="The film's true motion, from every frame to the next: .flo or .npz files.",
)
@reporter_flags
def evaluate(ctx: click.Context) -> None:
    """Measure RESULTs: what is left of CONTENT, and how much there is of STYLE.

    All can be folders: a result then belongs to the content and style of whose names its own is
    made, as canal-scream.png. Several folders of results are compared. A RESULT alone, or a
    folder, is measured against what the recipe inside says; then CONTENT and STYLE are left out.
    """  # fmt: skip
    voice, csv_file = reporter_from_flags(ctx), str(ctx.params["csv_file"])
    _check_flags(ctx)
    if ctx.params["video"]:
        evaluate_videos(ctx, voice)
        return
    with _open_csv(csv_file) as file:
        found = _evaluate(ctx, voice)
        if file:
            file.write(found.to_csv().encode())
    _report_notes(found, ctx.params["metrics"], voice)
    voice.print_json(found.to_dict())
    if csv_file == "-":
        click.echo(found.to_csv(), nl=False)
    if voice.as_json or csv_file == "-":
        return
    _show_results(found)
    if ctx.params["per_layer"]:
        _show_layers(found)
    if ctx.params["explain"]:
        _explain(found)


def _open_csv(csv_file: str) -> AbstractContextManager[BinaryIO | None]:
    """The file that is written, open before the work, so that it is known that it can be."""
    from impasto.pictures import atomic_write

    return atomic_write(csv_file) if csv_file not in ("", "-") else nullcontext()


def _check_flags(ctx: click.Context) -> None:
    if len(ctx.params["paths"]) == 2:
        raise click.UsageError(
            "CONTENT, STYLE and at least one RESULT are wanted; or a RESULT alone, if Impasto "
            "made it.", ctx
        )  # fmt: skip
    if (ctx.params["flow_truth"] or ctx.params["flow"] != "auto") and not ctx.params["video"]:
        raise click.UsageError("--flow and --flow-truth are of films: say --video.", ctx)
    if ctx.params["csv_file"] == "-" and ctx.params["as_json"]:
        raise click.UsageError("--json and --csv - both want stdout: name a file for --csv.", ctx)


def _evaluate(ctx: click.Context, reporter: Reporter) -> Evaluation:
    from impasto.evaluation import evaluate as measuring

    paths, names = ctx.params["paths"], ctx.params["metrics"]
    metrics = [name.strip() for name in names.split(",") if name.strip()]
    with ProgressBar(reporter, "Measuring") as meter:

        def watch(done: int, count: int) -> None:
            meter.update(done / count, f"{done} of {count}")

        text, clip, size = (ctx.params[name] for name in ("text", "clip", "size"))
        if len(paths) == 1:
            return measuring.evaluate_from_recipes(
                paths[0], metrics=metrics, text=text, clip=clip, size=size, callback=watch
            )
        content, style, *results = paths
        return measuring.evaluate(
            content,
            style,
            results,
            metrics=metrics,
            text=text,
            clip=clip,
            size=size,
            callback=watch,
        )


def _report_notes(found: Evaluation, metrics: str, reporter: Reporter) -> None:
    """What was left out, what could not be measured, and what is to be known of the rest."""
    for why, names in _group_by_reason(found.left_out).items():
        reporter.warn(f"Left out: {why}" if names in why else f"Left out: {names}: {why}")
    tell = reporter.warn if metrics else reporter.info
    for why, names in _group_by_reason(found.missing).items():
        tell(f"Not measured: {names}: {why}")
    for note in dict.fromkeys(note for row in found.rows for note in row.scores.notes):
        reporter.info(note)


def _group_by_reason(reasons: Mapping[str, str]) -> dict[str, str]:
    """Reason → the names to which it applies."""
    from impasto.evaluation.pairing import format_names

    return {
        why: format_names(name for name, reason in reasons.items() if reason == why)
        for why in dict.fromkeys(reasons.values())
    }


def _show_results(found: Evaluation) -> None:
    """A row for each result; of a set also the means, and between what they lie at 95 %."""
    heads = [f"{METRICS[name].title} {METRICS[name].arrow}" for name in found.metrics]
    rows = [
        [name, *(_format_value(m, row.scores.values.get(m)) for m in found.metrics)]
        for name, row in zip(_short_names(found), found.rows, strict=True)
    ]
    show_table(("result", *heads), rows)
    means = found.means()
    if found.pair_count < 2 and len(means) < 2:
        return
    lines = []
    for each, intervals in means.items():
        count = sum(row.folder == each for row in found.rows)
        for label, part in ((f"{each or 'all'}, mean of {count}", "mean"), ("  95 % from", "low"),
                            ("  95 % to", "high")):  # fmt: skip
            cells = [_format_value(m, getattr(intervals.get(m), part, None)) for m in found.metrics]
            lines.append([label, *cells])
    click.echo()
    show_table(("set", *heads), lines)


def _show_layers(found: Evaluation) -> None:
    for metric in found.metrics:
        tables = {
            name: row.scores.layers.get(metric, {})
            for name, row in zip(_short_names(found), found.rows, strict=True)
        }
        names = list(dict.fromkeys(layer for layers in tables.values() for layer in layers))
        if names:
            click.echo(f"\n{METRICS[metric].title} by layer")
            show_table(
                ("result", *names),
                [[r, *(_format_value(metric, layers.get(n)) for n in names)] for r, layers in
                 tables.items()],
            )  # fmt: skip


def _explain(found: Evaluation) -> None:
    for name in found.metrics:
        metric = METRICS[name]
        needs = f" It needs {metric.needs}." if metric.needs else ""
        click.echo(
            f"\n{metric.title} {metric.arrow} ({name}): {metric.compares}; {metric.better} is "
            f"better.\n  Usual: {metric.usual}.\n  Source: {metric.source}.{needs}"
        )


def _short_names(found: Evaluation) -> list[str]:
    """The results' names without the folder that all of them are in."""
    paths = [Path(row.result).absolute() for row in found.rows]
    folder = os.path.commonpath([path.parent for path in paths])
    return [str(path.relative_to(folder)) for path in paths]


def _format_value(metric: str, value: float | None) -> str:
    if value is None:
        return NOT_AVAILABLE
    return f"{value:.1f}" if metric == "noise" else f"{value:.3f}"
