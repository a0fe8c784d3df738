"""Films by AnimateDiff, which paints windows of frames at once: it reads ahead of what it is asked.

The frames of a shot are sampled along the film
(:class:`impasto.engines.diffusion.temporal_windows.WindowedSampler`), so
that memory does not grow with its length. Where the content is only a size, there is a film of so
many empty frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from impasto.core.errors import InputError, KnobError
from impasto.core.picture import Picture, Pixels, blank_picture
from impasto.core.plan import Plan
from impasto.core.request import Request
from impasto.engines.diffusion.animatediff import AnimateDiffModel
from impasto.engines.diffusion.video_shot import ShotSampler
from impasto.methods.animatediff import AnimateDiff
from impasto.pictures import fit_long_side, resize
from impasto.pipeline import color_preservation
from impasto.video.shot_detection import detect_shots
from impasto.video.source import Frame, VideoInfo, VideoSource, as_fraction

FPS = Fraction(8)
"""Frames a second of motion as the adapters have learnt it."""
SECONDS = 2.0
"""How long a film from words is where nothing says otherwise: a window."""
SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")


def is_size(content: str) -> bool:
    """Whether a content is only a size, as "512x512"."""
    return bool(SIZE.fullmatch(content)) and not Path(content).exists()


class EmptySource(VideoSource):
    """A film of which there is only a size and a length, to be made from words.

    Args:
        name: the size, as "512x288".
        fps: frames a second; None is 8.
        seconds: how long it is; None is 2.
        size: long side of the frames in pixels; None is as the name says.
    """

    def __init__(
        self, name: str, *, fps: Fraction | None, seconds: float | None, size: int | None
    ) -> None:
        super().__init__()
        match = SIZE.fullmatch(name)
        assert match is not None
        width, height = int(match[1]), int(match[2])
        height, width = fit_long_side(height, width, size or max(height, width))
        rate = fps or FPS
        count = max(1, round(as_fraction(SECONDS if seconds is None else seconds) * rate))
        self.picture = blank_picture(width, height)
        self.info = VideoInfo(
            name=name,
            sha256=self.picture.sha256,
            height=height,
            width=width,
            rate=rate,
            unit=1 / rate,
            seconds=count / rate,
        )
        self._count = count

    def frames(self) -> Iterator[Frame]:
        pixels = np.array(self.picture.pixels)
        for i in range(self._count):
            yield Frame(pixels, i / self.info.rate)


class DiffusionStylizer:
    """Paints a film; see :class:`impasto.video.runner.FrameStylizer`.

    Args:
        request: whose content is any frame of the film.
        plan: for it.
        source: the film, to be read ahead; not that which the loop reads.
        find: whether the film's cuts are looked for.
    """

    def __init__(self, request: Request, plan: Plan, *, source: VideoSource, find: bool) -> None:
        assert isinstance(request.method, AnimateDiff)
        self._request, self._plan, self._method = (
            color_preservation.preprocess(request),
            plan,
            request.method,
        )
        self._source, self._find = source, find
        self._size = plan.setting.height, plan.setting.width
        self._painted, self._start, self._windows = 0, 0, 0
        self._most: int | None = None
        self._film: _LookAhead | None = None
        self._shot: ShotSampler | None = None
        self._kept: AnimateDiffModel | None = None
        self._tick: Callable[[float], None] = lambda _: None

    @property
    def digests(self) -> Mapping[str, str]:
        """The weights in use, name → sha256; fetched if need be, but not loaded."""
        return {} if self._method.returns_content(self._request) else self._animator.files

    def set_callback(self, tick: Callable[[float], None]) -> None:
        """Call this after every window, with the share of the work that is done."""
        self._tick = tick

    def preview_frame(self, number: int, frame: Pixels) -> Pixels:
        """Paint the frame of that number as the first of a film that is a single window."""
        self.load_state_dict({})
        self._painted, self._most = number, self._method.window
        self.start_shot()
        return self(frame)

    @property
    def _animator(self) -> AnimateDiffModel:
        if self._kept is None:
            self._kept = AnimateDiffModel(self._method.animation_config(self._request, self._plan))
        return self._kept

    def start_shot(self) -> None:
        """A new shot starts."""
        self._start, self._shot = self._painted, None

    def __call__(self, frame: Pixels) -> Pixels:
        """Paint the next frame of the film."""
        if frame.shape[:2] != self._size:
            frame = np.asarray(resize(frame, *self._size))
        if self._method.returns_content(self._request):
            return frame
        if self._shot is None:
            self._shot = self._begun()
        latents = self._shot(self._painted - self._start)
        painted = self._animator.decode_frame(latents, self._size)
        self._painted += 1
        now = replace(self._request, content=Picture(frame))
        if self._request.content.is_blank:
            return painted
        return np.asarray(color_preservation.postprocess(painted, now))

    def _begun(self) -> ShotSampler:
        """The shot that is at hand."""
        if self._film is None or self._film.at != self._start:
            self._film = _LookAhead(self._source, self._find, self._start)
        self._film.open(self._most)
        return ShotSampler(
            self._animator, self._start, self._film.read_until, self._film.frame, self._window_done
        )

    def _window_done(self) -> None:
        self._windows += 1
        stride = self._method.window - self._method.overlap
        expected = self._animator.steps * max(1, -(-self._source.info.frames // stride))
        self._tick(min(1.0, self._windows / expected))

    def state_dict(self) -> Mapping[str, Any]:
        """All that the next frame needs: tensors and numbers."""
        found: dict[str, Any] = {
            "painted": self._painted, "start": self._start, "windows": self._windows
        }  # fmt: skip
        return found | ({"shot": self._shot.state()} if self._shot else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`; of an empty one: begin the film anew."""
        self._painted, self._start = state.get("painted", 0), state.get("start", 0)
        self._windows, self._most = state.get("windows", 0), None
        self._shot = self._film = None
        if "shot" in state:
            self._shot = self._begun()
            self._shot.restore(state["shot"])


class _LookAhead:
    """The frames of a film from a number on, shot by shot, read as far as they are asked for."""

    def __init__(self, source: VideoSource, find: bool, start: int) -> None:
        self._frames = islice(detect_shots(source.frames(), find), start, None)
        self._next: tuple[Frame, bool] | None = next(self._frames, None)
        self.at, self.taken = start, 0
        self._read: list[Pixels] = []
        self._most: int | None = None
        self._first = True

    def open(self, most: int | None) -> None:
        """The shot of the next frame begins; it has so many frames at most."""
        self.taken, self._read, self._most, self._first = 0, [], most, True

    def read_until(self, number: int) -> bool:
        """Whether the shot has a frame of that number."""
        if self._most is not None and number >= self._most:
            return False
        while self.taken + len(self._read) <= number:
            if self._next is None or (self._next[1] and not self._first):
                return False
            self._first = False
            self._read.append(self._next[0].pixels)
            self.at += 1
            self._next = next(self._frames, None)
        return True

    def frame(self, number: int) -> Pixels:
        """A frame of the shot; each is asked for once, in order."""
        if number != self.taken or not self.read_until(number):
            raise InputError(f"The film changed while it was painted: frame {number} is missing.")
        self.taken += 1
        return self._read.pop(0)


def make_diffusion_stylizer(
    request: Request, plan: Plan, source: VideoSource, find: bool, stability: float, flow: str
) -> DiffusionStylizer:
    """The brush, if the settings fit it.

    Raises:
        KnobError: they do not.
    """
    if stability != 1 or flow not in ("auto", "none"):
        raise KnobError("animatediff finds the motion itself: leave --stability and --flow.")
    return DiffusionStylizer(request, plan, source=source, find=find)
