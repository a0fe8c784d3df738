"""How much of a drawing is kept: structural similarity, and where the edges are.

Sources: Wang, Bovik, Sheikh & Simoncelli, "Image Quality Assessment: From Error Visibility to
Structural Similarity", IEEE TIP 2004; Chen, Yang & Xie, "Gradient-Based Structural Similarity for
Image Quality Assessment", ICIP 2006; Penney et al., "A Comparison of Similarity Measures for Use
in 2-D-3-D Medical Image Registration", IEEE TMI 1998.

All take luminances (N, 1, H, W) in 0..1, give one figure per picture, shape (N,), and can be
differentiated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Of red, green and blue (Rec. 709)."""
WINDOW_SIDE_PX = 11
WINDOW_SIGMA_PX = 1.5
"""The Gaussian window of Wang et al. 2004, in pixels."""
C1, C2 = 0.01**2, 0.03**2
"""Their K₁ = 0.01 and K₂ = 0.03, for a range of 1."""
MIN_EDGE_SLOPE = 1e-5
"""A slope per pixel below which there is no edge: a four-hundredth of a step of 8 bits."""


def luminance(images: Tensor) -> Tensor:
    """The luma (N, 1, H, W) of RGB pictures (N, 3, H, W)."""
    return (images * images.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)).sum(1, keepdim=True)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity of two luminances (eq. 13), 1 if they are the same.

    Windows that reach over the edge are left out, as in the authors' own program.

    Args:
        a: shape (N, 1, H, W), range 0..1, no side under 11.
        b: the same shape.

    Returns:
        Shape (N,), -1..1.
    """
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a**2
    variance_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminances = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structures = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return (luminances * structures).mean((1, 2, 3))


def gradient_magnitude(a: Tensor) -> Tensor:
    """The magnitude (N, 1, H - 2, W - 2) of the Sobel gradient, in units of range per pixel."""
    smooth, slope = a.new_tensor([1.0, 2.0, 1.0]) / 4, a.new_tensor([-1.0, 0.0, 1.0]) / 2
    across = F.conv2d(a, torch.outer(smooth, slope)[None, None])
    down = F.conv2d(a, torch.outer(slope, smooth)[None, None])
    return (
        across.square() + down.square() + (0.1 * MIN_EDGE_SLOPE) ** 2
    ).sqrt()  # with a slope at 0 too


def gradient_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of the gradients' magnitudes of two luminances.

    It is 1 if all edges are in the same places and equally strong but for one factor, whichever
    side of them is the darker, and about 0 for pictures that have nothing to do with each other.
    Of a picture without any edge and one with some it is 0, of two without any 1.

    Args:
        a: shape (N, 1, H, W), no side under 3.
        b: the same shape.

    Returns:
        Shape (N,), -1..1.
    """
    edges_a, edges_b = gradient_magnitude(a).flatten(1), gradient_magnitude(b).flatten(1)
    apart_a = edges_a - edges_a.mean(1, keepdim=True)
    apart_b = edges_b - edges_b.mean(1, keepdim=True)
    least = torch.finfo(a.dtype).tiny
    sizes = (apart_a.square().sum(1) * apart_b.square().sum(1)).clamp_min(least).sqrt()
    found = (apart_a * apart_b).sum(1) / sizes
    flat_a, flat_b = edges_a.amax(1) < MIN_EDGE_SLOPE, edges_b.amax(1) < MIN_EDGE_SLOPE
    found = torch.where(flat_a | flat_b, torch.zeros_like(found), found)
    return torch.where(flat_a & flat_b, torch.ones_like(found), found)


def edge_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of the gradients' magnitudes, after Chen et al. 2006.

    Unlike :func:`gradient_correlation` it is local, and sees how strong the edges are.

    Args:
        a: shape (N, 1, H, W), range 0..1, no side under 13.
        b: the same shape.

    Returns:
        Shape (N,), -1..1; 1 if the edges are the same.
    """
    return ssim(gradient_magnitude(a), gradient_magnitude(b))


def _blur(a: Tensor) -> Tensor:
    """Means over the Gaussian window, where it lies inside the picture."""
    at = torch.arange(WINDOW_SIDE_PX, dtype=a.dtype, device=a.device) - WINDOW_SIDE_PX // 2
    window = torch.exp(-(at**2) / (2 * WINDOW_SIGMA_PX**2))
    window = window / window.sum()
    return F.conv2d(F.conv2d(a, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
