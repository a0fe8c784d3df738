"""Feature transforms: affine maps that give one picture's features another's statistics.

A transform is found from the statistics of whole pictures and then applied to any part of one,
so that pictures of any size can be restyled tile by tile: the statistics of the tiles are
:func:`merge_statistics`, one :class:`Affine` map is made of them (by :func:`adain` or
:func:`wct`), and every tile goes through it.

Throughout, a vector (C,) in the place of a (C, C) matrix stands for a diagonal one: AdaIN needs
no more, and pays for no more. Statistics and maps are composed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

WCTVariant = Literal["wct", "transport"]

MAX_GAIN = 100.0
"""How many times a deviation of the content from its mean is amplified at most.

Of VGG-19's features of nine pairs of pictures, conv1_1 to conv4_1, covariances of full rank asked
for up to 55. Contents with a dead channel, or with few positions, asked for 10⁵.
"""

SHRINKAGE = 0.01
"""How many made-up positions with uncorrelated channels dilute a covariance, per channel.

In the same pairs, at 384 pixels, the covariance after "wct" differed from the style's by 1 to 2 %
(Frobenius norm) at conv4_1, and by less than 0.1 % at conv1_1. Ten times as much: 5 to 11 %.
"""

CHUNK_ROWS = 2**14
"""Positions taken into float64 at once: 64 MiB of them at 512 channels."""

_TINY = torch.finfo(torch.float64).tiny

_LinAlgError = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # unknown to torch's stubs


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of the feature vectors of a picture, or of a part of it.

    Attributes:
        count: over how many positions; of weighted ones, the sum of their weights.
        mean: (C,), float64.
        covariance: (C, C), float64, of the population (divided by ``count``); or its diagonal
            alone, (C,).
    """

    count: float
    mean: Tensor
    covariance: Tensor

    @classmethod
    def from_features(
        cls, features: Tensor, weights: Tensor | None = None, *, diagonal: bool = False
    ) -> Statistics:
        """The statistics of a feature map, correct to the precision of float64.

        Args:
            features: (N, C, H, W), any floating type; all positions of all N count as one
                picture. Quickest as channels_last.
            weights: (N, 1, H, W), at least 0: how much every position counts. With weights of 0
                and 1 they are the statistics of what is cut out, bit for bit.
            diagonal: the variances only, which is all that AdaIN needs.

        Raises:
            ValueError: there is no position, or none that counts.
        """
        rows = flatten_positions(features)
        if weights is None:
            return _statistics_of_rows(rows, diagonal)
        flat = _to_float64(weights.reshape(-1))
        inside = flat > 0
        rows, flat = rows[inside.to(rows.device)], flat[inside]
        if bool((flat == 1).all()):
            return _statistics_of_rows(rows, diagonal)
        parts = zip(torch.split(rows, CHUNK_ROWS), torch.split(flat, CHUNK_ROWS), strict=True)
        return merge_statistics(
            _weighted_row_statistics(_to_float64(part), share, diagonal) for part, share in parts
        )

    @property
    def variance(self) -> Tensor:
        """(C,): of each channel."""
        return self.covariance if self.covariance.ndim == 1 else self.covariance.diagonal()


def merge_statistics(parts: Iterable[Statistics]) -> Statistics:
    """The statistics of all parts together, exactly: neither order nor grouping matters.

    Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979, eq. 2.1, for vectors.

    Args:
        parts: at least one; of as many channels, and all with or all without covariances.
    """
    return reduce(_merge_pair, parts)


def _merge_pair(a: Statistics, b: Statistics) -> Statistics:
    assert a.covariance.shape == b.covariance.shape
    count = a.count + b.count
    share = b.count / count
    apart = b.mean - a.mean
    between = apart.square() if a.covariance.ndim == 1 else torch.outer(apart, apart)
    within = torch.lerp(a.covariance, b.covariance, share)
    return Statistics(count, a.mean + share * apart, within + share * (1 - share) * between)


def _statistics_of_rows(rows: Tensor, diagonal: bool) -> Statistics:
    if not len(rows):
        raise ValueError("Features without a single position have no statistics.")
    return merge_statistics(
        _row_statistics(_to_float64(part), diagonal) for part in torch.split(rows, CHUNK_ROWS)
    )


def _weighted_row_statistics(rows: Tensor, weights: Tensor, diagonal: bool) -> Statistics:
    """The statistics of feature vectors (M, C) with weights (M,) above 0."""
    count = weights.sum()
    shares = (weights / count)[:, None]
    mean = (shares * rows).sum(dim=0)
    rows = rows - mean
    moved = shares * rows
    covariance = (moved * rows).sum(dim=0) if diagonal else moved.T @ rows
    return Statistics(float(count), mean, covariance)


def _row_statistics(rows: Tensor, diagonal: bool) -> Statistics:
    """The statistics of feature vectors (M, C); centered first, for the sake of precision."""
    mean = rows.mean(dim=0)
    rows = rows - mean
    covariance = rows.square().mean(dim=0) if diagonal else rows.T @ rows / len(rows)
    return Statistics(len(rows), mean, covariance)


@dataclass(frozen=True)
class Affine:
    """The map x → A x + b of feature vectors.

    Attributes:
        matrix: A, (C, C), float64; or its diagonal alone, (C,).
        shift: b, (C,), float64.
    """

    matrix: Tensor
    shift: Tensor

    @classmethod
    def from_means(cls, source: Tensor, target: Tensor, matrix: Tensor) -> Affine:
        """The map with this matrix that takes the mean ``source`` to the mean ``target``."""
        moved = matrix * source if matrix.ndim == 1 else matrix @ source
        return cls(matrix, target - moved)

    def apply(self, features: Tensor) -> Tensor:
        """The map at every position of a feature map.

        Args:
            features: (N, C, H, W), any floating type.

        Returns:
            The same shape, type and device, as channels_last. It is computed in float32 at
            least and rounded once: the shift and what it cancels may both be far larger than
            the result.
        """
        n, c, h, w = features.shape
        parts = torch.split(flatten_positions(features), CHUNK_ROWS)
        rows = torch.cat([self.apply_rows(part).to(features.dtype) for part in parts])
        return rows.view(n, h, w, c).permute(0, 3, 1, 2)

    def apply_rows(self, rows: Tensor) -> Tensor:
        """The map of feature vectors (M, C), in float32 at least."""
        dtype = torch.promote_types(rows.dtype, torch.float32)
        matrix, shift = (a.to(rows.device, dtype) for a in (self.matrix, self.shift))
        rows = rows.to(dtype)
        return shift + (rows * matrix if matrix.ndim == 1 else rows @ matrix.T)

    def lerp_from_identity(self, strength: float) -> Affine:
        """The map x → (1 - s) x + s (A x + b): the whole map at s = 1, exactly x at s = 0."""
        if strength == 0:
            return Affine(torch.ones_like(self.shift), torch.zeros_like(self.shift))
        one = torch.ones_like(self.shift)
        identity = one if self.matrix.ndim == 1 else one.diag()
        return Affine(torch.lerp(identity, self.matrix, strength), strength * self.shift)

    def distance(self, content: Statistics) -> float:
        """How far it moves the features of a picture: root mean square, in their deviations.

        A channel counts as 10 deviations at most, and one without any variance not at all.
        """
        identity = torch.ones_like(self.shift)
        if self.matrix.ndim == 1:
            spread = (self.matrix - identity).square() * content.variance
            mean = self.matrix * content.mean
        else:
            beside = self.matrix - identity.diag()
            spread = (beside @ content.covariance * beside).sum(1)
            mean = self.matrix @ content.mean
        moved = spread + (mean + self.shift - content.mean).square()
        floor = (1e-12 * content.variance.max()).clamp_min(_TINY)
        return float((moved / content.variance.maximum(floor)).clamp(0, 100).mean().sqrt())


def blend(maps: Sequence[Affine], weights: Sequence[float]) -> Affine:
    """The map whose result is the mean of the results of several maps, weighted by ``weights``.

    So are several styles mixed by Huang & Belongie 2017 (eq. 15) and Li et al. 2017 (texture
    interpolation). For AdaIN it is the same as to take the weighted means of the styles' means
    and standard deviations. Maps of the kind "transport" from one content blend to an optimal
    map again.

    Args:
        maps: at least one, of as many channels.
        weights: one per map, at least 0, not all 0; only their proportions matter.

    Raises:
        ValueError: no such shares.
    """
    if len(maps) != len(weights) or not 0 < math.fsum(weights) < math.inf or min(weights) < 0:
        raise ValueError("A blend needs a share of at least 0 per map, and not all of them 0.")
    full = any(m.matrix.ndim == 2 for m in maps)
    matrices = [m.matrix.diag() if full and m.matrix.ndim == 1 else m.matrix for m in maps]
    shifts = [m.shift for m in maps]
    parts = shifts[0].new_tensor(weights) / math.fsum(weights)
    matrix, shift = (torch.tensordot(parts, torch.stack(a), 1) for a in (matrices, shifts))
    return Affine(matrix, shift)


def adain(content: Statistics, style: Statistics, *, max_gain: float = MAX_GAIN) -> Affine:
    """Adaptive instance normalization: every channel takes the style's mean and deviation.

    x → σ_s / σ_c (x - μ_c) + μ_s   (Huang & Belongie, "Arbitrary Style Transfer in Real-time
    with Adaptive Instance Normalization", ICCV 2017, eq. 8)

    Instead of adding an ε, whose effect depends on the features' scale, the ratio is bounded.

    Args:
        content: of the whole picture; without covariances is enough.
        style: likewise.
        max_gain: the most that σ_s / σ_c may be, so that a channel in which the content is all but
            constant keeps its noise small.
    """
    deviation = style.variance.sqrt()
    floor = (deviation / max_gain).clamp_min(_TINY)
    scale = deviation / content.variance.sqrt().maximum(floor)
    return Affine.from_means(content.mean, style.mean, scale)


def wct(
    content: Statistics,
    style: Statistics,
    *,
    variant: WCTVariant = "wct",
    shrinkage: float = SHRINKAGE,
    max_gain: float = MAX_GAIN,
) -> Affine:
    """A map that gives the content's features the style's mean and covariance.

    There are many, A = Σ_s^½ R Σ_c^-½ with any rotation R. Offered are

    - "wct": R = I, whitening and coloring (Li et al., "Universal Style Transfer via Feature
      Transforms", NeurIPS 2017, section 3.2);
    - "transport": the R for which A is symmetric. Of all these maps it moves the features
      least, and so keeps the content best (Lu et al., "A Closed-form Solution to Universal
      Style Transfer", ICCV 2019).

    A covariance of few positions is mostly chance, and that of fewer than C is singular. Each is
    therefore diluted with its own diagonal, as if κC further positions with the same variances
    but uncorrelated channels had been seen: Σ ← (1 - ρ) Σ + ρ diag Σ, ρ = κC / (κC + count)
    (after Schäfer & Strimmer 2005, target D; the mean under an inverse Wishart prior). The fewer
    the positions, the nearer is the map to AdaIN. For content and style alike it leaves the
    identity as it is.

    Args:
        content: of the whole picture, with covariance.
        style: likewise.
        variant: which of the maps.
        shrinkage: κ, at least 0; 0 takes the covariances as they are.
        max_gain: how much each of the directions in which the content is taken apart is amplified
            at most, so that those without variance keep their noise small.

    Returns:
        A map that is finite for all finite statistics: AdaIN's, should LAPACK give up. After it,
        no channel of the content varies more than the style's, but for what the dilution took
        from Σ_c: its variance is σ_s² / (1 - ρ_c) at most.

    Raises:
        ValueError: statistics without covariances.
    """
    if content.covariance.ndim == 1 or style.covariance.ndim == 1:
        raise ValueError("WCT needs whole covariances; these statistics have variances only.")
    source, target = _shrink_covariance(content, shrinkage), _shrink_covariance(style, shrinkage)
    try:
        matrix = (_transport if variant == "transport" else _coloring)(source, target, max_gain)
    except _LinAlgError:
        return adain(content, style, max_gain=max_gain)
    return Affine.from_means(content.mean, style.mean, matrix)


def _shrink_covariance(statistics: Statistics, shrinkage: float) -> Tensor:
    weight = shrinkage * len(statistics.mean)
    rho = weight / (weight + statistics.count)
    return torch.lerp(statistics.covariance, statistics.variance.diag(), rho)


def _coloring(source: Tensor, target: Tensor, max_gain: float) -> Tensor:
    """Σ_s^½ Σ_c^-½ = Σ_s^½ (U Λ^-½ Uᵀ)."""
    variances, vectors = _eigh(source)
    return _bounded_product(_matrix_sqrt(target) @ vectors, variances.sqrt(), vectors, max_gain)


def _transport(source: Tensor, target: Tensor, max_gain: float) -> Tensor:
    """Σ_s^½ (Σ_s^½ Σ_c Σ_s^½)^-½ Σ_s^½, by the singular values of Σ_c^½ Σ_s^½.

    The root of the product would be known to half as many digits.
    """
    root = _matrix_sqrt(target)
    _, deviations, vectors = torch.linalg.svd(_matrix_sqrt(source) @ root)
    arms = root @ vectors.T
    return _bounded_product(arms, deviations, arms, max_gain)


def _bounded_product(left: Tensor, deviations: Tensor, right: Tensor, max_gain: float) -> Tensor:
    """Σ_i left_i right_iᵀ / deviation_i, each of these terms of norm ``max_gain`` at most."""
    floor = left.norm(dim=0) * right.norm(dim=0) / max_gain
    return (left / deviations.maximum(floor).clamp_min(_TINY)) @ right.T


def _matrix_sqrt(a: Tensor) -> Tensor:
    """The symmetric square root of a covariance."""
    values, vectors = _eigh(a)
    return (vectors * values.sqrt()) @ vectors.T


def _eigh(a: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (C,), none below the rounding error of the largest, and vectors (C, C)."""
    error = len(a) * torch.finfo(a.dtype).eps
    try:
        values, vectors = torch.linalg.eigh(a)
    except _LinAlgError:  # once more, a hair beside
        jitter = error * a.diagonal().mean() * torch.ones_like(a[0])
        values, vectors = torch.linalg.eigh(a + jitter.diag())
    return values.maximum(error * values.abs().max()), vectors


def flatten_positions(features: Tensor) -> Tensor:
    """(N, C, H, W) as (N·H·W, C): a view when the memory format is channels_last."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _to_float64(a: Tensor) -> Tensor:
    """The tensor in float64, on the processor where the device has no such numbers."""
    return (a.cpu() if a.device.type == "mps" else a).double()
