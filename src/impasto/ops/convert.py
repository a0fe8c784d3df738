"""Convert arrays (H, W, C) to tensors (N, C, H, W) and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.core.picture import Pixels, Raster


def as_tensor(pixels: Raster) -> Tensor:
    """Pixels (H, W, 3) as a tensor (1, 3, H, W), channels_last."""
    return torch.from_numpy(np.asarray(pixels, np.float32)).permute(2, 0, 1)[None]


def as_pixels(images: Tensor) -> Pixels:
    """A tensor (1, 3, H, W) as pixels (H, W, 3), cut to 0..1."""
    array: Pixels = images[0].permute(1, 2, 0).float().clamp(0, 1).cpu().numpy()
    return array
