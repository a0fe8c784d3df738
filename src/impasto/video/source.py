"""What is painted, frame after frame: a film, numbered pictures, or a still."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np

from impasto.core.picture import Pixels

LOOP = Fraction(1, 2)
"""Seconds at the end of a loop that cross over to its beginning."""


def as_fraction(seconds: float) -> Fraction:
    """A time as it was written, to the microsecond."""
    return Fraction(seconds).limit_denominator(1_000_000)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a film.

    Attributes:
        pixels: float32 (height, width, 3), sRGB 0..1, upright.
        time: seconds since the first frame of what is painted, in whole units of the source;
            below 0 for what is painted but not shown.
        alpha: float32 (height, width), 0..1, or None.
    """

    pixels: Pixels
    time: Fraction
    alpha: Pixels | None = None


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a source before it is read to its end.

    Attributes:
        name: as the user gave it.
        sha256: of its bytes.
        height, width: of the frames, in pixels.
        rate: frames a second, on average.
        unit: of its time stamps, in seconds.
        seconds: how long it is, at a guess.
        bits: per channel, 8 or 16.
        alpha: whether the frames have it.
        sound: the codecs of its sound tracks.
        notes: what was done on the way in that a user may want to know.
    """

    name: str
    sha256: str
    height: int
    width: int
    rate: Fraction
    unit: Fraction
    seconds: Fraction
    bits: int = 8
    alpha: bool = False
    sound: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames are expected, at least 1."""
        return max(1, round(self.seconds * self.rate))


class VideoSource(ABC):
    """Something with frames.

    Attributes:
        info: what is known of it.
        remarks: what was found wrong while it was read, one sentence each.
        origin: the time of its first frame in the clock of its sound, in seconds.
    """

    info: VideoInfo
    origin = Fraction(0)

    def __init__(self) -> None:
        self.remarks: list[str] = []

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """All frames from the first on, the same every time.

        Raises:
            InputError: a file that cannot be read.
        """


class LoopedSource(VideoSource):
    """A source whose end flows into its beginning.

    The first half second is not shown. Over the last half second it is faded in, so that after
    the last frame the one that is shown first comes as it came in the source.
    """

    def __init__(self, source: VideoSource) -> None:
        super().__init__()
        self._source, self.remarks = source, source.remarks
        facts = source.info
        self.length = max(1, min(round(LOOP * facts.rate), (facts.frames - 1) // 2))
        usual = self.length / facts.rate
        self._lead = next((f.time for f in islice(source.frames(), self.length, None)), usual)
        self.origin = source.origin + self._lead
        self.info = dataclasses.replace(facts, seconds=facts.seconds - self._lead)

    def frames(self) -> Iterator[Frame]:
        first: list[Frame] = []
        last: deque[Frame] = deque()
        for frame in self._source.frames():
            if len(first) < self.length:
                first.append(frame)
                yield dataclasses.replace(frame, time=frame.time - self._lead)
                continue
            last.append(dataclasses.replace(frame, time=frame.time - self._lead))
            if len(last) > self.length:
                yield last.popleft()
        others = first[len(first) - len(last) :]
        for i, (frame, other) in enumerate(zip(last, others, strict=True), start=1):
            share = np.float32(i / (len(last) + 1))
            mixed = frame.pixels + share * (other.pixels - frame.pixels)
            yield dataclasses.replace(frame, pixels=mixed)
