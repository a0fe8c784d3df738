"""``impasto plan``: what would be done, and what it would cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from impasto.cli.color_flags import colour_flags
from impasto.cli.console import Voice
from impasto.cli.flags import (
    pick,
    pictures_or_regions,
    prompt_flags,
    request_flags,
    talk_flags,
    target_flags_for_plan,
    voice_of,
)
from impasto.cli.knob_flags import MethodCommand, given_knobs
from impasto.cli.output_options import Target, write_regions
from impasto.cli.progress import waiting
from impasto.cli.region_flags import region_flags
from impasto.cli.request_options import Order
from impasto.cli.words import duration, memory
from impasto.core.knobs import as_mapping
from impasto.core.plan import Plan
from impasto.core.request import Request
from impasto.pipeline import make_plan
from impasto.pipeline.region_options import described, table


@click.command("plan", cls=MethodCommand)
@pictures_or_regions
@target_flags_for_plan
@request_flags
@prompt_flags
@region_flags
@colour_flags
@talk_flags
def plan(ctx: click.Context) -> None:
    """Say what stylize would do with CONTENT and STYLE, and what it would cost.

    It takes every flag of stylize, and checks as much, but paints nothing. --regions-out is
    written, so that the regions can be looked at before.
    """
    voice = voice_of(ctx)
    order, target = pick(Order, ctx, knobs=given_knobs(ctx)), pick(Target, ctx)
    request = order.request(voice)
    target.check(request.content, order.files())
    for path in write_regions(request, ctx.params["regions_out"], order.files()):
        voice.say(f"Wrote {path}.")
    with waiting(voice, "Planning"):
        made = make_plan(request)
    size = made.setting.height, made.setting.width
    notes = target.check(request.content, order.files(), size)
    for label, text in _rows(request, made, notes):
        voice.result(f"{label:<11}{text}".rstrip())
    voice.data(_facts(request, made, notes))


def tell(request: Request, plan: Plan, voice: Voice, notes: Sequence[str]) -> None:
    """The plan in a line or two, then what is worth knowing before waiting."""
    voice.say(f"{_what(request)}: {_size(plan)}, {_how(plan)}, {_cost(plan)}.")
    for row in table(request):
        voice.say(f"  {described(row)}.")
    for note in (*remarks(request, plan), *notes):
        voice.say(f"  {note}")
    for warning in plan.warnings:
        voice.warn(warning)


def _what(request: Request) -> str:
    styles = " and ".join(Path(style.name).name for style in request.styles)
    content = Path(request.content.name).name
    return f"{content} in the manner of {styles}, by {request.method.name}"


def _size(plan: Plan) -> str:
    return f"{plan.setting.width} x {plan.setting.height} px"


def _how(plan: Plan) -> str:
    return f"{plan.setting.precision} on {plan.setting.device}"


def _cost(plan: Plan) -> str:
    return f"about {duration(plan.forecast.seconds)}, {memory(plan.forecast.peak_bytes)}"


def remarks(request: Request, plan: Plan) -> list[str]:
    """What was done to the pictures, and what the plan chose."""
    pictures = (request.content, *request.styles)
    return [*(f"{Path(p.name).name}: {n}." for p in pictures for n in p.notes), *plan.notes]


def _rows(request: Request, plan: Plan, notes: Sequence[str]) -> list[tuple[str, str]]:
    shares = request.shares
    styles = [
        ("style", f"{style.name}  {style.width} x {style.height} px"
         + (f", share {share:.0%}" if len(shares) > 1 else ""))
        for style, share in zip(request.styles, shares, strict=True)
    ]  # fmt: skip
    content = request.content
    regions = [("region", described(row)) for row in table(request)]
    if regions and request.rest == "keep":
        regions.append(("rest", "kept as it is"))
    return [
        ("content", f"{content.name}  {content.width} x {content.height} px"),
        *styles,
        *regions,
        ("method", request.method.name),
        ("size", _size(plan)),
        ("runs", _how(plan)),
        ("time", f"about {duration(plan.forecast.seconds)}"),
        ("memory", f"{memory(plan.forecast.peak_bytes)} of {memory(plan.available_bytes)} free"),
        *(("note", note) for note in (*remarks(request, plan), *notes)),
        *(("warning", warning) for warning in plan.warnings),
    ]


def _facts(request: Request, plan: Plan, notes: Sequence[str]) -> dict[str, object]:
    return {
        "content": request.content.name,
        "styles": [style.name for style in request.styles],
        "regions": table(request),
        "method": request.method.name,
        "knobs": as_mapping(request.method),
        "width": plan.setting.width,
        "height": plan.setting.height,
        "device": plan.setting.device,
        "precision": plan.setting.precision,
        "seconds": round(plan.forecast.seconds, 1),
        "peak_bytes": plan.forecast.peak_bytes,
        "available_bytes": plan.available_bytes,
        "notes": [*remarks(request, plan), *notes],
        "warnings": list(plan.warnings),
    }
