"""``impasto compare``: paint with every method, and show the paintings and their measures."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from impasto.cli.console import Reporter
from impasto.cli.flags import (
    DEVICES,
    ContextCommand,
    picture_arguments,
    reporter_flags,
    reporter_from_flags,
)
from impasto.cli.lock import exclusive_run
from impasto.cli.process import handle_signal, raise_interrupt
from impasto.cli.progress import ProgressBar, spinner
from impasto.cli.table import show_table
from impasto.core.errors import InterruptedRun, ResourceError
from impasto.core.words import format_duration

if TYPE_CHECKING:
    from impasto.evaluation.comparison.plan import ComparisonPlan
    from impasto.evaluation.comparison.result import Comparison


@click.command("compare", cls=ContextCommand)
@picture_arguments
@click.option(
    "--methods",
    default="all",
    metavar="NAME,…",
    help="Who takes part: all; or names, as gatys,adain; or with knobs, as "
    "'all;gatys:steps=100,structure=0.7' [default all].",
)
@click.option(
    "-o",
    "--output",
    default="",
    type=click.Path(),
    metavar="DIR",
    help="Where everything goes [default compare-CONTENT-STYLE].",
)
@click.option(
    "--size",
    type=int,
    metavar="PX",
    help="Long side of the paintings [default 512, or the content's if that is less].",
)
@click.option("--text", default="", help="Also measure how well a painting fits this text.")
@click.option(
    "--clip",
    default="",
    metavar="NAME|DIR",
    help="A CLIP on the hub or in a folder, for the metrics that need one.",
)
@click.option(
    "--deadline",
    default="",
    metavar="TIME",
    help="What a painting may take, as 90s or 5m: methods that need longer are left out.",
)
@click.option("--seed", type=int, default=0, metavar="INT", help="Of everything random [0].")
@click.option(
    "--device",
    default="auto",
    metavar="NAME",
    shell_complete=lambda _ctx, _param, incomplete: [
        d for d in DEVICES if d.startswith(incomplete)
    ],
    help="auto, cpu, cuda, cuda:1 or mps [default auto].",
)
@click.option("--force", is_flag=True, help="Paint anew what an earlier run has finished.")
@reporter_flags
def compare(ctx: click.Context) -> int:
    """Paint CONTENT in the manner of STYLE with every method, and show it side by side.

    DIR gets a page for the browser (index.html), a contact sheet (sheet.png), the paintings
    (results) and all numbers (comparison.json). Each method runs in a process of its own, in
    turn. Ctrl-C keeps what is done, and the same command goes on.
    """
    from impasto.evaluation.comparison.compare import ComparisonProgress, run_comparison
    from impasto.evaluation.comparison.plan import plan_comparison

    voice, given = reporter_from_flags(ctx), ctx.params
    with handle_signal(signal.SIGTERM, raise_interrupt):
        with spinner(voice, "Planning"):
            contest = plan_comparison(
                given["content"],
                given["styles"],
                methods=given["methods"],
                folder=given["output"],
                size=given["size"],
                text=given["text"],
                clip=given["clip"],
                seed=given["seed"],
                device=given["device"],
                deadline=given["deadline"] or None,
                force=given["force"],
            )
        with exclusive_run(contest.folder, "comparing into"):
            _show_plan(contest, voice)
            try:
                with ProgressBar(voice, "Comparing") as meter:

                    def watch(stage: ComparisonProgress) -> None:
                        at = (
                            f"{stage.number} of {stage.count}, "
                            f"{format_duration(stage.remaining_seconds)} left"
                        )
                        meter.update(
                            stage.fraction, f"{stage.label}, {at}" if stage.count else "measuring"
                        )

                    comparison = run_comparison(contest, watch)
            except KeyboardInterrupt as error:  # the second one: at once
                raise InterruptedRun(
                    f"Stopped at once. What is painted lies in {contest.folder}; the same command "
                    "goes on."
                ) from error
    return _report(comparison, voice)


def _show_plan(plan: ComparisonPlan, reporter: Reporter) -> None:
    """Who takes part and how long it will take; who does not, and why."""
    for file, row in plan.done.items():
        reporter.info(f"{row.label}: painted already, {plan.folder / file}.")
    for fit in plan.pending:
        reporter.info(f"{fit.candidate.label}: about {format_duration(fit.plan.forecast.seconds)}.")
    for each in plan.left_out:
        reporter.info(f"{each.label} is left out: {each.reason}")
    for warning in plan.warnings:
        reporter.warn(warning)
    if plan.pending:
        reporter.info(
            f"About {format_duration(plan.seconds)} in all, with every start of a process."
        )


def _report(comparison: Comparison, reporter: Reporter) -> int:
    """Say what came of it, and return the exit code."""
    from impasto.evaluation.comparison.html_report import missing_metrics

    for row in comparison.rows:
        if row.status != "painted":
            reporter.warn(f"{row.label}: {row.notes[0]}")
    for note in comparison.notes:
        reporter.warn(note)
    if not reporter.as_json and comparison.rows_with_image:
        _show_table(comparison)
    for names, lack in missing_metrics(comparison):
        reporter.info(f"Not measured: {names}. {lack}")
    reporter.print_result(str(comparison.report_path))
    reporter.print_result(str(comparison.contact_sheet_path))
    reporter.print_json(
        {
            **comparison.to_dict(),
            "page": str(comparison.report_path),
            "sheet": str(comparison.contact_sheet_path),
        }
    )
    if not comparison.finished:
        reporter.warn("Stopped before its end; the same command goes on.")
        return InterruptedRun.exit_code
    if comparison.rows_with_image:
        return 0
    code: int = comparison.rows[0].code
    return code if code in (1, 2) else ResourceError.exit_code


def _show_table(comparison: Comparison) -> None:
    """The table: a line for each measure, a column for each method."""
    from impasto.evaluation.comparison.html_report import comparison_table

    facts = comparison_table(comparison)
    lines = [line for line in facts["lines"] if line["status"] != "failed"]
    rows = []
    for number, head in enumerate(facts["heads"]):
        cells = [line["cells"][number] for line in lines]
        texts = [cell["text"] + (" *" if cell["best"] else "") for cell in cells]
        rows.append((f"{head['title']} {head['arrow']}", *texts))
    show_table(("", *(line["label"] for line in lines)), rows)
    if len(lines) > 1:
        click.echo("* the best of its line; the arrow says which direction is better\n")
