"""SqueezeNet 1.1, the metrics' own network: no method optimizes it, so none can please it alone.

Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB
model size", 2016, and the definition of version 1.1 that its authors published: the first
convolution has no padding, and the poolings, of windows of 3 x 3, take the last row and column
even where the window does not fit any more, as Caffe does.

A layer stands for the activation *after its ReLU*; that of a fire module is both of its expanding
convolutions, the one of 1 x 1 first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.core.errors import InputError, KnobError
from impasto.nets.fused import conv_relu
from impasto.weights.loading import LoadedWeights

FIRE_CHANNELS = {
    "fire2": (16, 64),
    "fire3": (16, 64),
    "fire4": (32, 128),
    "fire5": (32, 128),
    "fire6": (48, 192),
    "fire7": (48, 192),
    "fire8": (64, 256),
    "fire9": (64, 256),
}
"""Channels that a fire module squeezes to, and that each of its two convolutions expands to."""

POOLED_LAYERS = ("conv1", "fire3", "fire5")
"""Layers that a pooling follows."""


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 to fire9, frozen; what classifies is left out.

    Args:
        weights: from ``store.load_network("squeezenet")``.

    ``layers`` are the names of its activations, "conv1" and "fire2" to "fire9"; ``digests`` is
    the weights' name → sha256.
    """

    layers = ("conv1", *FIRE_CHANNELS)

    def __init__(self, weights: LoadedWeights) -> None:
        super().__init__()
        self.digests = {weights.name: weights.sha256}
        self.preprocessing = weights.preprocessing
        with torch.device("meta"):
            self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
            channels = 64
            for name, (squeezed, expanded) in FIRE_CHANNELS.items():
                self.add_module(name, _Fire(channels, squeezed, expanded))
                channels = 2 * expanded
        tensors = {name: weights.tensors[name] for name in self.state_dict()}
        self.load_state_dict(tensors, assign=True)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The activations of ``layers``, from one pass that stops at the deepest of them.

        Args:
            x: RGB pictures in 0..1, shape (N, 3, H, W).
            layers: names as in ``self.layers``.

        Returns:
            For each name, shape (N, channels, height, width), none below 0. The sides are about
            H and W over 2 (conv1), 4 (to fire3), 8 (to fire5) and 16.

        Raises:
            KnobError: no layer, or one that this network does not have.
            InputError: another shape, or a picture too small for the deepest layer.
        """
        deepest = self._deepest_index(layers)
        self._check_size(x, self.layers[deepest])
        found: dict[str, Tensor] = {}
        x = conv_relu(self.conv1, self.preprocessing(x))
        for place, name in enumerate(self.layers[: deepest + 1]):
            if place:
                x = self.get_submodule(name)(x)
            if name in layers:
                found[name] = x
            if name in POOLED_LAYERS and place < deepest:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return found

    def _deepest_index(self, layers: Sequence[str]) -> int:
        if not layers:
            raise KnobError("No layer of SqueezeNet was asked for; at least one is needed.")
        for name in layers:
            if name not in self.layers:
                raise KnobError(
                    f"SqueezeNet has no layer {name!r}. It has {', '.join(self.layers)}."
                )
        return max(self.layers.index(name) for name in layers)

    @classmethod
    def _check_size(cls, x: Tensor, deepest: str) -> None:
        if x.ndim != 4 or x.shape[1] != 3:
            raise InputError(
                f"SqueezeNet takes pictures of shape (N, 3, H, W), not {tuple(x.shape)}."
            )
        before = cls.layers[: cls.layers.index(deepest)]
        least = 2 ** (1 + sum(name in POOLED_LAYERS for name in before)) + 1
        height, width = x.shape[2:]
        if min(height, width) < least:
            raise InputError(
                f"A picture of {width} x {height} pixels is too small for the layer {deepest}: "
                f"it must be at least {least} x {least}."
            )


class _Fire(nn.Module):
    """Squeezes to few channels, and expands them by convolutions of 1 x 1 and 3 x 3."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = conv_relu(self.squeeze1x1, x)
        return torch.cat([conv_relu(self.expand1x1, x), conv_relu(self.expand3x3, x)], 1)
