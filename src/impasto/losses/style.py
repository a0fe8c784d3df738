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
        rows = _flatten_positions(features)
        return (rows.T @ rows).to(_at_least_float32(features.dtype)) / len(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        rows = _flatten_positions(features)
        slope = (grad + grad.T) / len(rows)
        product = rows @ slope.to(rows.dtype)
        _, c, h, w = features.shape
        return product.view(1, h, w, c).permute(0, 3, 1, 2)


def _flatten_positions(features: Tensor) -> Tensor:
    """(1, C, H, W) as (H·W, C): a view when the memory format is channels_last."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


class _GuidedGram(torch.autograd.Function):
    """Fᵀ diag(w_r) F / Σ w_r for every w_r; each pass touches only the positions that count."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(features, weights)
        rows = _flatten_positions(features)
        found = []
        for inside, counts in _weighted_positions(weights):
            part = rows[inside]
            weighted = part * counts[:, None].to(part.dtype)
            gram = (weighted.T @ part).to(_at_least_float32(features.dtype))
            found.append(gram / counts.sum().to(gram.dtype))
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        features, weights = ctx.saved_tensors
        rows = _flatten_positions(features)
        product = torch.zeros_like(rows)
        for each, (inside, counts) in zip(grad, _weighted_positions(weights), strict=True):
            slope = (each + each.T) / counts.sum().to(each.dtype)
            change = rows[inside] @ slope.to(rows.dtype)
            product.index_add_(0, inside, change * counts[:, None].to(rows.dtype))
        _, c, h, w = features.shape
        return product.view(1, h, w, c).permute(0, 3, 1, 2), None


def _weighted_positions(weights: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each of (R, H, W): the positions that count, and how much."""
    places = [each.nonzero()[:, 0] for each in weights.flatten(1)]
    return [(i, each[i]) for i, each in zip(places, weights.flatten(1), strict=True)]


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def gram_matrix(features: Tensor) -> Tensor:
    """The Gram matrix G = FFᵀ / M of a feature map with M positions (eq. 3, divided by M).

    Args:
        features: F, shape (1, C, H, W), any floating type.

    Returns:
        Shape (C, C), float32 (float64 for float64 features), symmetric, positive semi-definite;
        of bfloat16 features with every entry rounded to 8 bits.
    """
    gram: Tensor = _Gram.apply(features)  # type: ignore[no-untyped-call]
    return gram


def guided_gram_matrices(features: Tensor, weights: Tensor) -> Tensor:
    """The guided Gram matrix of each region of a feature map: G_r = Σ_p w_r,p f_p f_pᵀ / Σ_p w_r,p.

    These are eq. 5 and 6 of Gatys, Ecker, Bethge, Hertzmann & Shechtman, "Controlling Perceptual
    Factors in Neural Style Transfer", CVPR 2017, with w = T². So the Gram matrices of regions that
    make up a picture, each with its share of the area, add up to that of the picture.

    Args:
        features: F, shape (1, C, H, W), any floating type.
        weights: shape (R, H, W), at least 0, in each region some above 0. No gradient flows to
            them.

    Returns:
        Shape (R, C, C), of the type that :func:`gram_matrix` gives.
    """
    grams: Tensor = _GuidedGram.apply(features, weights)  # type: ignore[no-untyped-call]
    return grams


def gram_loss(gram: Tensor, target: Tensor) -> Tensor:
    """E = Σ (G - A)² / 4N² of two (N, N) Gram matrices (eq. 4; theirs are already over M)."""
    return 0.25 * (gram - target).square().mean()


class Gaussian(NamedTuple):
    """Mean (C,) and covariance (C, C) of the feature vectors of a map."""

    mean: Tensor
    covariance: Tensor


def feature_gaussian(features: Tensor) -> Gaussian:
    """Mean and covariance of the feature vectors of a map (1, C, H, W), over its positions."""
    mean = features.mean(dim=(0, 2, 3), dtype=_at_least_float32(features.dtype))
    return Gaussian(mean, gram_matrix(features) - torch.outer(mean, mean))


def guided_gaussians(features: Tensor, weights: Tensor) -> list[Gaussian]:
    """Mean and covariance of each region; see :func:`guided_gram_matrices` for the arguments."""
    dtype = _at_least_float32(features.dtype)
    shares = weights / weights.sum((1, 2), keepdim=True)
    means = torch.einsum("rhw,chw->rc", shares.to(dtype), features[0].to(dtype))
    grams = guided_gram_matrices(features, weights)
    return [Gaussian(m, g - torch.outer(m, m)) for m, g in zip(means, grams, strict=True)]


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
        # The slope is without bound along directions without variance; there it is cut off.
        most = roots.max()
        slopes = torch.where(most > 0, 0.5 / roots.clamp_min(most * 1e-6), 0.0)
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

    It is a small difference of large traces, and the variances of features span eight orders of
    magnitude: all of it is computed in float64.

    Args:
        source: mean and covariance of the picture's features.
        target: those of the style.
        target_root: Σ₂^½, computed once for a fixed target: ``matrix_sqrt(exact(Σ₂))``.

    Returns:
        A scalar of the source's type, at least 0 up to rounding.
    """
    means = (source.mean - target.mean).square().sum()
    covariance = to_float64(source.covariance)
    overlap: Tensor = _TraceSqrt.apply(  # type: ignore[no-untyped-call]
        target_root @ covariance @ target_root
    )
    spread = covariance.trace() + to_float64(target.covariance).trace() - 2 * overlap
    return (means + spread.to(means)) / len(source.mean)


def to_float64(a: Tensor) -> Tensor:
    """The tensor in float64, on the processor where the device has no such numbers."""
    return (a.cpu() if a.device.type == "mps" else a).double()
