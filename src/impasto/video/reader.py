"""Films in: any container and codec that PyAV reads become upright sRGB frames with their times."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.core.errors import InputError
from impasto.core.picture import Pixels
from impasto.pictures import fit_long_side
from impasto.pictures.decode import stream_sha256
from impasto.video._av import pyav
from impasto.video.source import Frame, VideoInfo, VideoSource, as_fraction

FORMATS = {
    (8, False): "rgb24",
    (8, True): "rgba",
    (16, False): "rgb48le",
    (16, True): "rgba64le",
}
"""(bits, alpha) → the layout in which frames leave libswscale."""
MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""Color matrix as a file has it (H.273, table 4) → libswscale's name."""
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer functions of more than sRGB's range (H.273, table 3)."""
EXACT = 0x40000 | 0x2000
"""SWS_ACCURATE_RND and SWS_FULL_CHR_H_INT of libswscale, which PyAV before 18 has no names for."""
HD_WIDTH, HD_HEIGHT = 1280, 576
"""From this width, or above this height, a film that names no matrix has that of BT.709."""
SHORT = 0.5
"""Seconds that may be missing at the end of a film before it counts as cut off."""


class VideoFile(VideoSource):
    """A film file.

    Rotation and mirroring are applied, pixels are made square, and the matrix and range that the
    file names are used; with more than 8 bits, all are read. Of several video streams the first
    is taken. Damaged places are left out, and told of in ``remarks``.

    Args:
        path: the file.
        start, end: the part that is taken, in seconds; None is the film's end.
        size: long side of the frames in pixels; None is as they are.

    Raises:
        InputError: a file that is missing, no film, damaged, without video or with nothing in
            the part; or in a codec that is not built in.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(
        self, path: str, *, start: float = 0.0, end: float | None = None, size: int | None = None
    ) -> None:
        super().__init__()
        self.path = path
        self._start, self._end = as_fraction(start), None if end is None else as_fraction(end)
        with _readable(path), Path(path).open("rb", buffering=0) as file:
            digest = stream_sha256(file)
        with self._opened() as (container, stream):
            sound = tuple(_codec(each) for each in container.streams.audio)
            unit = Fraction(stream.time_base)
            rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            zero = (stream.start_time or 0) * unit
            aspect = Fraction(stream.sample_aspect_ratio or 1)
            whole = _duration(container, stream)
        with contextlib.closing(self._decoded()) as decoded:
            found = next(decoded, None)
        if found is None:
            raise InputError(
                f"{path} has no frame from {float(self._start):g} s on: it is "
                f"{float(whole):.2f} s long, or damaged there."
            )
        time, frame = found
        self._first, self.origin = time, zero + time
        self._turn = _rotation_of(frame)
        bits = 16 if any(c.bits > 8 for c in frame.format.components) else 8
        alpha = any(c.is_alpha for c in frame.format.components) or frame.format.name == "pal8"
        self._layout = FORMATS[bits, alpha]
        self._scaled = _size_of(frame, aspect, size, self._turn)
        height, width = self._scaled[::-1] if self._turn[0] else self._scaled
        until = whole if self._end is None else min(whole, self._end)
        self.info = VideoInfo(
            name=path,
            sha256=digest,
            height=height,
            width=width,
            rate=rate,
            unit=unit,
            seconds=max(until - time, 1 / rate),
            bits=bits,
            alpha=alpha,
            sound=sound,
            notes=tuple(_notes(frame, self._turn, aspect)),
        )

    def frames(self) -> Iterator[Frame]:
        last = Fraction(-1)
        for time, frame in self._decoded():
            time -= self._first
            if time <= last:  # two frames at one time, or a clock that ran back
                time = last + self.info.unit
            last = time
            pixels, alpha = self._pixels(frame)
            yield Frame(pixels, time, alpha)
        missing = self.info.seconds - last - 1 / self.info.rate
        if missing > SHORT:
            self.remarks.append(
                f"The last frame of {self.path} comes {float(missing):.1f} s before the end that "
                "it names: it may have been cut off."
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        with _readable(self.path), pyav().open(self.path, metadata_errors="replace") as container:
            streams = [s for s in container.streams.video if not _is_cover(s)]
            if not streams:
                what = "sound but no picture" if container.streams.audio else "no video in it"
                raise InputError(f"{self.path} has {what}: give a film, or a fresh copy of it.")
            if streams[0].codec_context is None:
                raise InputError(
                    f"{self.path} is in a codec that PyAV was not built with: convert it to H.264 "
                    "first, with the program that made it."
                )
            streams[0].thread_type = "AUTO"
            yield container, streams[0]

    def _decoded(self) -> Generator[tuple[Fraction, Any], None, None]:
        """The frames of the part with their times in seconds; damaged ones are left out."""
        av = pyav()
        with self._opened() as (container, stream):
            unit = Fraction(stream.time_base)
            zero = (stream.start_time or 0) * unit
            if self._start:
                container.seek(int((zero + self._start) / unit), stream=stream)
            step = 1 / Fraction(stream.average_rate or 25)
            time = self._start - step
            damaged = 0
            for packet in _until_error(container.demux(stream)):
                try:
                    found = packet.decode()
                except (av.error.InvalidDataError, av.error.EOFError):
                    damaged += bool(packet.size)
                    continue
                for frame in found:
                    time = time + step if frame.pts is None else frame.pts * unit - zero
                    if self._end is not None and time >= self._end:
                        self._tell(damaged)
                        return
                    if time >= self._start:
                        yield time, frame
            self._tell(damaged)

    def _tell(self, damaged: int) -> None:
        if damaged:
            self.remarks.append(f"{self.path} is damaged: {damaged} frames are left out.")

    def _pixels(self, frame: Any) -> tuple[Pixels, Pixels | None]:
        av = pyav()
        way = av.video.reformatter.Interpolation
        sizes = (frame.height, frame.width), self._scaled
        array = frame.reformat(
            height=self._scaled[0],
            width=self._scaled[1],
            format=self._layout,
            src_colorspace=_color_matrix(frame),
            src_color_range="JPEG" if _is_full(frame) else "MPEG",
            dst_color_range="JPEG",
            interpolation=int(way.BICUBIC if sizes[0] == sizes[1] else way.LANCZOS) | EXACT,
        ).to_ndarray()
        top = np.float32(65535 if array.dtype == np.uint16 else 255)
        upright = np.ascontiguousarray(_rotate(array, self._turn)).astype(np.float32) / top
        if array.shape[2] == 3:
            return upright, None
        return np.ascontiguousarray(upright[:, :, :3]), upright[:, :, 3]


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """What PyAV and the system say of a file, in our words."""
    av = pyav()
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"Cannot read {path}: there is no such file; check its name.") from error
    except PermissionError as error:
        raise InputError(
            f"Cannot read {path}: you may not read it; chmod u+r gives the right."
        ) from error
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        empty = os.path.exists(path) and os.path.getsize(path) == 0  # noqa: PTH110, PTH202
        what = "the file is empty" if empty else "it is no film, or cut off or damaged"
        raise InputError(f"Cannot read {path}: {what}; take a fresh copy.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"Cannot read {path}: the system says {error.strerror!r}.") from error


def _until_error(packets: Iterator[Any]) -> Iterator[Any]:
    """The packets up to where the file is cut off."""
    av = pyav()
    with contextlib.suppress(av.error.InvalidDataError, av.error.EOFError):
        yield from packets


def _codec(stream: Any) -> str:
    return str(stream.codec_context.name) if stream.codec_context else "an unknown codec"


def _is_cover(stream: Any) -> bool:
    """Whether a video stream is the picture on a record's sleeve."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def _duration(container: Any, stream: Any) -> Fraction:
    """Seconds of video, as the file says, or as its packets do."""
    unit = Fraction(stream.time_base)
    if stream.duration:
        return Fraction(stream.duration * unit)
    named = Fraction(container.duration or 0, 1_000_000)
    if named and len(container.streams) == 1:
        return named
    ends: dict[int, Fraction] = {}
    for packet in _until_error(container.demux()):
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
            ends[packet.stream.index] = max(end, ends.get(packet.stream.index, end))
    if named - max(ends.values(), default=Fraction(0)) > SHORT:  # cut off
        return named
    return ends.get(stream.index, Fraction(0)) - (stream.start_time or 0) * unit


def _rotation_of(frame: Any) -> tuple[bool, bool, bool]:
    """From the display matrix: swap the axes, then mirror left and right, then top and bottom.

    A pixel at (x, y) is to be seen at (a x + c y, b x + d y), y downwards.
    """
    found = next((d for d in frame.side_data if d.type.name == "DISPLAYMATRIX"), None)
    if found is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(found, np.int32)[:5].tolist()
    swap = abs(b) > abs(a)
    return (True, c < 0, b < 0) if swap else (False, a < 0, d < 0)


def _rotate(array: Any, turn: tuple[bool, bool, bool]) -> Any:
    swap, across, down = turn
    array = array.swapaxes(0, 1) if swap else array
    return array[:: -1 if down else 1, :: -1 if across else 1]


def _size_of(
    frame: Any, aspect: Fraction, size: int | None, turn: tuple[bool, bool, bool]
) -> tuple[int, int]:
    """(height, width) before the turn: pixels made square, then fitted to ``size``."""
    height, width = frame.height, frame.width
    width, height = (
        (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
    )
    if size is None:
        return height, width
    if turn[0]:
        fitted = fit_long_side(width, height, size)
        return fitted[1], fitted[0]
    return fit_long_side(height, width, size)


def _color_matrix(frame: Any) -> str:
    """The color matrix that the frame names, or the usual one of its size."""
    usual = frame.width >= HD_WIDTH or frame.height > HD_HEIGHT
    return MATRICES.get(int(frame.colorspace), "ITU709" if usual else "ITU601")


def _is_full(frame: Any) -> bool:
    """Whether 0 is black and 255 is white, instead of 16 and 235."""
    named = int(frame.color_range)
    return named == 2 or (named == 0 and frame.format.name.startswith("yuvj"))


def _notes(frame: Any, turn: tuple[bool, bool, bool], aspect: Fraction) -> Iterator[str]:
    if any(turn):
        yield "turned upright"
    if aspect != 1:
        yield "its pixels were made square"
    if frame.interlaced_frame:
        yield "it is interlaced, and its combs will be painted: deinterlace it first"
    if (curve := HDR_TRANSFERS.get(int(frame.color_trc))) is not None:
        yield f"it is HDR ({curve}) and read as if it were not, so it may look flat"
