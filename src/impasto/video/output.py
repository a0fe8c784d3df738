"""What a film is written as: one file with its sound, or numbered pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from impasto.core.errors import InputError
from impasto.core.picture import Pixels
from impasto.core.recipe import Recipe
from impasto.pictures import check_writable, write
from impasto.pictures import write_bytes as put
from impasto.pictures.formats import max_bits
from impasto.pictures.write import check_file_writable
from impasto.video.image_sequence import NUMBER, frame_path, is_image_sequence
from impasto.video.options import VideoOptions
from impasto.video.source import Frame, VideoSource, as_fraction
from impasto.video.writer import (
    CONTAINERS,
    AudioTracks,
    EncodedSegment,
    EncodingOptions,
    check_audio,
    container_of,
    join_segments,
    read_comment,
)

SIDECAR = "impasto-recipe.json"
"""Where the recipe of numbered pictures is, beside them."""


class VideoOutput(ABC):
    """Where painted frames go.

    Attributes:
        path: the file, or the pattern of the pictures.
        encoding: what decides how they are written.
        notes: what will be lost, one sentence each.
    """

    path: Path
    encoding: object
    notes: tuple[str, ...] = ()

    @abstractmethod
    def add(self, painted: Pixels, frame: Frame, number: int) -> None:
        """The next frame, that of the source, and its number from 1 on."""

    @abstractmethod
    def close(self) -> bytes | None:
        """The part is at its end; what of it must be kept, if that is no file yet."""

    @abstractmethod
    def finish(self, parts: Sequence[Path], recipe: Recipe, seconds: float) -> Path:
        """All is painted."""

    def finish_partial(self, parts: Sequence[Path], recipe: Recipe, seconds: float) -> Path | None:
        """It was stopped: where what there is can be seen, if anything can."""
        return None

    def leftover_files(self, frames: int) -> Path | None:
        """What an earlier, longer film left there and would be taken for a part of this one."""
        return None


class FileOutput(VideoOutput):
    """A film file."""

    def __init__(
        self, path: str, source: VideoSource, coding: EncodingOptions, sound: AudioTracks | None
    ) -> None:
        self.path, self.encoding, self._sound = Path(path), coding, sound
        self._part: EncodedSegment | None = None
        facts = source.info
        odd = facts.height % 2 or facts.width % 2
        if odd and not coding.lossless:
            self.notes += (
                "a film as players take it has even sides: the last row or column is doubled",
            )
        if facts.alpha:
            self.notes += ("its transparency is lost: only pictures keep it, as out/%05d.png",)

    def add(self, painted: Pixels, frame: Frame, number: int) -> None:
        assert isinstance(self.encoding, EncodingOptions)
        self._part = self._part or EncodedSegment(self.encoding)
        self._part.add(painted, frame.time)

    def close(self) -> bytes | None:
        assert self._part is not None
        part, self._part = self._part, None
        return part.close()

    def finish(self, parts: Sequence[Path], recipe: Recipe, seconds: float) -> Path:
        self._join(parts, self.path, recipe, seconds)
        left = _partial(self.path)
        if left.is_file() and not _finished(left):
            left.unlink()
        return self.path

    def finish_partial(self, parts: Sequence[Path], recipe: Recipe, seconds: float) -> Path | None:
        """The finished parts as ``OUT.partial.mp4``; None if there are none, or no room."""
        if not parts:
            return None
        path = _partial(self.path)
        try:
            self._join(parts, path, recipe, seconds, all_sound=False)
        except InputError:
            return None
        return path

    def _join(
        self,
        parts: Sequence[Path],
        path: Path,
        recipe: Recipe,
        seconds: float,
        all_sound: bool = True,
    ) -> None:
        assert isinstance(self.encoding, EncodingOptions)
        sound = self._sound
        if sound is not None and not (all_sound and sound.whole):
            sound = replace(sound, end=as_fraction(seconds))
        join_segments(parts, path, self.encoding, sound, recipe.to_json())


class SequenceOutput(VideoOutput):
    """Numbered pictures, from 1 on, in a folder that is made if it is missing."""

    def __init__(self, pattern: str, source: VideoSource) -> None:
        self.path = Path(pattern)
        self._bits = min(source.info.bits, max_bits(pattern))
        self.encoding = ("pictures", self.path.suffix, self._bits)
        if source.info.sound:
            self.notes = ("pictures have no sound: only a film keeps it",)
        folder = self.path.parent
        first = frame_path(pattern, 1)
        check_writable(first if folder.is_dir() else folder.with_name(first.name), self._bits)

    def add(self, painted: Pixels, frame: Frame, number: int) -> None:
        self.path.parent.mkdir(exist_ok=True)
        path = frame_path(str(self.path), number)
        write(painted, path, alpha=_widened_alpha(frame.alpha, painted), bits=self._bits)

    def close(self) -> None:
        return None

    def leftover_files(self, frames: int) -> Path | None:
        next_one = frame_path(str(self.path), frames + 1)
        return next_one if next_one.exists() else None

    def finish(self, parts: Sequence[Path], recipe: Recipe, seconds: float) -> Path:
        place = self.path.parent / SIDECAR
        put(place, recipe.to_json(indent=1).encode())
        return self.path


def make_output(output: str, source: VideoSource, take: VideoOptions) -> VideoOutput:
    """What writes to ``output``.

    Raises:
        InputError: it cannot be written there, or cannot hold the sound.
    """
    if is_image_sequence(output):
        if not NUMBER.search(Path(output).name):
            raise InputError(
                f"{output} is one picture: name a film, as out.mp4, or pictures, as out/%05d.png."
            )
        return SequenceOutput(output, source)
    facts = source.info
    coding = EncodingOptions(
        container_of(output), take.encoding_quality, take.lossless, facts.rate, facts.unit
    )
    check_file_writable(output)
    sound = None
    if take.audio and facts.sound:
        check_audio(output, facts)
        whole = take.end is None and not take.loop
        cut = bool(take.start) or take.loop
        sound = AudioTracks(facts.name, source.origin, cut=cut, whole=whole)
    return FileOutput(output, source, coding, sound)


def is_video_file(path: str) -> bool:
    """Whether a name is that of a film or of numbered pictures, as this room writes them."""
    return Path(path).suffix.lower() in CONTAINERS or bool(NUMBER.search(Path(path).name))


def read_recipe(path: str) -> Recipe:
    """The recipe of a film, or of numbered pictures.

    Raises:
        InputError: no film, or one without a recipe.
    """
    if is_image_sequence(path):
        place = Path(path).parent / SIDECAR
        if not place.is_file():
            raise InputError(f"There is no {place}: these pictures have no recipe.")
        return Recipe.from_json(place.read_text("utf-8"), str(place))
    text = read_comment(path)
    if text is None or '"knobs"' not in text:
        raise InputError(
            f"{path} holds no recipe: it was not made by Impasto, or another program saved it anew."
        )
    return Recipe.from_json(text, path)


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def _finished(path: Path) -> bool:
    """Whether a film is anything but what a run of ours left when it was stopped."""
    try:
        return read_recipe(str(path)).finished
    except InputError:
        return True


def _widened_alpha(alpha: Pixels | None, painted: Pixels) -> Pixels | None:
    """The transparency of a frame, also of what is shown beside it."""
    if alpha is None or alpha.shape == painted.shape[:2]:
        return alpha
    return np.concatenate([alpha, alpha], axis=1)
