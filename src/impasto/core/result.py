"""The result: pixels and the recipe that made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.core.picture import Raster
from impasto.core.recipe import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Result:
    """A restyled picture that can be explained and repeated.

    Attributes:
        pixels: float32 (height, width, 3), sRGB 0..1.
        alpha: float32 (height, width) from the content picture, or None.
        recipe: how it was made.
        bits: 8 or 16, what the content picture had: the depth :meth:`save` writes by default.
    """

    pixels: Raster
    alpha: Raster | None
    recipe: Recipe
    bits: int
    _write: Callable[[Result, Path, int | None, int], tuple[str, ...]]

    @property
    def image(self) -> Image:
        """The result as an 8-bit PIL image, RGB or RGBA, all of it in memory."""
        from PIL import Image

        channels = np.asarray(self.pixels)
        if self.alpha is not None:
            channels = np.dstack([channels, self.alpha])
        return Image.fromarray((channels.clip(0, 1) * 255).round().astype(np.uint8))

    def save(
        self, path: str | Path, *, bits: int | None = None, quality: int = 92
    ) -> tuple[str, ...]:
        """Write the picture with its recipe inside; the suffix names the format.

        Args:
            path: JPEG, PNG, WebP, AVIF or TIFF; replaced in one step if it exists.
            bits: 8 or 16 per channel; None takes the content picture's depth if the format can.
            quality: 1..100 for the lossy formats.

        Returns:
            Notes on what the format could not hold (alpha in a JPEG), one sentence each.

        Raises:
            InputError: the picture cannot be written there.
        """
        return self._write(self, Path(path), bits, quality)
