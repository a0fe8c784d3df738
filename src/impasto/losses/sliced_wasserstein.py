"""How far apart two clouds of feature vectors are, seen along many directions.

Source: Heitz, Vanhoey, Chambon & Belcour, "A Sliced Wasserstein Loss for Neural Texture
Synthesis", CVPR 2021. Unlike Gram matrices, which are second moments, it sees all of how features
are distributed: it is 0 only if the two clouds are the same along every direction.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sliced_wasserstein(
    features_a: Tensor, features_b: Tensor, projections: int = 64, seed: int = 0
) -> Tensor:
    """The squared sliced Wasserstein-2 distance of two feature maps.

    The feature vectors are projected onto random directions; along each, the squared distance of
    the two one-dimensional distributions is that of their quantiles. The maps may differ in size.

    Args:
        features_a: shape (1, C, H, W), any floating type.
        features_b: shape (1, C, h, w).
        projections: how many directions.
        seed: of the directions; the same seed and C give the same ones.

    Returns:
        A scalar, at least 0, in the units of the features squared.
    """
    along = random_directions(features_a.shape[1], projections, seed).to(features_a)
    a, b = sorted_projections(features_a, along), sorted_projections(features_b, along)
    m, n = a.shape[1], b.shape[1]
    # Both quantile functions are steps. In units of 1 / mn they end at whole numbers.
    steps_a = torch.arange(1, m + 1, device=a.device) * n
    steps_b = torch.arange(1, n + 1, device=a.device) * m
    ends = torch.unique(torch.cat([steps_a, steps_b]))
    widths = torch.diff(ends, prepend=ends.new_zeros(1)).to(a) / (m * n)
    at_a, at_b = torch.searchsorted(steps_a, ends), torch.searchsorted(steps_b, ends)
    distance: Tensor = ((a[:, at_a] - b[:, at_b]).square() * widths).sum(1).mean()
    return distance


def random_directions(channels: int, count: int, seed: int) -> Tensor:
    """Random unit vectors (channels, count), even over the sphere; the same for the same seed."""
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(channels, count, generator=random)
    lengths: Tensor = vectors.norm(dim=0)
    return vectors / lengths


def sorted_projections(features: Tensor, directions: Tensor) -> Tensor:
    """The feature vectors of a map (1, C, H, W) along directions (C, P), sorted: (P, H · W)."""
    rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    found: Tensor = torch.sort((rows @ directions).T.contiguous(), dim=1).values
    return found


def quantiles(projected: Tensor, count: int) -> Tensor:
    """Sorted values (P, M) as ``count`` quantiles (P, count), at the middles of equal shares.

    Of two such summaries the mean squared difference is nearly :func:`sliced_wasserstein`, and
    their weighted mean is the barycenter of the two distributions along each direction.
    """
    size = projected.shape[1]
    middles = (torch.arange(count, device=projected.device) + 0.5) / count
    return projected[:, (middles * size).long().clamp_max(size - 1)]
