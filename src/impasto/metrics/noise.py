"""How much noise there is in a picture that nobody has without it."""

from __future__ import annotations

from torch import Tensor

NORMAL_ABS_MEDIAN = 0.6744897501960817
"""The median of the absolute value of a normal variable, in standard deviations."""


def noise_sigma(luminance: Tensor) -> Tensor:
    """The standard deviation of white noise in luminances, from the finest diagonal details.

    It is the median of the absolute diagonal Haar coefficients over 0.6745 (Donoho & Johnstone,
    "Ideal Spatial Adaptation by Wavelet Shrinkage", 1994). Edges are few among them
    and do not count; a texture of single pixels cannot be told from noise.

    Args:
        luminance: shape (N, 1, H, W), no side under 2.

    Returns:
        Shape (N,), in the units of the luminance.
    """
    height, width = (side // 2 * 2 for side in luminance.shape[2:])
    even, odd = luminance[..., 0:height:2, :width], luminance[..., 1:height:2, :width]
    diagonal = (even[..., 0::2] - even[..., 1::2] - odd[..., 0::2] + odd[..., 1::2]) / 2
    return diagonal.abs().flatten(1).median(dim=1).values / NORMAL_ABS_MEDIAN
