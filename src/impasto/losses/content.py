"""Content loss: what things are, as the features of a deep layer (Gatys et al. 2016, eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Half the mean squared difference of two feature maps.

    The paper sums over all positions; the mean keeps the meaning of its weight α when the
    picture changes size.

    Args:
        features: F, shape (1, C, H, W).
        target: P, the same shape: the features of the content picture.

    Returns:
        A scalar in float32 (float64 for float64 features).
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    return 0.5 * (features.to(dtype) - target.to(dtype)).square().mean()
