"""LPIPS v0.1: how different two pictures look, as people judged it of distorted photographs.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
CVPR 2018, equation 1, with AlexNet and the published linear heads of version 0.1; AlexNet is that
of Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.core.errors import InputError
from impasto.nets.fused import conv_relu
from impasto.weights.loading import LoadedWeights

MIN_SIDE_PX = 31
"""Pixels that each side of a picture must have: with fewer, nothing is left after the poolings."""

CONV_CHANNELS = (64, 192, 384, 256, 256)
"""Channels of AlexNet's five convolutions."""

POOLED_CONVS = (1, 2)
"""Convolutions that a pooling precedes, counted from 0."""


class LPIPS(nn.Module):
    """The distance of two pictures: AlexNet with LPIPS' linear heads, frozen.

    Args:
        weights: from ``store.load_network("lpips")``.

    ``digests`` is the weights' name → sha256.
    """

    def __init__(self, weights: LoadedWeights) -> None:
        super().__init__()
        self.digests = {weights.name: weights.sha256}
        self.preprocessing = weights.preprocessing
        with torch.device("meta"):
            self.conv1 = nn.Conv2d(3, CONV_CHANNELS[0], 11, stride=4, padding=2)
            self.conv2 = nn.Conv2d(CONV_CHANNELS[0], CONV_CHANNELS[1], 5, padding=2)
            self.conv3 = nn.Conv2d(CONV_CHANNELS[1], CONV_CHANNELS[2], 3, padding=1)
            self.conv4 = nn.Conv2d(CONV_CHANNELS[2], CONV_CHANNELS[3], 3, padding=1)
            self.conv5 = nn.Conv2d(CONV_CHANNELS[3], CONV_CHANNELS[4], 3, padding=1)
            for index, width in enumerate(CONV_CHANNELS, start=1):
                self.add_module(f"head{index}", nn.Conv2d(width, 1, 1, bias=False))
        self.load_state_dict(weights.tensors, assign=True)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each picture of ``x`` from that of ``y`` in the same place.

        Args:
            x: RGB pictures in 0..1, shape (N, 3, H, W), both sides 31 or longer.
            y: as many, of the same shape.

        Returns:
            Shape (N,), none below 0: 0 for the same picture, about 0.01 for a good JPEG of it,
            0.1 for a poor one, and 0.6 to 1 for two pictures that have nothing in common.

        Raises:
            InputError: pictures of another shape, of unlike shapes, or too small.
        """
        _check_pair(x, y)
        total = x.new_zeros(len(x))
        for index, (a, b) in enumerate(zip(self._features(x), self._features(y), strict=True), 1):
            differences = (F.normalize(a, eps=1e-10) - F.normalize(b, eps=1e-10)) ** 2
            total = total + self.get_submodule(f"head{index}")(differences).mean((1, 2, 3))
        return total

    def _features(self, x: Tensor) -> list[Tensor]:
        """The five activations after their ReLU, each (N, channels, height, width)."""
        found: list[Tensor] = []
        x = self.preprocessing(x)
        convs = (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5)
        for index, conv in enumerate(convs):
            x = conv_relu(conv, F.max_pool2d(x, 3, 2) if index in POOLED_CONVS else x)
            found.append(x)
        return found


def _check_pair(x: Tensor, y: Tensor) -> None:
    if x.ndim != 4 or x.shape[1] != 3:
        raise InputError(f"LPIPS takes pictures of shape (N, 3, H, W), not {tuple(x.shape)}.")
    if x.shape != y.shape:
        raise InputError(
            "LPIPS compares pictures of one size, not "
            f"{x.shape[3]} x {x.shape[2]} and {y.shape[-1]} x {y.shape[-2]} pixels."
        )
    if min(x.shape[2:]) < MIN_SIDE_PX:
        raise InputError(
            f"A picture of {x.shape[3]} x {x.shape[2]} pixels is too small for LPIPS: it must be "
            f"at least {MIN_SIDE_PX} x {MIN_SIDE_PX}."
        )
