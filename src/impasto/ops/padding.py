"""Frames: what lies beyond the edges of a picture that passes a network whole or in tiles.

The networks here pad with zeros inside, which is fast. Every picture gets a frame of its own
mirror image first, so that the zeros are never near what is kept.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PADDING_PX = 32
"""Of the frame, in pixels: with half as much, the edges of some paintings were lighter."""


def pad(images: Tensor, multiple: int, padding: int = PADDING_PX) -> Tensor:
    """Extend (N, C, H, W) by a mirrored frame; below and right as far as sides divide evenly.

    Where a side is too short to be mirrored, the edge is repeated.
    """
    height, breadth = images.shape[2:]
    below, right = (_end_padding(side, multiple, padding) for side in (height, breadth))
    mode = "reflect" if can_reflect(height, breadth, multiple, padding) else "replicate"
    return F.pad(images, (padding, right, padding, below), mode=mode)


def can_reflect(height: int, width: int, multiple: int, padding: int = PADDING_PX) -> bool:
    """Whether a picture of this size is long enough on both sides to be mirrored in its frame."""
    longest = max(_end_padding(side, multiple, padding) for side in (height, width))
    return min(height, width) > longest


def _end_padding(side: int, multiple: int, padding: int) -> int:
    """How far the frame reaches below or to the right."""
    return padding + -(side + 2 * padding) % multiple


def unpad(images: Tensor, height: int, width: int, padding: int = PADDING_PX) -> Tensor:
    """Take the frame off again: (N, C, height, breadth)."""
    return images[:, :, padding : padding + height, padding : padding + width]
