"""The one picture type that travels through the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

_BLANK_PREFIX = "blank "


class Raster(Protocol):
    """Pixels that may lie in memory or on disk: float32 in 0..1, taken a window at a time.

    An array is one, and so is :class:`~impasto.pictures.DiskArray`. ``np.asarray(raster)`` gives
    all of it in memory. A window is to be read only: it may share the memory of its raster.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, 3), or (height, width) for alpha."""
        ...

    def __getitem__(self, window: tuple[slice, slice], /) -> Pixels: ...

    def __array__(self, dtype: None = None, /, *, copy: bool | None = None) -> Pixels: ...


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory or, if it is large, on disk; always upright and in sRGB.

    Attributes:
        pixels: float32, shape (height, width, 3), non-linear sRGB, range 0..1.
        alpha: float32, shape (height, width), 0 transparent .. 1 opaque; None if opaque.
        name: the path as the user gave it, or a short description for a picture from memory.
        sha256: of the file's bytes, or of the pixel bytes for a picture from memory.
        bits: bits per channel of the source, 8 or 16: what an output should have to lose nothing.
        notes: what was done on the way in that a user may want to know
            ("converted from Adobe RGB (1998)", "turned upright").
    """

    pixels: Raster
    alpha: Raster | None = None
    name: str = "picture"
    sha256: str = ""
    bits: int = 8
    notes: tuple[str, ...] = field(default=())

    @property
    def is_blank(self) -> bool:
        """Whether it is only a size, as :func:`blank_picture` makes it."""
        return self.sha256.startswith(_BLANK_PREFIX)

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def long_side(self) -> int:
        return max(self.height, self.width)


def blank_picture(width: int, height: int) -> Picture:
    """A picture that is only a size, in pixels; for methods that make the content from words."""
    pixels = np.broadcast_to(np.float32(0.5), (height, width, 3))
    name = f"{width}x{height}"
    return Picture(pixels, name=name, sha256=f"{_BLANK_PREFIX}{name}")
