"""Films out: parts that are encoded by themselves, and joined with the sound they came with.

A part begins with a key frame and has no frame that is shown in another order than it is stored
(no B-frames), so that parts follow each other as they are. In a part, and in a film of it, every
frame has the time that it had in the source; Matroska and WebM round it to a millisecond.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.core.errors import InputError
from impasto.core.picture import Pixels
from impasto.pictures import atomic_write
from impasto.video._av import pyav
from impasto.video.source import VideoInfo

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Suffix → what PyAV calls the container."""
BT709, LIMITED = 1, 1
"""Matrix, primaries and transfer of every film (H.273), and its range: what players expect."""


@dataclass(frozen=True)
class EncodingOptions:
    """How frames become a film.

    Attributes:
        container: "mp4", "mov", "matroska" or "webm".
        quality: the encoder's crf: 0 is best; 18 can hardly be told from the frames.
        lossless: keep every 8-bit frame exactly.
        rate: frames a second, on average.
        unit: of the time stamps, in seconds.
    """

    container: str
    quality: int
    lossless: bool
    rate: Fraction
    unit: Fraction

    @property
    def codec(self) -> str:
        """The encoder's name."""
        if self.container == "webm":
            return "libvpx-vp9"
        return "libx264rgb" if self.lossless else "libx264"

    @property
    def layout(self) -> str:
        """The pixel format that is encoded."""
        if self.lossless:
            return "gbrp" if self.container == "webm" else "rgb24"
        return "yuv420p"

    def options(self) -> dict[str, str]:
        """What the encoder is told."""
        if self.container == "webm":
            usual = {"deadline": "good", "cpu-used": "5", "row-mt": "1", "lag-in-frames": "0"}
            if self.lossless:
                return {**usual, "lossless": "1"}
            return {**usual, "crf": str(self.quality), "b": "0"}
        usual = {"preset": "veryfast", "bf": "0"}
        return {**usual, **({"qp": "0"} if self.lossless else {"crf": str(self.quality)})}


class EncodedSegment:
    """A piece of film that is being encoded, in memory."""

    def __init__(self, coding: EncodingOptions) -> None:
        self._coding, self._data = coding, io.BytesIO()
        self._container = pyav().open(self._data, "w", format="nut")
        self._stream: Any = None

    def add(self, pixels: Pixels, time: Fraction) -> None:
        """The next frame, (H, W, 3) in 0..1, shown from ``time`` seconds on."""
        av, coding = pyav(), self._coding
        steps = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
        if not coding.lossless:
            steps = _even(steps)
        if self._stream is None:
            self._begin(*steps.shape[:2])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(steps), format="rgb24")
        if not coding.lossless:
            frame = frame.reformat(
                format=coding.layout,
                src_color_range="JPEG",
                dst_color_range="MPEG",
                dst_colorspace="ITU709",
            )
        elif coding.layout != "rgb24":
            frame = frame.reformat(format=coding.layout)
        frame.pts, frame.time_base = int(time / coding.unit), coding.unit
        self._container.mux(self._stream.encode(frame))

    def close(self) -> bytes:
        """All of it, as a NUT file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._data.getvalue()

    def _begin(self, height: int, width: int) -> None:
        coding = self._coding
        stream = self._container.add_stream(
            coding.codec, rate=coding.rate, options=coding.options()
        )
        stream.height, stream.width, stream.pix_fmt = height, width, coding.layout
        context = stream.codec_context
        stream.time_base = context.time_base = coding.unit
        if not coding.lossless:
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED
        self._stream = stream


@dataclass(frozen=True)
class AudioTracks:
    """The sound tracks of a film, copied packet by packet.

    Attributes:
        path: the film.
        start: where in its time the new film begins, in seconds.
        cut: whether what lies before that is left out.
        whole: whether it goes on to its own end, instead of ending with the new film.
        end: where it ends, in seconds of the new film; None is its own end.
    """

    path: str
    start: Fraction
    cut: bool = False
    whole: bool = True
    end: Fraction | None = None


def container_of(path: str) -> str:
    """The container that a name's suffix means.

    Raises:
        InputError: another suffix.
    """
    found = CONTAINERS.get(Path(path).suffix.lower())
    if found is None:
        raise InputError(
            f"Cannot write {path}: a film ends in {', '.join(CONTAINERS)}; pictures are numbered, "
            "as frames/%05d.png."
        )
    return found


def check_audio(path: str, facts: VideoInfo) -> None:
    """Refuse a container that cannot hold the sound, before the work.

    Raises:
        InputError: says which codec, and what to do.
    """
    if not facts.sound:
        return
    av = pyav()
    with av.open(io.BytesIO(), "w", format=container_of(path)) as output:
        able = output.supported_codecs
    lost = [name for name in facts.sound if name not in able]
    if lost:
        raise InputError(
            f"Cannot write {path}: it cannot hold the sound of {facts.name} ({', '.join(lost)}). "
            "Name the film .mkv, or say --no-audio."
        )


def join_segments(
    parts: Sequence[Path],
    path: Path,
    coding: EncodingOptions,
    sound: AudioTracks | None,
    comment: str,
) -> None:
    """Make one film of the parts, beside the target and renamed into place.

    Args:
        parts: at least one, in their order.
        path: the film.
        coding: of the parts.
        sound: what is heard with it.
        comment: kept inside, where :func:`read_comment` finds it.

    Raises:
        InputError: the film cannot be written; what was there before is untouched.
    """
    av = pyav()
    with atomic_write(path) as file, contextlib.ExitStack() as stack:
        output = av.open(file, "w", format=coding.container)
        try:
            output.metadata["comment"] = comment
            for packet in _interleaved(output, parts, coding, sound, stack):
                output.mux(packet)
            output.close()
        except BaseException as error:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                output.close()
            if isinstance(error, av.error.FFmpegError) and not isinstance(error, OSError):
                raise OSError(errno.EIO, str(error)) from error
            raise


def _interleaved(
    output: Any,
    parts: Sequence[Path],
    coding: EncodingOptions,
    sound: AudioTracks | None,
    stack: Any,
) -> Iterator[Any]:
    """The packets of picture and sound by their time, each with its stream of the output."""
    av = pyav()
    with av.open(str(parts[0])) as first:
        picture = output.add_stream_from_template(first.streams.video[0])
    picture.time_base = coding.unit
    streams = [_with_timestamps(_frames(parts, coding), picture)]
    if sound is not None:
        source = stack.enter_context(av.open(sound.path, metadata_errors="replace"))
        tracks = {s.index: output.add_stream_from_template(s) for s in source.streams.audio}
        streams.append(_audio_packets(source, tracks, sound))
    for _, packet in heapq.merge(*streams, key=lambda each: each[0]):
        yield packet


def read_comment(path: str) -> str | None:
    """The comment in a film, or None.

    Raises:
        InputError: no film.
    """
    av = pyav()
    try:
        with av.open(path, metadata_errors="replace") as container:
            tags = {name.lower(): text for name, text in container.metadata.items()}
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"Cannot read {path}: it is no film, or damaged.") from error
    return tags.get("comment")


def _even(steps: Any) -> Any:
    """Sides that 4:2:0 can hold: an odd one is longer by a copy of its last row or column."""
    height, width = steps.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return steps
    return np.pad(steps, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _frames(parts: Sequence[Path], coding: EncodingOptions) -> Iterator[Any]:
    """The packets of all parts, each lasting until the next one."""
    last = None
    for part in parts:
        with pyav().open(str(part)) as container:
            for packet in container.demux(container.streams.video[0]):
                if not packet.size:
                    continue
                if last is not None:
                    last.duration = packet.pts - last.pts
                    yield last
                last = packet
    if last is not None:
        last.duration = round(1 / coding.rate / last.time_base)
        yield last


def _with_timestamps(packets: Iterator[Any], stream: Any) -> Iterator[tuple[float, Any]]:
    for packet in packets:
        packet.stream = stream
        yield float(packet.pts * packet.time_base), packet


def _audio_packets(
    source: Any, tracks: dict[int, Any], sound: AudioTracks
) -> Iterator[tuple[float, Any]]:
    """The packets of the sound, with their time in the new film."""
    for packet in source.demux(source.streams.audio):
        if not packet.size or packet.pts is None:
            continue
        time = packet.pts * packet.time_base - sound.start
        if (sound.cut and time < 0) or (sound.end is not None and time >= sound.end):
            continue
        shift = round(sound.start / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        packet.stream = tracks[packet.stream.index]
        yield float(time), packet
