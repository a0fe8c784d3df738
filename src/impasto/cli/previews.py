"""Pictures of a painting as it develops, and their animation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from impasto.core.errors import InputError
from impasto.core.picture import Raster
from impasto.core.plan import ExecutionSettings
from impasto.core.progress import ProgressEvent
from impasto.pictures import fit_long_side, resize, write, write_animation

PREVIEW_FILE_PATTERN = re.compile(r"impasto-\d{4}\.png")
ANIMATION_FILE_NAME = "animation.webp"
MAX_PREVIEW_SIDE_PX = 1024
"""Long side of a preview in pixels: enough to see, and quick to write."""
ANIMATION_FPS = 8.0


def preview_file_name(number: int) -> str:
    """The file name of the picture of that number."""
    return f"impasto-{number:04d}.png"


class PreviewWriter:
    """A callback that writes numbered pictures; a full disk costs a warning, never the painting.

    Args:
        folder: where to; made if it is missing.
        interval_percent: percent of the work between two pictures.
        setting: the painting's size; coarser stages are shown at the same size.
        resume: number on from the pictures that are there, instead of replacing them.
        warn: told once if a picture cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        interval_percent: float,
        setting: ExecutionSettings,
        resume: bool,
        warn: Callable[[str], None],
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._interval_fraction, self._warn = folder, interval_percent / 100, warn
        side = min(MAX_PREVIEW_SIDE_PX, max(setting.height, setting.width))
        self._size = fit_long_side(setting.height, setting.width, side)
        self._next_fraction: float | None = None if resume else 0.0
        self._write_failed = False
        self.paths = sorted(p for p in folder.iterdir() if PREVIEW_FILE_PATTERN.fullmatch(p.name))
        if not resume:
            for path in self.paths:
                path.unlink()
            self.paths = []

    def __call__(self, event: ProgressEvent) -> None:
        if self._next_fraction is None:  # going on: the last picture is of about now
            self._next_fraction = self._fraction_after(event.fraction)
        if event.image and self._next_fraction <= event.fraction < 1:
            self._write(event.image())
            self._next_fraction = self._fraction_after(event.fraction)

    def write_final(self, image: Raster) -> None:
        """The last picture is the painting itself."""
        self._write(image)

    def animate(self) -> Path:
        """Write the animation of all pictures.

        Raises:
            InputError: it cannot be written.
        """
        path = self._folder / ANIMATION_FILE_NAME
        write_animation(self.paths, path, ANIMATION_FPS)
        return path

    def _fraction_after(self, fraction: float) -> float:
        return (math.floor(fraction / self._interval_fraction + 1e-9) + 1) * self._interval_fraction

    def _write(self, pixels: Raster) -> None:
        if self._write_failed:
            return
        path = self._folder / preview_file_name(len(self.paths) + 1)
        try:
            write(resize(pixels, *self._size), path)
        except InputError as error:
            self._write_failed = True
            self._warn(f"No more previews: {error}")
        else:
            self.paths.append(path)
