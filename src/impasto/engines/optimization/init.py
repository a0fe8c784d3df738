"""What a canvas starts from if not from the content: noise, a style's colors, or a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.losses.style import matrix_sqrt
from impasto.pictures import read

INIT_CHOICES = ("content", "noise", "style")


def read_init_picture(init: str) -> Picture | None:
    """The picture that ``init`` names; None if it is one of ``INIT_CHOICES``.

    Raises:
        InputError: neither one of them nor a picture that can be read.
    """
    if init in INIT_CHOICES:
        return None
    try:
        return read(init)
    except InputError as error:
        raise InputError(
            f"init is none of {', '.join(INIT_CHOICES)}, and as a file: {error}"
        ) from error


def white_noise(like: Tensor, seed: int) -> Tensor:
    """Normal noise of mean 0 and deviation 1 in the shape and place of ``like``."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=random).to(like)


def colored_noise(noise: Tensor, image: Tensor) -> Tensor:
    """White noise (1, 3, H, W) given the mean and covariance of the colors of a picture."""
    pixels = image.flatten(2)[0]
    root = matrix_sqrt(torch.cov(pixels))
    return torch.einsum("ij,njhw->nihw", root, noise) + pixels.mean(1).view(3, 1, 1)
