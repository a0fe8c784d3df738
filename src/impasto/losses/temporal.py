"""The temporal loss: a frame of a film is to look as its neighbors did, where they show it too.

Ruder, Dosovitskiy & Brox, "Artistic Style Transfer for Videos", GCPR 2016, section 3. All pictures
are in the place of the frame that is painted: earlier paintings are brought there along the flow
(:func:`impasto.ops.warping.warp`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def temporal_loss(image: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean square of the difference, over all pixels and colors (eq. 6).

    Args:
        image: (1, C, H, W).
        target: the same shape.
        weights: (1, 1, H, W): 0 where something came into view or a motion ends, else 1.
    """
    return (weights * (image - target).square()).mean()


def long_term_weights(weights: Sequence[Tensor]) -> list[Tensor]:
    """How much each earlier frame counts: every pixel holds on to the latest that shows it (eq. 9).

    c_long(i - j) = max(c(i - j) - Σ c(i - k), 0) over the later ones, k < j.

    Args:
        weights: c of each earlier frame, the latest first: (1, 1, H, W) each, 0 to 1.
    """
    found, taken = [], torch.zeros_like(weights[0])
    for each in weights:
        found.append((each - taken).clamp_min(0))
        taken = taken + each
    return found


def merge_targets(targets: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """One target and one weight for several: the sum of their temporal losses, but for a constant.

    For Σ w_j (x - t_j)² = W (x - Σ w_j t_j / W)² + something that x does not change, with
    W = Σ w_j. So the loss of eq. 8 costs no more than that of eq. 7.

    Args:
        targets: (1, C, H, W) each.
        weights: (1, 1, H, W) each.

    Returns:
        The target (1, C, H, W), that of the first where nothing counts, and W (1, 1, H, W).
    """
    total = torch.stack(list(weights)).sum(0)
    pairs = zip(targets, weights, strict=True)
    mean = torch.stack([w * t for t, w in pairs]).sum(0) / total.clamp_min(1e-6)
    return torch.where(total > 0, mean, targets[0]), total
