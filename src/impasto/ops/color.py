"""Keeping colors: a picture takes the colors of another, in one of four ways.

- "luminance": only the lightness is the painting's; hue and chroma stay the photograph's, in
  OKLab, a perceptual space (Ottosson, "A perceptual color space for image processing", 2020);
- "yuv": the same in YUV, the recipe of Gatys, Bethge, Hertzmann & Shechtman, "Preserving Color
  in Neural Artistic Style Transfer", 2016, section 3.2 ("luminance-only transfer");
- "histogram": every channel takes the other's histogram (Gonzalez & Woods, "Digital Image
  Processing", histogram specification);
- "covariance": mean and covariance of the colors become the other's, by the linear map that
  moves them least (Pitié & Kokaram, "The linear Monge-Kantorovich linear color mapping for
  example-based color transfer", 2007, eq. 3.4).

The last two are found from two pictures, of any sizes, and then applied to any part of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import InputError
from impasto.core.picture import Pixels

ColorMode = Literal["none", "luminance", "yuv", "histogram", "covariance"]
ColorTransfer = Callable[[Pixels], Pixels]
"""Takes pixels (..., 3) in 0..1 to others, cut to 0..1."""

HISTOGRAM_KNOTS = 1025
"""Knots of a channel's histogram: a step of a quarter of one of 8 bits, at most, when even."""
MIN_VARIANCE = 1e-8
"""Added to the variances of colors, so that a picture of one color has a map too."""
GAMUT_TOLERANCE = 1e-4
"""How far outside of sRGB, in linear light, a color lies at most that is only cut to it."""

Matrix = NDArray[np.float64]

_RGB_TO_YUV: Matrix = np.array(
    [[0.299, 0.587, 0.114], [-0.14714119, -0.28886916, 0.43601035],
     [0.61497538, -0.51496512, -0.10001026]]
)  # fmt: skip
"""Of BT.470 (PAL), as in scikit-image."""
_RGB_TO_LMS: Matrix = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_LMS_TO_OKLAB: Matrix = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def replace_luminance(colors: Pixels, luminance: Pixels, mode: ColorMode = "luminance") -> Pixels:
    """The hue and chroma of one picture with the luminance of another.

    Args:
        colors: (H, W, 3), sRGB 0..1.
        luminance: the same shape.
        mode: "luminance" (OKLab) or "yuv".
    """
    there, back = (rgb_to_oklab, oklab_to_rgb) if mode == "luminance" else (rgb_to_yuv, yuv_to_rgb)
    return back(np.concatenate([there(luminance)[..., :1], there(colors)[..., 1:]], -1))


def fit_color_transfer(
    picture: Pixels,
    reference: Pixels,
    mode: ColorMode,
    weights: Pixels | None = None,
    reference_weights: Pixels | None = None,
) -> ColorTransfer:
    """The map that gives a picture the colors of another.

    Args:
        picture: (H, W, 3), sRGB 0..1: what will be mapped, or a small version of it.
        reference: (h, w, 3): whose colors it takes.
        mode: "histogram" or "covariance".
        weights: (H, W), at least 0: how much each pixel counts; None: all alike.
        reference_weights: (h, w), the same for the reference.

    Raises:
        InputError: weights that are 0 everywhere.
    """  # fmt: skip
    a, b = _flatten_weighted(picture, weights), _flatten_weighted(reference, reference_weights)
    return _histogram_transfer(*a, *b) if mode == "histogram" else _monge_kantorovich(*a, *b)


def blend_colors(before: Pixels, after: Pixels, weight: float | Pixels) -> Pixels:
    """``after`` to the share 0..1, a number or (H, W), and ``before`` to the rest."""
    part = np.asarray(weight, np.float32)
    part = part[..., None] if part.ndim else part
    whole: Pixels = before + part * (after - before)
    return whole


def rgb_to_yuv(pixels: Pixels) -> Pixels:
    """Y'UV of sRGB (..., 3)."""
    return (pixels @ _RGB_TO_YUV.T).astype(np.float32)


def yuv_to_rgb(pixels: Pixels) -> Pixels:
    """Y'UV (..., 3) to sRGB, cut to 0..1."""
    return (pixels @ np.linalg.inv(_RGB_TO_YUV).T).clip(0, 1).astype(np.float32)


def rgb_to_oklab(pixels: Pixels) -> Pixels:
    """OKLab of sRGB (..., 3): lightness 0..1, and two axes of hue and chroma."""
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    return (np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_OKLAB.T).astype(np.float32)


def oklab_to_rgb(pixels: Pixels) -> Pixels:
    """OKLab (..., 3) to sRGB; what lies outside of it loses chroma, not lightness or hue."""
    rgb = _oklab_to_linear_rgb(pixels)
    outside = ((rgb < -GAMUT_TOLERANCE) | (rgb > 1 + GAMUT_TOLERANCE)).any(-1)
    if outside.any():
        rgb[outside] = _reduce_chroma(pixels[outside])
    rgb = rgb.clip(0, 1)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return encoded.clip(0, 1).astype(np.float32)


def _oklab_to_linear_rgb(pixels: Pixels) -> Matrix:
    cones = (pixels @ np.linalg.inv(_LMS_TO_OKLAB).T) ** 3
    linear: Matrix = cones @ np.linalg.inv(_RGB_TO_LMS).T
    return linear


def _reduce_chroma(pixels: Pixels) -> Matrix:
    """Linear RGB of OKLab colors (n, 3), with as much of their chroma as sRGB holds."""
    low, high = np.zeros(len(pixels)), np.ones(len(pixels))
    for _ in range(10):  # to a thousandth
        middle = (low + high) / 2
        rgb = _oklab_to_linear_rgb(_scale_chroma(pixels, middle))
        fits = ((rgb >= -GAMUT_TOLERANCE) & (rgb <= 1 + GAMUT_TOLERANCE)).all(-1)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return _oklab_to_linear_rgb(_scale_chroma(pixels, low))


def _scale_chroma(pixels: Pixels, factor: Matrix) -> Pixels:
    scaled = pixels.copy()
    scaled[:, 1:] *= factor[:, None].astype(np.float32)
    return scaled


def _flatten_weighted(pixels: Pixels, weights: Pixels | None) -> tuple[Matrix, Matrix]:
    """Colors (n, 3) and their weights (n,), which add up to 1."""
    colors = np.asarray(pixels, np.float64).reshape(-1, 3)
    given = np.ones(len(colors)) if weights is None else np.asarray(weights, np.float64).ravel()
    if given.sum() <= 0:
        raise InputError("No pixel counts for the colors: the region is empty.")
    return colors[given > 0], given[given > 0] / given.sum()


def _histogram_transfer(
    colors: Matrix, weights: Matrix, target_colors: Matrix, target_weights: Matrix
) -> ColorTransfer:
    tables = [
        (_quantiles(colors[:, c], weights), _quantiles(target_colors[:, c], target_weights))
        for c in range(3)
    ]

    def apply(pixels: Pixels) -> Pixels:
        channels = [
            np.interp(pixels[..., c], *_merge_equal_knots(source, target))
            for c, (source, target) in enumerate(tables)
        ]
        return np.stack(channels, -1).astype(np.float32)

    return apply


def _quantiles(values: Matrix, weights: Matrix) -> Matrix:
    """The values below which 0, 1 / (n - 1), ... of the weight lie."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - weights[order] / 2
    knots: Matrix = np.interp(np.linspace(0, 1, HISTOGRAM_KNOTS), below, values[order])
    return knots


def _merge_equal_knots(source: Matrix, target: Matrix) -> tuple[Matrix, Matrix]:
    """The knots with equal sources made one: their targets' mean."""
    values, places, counts = np.unique(source, return_inverse=True, return_counts=True)
    return values, np.bincount(places, target) / counts


def _monge_kantorovich(
    colors: Matrix, weights: Matrix, target_colors: Matrix, target_weights: Matrix
) -> ColorTransfer:
    """The map x → μ_t + A (x - μ_s), A = Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½."""
    (mean, spread), (aim, their_spread) = (
        _moments(colors, weights),
        _moments(target_colors, target_weights),
    )
    root = _matrix_power(spread, 0.5)
    away = _matrix_power(spread, -0.5)
    matrix = away @ _matrix_power(root @ their_spread @ root, 0.5) @ away

    def apply(pixels: Pixels) -> Pixels:
        return ((pixels - mean) @ matrix + aim).clip(0, 1).astype(np.float32)

    return apply


def _moments(colors: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
    mean = weights @ colors
    centered = colors - mean
    return mean, (centered * weights[:, None]).T @ centered + MIN_VARIANCE * np.eye(3)


def _matrix_power(matrix: Matrix, exponent: float) -> Matrix:
    """Of a symmetric, positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    power: Matrix = (vectors * values.clip(1e-12) ** exponent) @ vectors.T
    return power
