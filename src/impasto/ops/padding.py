"""Frames: what lies beyond the edges of a picture that passes a network whole or in tiles.

The networks here pad with zeros inside, which is fast. Every picture gets a frame of its own
mirror image first, so that the zeros are never near what is kept.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

WIDTH = 32
"""Of the frame, in pixels: with half as much, the edges of some paintings were lighter."""


def framed(pictures: Tensor, multiple: int, width: int = WIDTH) -> Tensor:
    """Extend (N, C, H, W) by a mirrored frame; below and right as far as sides divide evenly.

    Where a side is too short to be mirrored, the edge is repeated.
    """
    height, breadth = pictures.shape[2:]
    below, right = (_beyond(side, multiple, width) for side in (height, breadth))
    mode = "reflect" if mirrors(height, breadth, multiple, width) else "replicate"
    return F.pad(pictures, (width, right, width, below), mode=mode)


def mirrors(height: int, breadth: int, multiple: int, width: int = WIDTH) -> bool:
    """Whether a picture of this size is long enough on both sides to be mirrored in its frame."""
    longest = max(_beyond(side, multiple, width) for side in (height, breadth))
    return min(height, breadth) > longest


def _beyond(side: int, multiple: int, width: int) -> int:
    """How far the frame reaches below or to the right."""
    return width + -(side + 2 * width) % multiple


def unframed(pictures: Tensor, height: int, breadth: int, width: int = WIDTH) -> Tensor:
    """Take the frame off again: (N, C, height, breadth)."""
    return pictures[:, :, width : width + height, width : width + breadth]
