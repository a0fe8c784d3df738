"""``impasto.stylize_video``: a film in, a steady one out, with its sound and its measures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from impasto.core.progress import ProgressCallback, ignore_progress
from impasto.metrics.video import VideoEvaluator
from impasto.video.options import VideoOptions
from impasto.video.runner import VideoJob, VideoResult

DEFAULT_METHOD = "fast"
"""What paints a film unless another is asked for."""
STABLE_WEIGHTS = {"fast": "fast-stable"}
"""Method → the weights that have learnt to be stable by themselves."""
METRIC_FRAME_STEP = 12
"""Every so many frames are measured."""


def stylize_video(
    content: str | os.PathLike[str],
    styles: object | Sequence[object],
    output: str | os.PathLike[str],
    *,
    method: str = DEFAULT_METHOD,
    stability: float = 1.0,
    flow: str = "auto",
    start: float = 0.0,
    end: float | None = None,
    fps: float | None = None,
    seconds: float | None = None,
    detect_shots: bool = True,
    loop: bool = False,
    fade_in: bool = False,
    side_by_side: bool = False,
    encoding_quality: int = 18,
    lossless: bool = False,
    audio: bool = True,
    resume: bool = False,
    callback: ProgressCallback = ignore_progress,
    **request_options: Any,
) -> VideoResult:
    """Restyle a film.

    Args:
        content: a film, numbered pictures as "frames/%05d.png", a folder of them, or a still. For
            animatediff also a size, as "512x512".
        styles: one or several, as :func:`impasto.stylize` takes them.
        output: a film (.mp4, .mov, .mkv, .webm), or numbered pictures as "out/%05d.png".
        method: fast, adain, wct, photowct, gatys or animatediff.
        stability: how much a frame holds on to those before it: 0, every one by itself, to 1.
        flow: who finds the motion: "auto", "none", "dis", or a checkpoint of RAFT.
        start: where the part that is painted begins, in seconds.
        end: where it ends; None is with the film.
        fps: of numbered pictures and stills; None is 25.
        seconds: how long a still is seen.
        detect_shots: look for cuts; each begins anew.
        loop: let the end flow into the beginning.
        fade_in: fade the painting in over the whole film.
        side_by_side: show the source to the left.
        encoding_quality: crf of H.264 or VP9, 0 (best) to 51.
        lossless: keep every 8-bit frame exactly.
        audio: copy the sound.
        resume: go on with an unfinished run.
        callback: called after every frame.
        **request_options: size, seed, weights, device, precision, the colors that are kept, and the
            method's knobs, as :func:`impasto.stylize` takes them.

    Returns:
        The film. If Ctrl-C came in between, what there is of it, and ``recipe.finished`` is False.

    Raises:
        ImpastoError: a film, picture or setting that cannot be used, or a disk that is full.
    """
    take = VideoOptions(
        start=start,
        end=end,
        fps=fps,
        seconds=seconds,
        stability=stability,
        flow=flow,
        detect_shots=detect_shots,
        loop=loop,
        fade_in=fade_in,
        side_by_side=side_by_side,
        encoding_quality=encoding_quality,
        lossless=lossless,
        audio=audio,
    )
    job = plan_video(
        os.fspath(content), styles, os.fspath(output), take, method=method, **request_options
    )
    return job.run(resume=resume, callback=callback, gauge=make_evaluator(job))


def plan_video(
    content: str, styles: object, output: str, options: VideoOptions, **request_options: Any
) -> VideoJob:
    """The job, with the weights that a film is best painted with unless others are asked for."""
    stable = STABLE_WEIGHTS.get(request_options["method"], "") if options.stability > 0 else ""
    weights = request_options.pop("weights", "") or stable
    return VideoJob(content, styles, output, options, weights=weights, **request_options)


def make_evaluator(job: VideoJob) -> VideoEvaluator | None:
    """What measures a film while it is painted; None where there is nothing to compare it with."""
    if job.request.content.is_blank or not job.request.styles:
        return None
    return VideoEvaluator(
        job.request.styles, job.request.normalized_style_weights, frame_step=METRIC_FRAME_STEP
    )
