"""Tiles: a picture of any size through a network, in memory that does not grow with it.

Source: Chen, Wang, Xie, Lu & Luo, "Towards Ultra-Resolution Neural Style Transfer via Thumbnail
Instance Normalization", AAAI 2022: what a network must know of the whole picture, its features'
statistics, it takes from a thumbnail; then every tile is painted by itself. A tile is read with
a halo that is cut off again, so that no seam can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor

from impasto.core.picture import Pixels, Raster
from impasto.ops.convert import as_pixels, as_tensor
from impasto.ops.padding import PADDING_PX, can_reflect, pad

TILE_SIDE_PX = 1024
"""Side of a tile, in pixels, without its halo. A side is cut where it is 1.5 times as long."""


class TiledModel(Protocol):
    """A network as the tiles see it."""

    @property
    def align(self) -> int:
        """Sides of what it takes must be multiples of it; a divisor of 16."""
        ...

    @property
    def halo(self) -> int:
        """Pixels around a tile that still count for it; a multiple of ``align``."""
        ...

    @property
    def digests(self) -> Mapping[str, str]:
        """The weights it uses, name → sha256."""
        ...

    def statistics(self, padded: Tensor) -> Any:
        """What it must know of a whole picture (1, 3, H, W), to paint parts of it."""
        ...

    def __call__(self, padded: Tensor, statistics: Any = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W) in 0..1, or a part of one: the same size.

        Statistics are those of the whole picture; None: this is the whole picture.
        """
        ...


@dataclass(frozen=True)
class Tile:
    """A part of a picture: what is painted (its core), and what is read for it (with the halo).

    Both are (top, left, bottom, right) in pixels of the picture. What is read may lie beyond the
    edges, in the mirrored frame.
    """

    core: tuple[int, int, int, int]
    window: tuple[int, int, int, int]

    @property
    def core_in_window(self) -> tuple[slice, slice]:
        """Where the core lies in the window."""
        (top, left, bottom, right), (y, x, _, _) = self.core, self.window
        return slice(top - y, bottom - y), slice(left - x, right - x)


def tiles(
    height: int, width: int, *, align: int, halo: int, tile_side: int = TILE_SIDE_PX
) -> Iterator[Tile]:
    """The tiles of a picture, row by row; a small picture is a single one."""
    for top, bottom, y, y_end in _spans(height, align, halo, tile_side):
        for left, right, x, x_end in _spans(width, align, halo, tile_side):
            yield Tile((top, left, bottom, right), (y, x, y_end, x_end))


def _spans(
    length: int, align: int, halo: int, tile_side: int
) -> Iterator[tuple[int, int, int, int]]:
    """Start and end of each core along one side, and of its window."""
    end = length + PADDING_PX + -(length + 2 * PADDING_PX) % align
    count = max(1, round(length / tile_side))
    size = -(-length // (count * align)) * align
    for start in range(0, length, size):
        stop = min(start + size, length)
        yield start, stop, max(start - halo, -PADDING_PX), min(stop + halo + -stop % align, end)


def run_tiled(
    source: Raster,
    thumbnail: Pixels,
    target: Any,
    model: TiledModel,
    to_device: Callable[[Tensor], Tensor],
    callback: Callable[[int, int], bool | None],
    tile_side: int = TILE_SIDE_PX,
) -> None:
    """Paint a raster tile by tile.

    Args:
        source: (height, width, 3) in 0..1.
        thumbnail: of the whole of it; used if there is more than one tile.
        target: takes what was painted, as float32 arrays in 0..1: ``target[t:b, l:r] = pixels``.
        model: the network.
        to_device: takes a tensor to the network's device and type.
        callback: called after every tile with the number of tiles done and in all; True stops.
        tile_side: side of a tile in pixels.
    """
    height, width = source.shape[:2]
    parts = list(tiles(height, width, align=model.align, halo=model.halo, tile_side=tile_side))
    known = None
    if len(parts) > 1:
        known = model.statistics(to_device(pad(as_tensor(thumbnail), model.align)))
    mirrored = can_reflect(height, width, model.align)
    for index, tile in enumerate(parts, start=1):
        painted = model(to_device(_read_window(source, tile.window, mirrored)), known)
        rows, columns = tile.core_in_window
        top, left, bottom, right = tile.core
        target[top:bottom, left:right] = as_pixels(painted[:, :, rows, columns])
        if callback(index, len(parts)):
            break


def _read_window(source: Raster, window: tuple[int, int, int, int], reflect: bool) -> Tensor:
    """A window of a raster; where it lies beyond the edges, it is as in :func:`pad`."""
    height, width = source.shape[:2]
    top, left, bottom, right = window
    inside = source[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    tensor = as_tensor(inside)
    beyond = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    return F.pad(tensor, beyond, mode="reflect" if reflect else "replicate")
