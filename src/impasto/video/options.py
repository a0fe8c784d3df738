"""How a film is made, beside what is painted in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from impasto.core.errors import KnobError


@dataclass(frozen=True)
class VideoOptions:
    """How a film is made, beside what :func:`impasto.pipeline.make_request` takes.

    Attributes:
        start, end: the part of the source that is painted, in seconds; None is its end.
        fps: pictures a second, of numbered pictures and stills; None is 25.
        seconds: how long a still is seen.
        stability: how much a frame holds on to those before it: 0, every one by itself, to 1.
        flow: who finds the motion: "auto", "none", "dis", or a checkpoint of RAFT.
        detect_shots: whether cuts are looked for; each begins anew.
        loop: whether the end flows into the beginning.
        fade_in: whether the painting is faded in over the whole film.
        side_by_side: whether the source is shown to the left.
        encoding_quality: crf of H.264 and VP9, 0 (best) to 51.
        lossless: every frame exactly, of 8 bits.
        audio: whether the sound is copied.
    """

    start: float = 0.0
    end: float | None = None
    fps: float | None = None
    seconds: float | None = None
    stability: float = 1.0
    flow: str = "auto"
    detect_shots: bool = True
    loop: bool = False
    fade_in: bool = False
    side_by_side: bool = False
    encoding_quality: int = 18
    lossless: bool = False
    audio: bool = True

    def __post_init__(self) -> None:
        until = math.inf if self.end is None else self.end
        if not 0 <= self.start < until:
            raise KnobError(
                f"start = {self.start:g} and end = {until:g} leave no film: 0 <= start < end."
            )
        if self.fps is not None and not 0.1 <= self.fps <= 240:
            raise KnobError(f"fps = {self.fps:g} does not fit: it must be 0.1 to 240.")
        if self.seconds is not None and not 0 < self.seconds <= 3600:
            raise KnobError(f"seconds = {self.seconds:g} does not fit: it must be 0 to 3600.")
        if not 0 <= self.encoding_quality <= 51:
            raise KnobError(f"quality = {self.encoding_quality} does not fit: it must be 0 to 51.")
