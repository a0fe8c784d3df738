"""Pictures of a painting as it develops, and their animation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from impasto.core.errors import InputError
from impasto.core.picture import Raster
from impasto.core.plan import Setting
from impasto.core.progress import Tick
from impasto.pictures import animation, fit_long_side, resize, write

FRAME = re.compile(r"impasto-\d{4}\.png")
ANIMATION = "animation.webp"
LONGEST = 1024
"""Long side of a preview in pixels: enough to see, and quick to write."""
FPS = 8.0


def frame_name(number: int) -> str:
    """The file name of the picture of that number."""
    return f"impasto-{number:04d}.png"


class Preview:
    """A watch that writes numbered pictures; a full disk costs a warning, never the painting.

    Args:
        folder: where to; made if it is missing.
        every: percent of the work between two pictures.
        setting: the painting's size; coarser stages are shown at the same size.
        go_on: number on from the pictures that are there, instead of replacing them.
        warn: told once if a picture cannot be written.
    """

    def __init__(
        self, folder: Path, every: float, setting: Setting, go_on: bool, warn: Callable[[str], None]
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._every, self._warn = folder, every / 100, warn
        side = min(LONGEST, max(setting.height, setting.width))
        self._size = fit_long_side(setting.height, setting.width, side)
        self._next: float | None = None if go_on else 0.0
        self._broken = False
        self.frames = sorted(p for p in folder.iterdir() if FRAME.fullmatch(p.name))
        if not go_on:
            for path in self.frames:
                path.unlink()
            self.frames = []

    def __call__(self, tick: Tick) -> None:
        if self._next is None:  # going on: the last picture is of about now
            self._next = self._after(tick.share)
        if self._next <= tick.share < 1:
            self._add(tick.picture())
            self._next = self._after(tick.share)

    def finish(self, painting: Raster) -> None:
        """The last picture is the painting itself."""
        self._add(painting)

    def animate(self) -> Path:
        """Write the animation of all pictures.

        Raises:
            InputError: it cannot be written.
        """
        path = self._folder / ANIMATION
        animation(self.frames, path, FPS)
        return path

    def _after(self, share: float) -> float:
        return (math.floor(share / self._every + 1e-9) + 1) * self._every

    def _add(self, pixels: Raster) -> None:
        if self._broken:
            return
        path = self._folder / frame_name(len(self.frames) + 1)
        try:
            write(resize(pixels, *self._size), path)
        except InputError as error:
            self._broken = True
            self._warn(f"No more previews: {error}")
        else:
            self.frames.append(path)
