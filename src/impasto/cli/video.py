"""``impasto video``: a film in, a steady one out, with its sound."""

from __future__ import annotations

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import click

from impasto.cli.color_flags import colour_flags
from impasto.cli.console import Voice
from impasto.cli.flags import (
    SECTIONS,
    pick,
    pictures_or_regions,
    request_flags,
    talk_flags,
    voice_of,
)
from impasto.cli.knob_flags import MethodCommand, given_knobs
from impasto.cli.lock import only_run
from impasto.cli.plan import remarks
from impasto.cli.process import as_interrupt, on
from impasto.cli.progress import Meter, waiting
from impasto.cli.weights import fetch
from impasto.cli.words import duration, memory
from impasto.core.errors import InterruptedRun, KnobError
from impasto.core.progress import Clock, Tick
from impasto.methods import find
from impasto.metrics.video import FILM_MEASURES
from impasto.pictures import write
from impasto.video.image_sequence import is_pictures, is_still
from impasto.video.options import Take
from impasto.video.runner import Film, Job
from impasto.video.stylize_video import METHOD, gauge_for, planned
from impasto.weights.registry import CATALOGUE

F = TypeVar("F", bound=Callable[..., Any])
OWN = ("seed", "style_weights", "size", "fit", "weights", "device", "precision")
FROM_WORDS = "512x512"
"""The size of a film of which there is only a style picture."""
COLOURS = ("keep_colour", "colour_share", "colour_when", "colour_mask")


class FilmCommand(MethodCommand):
    """A command with the flags of the method that ``--method`` names, for films."""

    default_method: ClassVar[str] = METHOD
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Output": ("output", "quality", "lossless", "sound", "side_by_side", "preview"),
        "Film": (
            "start", "end", "fps", "seconds", "stability", "flow", "shots", "loop", "ramp",
        ),
        **{name: SECTIONS[name] for name in ("Picture", "Colour", "Run")},
    }  # fmt: skip


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A time: "12.5", "1:02" or "1:00:02.5"."""
    if value is None:
        return None
    try:
        parts = [float(part) for part in value.split(":")]
        total = sum((part * 60.0**i for i, part in enumerate(reversed(parts))), 0.0)
    except ValueError:
        parts, total = [], math.nan
    if not 1 <= len(parts) <= 3 or not 0 <= total < math.inf:
        raise KnobError(f"{param.opts[0]} {value} does not fit: write a time as 12.5 or 1:02.5.")
    return total


def _times(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float]:
    found = [_seconds(ctx, param, each) for each in value.split(",")] if value else []
    return [each for each in found if each is not None]


def _film_method(command: F) -> F:
    """``--method`` as films have it."""
    for param in command.__click_params__:  # type: ignore[attr-defined]
        if isinstance(param, click.Option) and param.name == "method":
            param.default = METHOD
            param.help = f"fast, adain, wct, photowct, gatys or animatediff [default {METHOD}]."
    return command


@click.command("video", cls=FilmCommand)
@pictures_or_regions
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="OUT",
    help="The film: .mp4, .mov, .mkv or .webm; or pictures, as out/%05d.png. Replaced "
    "if it exists.",
)
@click.option(
    "--quality",
    type=int,
    default=18,
    metavar="INT",
    help="Of H.264 or VP9, its crf [0, the best, to 51; default 18].",
)
@click.option("--lossless", is_flag=True, help="Keep every frame exactly; large.")
@click.option("--sound/--no-sound", default=True, help="Copy the sound [default: yes].")
@click.option("--side-by-side", is_flag=True, help="Show the film as it was to the left.")
@click.option(
    "--preview",
    metavar="TIME,…",
    callback=_times,
    help="Paint only the frames at these times, to a sheet beside OUT.",
)
@click.option(
    "--start",
    default="0",
    metavar="TIME",
    callback=_seconds,
    help="Where to begin, in seconds or as 1:02.5.",
)
@click.option("--end", metavar="TIME", callback=_seconds, help="Where to end.")
@click.option(
    "--fps",
    type=float,
    metavar="NUMBER",
    help="Of numbered pictures and stills [0.1 to 240; default 25], and of films from "
    "words [default 8].",
)
@click.option(
    "--seconds",
    type=float,
    metavar="NUMBER",
    help="How long a still is seen, or a film from words.",
)
@click.option(
    "--stability",
    type=float,
    default=1.0,
    metavar="NUMBER",
    help="How much a frame holds on to those before it: 0, every one by itself, to 1 [default 1].",
)
@click.option(
    "--flow",
    default="auto",
    metavar="auto|none|dis|FILE",
    help="Who finds the motion: OpenCV's DIS, or a checkpoint of RAFT; auto: none for a "
    "network that is stable by itself, else dis.",
)
@click.option(
    "--shots/--no-shots", default=True, help="Look for cuts, and begin anew at each [default: yes]."
)
@click.option("--loop", is_flag=True, help="Let the end flow into the beginning.")
@click.option("--ramp", is_flag=True, help="Fade the painting in over the whole film.")
@_film_method
@request_flags
@colour_flags
@click.option("--resume", is_flag=True, help="Go on with an unfinished run of OUT.")
@talk_flags
def video(ctx: click.Context) -> int:
    """Paint the film CONTENT in the manner of STYLE, or of several, blended.

    CONTENT may also be numbered pictures (frames/%05d.png), a folder of them, or a still. Ctrl-C
    keeps the film so far, and --resume goes on with it later, also after a crash.

    --method animatediff --prompt TEXT makes a film from words: its CONTENT is a size, as 512x512,
    or is left out.
    """
    voice, flags = voice_of(ctx), ctx.params
    content, styles = _roles(flags["content"], list(flags["styles"]), flags["method"])
    if flags["weights"] in CATALOGUE:
        fetch(flags["weights"], voice)
    asked = {name: flags[name] for name in (*OWN, *COLOURS)}
    with waiting(voice, "Planning"):
        job = planned(
            content,
            styles,
            flags["output"],
            pick(Take, ctx),
            method=flags["method"],
            **asked,
            **given_knobs(ctx),
        )
    _tell(job, voice)
    if flags["preview"]:
        path = _beside(Path(flags["output"]))
        write(job.preview(flags["preview"]), path)
        voice.result(str(path))
        voice.data({"preview": str(path)})
        return 0
    with only_run(Path(flags["output"])), on(signal.SIGTERM, as_interrupt):
        film = _painted(job, flags["resume"], voice)
    _report(film, flags["output"], voice)
    return 0 if film.recipe.finished else InterruptedRun.exit_code


def _roles(content: str, styles: list[str], method: str) -> tuple[str, list[str]]:
    """Content and styles: a still by itself is the style of a film that is made from words."""
    if styles:
        return content, styles
    if "prompt" not in find(method).card.supports:
        raise click.UsageError("Missing argument 'STYLE…'.")
    return (FROM_WORDS, [content]) if is_still(content) else (content, [])


def _tell(job: Job, voice: Voice) -> None:
    """The plan in a line, then what is worth knowing before waiting."""
    facts, plan = job.source.facts, job.plan
    styles = " and ".join(Path(style.name).name for style in job.request.styles)
    manner = f"in the manner of {styles}" if styles else "from words"
    voice.say(
        f"{Path(facts.name).name} {manner}, by {job.request.method.name}: "
        f"{duration(float(facts.seconds))} of {facts.width} x {facts.height} px at "
        f"{float(facts.rate):.4g} frames a second, {facts.frames} frames; "
        f"{plan.setting.precision} on {plan.setting.device}, "
        f"{_how_long(job)}{memory(plan.forecast.peak_bytes)}."
    )
    for note in remarks(job.request, plan):
        voice.say(f"  {note}")
    for warning in plan.warnings:
        voice.warn(warning)


def _how_long(job: Job) -> str:
    """How long it takes in all, where the plan's time is that of any frame."""
    if "prompt" not in job.request.method.card.supports:
        return ""
    return f"about {duration(job.source.facts.frames * job.plan.forecast.seconds)}, "


def _painted(job: Job, resume: bool, voice: Voice) -> Film:
    with Meter(voice, "Painting") as meter:
        try:
            return job.run(resume=resume, watch=_Teller(meter), gauge=gauge_for(job), say=voice.say)
        except KeyboardInterrupt as error:  # the second one: at once
            raise InterruptedRun(
                f"Stopped at once; {job.output} was not written. --resume goes on from the last "
                "second of film that was done, if there is one."
            ) from error


class _Teller:
    """A watch that shows the frame, frames a second and the time left."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._clock = meter, Clock()
        self._first: tuple[int, float] | None = None

    def __call__(self, tick: Tick) -> None:
        if self._first is None:
            self._first = tick.step, time.monotonic()
            self._clock = Clock(share_at_start=tick.share)
            return
        frames, seconds = tick.step - self._first[0], time.monotonic() - self._first[1]
        left = self._clock.remaining(tick.share) or 0.0
        self._meter.show(
            tick.share,
            f"frame {tick.step} of {tick.steps}, {frames / max(seconds, 1e-9):.3g} frames/s, "
            f"{duration(left)} left",
        )


def _report(film: Film, output: str, voice: Voice) -> None:
    recipe = film.recipe
    if recipe.finished:
        voice.say(
            f"Painted {film.frames} frames in {duration(recipe.seconds)}, "
            f"{memory(recipe.peak_bytes)} at the peak."
        )
    elif not film.frames:
        voice.warn("Stopped before a second of film was done: there is nothing to go on from.")
    else:
        where = f" {film.path} is the film so far." if film.path else ""
        voice.warn(f"Stopped after frame {film.frames}.{where} --resume goes on.")
    for name, value in film.measures.items():
        voice.say(f"  {name} {value:.4g}: {FILM_MEASURES.get(name, '')}")
    if film.path:
        voice.result(str(film.path))
    voice.data(
        {
            "output": str(film.path) if film.path else None,
            "frames": film.frames,
            "seconds": film.seconds,
            "fps": film.fps,
            "measures": dict(film.measures),
            "warnings": list(recipe.warnings),
            "recipe": dataclasses.asdict(recipe),
        }
    )


def _beside(output: Path) -> Path:
    """Where a preview of an output goes."""
    if is_pictures(str(output)):
        return output.parent.with_name(f"{output.parent.name}.preview.png")
    return output.with_name(f"{output.stem}.preview.png")
