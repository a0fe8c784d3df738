"""Style losses: which features appear together, wherever they appear.

Two summaries of a feature map are offered. The Gram matrix is the one of Gatys et al. 2016
(eq. 3-5). Mean and covariance, compared by the Wasserstein-2 distance of the two Gaussians they
describe, is the one of the later literature on optimal transport (Dowson & Landau 1982).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class _Gram(torch.autograd.Function):
    """FFᵀ / M with a backward pass of a single product, in the layout of the features."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        rows = _rows(features)
        return (rows.T @ rows).to(_accumulator(features.dtype)) / len(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        rows = _rows(features)
        slope = (grad + grad.T) / len(rows)
        product = rows @ slope.to(rows.dtype)
        _, c, h, w = features.shape
        return product.view(1, h, w, c).permute(0, 3, 1, 2)


def _rows(features: Tensor) -> Tensor:
    """(1, C, H, W) as (H·W, C): a view when the memory format is channels_last."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def gram_matrix(features: Tensor) -> Tensor:
    """The Gram matrix G = FFᵀ / M of a feature map with M positions (eq. 3, divided by M).

    Args:
        features: F, shape (1, C, H, W), any floating type.

    Returns:
        Shape (C, C), float32 (float64 for float64 features), symmetric, positive semi-definite.
    """
    gram: Tensor = _Gram.apply(features)  # type: ignore[no-untyped-call]
    return gram


def gram_loss(gram: Tensor, target: Tensor) -> Tensor:
    """E = Σ (G - A)² / 4N² of two (N, N) Gram matrices (eq. 4; theirs are already over M)."""
    return 0.25 * (gram - target).square().mean()


class Gaussian(NamedTuple):
    """Mean (C,) and covariance (C, C) of the feature vectors of a map."""

    mean: Tensor
    covariance: Tensor


def gaussian(features: Tensor) -> Gaussian:
    """Mean and covariance of the feature vectors of a map (1, C, H, W), over its positions."""
    mean = features.mean(dim=(0, 2, 3), dtype=_accumulator(features.dtype))
    return Gaussian(mean, gram_matrix(features) - torch.outer(mean, mean))


class _TraceSqrt(torch.autograd.Function):
    """tr A^½ of a symmetric positive semi-definite A; its derivative is ½ A^-½."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(a)
        roots = values.clamp_min(0).sqrt()
        ctx.save_for_backward(roots, vectors)
        trace: Tensor = roots.sum()
        return trace

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        roots, vectors = ctx.saved_tensors
        floor = roots.max() * 1e-3  # directions without variance have no finite slope
        slopes = torch.where(roots > floor, 0.5 / roots.clamp_min(floor), 0.5 / floor)
        slope: Tensor = grad * (vectors * slopes) @ vectors.T
        return slope


def matrix_sqrt(a: Tensor) -> Tensor:
    """The symmetric square root of a symmetric positive semi-definite matrix (C, C)."""
    values, vectors = torch.linalg.eigh(a)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


def wasserstein_loss(source: Gaussian, target: Gaussian, target_root: Tensor) -> Tensor:
    """Squared Wasserstein-2 distance of two Gaussians, divided by their dimension C.

    W² = |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₂^½ Σ₁ Σ₂^½)^½)   (Dowson & Landau 1982, eq. 4)

    Args:
        source: mean and covariance of the picture's features.
        target: those of the style.
        target_root: Σ₂^½ from :func:`matrix_sqrt`, computed once for a fixed target.

    Returns:
        A scalar, at least 0 up to rounding.
    """
    means = (source.mean - target.mean).square().sum()
    overlap: Tensor = _TraceSqrt.apply(  # type: ignore[no-untyped-call]
        target_root @ source.covariance @ target_root
    )
    spread = source.covariance.trace() + target.covariance.trace() - 2 * overlap
    return (means + spread) / len(source.mean)
