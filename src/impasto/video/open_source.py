"""What a name means: a film, pictures, a still, or only a size."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from impasto.core.errors import InputError, KnobError
from impasto.video.diffusion_stylizer import EmptySource, is_size
from impasto.video.image_sequence import ImageSequence, is_image_sequence, is_still_image
from impasto.video.options import VideoOptions
from impasto.video.reader import VideoFile
from impasto.video.source import LoopedSource, VideoSource


def open_source(content: str, take: VideoOptions, size: int | None) -> VideoSource:
    """The source of that name, with its frames at ``size`` pixels on the long side.

    Raises:
        InputError: it cannot be read.
        KnobError: settings that do not fit it.
    """
    if not content:  # which would be the folder at hand
        raise InputError("The film has no name: give a file, numbered pictures or a folder.")
    source: VideoSource
    fps = None if take.fps is None else Fraction(take.fps).limit_denominator(1001)
    part: dict[str, Any] = {"start": take.start, "end": take.end, "size": size}
    if is_size(content):
        if take.loop or take.fade_in or take.side_by_side or take.start or take.end is not None:
            raise KnobError(
                f"{content} is only a size: --loop, --fade-in, --side-by-side, --start and --end "
                f"are "
                "for films."
            )
        source = EmptySource(content, fps=fps, seconds=take.seconds, size=size)
    elif is_image_sequence(content):
        if take.seconds is not None and not is_still_image(content):
            raise KnobError("--seconds says how long a still is seen; for a film, say --end.")
        source = ImageSequence(content, fps=fps, seconds=take.seconds, **part)
    elif take.fps is not None or take.seconds is not None:
        raise KnobError("--fps and --seconds are for pictures: a film has its own.")
    else:
        source = VideoFile(content, **part)
    return LoopedSource(source) if take.loop else source
