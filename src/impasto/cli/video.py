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

from impasto.cli.color_flags import color_flags
from impasto.cli.console import Reporter
from impasto.cli.flags import (
    FLAG_SECTIONS,
    dataclass_from_flags,
    picture_or_region_arguments,
    reporter_flags,
    reporter_from_flags,
    request_flags,
)
from impasto.cli.knob_flags import MethodCommand, knobs_from_flags
from impasto.cli.lock import exclusive_run
from impasto.cli.plan import plan_notes
from impasto.cli.process import handle_signal, raise_interrupt
from impasto.cli.progress import ProgressBar, spinner
from impasto.cli.weights import fetch
from impasto.cli.words import format_bytes, format_duration
from impasto.core.errors import InterruptedRun, KnobError
from impasto.core.progress import EtaEstimator, ProgressEvent
from impasto.methods import get_method
from impasto.metrics.video import VIDEO_METRICS
from impasto.pictures import write
from impasto.video.image_sequence import is_image_sequence, is_still_image
from impasto.video.options import VideoOptions
from impasto.video.runner import VideoJob, VideoResult
from impasto.video.stylize_video import DEFAULT_METHOD, make_evaluator, plan_video
from impasto.weights.registry import REGISTRY

F = TypeVar("F", bound=Callable[..., Any])
REQUEST_OPTION_NAMES = (
    "seed",
    "style_weights",
    "size",
    "shrink_to_fit",
    "weights",
    "device",
    "precision",
)
DEFAULT_PROMPT_SIZE = "512x512"
"""The size of a film of which there is only a style picture."""
COLOR_OPTION_NAMES = ("keep_color", "color_strength", "color_stage", "color_mask")


class VideoCommand(MethodCommand):
    """A command with the flags of the method that ``--method`` names, for films."""

    default_method: ClassVar[str] = DEFAULT_METHOD
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Output": (
            "output",
            "encoding_quality",
            "lossless",
            "audio",
            "side_by_side",
            "preview_times",
        ),
        "Film": (
            "start",
            "end",
            "fps",
            "seconds",
            "stability",
            "flow",
            "detect_shots",
            "loop",
            "fade_in",
        ),
        **{name: FLAG_SECTIONS[name] for name in ("Picture", "Color", "Run")},
    }


def _parse_time(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
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


def _parse_times(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float]:
    found = [_parse_time(ctx, param, each) for each in value.split(",")] if value else []
    return [each for each in found if each is not None]


def _set_video_methods(command: F) -> F:
    """``--method`` as films have it."""
    for param in command.__click_params__:  # type: ignore[attr-defined]
        if isinstance(param, click.Option) and param.name == "method":
            param.default = DEFAULT_METHOD
            param.help = (
                f"fast, adain, wct, photowct, gatys or animatediff [default {DEFAULT_METHOD}]."
            )
    return command


@click.command("video", cls=VideoCommand)
@picture_or_region_arguments
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
    "--encoding-quality",
    type=int,
    default=18,
    metavar="INT",
    help="Of H.264 or VP9, its crf [0, the best, to 51; default 18].",
)
@click.option("--lossless", is_flag=True, help="Keep every frame exactly; large.")
@click.option("--audio/--no-audio", default=True, help="Copy the sound [default: yes].")
@click.option("--side-by-side", is_flag=True, help="Show the film as it was to the left.")
@click.option(
    "--preview-times",
    metavar="TIME,…",
    callback=_parse_times,
    help="Paint only the frames at these times, to a sheet beside OUT.",
)
@click.option(
    "--start",
    default="0",
    metavar="TIME",
    callback=_parse_time,
    help="Where to begin, in seconds or as 1:02.5.",
)
@click.option("--end", metavar="TIME", callback=_parse_time, help="Where to end.")
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
    "--detect-shots/--no-detect-shots",
    default=True,
    help="Look for cuts, and begin anew at each [default: yes].",
)
@click.option("--loop", is_flag=True, help="Let the end flow into the beginning.")
@click.option("--fade-in", is_flag=True, help="Fade the painting in over the whole film.")
@_set_video_methods
@request_flags
@color_flags
@click.option("--resume", is_flag=True, help="Go on with an unfinished run of OUT.")
@reporter_flags
def video(ctx: click.Context) -> int:
    """Paint the film CONTENT in the manner of STYLE, or of several, blended.

    CONTENT may also be numbered pictures (frames/%05d.png), a folder of them, or a still. Ctrl-C
    keeps the film so far, and --resume goes on with it later, also after a crash.

    --method animatediff --prompt TEXT makes a film from words: its CONTENT is a size, as 512x512,
    or is left out.
    """
    voice, flags = reporter_from_flags(ctx), ctx.params
    content, styles = _split_content_and_styles(
        flags["content"], list(flags["styles"]), flags["method"]
    )
    if flags["weights"] in REGISTRY:
        fetch(flags["weights"], voice)
    asked = {name: flags[name] for name in (*REQUEST_OPTION_NAMES, *COLOR_OPTION_NAMES)}
    with spinner(voice, "Planning"):
        job = plan_video(
            content,
            styles,
            flags["output"],
            dataclass_from_flags(VideoOptions, ctx),
            method=flags["method"],
            **asked,
            **knobs_from_flags(ctx),
        )
    _show_plan(job, voice)
    if flags["preview_times"]:
        path = _preview_path(Path(flags["output"]))
        write(job.preview(flags["preview_times"]), path)
        voice.print_result(str(path))
        voice.print_json({"preview": str(path)})
        return 0
    with exclusive_run(Path(flags["output"])), handle_signal(signal.SIGTERM, raise_interrupt):
        film = _run_job(job, flags["resume"], voice)
    _report(film, flags["output"], voice)
    return 0 if film.recipe.finished else InterruptedRun.exit_code


def _split_content_and_styles(
    content: str, styles: list[str], method: str
) -> tuple[str, list[str]]:
    """Content and styles: a still by itself is the style of a film that is made from words."""
    if styles:
        return content, styles
    if "prompt" not in get_method(method).card.supports:
        raise click.UsageError("Missing argument 'STYLE…'.")
    return (DEFAULT_PROMPT_SIZE, [content]) if is_still_image(content) else (content, [])


def _show_plan(job: VideoJob, reporter: Reporter) -> None:
    """The plan in a line, then what is worth knowing before waiting."""
    facts, plan = job.source.info, job.plan
    styles = " and ".join(Path(style.name).name for style in job.request.styles)
    manner = f"in the manner of {styles}" if styles else "from words"
    reporter.info(
        f"{Path(facts.name).name} {manner}, by {job.request.method.name}: "
        f"{format_duration(float(facts.seconds))} of {facts.width} x {facts.height} px at "
        f"{float(facts.rate):.4g} frames a second, {facts.frames} frames; "
        f"{plan.setting.precision} on {plan.setting.device}, "
        f"{_format_total_time(job)}{format_bytes(plan.forecast.peak_bytes)}."
    )
    for note in plan_notes(job.request, plan):
        reporter.info(f"  {note}")
    for warning in plan.warnings:
        reporter.warn(warning)


def _format_total_time(job: VideoJob) -> str:
    """How long it takes in all, where the plan's time is that of any frame."""
    if "prompt" not in job.request.method.card.supports:
        return ""
    return f"about {format_duration(job.source.info.frames * job.plan.forecast.seconds)}, "


def _run_job(job: VideoJob, resume: bool, reporter: Reporter) -> VideoResult:
    with ProgressBar(reporter, "Painting") as meter:
        try:
            return job.run(
                resume=resume,
                callback=_FrameProgressCallback(meter),
                gauge=make_evaluator(job),
                on_message=reporter.info,
            )
        except KeyboardInterrupt as error:  # the second one: at once
            raise InterruptedRun(
                f"Stopped at once; {job.output} was not written. --resume goes on from the last "
                "second of film that was done, if there is one."
            ) from error


class _FrameProgressCallback:
    """A callback that shows the frame, frames a second and the time left."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar, self._eta = bar, EtaEstimator()
        self._first: tuple[int, float] | None = None

    def __call__(self, event: ProgressEvent) -> None:
        if self._first is None:
            self._first = event.step, time.monotonic()
            self._eta = EtaEstimator(initial_fraction=event.fraction)
            return
        frames, seconds = event.step - self._first[0], time.monotonic() - self._first[1]
        left = self._eta.remaining(event.fraction) or 0.0
        self._bar.update(
            event.fraction,
            f"frame {event.step} of {event.steps}, {frames / max(seconds, 1e-9):.3g} frames/s, "
            f"{format_duration(left)} left",
        )


def _report(result: VideoResult, output: str, reporter: Reporter) -> None:
    recipe = result.recipe
    if recipe.finished:
        reporter.info(
            f"Painted {result.frames} frames in {format_duration(recipe.seconds)}, "
            f"{format_bytes(recipe.peak_bytes)} at the peak."
        )
    elif not result.frames:
        reporter.warn("Stopped before a second of film was done: there is nothing to go on from.")
    else:
        where = f" {result.path} is the film so far." if result.path else ""
        reporter.warn(f"Stopped after frame {result.frames}.{where} --resume goes on.")
    for name, value in result.measures.items():
        reporter.info(f"  {name} {value:.4g}: {VIDEO_METRICS.get(name, '')}")
    if result.path:
        reporter.print_result(str(result.path))
    reporter.print_json(
        {
            "output": str(result.path) if result.path else None,
            "frames": result.frames,
            "seconds": result.seconds,
            "fps": result.fps,
            "measures": dict(result.measures),
            "warnings": list(recipe.warnings),
            "recipe": dataclasses.asdict(recipe),
        }
    )


def _preview_path(output: Path) -> Path:
    """Where a preview of an output goes."""
    if is_image_sequence(str(output)):
        return output.parent.with_name(f"{output.parent.name}.preview.png")
    return output.with_name(f"{output.stem}.preview.png")
