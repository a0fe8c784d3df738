"""The canvas: the picture being painted, held in coordinates that an optimiser climbs well in.

Pixels are poor coordinates: a broad wash of colour is a small step in each of many pixels, and
L-BFGS must find that out. A Laplacian pyramid (Burt & Adelson 1983) holds a wash as a few
coefficients of a coarse level. docs/performance.md has the measured gain.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN = 0.7
"""What a level's coefficients are multiplied by, relative to the next finer level's. Measured."""


class Canvas(nn.Module):
    """A picture as a fixed ground plus a Laplacian pyramid of changes, which starts at zero.

    Args:
        ground: the picture to start from, shape (1, 3, H, W).
        levels: levels of the pyramid, at least 1; 1 is plain pixels. Each level has half the
            resolution of the one before, and never less than one pixel.
    """

    ground: Tensor

    def __init__(self, ground: Tensor, levels: int) -> None:
        super().__init__()
        self.register_buffer("ground", ground.contiguous())
        height, width = ground.shape[-2:]
        sizes = [(max(1, height >> i), max(1, width >> i)) for i in range(levels)]
        self.changes = nn.ParameterList(
            nn.Parameter(torch.zeros(1, 3, h, w, dtype=ground.dtype, device=ground.device))
            for h, w in dict.fromkeys(sizes)
        )

    def forward(self) -> Tensor:
        """The picture, shape (1, 3, H, W)."""
        picture: Tensor = self.changes[-1]
        for finer in reversed(self.changes[:-1]):
            picture = finer + GAIN * upsample(picture, finer)
        return self.ground + picture


def extend(picture: Tensor, least: int) -> Tensor:
    """A picture (1, C, H, W) whose sides below ``least`` px are extended by their edge."""
    height, width = picture.shape[-2:]
    extra = (0, max(0, least - width), 0, max(0, least - height))
    return F.pad(picture, extra, mode="replicate") if any(extra) else picture


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """``x`` (1, C, h, w) stretched to the height and width of ``like``, bilinearly."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
