"""The feed-forward networks as ONNX graphs: frame, network, cut, in float32.

Each function here writes what its network in ``impasto.nets`` or ``impasto.methods`` computes;
tests hold the two together. What is decided by a picture's size, or by a value in it, is decided
in the graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from impasto.methods.adain import FEATURE_LAYER, MIN_RESIDUAL_WEIGHT, RESIDUAL_DISTANCE_SCALE
from impasto.nets import transform_net as fast_net
from impasto.nets.decoder import Decoder
from impasto.nets.transform_net import TransformNet
from impasto.nets.vgg import VGG
from impasto.ops.feature_transforms import MAX_GAIN
from impasto.ops.padding import PADDING_PX
from impasto.pipeline.onnx_graph import OnnxGraph
from impasto.weights.vgg_layers import block_index

MAX_SQUARED_DEVIATION = 100.0
"""Squared deviations for which a channel counts at most in the distance of two statistics."""
_TINY = torch.finfo(torch.float32).tiny


def build_transform_net(
    g: OnnxGraph, network: TransformNet, styles: list[int], content: str, style_weights: str
) -> str:
    """The fast network; see :class:`impasto.nets.transform_net.TransformNet`.

    Args:
        g: the graph that is added to.
        network: the network.
        styles: those that are offered, as places in its table.
        content: (1, 3, H, W) in 0..1.
        style_weights: (1, styles).

    Returns:
        The painting, (1, 3, H, W) in 0..1.
    """
    plain = network.identity_row()
    row = g("Add", g("MatMul", style_weights, network.table[styles] - plain), plain)
    sizes = [n for n in network.channel_counts for _ in range(2)] + [3, 3]
    parts = iter(g.add_node("Split", len(sizes), g("Squeeze", row, [0]), sizes, axis=0))
    frame = _pad(g, content, 4)
    gray = g("Sub", frame, 0.5)
    x = gray
    for conv in network.down:
        x = g("Relu", _conv_norm(g, conv, x, parts))
    for first, second in zip(network.body[::2], network.body[1::2], strict=True):
        y = g("Relu", _conv_norm(g, first, x, parts))
        x = g("Add", x, _conv_norm(g, second, y, parts))
    for conv in network.up:
        x = g("Relu", _conv_norm(g, conv, _upsample(g, x), parts))
    kept, painted = (g("Unsqueeze", part, [0, 2, 3]) for part in parts)
    strokes = g("Mul", painted, _conv(g, network.last, x))
    picture = g("Add", g("Mul", kept, gray), 0.5)
    return _crop(g, g("Add", picture, strokes), content)


def build_adain(
    g: OnnxGraph,
    encoder: VGG,
    decoder: Decoder,
    content: str,
    moments: tuple[str | Tensor, str | Tensor],
    style_weights: str,
) -> str:
    """AdaIN with everything around it; see :class:`impasto.methods.adain.AdaINModel`.

    The maps of eq. 8, blended, and at a strength (eq. 14), are one map: A = 1 + Σ share (A_s - 1),
    b = Σ share b_s. The shares add up to the strength.

    Args:
        g: the graph that is added to.
        encoder: the network whose features are changed.
        decoder: its counterpart.
        content: (1, 3, H, W) in 0..1.
        moments: mean and deviation of the styles' features, each (styles, C); see
            :func:`build_style_moments`.
        style_weights: (1, styles).

    Returns:
        The painting, (1, 3, H, W) in 0..1.
    """
    frame = _pad(g, content, 8)
    seen = _encode(g, encoder, frame)
    mean, deviation = _channel_moments(g, seen)
    their_mean, their_deviation = moments

    floor = g("Max", g("Div", their_deviation, MAX_GAIN), _TINY)
    gain = g("Sub", g("Div", their_deviation, g("Max", deviation, floor)), 1.0)
    turned = g("MatMul", style_weights, gain)  # (1, C): A - 1
    moved = g("MatMul", style_weights, g("Sub", their_mean, mean))  # (1, C): how far the mean moves
    shift = g("Sub", moved, g("Mul", turned, mean))
    matrix, shift = (g("Unsqueeze", a, [2, 3]) for a in (g("Add", turned, 1.0), shift))
    painted = _decode(g, decoder, g("Add", g("Mul", seen, matrix), shift))

    variance = _square(g, deviation)
    spread = g("Add", g("Mul", _square(g, turned), variance), _square(g, moved))
    floor = g("Max", g("Mul", g("ReduceMax", variance, keepdims=0), 1e-12), _TINY)
    apart = g("Min", g("Div", spread, g("Max", variance, floor)), MAX_SQUARED_DEVIATION)
    kept = g("Exp", g("Div", g("ReduceMean", apart, keepdims=0), -(RESIDUAL_DISTANCE_SCALE**2)))

    def restored() -> str:
        lost = g("Sub", frame, _decode(g, decoder, seen))
        return g("Add", painted, g("Mul", kept, lost))

    whole = g.if_else(
        g("Greater", kept, MIN_RESIDUAL_WEIGHT), restored, lambda: g("Identity", painted)
    )
    return _crop(g, whole, content)


def build_style_moments(g: OnnxGraph, encoder: VGG, style: str) -> tuple[str, str]:
    """Mean and deviation (1, C) of the features of a style picture (1, 3, h, w)."""
    return _channel_moments(g, _encode(g, encoder, _pad(g, style, 8)))


def _channel_moments(g: OnnxGraph, features: str) -> tuple[str, str]:
    """Mean and deviation (1, C) of features (1, C, h, w); centered first, for the precision."""
    mean = g("ReduceMean", features, [2, 3])
    variance = g("ReduceMean", _square(g, g("Sub", features, mean)), [2, 3], keepdims=0)
    return g("Squeeze", mean, [2, 3]), g("Sqrt", variance)


def _encode(g: OnnxGraph, encoder: VGG, x: str) -> str:
    about = encoder.preprocessing
    mean, std = (torch.tensor(a).view(1, 3, 1, 1) for a in (about.mean, about.std))
    x = g("Div", g("Sub", x, mean), std)
    block = 1
    for name in encoder.layers[: encoder.layers.index(FEATURE_LAYER) + 1]:
        if block_index(name) > block:
            x = g("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
            block += 1
        x = g("Relu", _conv(g, encoder.get_submodule(name), x))
    return x


def _decode(g: OnnxGraph, decoder: Decoder, x: str) -> str:
    for index, stage in enumerate(decoder.stages):
        if index:
            x = _upsample(g, x)
        assert isinstance(stage, nn.ModuleList)
        for conv in stage:
            x = g("Relu", _conv(g, conv, x))
    return g("Add", _conv(g, decoder.last, x), 0.5)


def _pad(g: OnnxGraph, content: str, multiple: int) -> str:
    """As :func:`impasto.ops.padding.pad`, by taking rows and columns: sizes come later."""
    sides = [g("Gather", g("Shape", content), [axis]) for axis in (2, 3)]
    ends = [_padded_end(g, side, multiple) for side in sides]
    beyond = g("Max", *(g("Sub", end, side) for end, side in zip(ends, sides, strict=True)))
    mirrored = g("Greater", g("Min", *sides), beyond)
    for axis, side, end in zip((2, 3), sides, ends, strict=True):
        places = g("Range", g("Squeeze", [-PADDING_PX]), g("Squeeze", end), g("Squeeze", [1]))
        edge = g("Max", g("Min", places, g("Sub", side, [1])), [0])
        mirror = g("Sub", g("Mul", edge, [2]), places)
        content = g("Gather", content, g("Where", mirrored, mirror, edge), axis=axis)
    return content


def _padded_end(g: OnnxGraph, side: str, multiple: int) -> str:
    """Where the frame ends: the side and its frame, rounded up to the multiple."""
    parts = g("Div", g("Add", side, [2 * PADDING_PX + multiple - 1]), [multiple])
    return g("Sub", g("Mul", parts, [multiple]), [PADDING_PX])


def _crop(g: OnnxGraph, stylized: str, content: str) -> str:
    """The painting without its frame, within 0..1."""
    sides = g("Slice", g("Shape", content), [2], [4])
    ends = g("Add", sides, [PADDING_PX, PADDING_PX])
    return g("Clip", g("Slice", stylized, [PADDING_PX, PADDING_PX], ends, [2, 3]), 0.0, 1.0)


def _conv_norm(g: OnnxGraph, conv: nn.Module, x: str, parts: Iterator[str]) -> str:
    scale, shift = next(parts), next(parts)
    return g("InstanceNormalization", _conv(g, conv, x), scale, shift, epsilon=fast_net.EPS)


def _conv(g: OnnxGraph, conv: nn.Module, x: str) -> str:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(conv.padding, tuple)
    bias = () if conv.bias is None else (conv.bias,)
    pads, strides = [*conv.padding] * 2, [*conv.stride]
    return g("Conv", x, conv.weight, *bias, pads=pads, strides=strides)


def _upsample(g: OnnxGraph, x: str) -> str:
    scales = torch.tensor([1.0, 1.0, 2.0, 2.0])
    how = {"mode": "nearest", "nearest_mode": "floor"}
    return g("Resize", x, "", scales, coordinate_transformation_mode="asymmetric", **how)


def _square(g: OnnxGraph, x: str) -> str:
    return g("Mul", x, x)
