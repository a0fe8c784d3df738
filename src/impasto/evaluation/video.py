"""Measuring films: how steady a painted one is, and how much there is of the style.

Steadiness is what :mod:`impasto.metrics.temporal` measures, and the style error that of the
metric ``style_error``, as the mean over a few frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.core.errors import InputError
from impasto.metrics.temporal import TrueFlow
from impasto.metrics.video import VideoEvaluator
from impasto.ops.flow_estimation import read_flow
from impasto.ops.warping import compose_flows
from impasto.pictures import as_picture
from impasto.video.open_source import open_source
from impasto.video.options import VideoOptions
from impasto.video.shot_detection import detect_shots


@dataclass(frozen=True)
class VideoScores:
    """What was measured of a stylized video.

    Its name, how many frames, and :data:`FILM_MEASURES`.
    """

    result: str
    frames: int
    values: Mapping[str, float]


def evaluate_video(
    content: str,
    styles: Sequence[object],
    result: str,
    *,
    style_weights: Sequence[float] = (),
    flow: str = "auto",
    flow_truth: str = "",
    size: int | None = 512,
    callback: Callable[[int, int], None] | None = None,
) -> VideoScores:
    """Measure a stylized video.

    Args:
        content: the film that was painted: a file, a folder of numbered pictures, or their pattern.
        styles: pictures as :func:`impasto.stylize` takes them.
        result: the painted film, with as many frames.
        style_weights: shares of a blend.
        flow: who finds the motion in ``content``: "auto", "dis", or a checkpoint of RAFT.
        flow_truth: folder of .flo or .npz files, the true flow from every frame to the next, in
            the order of their names; "" if there is none.
        size: long side in pixels to which frames are reduced; None: that of the result.
        callback: called after every frame with the frames done, and those expected.

    Raises:
        InputError: a film that cannot be read, or two that do not go together.
        MissingExtraError: what films or flow need is not installed.
    """
    several = [as_picture(style, f"style {i}") for i, style in enumerate(styles, start=1)]
    truth = _load_true_flow(flow_truth) if flow_truth else None
    gauge = VideoEvaluator(several, style_weights, flow=flow, size=size, true_flow=truth)
    film, painting = (open_source(each, VideoOptions(), None) for each in (content, result))
    shape, other = ((f.info.height, f.info.width) for f in (film, painting))
    if abs(shape[0] * other[1] - shape[1] * other[0]) > 2 * max(*shape, *other):
        raise InputError(
            f"{result} has {other[1]} x {other[0]} px and {content} {shape[1]} x {shape[0]}: "
            "they are not of the same shape, so one is no painting of the other."
        )
    painted, originals = painting.frames(), detect_shots(film.frames())
    count = more = 0
    for frame, cut in originals:
        shown = next(painted, None)
        if shown is None:
            more = 1 + sum(1 for _ in originals)
            break
        if cut:
            gauge.start_shot()
        gauge.update(frame.pixels, shown.pixels)
        count += 1
        if callback:
            callback(count, film.info.frames)
    if count < 2:
        raise InputError(f"{result} and {content} have {count} frame in common: nothing moves.")
    if more > 1 or next(painted, None) is not None:
        raise InputError(
            f"{result} has another number of frames than {content} ({count + more}): give the part "
            "of the film that was painted."
        )
    return VideoScores(result, count, gauge.compute())


def _load_true_flow(folder: str) -> TrueFlow:
    """The true flows in a folder, joined from frame to frame."""
    files = sorted(f for f in Path(folder).glob("*") if f.suffix in (".flo", ".npz"))
    if not files:
        raise InputError(f"There is no flow in {folder}: wanted are .flo or .npz files.")

    def flow(first: int, last: int) -> Tensor | None:
        if last > len(files):
            return None
        found = read_flow(files[first])
        for file in files[first + 1 : last]:
            found = compose_flows(found, read_flow(file))
        return found

    return flow
