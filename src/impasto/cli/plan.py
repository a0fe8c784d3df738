"""``impasto plan``: what would be done, and what it would cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from impasto.cli.color_flags import color_flags
from impasto.cli.console import Reporter
from impasto.cli.flags import (
    dataclass_from_flags,
    hidden_output_flags,
    picture_or_region_arguments,
    prompt_flags,
    reporter_flags,
    reporter_from_flags,
    request_flags,
)
from impasto.cli.knob_flags import MethodCommand, knobs_from_flags
from impasto.cli.output_options import OutputOptions, write_regions
from impasto.cli.progress import spinner
from impasto.cli.region_flags import region_flags
from impasto.cli.request_options import RequestOptions
from impasto.cli.words import format_bytes, format_duration
from impasto.core.knobs import knobs_to_dict
from impasto.core.plan import Plan
from impasto.core.request import Request
from impasto.pipeline import make_plan
from impasto.pipeline.region_options import format_region, region_table


@click.command("plan", cls=MethodCommand)
@picture_or_region_arguments
@hidden_output_flags
@request_flags
@prompt_flags
@region_flags
@color_flags
@reporter_flags
def plan(ctx: click.Context) -> None:
    """Say what stylize would do with CONTENT and STYLE, and what it would cost.

    It takes every flag of stylize, and checks as much, but paints nothing. --regions-out is
    written, so that the regions can be looked at before.
    """
    voice = reporter_from_flags(ctx)
    order, target = (
        dataclass_from_flags(RequestOptions, ctx, knobs=knobs_from_flags(ctx)),
        dataclass_from_flags(OutputOptions, ctx),
    )
    request = order.to_request(voice)
    target.check(request.content, order.input_files())
    for path in write_regions(request, ctx.params["regions_out"], order.input_files()):
        voice.info(f"Wrote {path}.")
    with spinner(voice, "Planning"):
        made = make_plan(request)
    size = made.setting.height, made.setting.width
    notes = target.check(request.content, order.input_files(), size)
    for label, text in _plan_rows(request, made, notes):
        voice.print_result(f"{label:<11}{text}".rstrip())
    voice.print_json(_plan_json(request, made, notes))


def show_plan(request: Request, plan: Plan, reporter: Reporter, notes: Sequence[str]) -> None:
    """The plan in a line or two, then what is worth knowing before waiting."""
    reporter.info(
        f"{_format_request(request)}: {_format_size(plan)}, {_format_device(plan)}, "
        f"{_format_cost(plan)}."
    )
    for row in region_table(request):
        reporter.info(f"  {format_region(row)}.")
    for note in (*plan_notes(request, plan), *notes):
        reporter.info(f"  {note}")
    for warning in plan.warnings:
        reporter.warn(warning)


def _format_request(request: Request) -> str:
    styles = " and ".join(Path(style.name).name for style in request.styles)
    content = Path(request.content.name).name
    return f"{content} in the manner of {styles}, by {request.method.name}"


def _format_size(plan: Plan) -> str:
    return f"{plan.setting.width} x {plan.setting.height} px"


def _format_device(plan: Plan) -> str:
    return f"{plan.setting.precision} on {plan.setting.device}"


def _format_cost(plan: Plan) -> str:
    return (
        f"about {format_duration(plan.forecast.seconds)}, {format_bytes(plan.forecast.peak_bytes)}"
    )


def plan_notes(request: Request, plan: Plan) -> list[str]:
    """What was done to the pictures, and what the plan chose."""
    pictures = (request.content, *request.styles)
    return [*(f"{Path(p.name).name}: {n}." for p in pictures for n in p.notes), *plan.notes]


def _plan_rows(request: Request, plan: Plan, notes: Sequence[str]) -> list[tuple[str, str]]:
    shares = request.normalized_style_weights
    styles = [
        ("style", f"{style.name}  {style.width} x {style.height} px"
         + (f", share {share:.0%}" if len(shares) > 1 else ""))
        for style, share in zip(request.styles, shares, strict=True)
    ]  # fmt: skip
    content = request.content
    regions = [("region", format_region(row)) for row in region_table(request)]
    if regions and request.background == "keep":
        regions.append(("rest", "kept as it is"))
    return [
        ("content", f"{content.name}  {content.width} x {content.height} px"),
        *styles,
        *regions,
        ("method", request.method.name),
        ("size", _format_size(plan)),
        ("runs", _format_device(plan)),
        ("time", f"about {format_duration(plan.forecast.seconds)}"),
        (
            "memory",
            f"{format_bytes(plan.forecast.peak_bytes)} of {format_bytes(plan.available_bytes)} "
            f"free",
        ),
        *(("note", note) for note in (*plan_notes(request, plan), *notes)),
        *(("warning", warning) for warning in plan.warnings),
    ]


def _plan_json(request: Request, plan: Plan, notes: Sequence[str]) -> dict[str, object]:
    return {
        "content": request.content.name,
        "styles": [style.name for style in request.styles],
        "regions": region_table(request),
        "method": request.method.name,
        "knobs": knobs_to_dict(request.method),
        "width": plan.setting.width,
        "height": plan.setting.height,
        "device": plan.setting.device,
        "precision": plan.setting.precision,
        "seconds": round(plan.forecast.seconds, 1),
        "peak_bytes": plan.forecast.peak_bytes,
        "available_bytes": plan.available_bytes,
        "notes": [*plan_notes(request, plan), *notes],
        "warnings": list(plan.warnings),
    }
