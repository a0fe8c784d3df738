"""Losses of order one, for training on many pictures at once: errors relative to what they miss.

A network that learns many styles must not learn the loudest only: the Gram matrices of two
paintings differ in size by orders of magnitude. Divided by the size of its target, every error
is 1 for a picture without any features, whatever the style, layer or encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram_matrices(features: Tensor) -> Tensor:
    """The Gram matrix of each feature map (N, C, H, W), over its positions: (N, C, C), float32."""
    rows = features.permute(0, 2, 3, 1).flatten(1, 2)
    return torch.bmm(rows.transpose(1, 2), rows).float() / rows.shape[1]


def relative_error(estimate: Tensor, target: Tensor, reference: Tensor | None = None) -> Tensor:
    """Mean over the batch of |found - target|² / |size|², for tensors (N, ...).

    Args:
        estimate: what is compared.
        target: with what, the same shape.
        reference: what the error is relative to; None: the target.
    """
    missed = (estimate.float() - target.float()).square().flatten(1).sum(1)
    whole = (target if reference is None else reference).float().square().flatten(1).sum(1)
    return (missed / whole.clamp_min(1e-12)).mean()


def unexplained_variance(estimate: Tensor, target: Tensor) -> Tensor:
    """Σ |found - target|² / Σ |target - its mean|², for feature maps (N, C, H, W).

    The mean is each map's over its positions: what is left of it is where things are. The batch
    counts as one, so that a picture in which there is nothing to be seen weighs little.
    """
    target = target.float()
    missed = (estimate.float() - target).square().sum()
    whole = (target - target.mean((2, 3), keepdim=True)).square().sum()
    return missed / whole.clamp_min(1e-12)
