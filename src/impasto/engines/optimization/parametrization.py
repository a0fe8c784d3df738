"""The canvas: the picture being painted, held in coordinates that an optimizer climbs well in.

Pixels are poor coordinates: a broad wash of color is a small step in each of many pixels, and
L-BFGS must find that out. A Laplacian pyramid (Burt & Adelson 1983) holds a wash as a few
coefficients of a coarse level. docs/performance.md has the measured gain.

Where the picture must stay near the local mixes of a photograph's colors, as a matting Laplacian
wants it, pixels are poorer still: whatever an optimizer does to one, its neighbors forbid.
:class:`LocalColorPyramid` has those mixes as coordinates of their own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVEL_GAIN = 0.7
"""What a level's coefficients are multiplied by, relative to the next finer level's. Measured."""
FINEST_MAP_LEVEL = 4
"""The finest maps of colors are so many times halved. Measured."""
OFFSET_SCALE = 0.3
"""What an offset is multiplied by: about the spread of a photograph's colors."""


class LaplacianPyramid(nn.Module):
    """A picture as a fixed ground plus a Laplacian pyramid of changes, which starts at zero.

    Args:
        base_image: the picture to start from, shape (1, 3, H, W).
        levels: levels of the pyramid, at least 1; 1 is plain pixels. Each level has half the
            resolution of the one before, and never less than one pixel.
    """

    base_image: Tensor

    def __init__(self, base_image: Tensor, levels: int) -> None:
        super().__init__()
        self.register_buffer("base_image", base_image.contiguous())
        height, width = base_image.shape[-2:]
        sizes = [(max(1, height >> i), max(1, width >> i)) for i in range(levels)]
        self.coefficients = nn.ParameterList(
            nn.Parameter(torch.zeros(1, 3, h, w, dtype=base_image.dtype, device=base_image.device))
            for h, w in dict.fromkeys(sizes)
        )

    def forward(self) -> Tensor:
        """The picture, shape (1, 3, H, W)."""
        return self.base_image + _collapse(list(self.coefficients), LEVEL_GAIN)


class LocalColorPyramid(LaplacianPyramid):
    """A canvas that also holds local mixes of a photograph's colors: another pyramid, of maps.

    The picture is the ground, plus the changes, plus A (I - mean I) + b where I is the photograph
    and the matrices A and the offsets b, which vary slowly, start at zero.

    Args:
        base_image: the picture to start from, shape (1, 3, H, W).
        levels: levels of the pyramid of changes.
        photo: I, the same shape.
    """

    photo_colors: Tensor

    def __init__(self, base_image: Tensor, levels: int, photo: Tensor) -> None:
        super().__init__(base_image, levels)
        self.pixel_level_count = len(self.coefficients)
        height, width = base_image.shape[-2:]
        depth = max(FINEST_MAP_LEVEL + 1, max(height, width).bit_length())
        sizes = [(max(1, height >> i), max(1, width >> i)) for i in range(FINEST_MAP_LEVEL, depth)]
        self.coefficients.extend(
            nn.Parameter(torch.zeros(1, 12, h, w, dtype=base_image.dtype, device=base_image.device))
            for h, w in dict.fromkeys(sizes)
        )
        centered = photo - photo.mean((2, 3), keepdim=True)
        colors = torch.cat([centered, torch.full_like(photo[:, :1], OFFSET_SCALE)], 1)
        self.register_buffer("photo_colors", colors)

    def forward(self) -> Tensor:
        changes = list(self.coefficients)
        picture = self.base_image + _collapse(changes[: self.pixel_level_count], LEVEL_GAIN)
        maps = upsample(_collapse(changes[self.pixel_level_count :], 1.0), picture)
        each = maps.view(1, 3, 4, *picture.shape[2:])
        return picture + (each * self.photo_colors[:, None]).sum(2)


def _collapse(levels: list[Tensor], gain: float) -> Tensor:
    """A pyramid put together, from the coarsest level, which is the last, to the finest."""
    picture = levels[-1]
    for finer in reversed(levels[:-1]):
        picture = finer + gain * upsample(picture, finer)
    return picture


def pad_to_min_side(image: Tensor, min_side: int) -> Tensor:
    """A picture (1, C, H, W) whose sides below ``min_side`` px are extended by their edge."""
    height, width = image.shape[-2:]
    extra = (0, max(0, min_side - width), 0, max(0, min_side - height))
    return F.pad(image, extra, mode="replicate") if any(extra) else image


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """``x`` (1, C, h, w) stretched to the height and width of ``like``, bilinearly."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
