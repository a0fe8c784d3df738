"""``impasto recommend``: which method suits, why, and the command to run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from impasto.advise.recommend.scenario import LICENSES, PURPOSES
from impasto.cli.console import Reporter
from impasto.cli.flags import (
    DEVICES,
    ContextCommand,
    picture_arguments,
    reporter_flags,
    reporter_from_flags,
)
from impasto.cli.progress import spinner
from impasto.cli.table import show_table
from impasto.cli.words import format_bytes, format_short_duration, format_value
from impasto.core.errors import ResourceError
from impasto.core.knobs import flag_name, get_knobs
from impasto.methods import get_method

if TYPE_CHECKING:
    from impasto.advise.recommend.recommendation import Candidate, Recommendation


def _complete_purposes(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    fitting = {n: p for n, p in PURPOSES.items() if n.startswith(incomplete)}
    return [CompletionItem(name, help=purpose.title) for name, purpose in fitting.items()]


@click.command("recommend", cls=ContextCommand)
@picture_arguments
@click.option(
    "--for",
    "purpose",
    default="picture",
    metavar="WHAT",
    shell_complete=_complete_purposes,
    help="What the painting is for: "
    + ", ".join(f"{name} ({p.title})" for name, p in PURPOSES.items())
    + " [default picture].",
)
@click.option(
    "--deadline",
    metavar="TIME",
    help="What a picture may take, as 5s, 2m or 1h; unset: what the purpose allows.",
)
@click.option(
    "--memory",
    metavar="AMOUNT",
    help="What it may take of memory, as 500M or 4G; unset: what is free.",
)
@click.option(
    "--license",
    type=click.Choice(LICENSES),
    default="any",
    metavar="|".join(LICENSES),
    help="What the painting will be used for [default any].",
)
@click.option(
    "--size",
    type=int,
    metavar="PX",
    help="Long side of the painting; unset: the content's, or less to keep the limits.",
)
@click.option(
    "--device",
    default="auto",
    metavar="NAME",
    shell_complete=lambda _c, _p, given: [d for d in DEVICES if d.startswith(given)],
    help="auto, cpu, cuda, cuda:1 or mps [default auto].",
)
@click.option(
    "--precision",
    type=click.Choice(("auto", "fp32", "bf16")),
    default="auto",
    metavar="auto|fp32|bf16",
    help="Of the arithmetic [default auto].",
)
@reporter_flags
def recommend(ctx: click.Context) -> int:
    """Say which method suits CONTENT and STYLE here, why, and the command to run.

    Nothing is painted. Times and memory are forecasts for these pictures on this machine;
    docs/recommend.md has the rules. For a video, CONTENT is the film, or a frame of it.
    """
    from impasto.advise.recommend.recommend import recommend as ask

    given = dict(ctx.params)
    content, styles = given.pop("content"), given.pop("styles")
    voice = reporter_from_flags(ctx)
    for flag in ("as_json", "quiet"):
        given.pop(flag)
    with spinner(voice, "Forecasting"):
        answer = ask(content, styles, **given)
    if not voice.as_json:
        _show_recommendation(answer, voice)
    voice.print_json(recommendation_json(answer))
    return 0 if answer.best else ResourceError.exit_code


def _show_recommendation(answer: Recommendation, reporter: Reporter) -> None:
    """The answer, from the verdict to the command."""
    case = answer.scenario
    reporter.print_result(answer.summary)
    if answer.candidates:
        cores = f", {case.cores} cores" if case.device == "cpu" else ""
        reporter.print_result(f"\nForecast for this machine ({case.device}{cores}):")
        time = "a picture" if PURPOSES[case.purpose].per_image_timing else "time"
        heads, rows = (
            ("method", time, "memory", "size", "with"),
            [*map(_candidate_row, answer.candidates)],
        )
        width = 5 if any(row[-1] for row in rows) else 4
        show_table(heads[:width], [row[:width] for row in rows])
    _show_list(reporter, "Why", [(reason.rule, reason.sentence) for reason in answer.reasons])
    _show_list(reporter, "Ruled out", [(each.method, each.reason) for each in answer.excluded])
    if answer.command:
        reporter.print_result(f"\nRun:\n  {answer.command}")


def _show_list(reporter: Reporter, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        reporter.print_result(f"\n{title}:")
    width = max((12, *(len(label) + 2 for label, _ in rows)))
    for label, text in rows:
        reporter.print_result(f"  {label:<{width}}{text}")


def _candidate_row(candidate: Candidate) -> tuple[str, ...]:
    of = get_knobs(get_method(candidate.method))
    given = [(flag_name(k), candidate.knobs[k.name]) for k in of if k.name in candidate.knobs]
    return (
        candidate.method,
        format_short_duration(candidate.seconds),
        format_bytes(candidate.peak_bytes),
        f"{candidate.size} px",
        " ".join(f"{flag} {format_value(value)}" for flag, value in given),
    )


def recommendation_json(answer: Recommendation) -> dict[str, Any]:
    """The answer for programs."""
    case = answer.scenario
    return {
        "verdict": answer.summary,
        "fits": answer.serves_purpose,
        "method": answer.best.method if answer.best else None,
        "command": list(answer.best.command) if answer.best else None,
        "candidates": [
            {
                "method": c.method,
                "size": c.size,
                "knobs": dict(c.knobs),
                "seconds": round(c.seconds, 3),
                "peak_bytes": c.peak_bytes,
                "command": list(c.command),
            }
            for c in answer.candidates
        ],
        "reasons": [dataclasses.asdict(reason) for reason in answer.reasons],
        "excluded": [dataclasses.asdict(each) for each in answer.excluded],
        "scenario": {
            **dataclasses.asdict(case),
            "methods_with_styles": sorted(case.methods_with_styles),
        },
    }
