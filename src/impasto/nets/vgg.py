"""The VGG encoder, whose activations are the content and style features of most methods.

Sources: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015 (the network); Gatys, Ecker & Bethge, "A Neural Algorithm of Artistic
Style", 2015 (its use, and average pooling).

Layers are named as in the papers: "conv4_2" is the second convolution of block 4, and stands
for the activation *after its ReLU*. :func:`resolve_layers` takes the other common spellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.core import pitfalls
from impasto.core.errors import InputError, KnobError
from impasto.core.knobs import closest_name
from impasto.nets.fused import conv_relu
from impasto.weights.loading import LoadedWeights
from impasto.weights.vgg_layers import BLOCK_CHANNELS, backbone_title, block_index, conv_names

Pooling = Literal["max", "average", "l2"]
Padding = Literal["zeros", "replicate"]

AVERAGE_POOL_SCALES = (1.31, 1.50, 1.30, 1.98)
L2_POOL_SCALES = (0.62, 0.675, 0.62, 0.795)
"""What the pooling after blocks 1 to 4 is multiplied by, so that activations keep their scale.

Measured with the oxford weights on 26 photographs of 256 and 512 pixels, pooling by pooling: the
factor at which the root mean square of the next convolution's activations equals the one under
max pooling. One set of photographs, or size, differed from these values by up to 4 %.
"""

_LAYER_ALIAS = re.compile(r"(?:conv|relu|r|block)?_?([1-5])_?(?:conv|relu)?([1-4])")


class VGG(nn.Module):
    """VGG-19 or VGG-16, convolutions only, frozen.

    Args:
        weights: from :func:`impasto.weights.store.load_encoder`. They may be narrower than the
            original, and may stop after any convolution.
        pooling: "max" as trained; "average" (smoother results, Gatys et al. 2015, section
            Methods) or "l2" (root of the sum of squares), both rescaled so that activations
            keep the scale they have with max pooling.
        padding: "zeros" as trained, or "replicate", which repeats the border and so avoids
            artifacts at the picture's edges.
        map_features: whether a compact encoder's features are mapped, so that losses of them have
        the
            size, and nearly the value, of those of the full network (Wang et al. 2020, section
            3.2). Without it they are its own activations, which a decoder reads.

    Device, dtype and memory format are set as for any module: ``.to(device, torch.bfloat16,
    memory_format=torch.channels_last)``. ``digests`` is the weights' name → sha256.
    """

    def __init__(
        self,
        weights: LoadedWeights,
        *,
        pooling: Pooling = "max",
        padding: Padding = "zeros",
        map_features: bool = True,
    ) -> None:
        super().__init__()
        self.digests = {weights.name: weights.sha256}
        self.backbone = weights.backbone
        self.pooling = pooling
        self.padding = padding
        self.preprocessing = weights.preprocessing
        self.layers = tuple(
            name for name in conv_names(weights.backbone) if f"{name}.weight" in weights.tensors
        )
        for name in self.layers:
            conv = _frozen_conv(
                weights.tensors[f"{name}.weight"], weights.tensors[f"{name}.bias"], padding
            )
            self.add_module(name, conv)
        self.map_features = map_features and f"{self.layers[0]}.map" in weights.tensors
        for name in self.layers if self.map_features else ():
            self.add_module(f"{name}_map", _map_conv(weights.tensors[f"{name}.map"], name))

    def forward(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The activations of ``layers``, from one pass that stops at the deepest of them.

        Args:
            x: RGB pictures in 0..1, shape (N, 3, H, W); converted to the weights' dtype after
                the mean has been taken off.
            layers: names as in ``self.layers``.

        Returns:
            For each name, shape (N, channels, H // 2^(block - 1), W // 2^(block - 1)), in the
            weights' dtype, none below 0 unless they are mapped. Not to be changed in place while
            gradients are wanted.

        Raises:
            KnobError: no layer, or one that this network does not have.
            InputError: another shape, or a picture too small for the deepest layer.
        """
        deepest = self._deepest_index(layers)
        self._check_size(x, self.layers[deepest])
        found: dict[str, Tensor] = {}
        x = self._normalize(x)
        block = 1
        for name in self.layers[: deepest + 1]:
            if block_index(name) > block:
                x = pool(x, self.pooling, block)
                block += 1
            x = conv_relu(cast(nn.Conv2d, self.get_submodule(name)), x)
            if name in layers:
                found[name] = self.get_submodule(f"{name}_map")(x) if self.map_features else x
        return found

    def channels(self, layer: str) -> int:
        """How many feature maps a layer has."""
        conv = self.get_submodule(layer)
        assert isinstance(conv, nn.Conv2d)
        return conv.out_channels

    def full_channels(self, layer: str) -> int:
        """How many feature maps the layer's losses count with: the full network's if mapped."""
        return BLOCK_CHANNELS[block_index(layer) - 1] if self.map_features else self.channels(layer)

    def resolve(self, names: Iterable[str]) -> tuple[str, ...]:
        """Layer names as :func:`resolve_layers` gives them, each of which this network has.

        Raises:
            KnobError: no such layer; the message names the nearest, or what there is.
        """
        found = resolve_layers(self.backbone, names)
        for name in found:
            self._check_layer(name)
        return found

    def _normalize(self, x: Tensor) -> Tensor:
        mean = x.new_tensor(self.preprocessing.mean).view(3, 1, 1)
        std = x.new_tensor(self.preprocessing.std).view(3, 1, 1)
        dtype = next(self.parameters()).dtype
        return ((x - mean) / std).to(dtype, memory_format=torch.channels_last)

    def _deepest_index(self, layers: Sequence[str]) -> int:
        if not layers:
            raise KnobError("No layer of VGG was asked for; at least one is needed.")
        for name in layers:
            self._check_layer(name)
        return max(self.layers.index(name) for name in layers)

    def _check_layer(self, name: str) -> None:
        if name not in self.layers:
            (given,) = self.digests
            raise KnobError(
                f"The {backbone_title(self.backbone)} {given} has {self.layers[0]} to "
                f"{self.layers[-1]}, "
                f"but no layer {name!r}."
            )

    @staticmethod
    def _check_size(x: Tensor, deepest: str) -> None:
        if x.ndim != 4 or x.shape[1] != 3:
            raise InputError(f"VGG takes pictures of shape (N, 3, H, W), not {tuple(x.shape)}.")
        least = 2 ** (block_index(deepest) - 1)
        height, width = x.shape[2:]
        if min(height, width) < least:
            raise InputError(
                f"A picture of {width} x {height} pixels is too small for the layer {deepest}: "
                f"it must be at least {least} x {least}."
            )


def move_network(network: nn.Module, device: str, precision: str) -> None:
    """Move a network to a device, in "fp32" or "bf16", with its weights as channels_last.

    That is the memory format in which convolutions are fastest on processors and GPUs alike.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    network.to(device=device, dtype=dtype)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def pool(x: Tensor, pooling: Pooling, block: int) -> Tensor:
    """Halve (N, C, H, W) to (N, C, H // 2, W // 2) by windows of 2 x 2, after ``block`` (1 to 4).

    "average" and "l2" are multiplied by the constant that keeps the scale of max pooling.
    """
    if pooling == "average":
        return AVERAGE_POOL_SCALES[block - 1] * F.avg_pool2d(x, 2)
    if pooling == "l2":
        return L2_POOL_SCALES[block - 1] * F.lp_pool2d(x, 2.0, 2)
    return F.max_pool2d(x, 2)


def resolve_layers(backbone: str, names: Iterable[str]) -> tuple[str, ...]:
    """Layer names as in the papers, in the order given.

    Besides "conv4_2" it takes "relu4_2", "r42" and "r4_2", "block4_conv2" (Keras) and "4_2".
    All of them mean the activation after the ReLU.

    Raises:
        KnobError: no such layer in the backbone; the message names the nearest.
    """
    return tuple(_resolve(backbone, name) for name in names)


def layer_warning(backbone: str, names: Iterable[str]) -> str | None:
    """A sentence if layers chosen for VGG-19 lie elsewhere in ``backbone``, else None.

    Up to conv3_3 the two networks are alike. From block 4 on, the same name is another depth.

    Raises:
        KnobError: no such layer in the backbone.
    """
    known, paper = conv_names(backbone), conv_names("vgg19")
    return pitfalls.moved_layers(
        backbone_title(backbone), resolve_layers(backbone, names), known, paper
    )


def _resolve(backbone: str, name: str) -> str:
    known, paper = conv_names(backbone), conv_names("vgg19")
    match = _LAYER_ALIAS.fullmatch(name.strip().lower())
    plain = f"conv{match[1]}_{match[2]}" if match else name
    if plain in known:
        return plain
    if plain in paper:
        hint = f"The layer at the nearest depth is {_same_depth(plain, paper, known)}."
    elif near := closest_name(plain, known):
        hint = f"Did you mean {near}?"
    else:
        hint = f"It has {', '.join(known)}."
    raise KnobError(f"{backbone_title(backbone)} has no layer {name!r}. {hint}")


def _same_depth(name: str, paper: tuple[str, ...], known: tuple[str, ...]) -> str:
    """The layer of ``known`` at the same fraction of the depth; of two as near, the deeper."""
    wanted = (paper.index(name) + 1) * len(known)
    return min(reversed(known), key=lambda each: abs((known.index(each) + 1) * len(paper) - wanted))


def _frozen_conv(weight: Tensor, bias: Tensor, padding: Padding) -> nn.Conv2d:
    """A 3 x 3 convolution around the tensors given, which it shares and never changes."""
    conv = nn.Conv2d(
        weight.shape[1], weight.shape[0], 3, padding=1, padding_mode=padding, device="meta"
    )
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
    return conv


def _map_conv(matrix: Tensor, layer: str) -> nn.Conv2d:
    """A (n, n) map of features as a 1 x 1 convolution, scaled so that means over n are over N.

    The N channels of the full network hold N / n times the energy a channel of what is mapped.
    """
    scaled = matrix * (len(matrix) / BLOCK_CHANNELS[block_index(layer) - 1]) ** 0.5
    conv = nn.Conv2d(len(matrix), len(matrix), 1, bias=False, device="meta")
    conv.weight = nn.Parameter(scaled[:, :, None, None].contiguous(), requires_grad=False)
    return conv
