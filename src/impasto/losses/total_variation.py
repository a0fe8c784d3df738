"""Prices on the pixels themselves: smoothness, and colors that a file can hold."""

from __future__ import annotations

from torch import Tensor


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbors, across plus down.

    This is Mahendran & Vedaldi 2015, eq. 4 with β = 2, as a mean.

    Args:
        image: shape (1, C, H, W), any range.

    Returns:
        A scalar; 0 for a constant or one-pixel picture. A picture of one row or column has only
        one of the two terms.
    """
    across = image[..., :, 1:] - image[..., :, :-1]
    down = image[..., 1:, :] - image[..., :-1, :]
    terms = [d.square().mean() for d in (across, down) if d.numel()]
    return sum(terms, image.new_zeros(()))


def out_of_gamut(image: Tensor) -> Tensor:
    """How far a picture leaves the colors that a file can hold: mean squared excess over 0..1.

    Without a price on it, an optimizer goes there, and clipping at the end undoes its work: in
    docs/performance.md the loss of the saved picture is 2.7 times that of the optimizer's.

    Args:
        image: shape (1, 3, H, W).

    Returns:
        A scalar, 0 for a picture within 0..1.
    """
    return (image - image.clamp(0, 1)).square().mean()
