"""Numbered pictures as a film, and a still that is looked at for a while."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from impasto.core.errors import InputError, KnobError
from impasto.core.picture import Picture, Pixels
from impasto.pictures import fit_long_side, read, resize
from impasto.video.source import Frame, VideoInfo, VideoSource, as_fraction

NUMBER = re.compile(r"%0?(\d*)d")
"""Where the number stands in a pattern, as in "%05d.png"."""
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".heic", ".heif"}
FPS = Fraction(25)
"""Frames a second where nothing says otherwise."""


class ImageSequence(VideoSource):
    """Pictures, one after another, or a still.

    Args:
        name: as the user gave it: a pattern as "frames/%05d.png", a folder, or a picture.
        fps: pictures a second.
        start, end: the part that is taken, in seconds.
        size: long side of the frames in pixels; None is as they are.
        seconds: how long a still is seen.

    Raises:
        InputError: no pictures there, or pictures of several sizes.
        KnobError: a still without seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        fps: Fraction | None = None,
        start: float = 0.0,
        end: float | None = None,
        size: int | None = None,
        seconds: float | None = None,
    ) -> None:
        super().__init__()
        rate = FPS if fps is None else fps
        files = list_frames(name)
        if is_still_image(name):
            if seconds is None:
                raise KnobError(f"{name} is a still: say how long the film is to be, --seconds 4.")
            files = files * max(1, round(as_fraction(seconds) * rate))
        first = math.ceil(as_fraction(start) * rate)
        until = len(files) if end is None else math.ceil(as_fraction(end) * rate)
        self._files = files[first:until]
        if not self._files:
            length = float(len(files) / rate)
            raise InputError(f"{name} has no picture there: it is {length:g} s long.")
        self._seen: tuple[Path, Picture] | None = None
        picture = self._read(self._files[0])
        shape = picture.height, picture.width
        self._size = fit_long_side(*shape, max(shape) if size is None else size)
        self.info = VideoInfo(
            name=name,
            sha256=_digest(files),
            height=self._size[0],
            width=self._size[1],
            rate=rate,
            unit=1 / rate,
            seconds=len(self._files) / rate,
            bits=picture.bits,
            alpha=picture.alpha is not None,
            notes=picture.notes,
        )
        self._shape = shape

    def frames(self) -> Iterator[Frame]:
        for i, path in enumerate(self._files):
            picture = self._read(path)
            if (picture.height, picture.width) != self._shape:
                raise InputError(
                    f"{path} is {picture.width} x {picture.height} px, and the first picture "
                    f"{self._shape[1]} x {self._shape[0]}: they must be alike."
                )
            yield Frame(self._sized(picture.pixels), i / self.info.rate, self._alpha(picture))

    def _read(self, path: Path) -> Picture:
        """A picture; a still is read once."""
        if self._seen is None or self._seen[0] != path:
            self._seen = path, read(path)
        return self._seen[1]

    def _sized(self, pixels: object) -> Pixels:
        return np.asarray(resize(np.asarray(pixels, np.float32), *self._size))

    def _alpha(self, picture: Picture) -> Pixels | None:
        if not self.info.alpha:
            return None
        if picture.alpha is None:
            return np.ones(self._size, np.float32)
        return self._sized(picture.alpha)


def is_image_sequence(name: str) -> bool:
    """Whether a name means pictures instead of a film."""
    return bool(NUMBER.search(Path(name).name)) or Path(name).is_dir() or is_still_image(name)


def is_still_image(name: str) -> bool:
    """Whether a name is that of a single picture."""
    return Path(name).suffix.lower() in SUFFIXES and not NUMBER.search(Path(name).name)


def list_frames(name: str) -> list[Path]:
    """The pictures that a name means, in the order of their numbers.

    Raises:
        InputError: there are none.
    """
    path = Path(name)
    if path.is_dir():
        found = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
        if not found:
            raise InputError(f"There are no pictures in {name}: give a film or numbered pictures.")
        return sorted(found, key=_number_key)
    if not (match := NUMBER.search(path.name)):
        return [path]
    wanted = _names(path.name, match)
    beside = path.parent.iterdir() if path.parent.is_dir() else iter(())
    numbered = [(int(m[1]), p) for p in beside if (m := wanted.fullmatch(p.name))]
    if not numbered:
        raise InputError(f"There are no pictures as {name}: check the pattern.")
    return [p for _, p in sorted(numbered)]


def has_frame_number(pattern: str, picture: Path) -> bool:
    """Whether the name of a picture is one of those that a pattern stands for."""
    name = Path(pattern).name
    match = NUMBER.search(name)
    return bool(match and _names(name, match).fullmatch(picture.name))


def _names(name: str, match: re.Match[str]) -> re.Pattern[str]:
    """What the names of a pattern look like; the number is their first group."""
    digits = rf"(\d{{{int(match[1])},}})" if match[1] else r"(\d+)"
    return re.compile(re.escape(name[: match.start()]) + digits + re.escape(name[match.end() :]))


def frame_path(pattern: str, number: int) -> Path:
    """The picture of a number in a pattern."""
    path = Path(pattern)
    match = NUMBER.search(path.name)
    assert match is not None
    digits = f"{number:0{int(match[1] or 1)}d}"
    return path.with_name(path.name[: match.start()] + digits + path.name[match.end() :])


def _number_key(path: Path) -> list[tuple[int, str]]:
    """A key that puts 9 before 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def _digest(files: Sequence[Path]) -> str:
    """One sha256 for the bytes of several files."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()
