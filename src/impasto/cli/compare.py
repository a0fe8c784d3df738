"""``impasto compare``: paint with every method, and show the paintings and their measures."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from impasto.cli.console import Voice
from impasto.cli.flags import DEVICES, ContextCommand, pictures, talk_flags, voice_of
from impasto.cli.lock import only_run
from impasto.cli.process import as_interrupt, on
from impasto.cli.progress import Meter, waiting
from impasto.cli.table import show_table
from impasto.core.errors import InterruptedRun, ResourceError
from impasto.core.words import duration

if TYPE_CHECKING:
    from impasto.evaluation.comparison.plan import Contest
    from impasto.evaluation.comparison.result import Comparison


@click.command("compare", cls=ContextCommand)
@pictures
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
@click.option("--again", is_flag=True, help="Paint anew what an earlier run has finished.")
@talk_flags
def compare(ctx: click.Context) -> int:
    """Paint CONTENT in the manner of STYLE with every method, and show it side by side.

    DIR gets a page for the browser (index.html), a contact sheet (sheet.png), the paintings
    (results) and all numbers (comparison.json). Each method runs in a process of its own, in
    turn. Ctrl-C keeps what is done, and the same command goes on.
    """
    from impasto.evaluation.comparison.compare import Stage, hold
    from impasto.evaluation.comparison.plan import prepare

    voice, given = voice_of(ctx), ctx.params
    with on(signal.SIGTERM, as_interrupt):
        with waiting(voice, "Planning"):
            contest = prepare(
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
                again=given["again"],
            )
        with only_run(contest.folder, "comparing into"):
            _tell(contest, voice)
            try:
                with Meter(voice, "Comparing") as meter:

                    def watch(stage: Stage) -> None:
                        at = f"{stage.number} of {stage.of}, {duration(stage.remaining)} left"
                        meter.show(stage.share, f"{stage.doing}, {at}" if stage.of else "measuring")

                    comparison = hold(contest, watch)
            except KeyboardInterrupt as error:  # the second one: at once
                raise InterruptedRun(
                    f"Stopped at once. What is painted lies in {contest.folder}; the same command "
                    "goes on."
                ) from error
    return _report(comparison, voice)


def _tell(contest: Contest, voice: Voice) -> None:
    """Who takes part and how long it will take; who does not, and why."""
    for file, row in contest.done.items():
        voice.say(f"{row.label}: painted already, {contest.folder / file}.")
    for fit in contest.todo:
        voice.say(f"{fit.entry.label}: about {duration(fit.plan.forecast.seconds)}.")
    for each in contest.left_out:
        voice.say(f"{each.label} is left out: {each.reason}")
    for warning in contest.warnings:
        voice.warn(warning)
    if contest.todo:
        voice.say(f"About {duration(contest.seconds)} in all, with every start of a process.")


def _report(comparison: Comparison, voice: Voice) -> int:
    """Say what came of it, and return the exit code."""
    from impasto.evaluation.comparison.html_report import lacking

    for row in comparison.rows:
        if row.status != "painted":
            voice.warn(f"{row.label}: {row.notes[0]}")
    for note in comparison.notes:
        voice.warn(note)
    if not voice.as_json and comparison.shown:
        _show(comparison)
    for names, lack in lacking(comparison):
        voice.say(f"Not measured: {names}. {lack}")
    voice.result(str(comparison.page))
    voice.result(str(comparison.sheet))
    voice.data(
        {
            **comparison.as_data(),
            "page": str(comparison.page),
            "sheet": str(comparison.sheet),
        }
    )
    if not comparison.finished:
        voice.warn("Stopped before its end; the same command goes on.")
        return InterruptedRun.exit_code
    if comparison.shown:
        return 0
    code: int = comparison.rows[0].code
    return code if code in (1, 2) else ResourceError.exit_code


def _show(comparison: Comparison) -> None:
    """The table: a line for each measure, a column for each method."""
    from impasto.evaluation.comparison.html_report import table

    facts = table(comparison)
    lines = [line for line in facts["lines"] if line["status"] != "failed"]
    rows = []
    for number, head in enumerate(facts["heads"]):
        cells = [line["cells"][number] for line in lines]
        texts = [cell["text"] + (" *" if cell["best"] else "") for cell in cells]
        rows.append((f"{head['title']} {head['arrow']}", *texts))
    show_table(("", *(line["label"] for line in lines)), rows)
    if len(lines) > 1:
        click.echo("* the best of its line; the arrow says which direction is better\n")
