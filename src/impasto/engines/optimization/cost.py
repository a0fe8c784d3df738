"""What optimizing a picture through VGG costs: memory by counting, time by a short measurement."""

from __future__ import annotations

import functools
import time

import torch

from impasto.engines.optimization.parametrization import LaplacianPyramid
from impasto.nets.vgg import VGG, Padding, Pooling, move_network
from impasto.weights import store
from impasto.weights.vgg_layers import block_index

ALLOCATOR_OVERHEAD = 1.4
"""What the C library's allocator takes on top of the tensors, measured from 256 to 1024 px
(benchmarks/gatys.py): freed blocks between living ones that no later tensor fits in."""
_PROBE_SIDE_PX = 192
"""Side in pixels of the picture that the measurement paints."""


def activation_bytes_per_pixel(encoder: VGG, layers: tuple[str, ...], element_size: int) -> float:
    """Bytes per pixel of the picture that one pass forward and backward holds at its peak.

    Every activation up to the deepest of ``layers`` is kept for the way back; each pooling keeps
    its output (max pooling also where its maxima were, in eight bytes each; l2 pooling four
    squares and five steps of their root for each); replicate padding
    keeps a second copy of each convolution's input; of a compact encoder, what is asked for is kept
    mapped too; and on the way back three gradients of the widest layer are alive at once.

    Args:
        encoder: the network.
        layers: names of layers, as in ``encoder.layers``.
        element_size: bytes of one number: 4 for float32, 2 for bfloat16.
    """
    deepest = max(encoder.layers.index(name) for name in layers)
    pooled = element_size + {"max": 8, "average": 0, "l2": 9 * element_size}[encoder.pooling]
    held = 0.0
    widest = 0.0
    before = 3.0
    block = 1
    for name in encoder.layers[: deepest + 1]:
        if block_index(name) > block:
            block += 1
            before /= 4
            held += before * pooled
        numbers = encoder.channels(name) / 4 ** (block - 1)
        if encoder.padding == "replicate":
            held += before * element_size
        held += numbers * element_size * (2 if encoder.map_features and name in layers else 1)
        widest = max(widest, numbers * element_size)
        before = numbers
    return held + 3 * widest


def peak_bytes(
    encoder: VGG, layers: tuple[str, ...], image_pixels: int, image_vectors: int, style_pixels: int
) -> int:
    """Bytes that optimizing a picture through VGG takes on top of what the process holds.

    Args:
        encoder: the network.
        layers: names of the layers that are compared.
        image_pixels: of the picture that is optimized.
        image_vectors: canvases that are held: the picture, its gradient, the optimizer's memory.
        style_pixels: pixels of the largest style picture. It passes the encoder once, forward,
        where
            input, padded input and output of the widest layer are held at once.
    """
    each = next(encoder.parameters()).element_size()
    weights = sum(p.numel() for p in encoder.parameters()) * (4 + each)
    canvas = 4 / 3 * 3 * 4  # of three floats a pixel; the pyramid has a third more
    painting = image_pixels * (
        activation_bytes_per_pixel(encoder, layers, each) + image_vectors * canvas
    )
    widest = max(encoder.channels(name) / 4 ** (block_index(name) - 1) for name in encoder.layers)
    looking = style_pixels * each * 3 * widest
    return weights + int(ALLOCATOR_OVERHEAD * max(painting, looking))


@functools.cache
def seconds_per_megapixel(
    weights: str, device: str, precision: str, pooling: Pooling, padding: Padding, deepest: str
) -> float:
    """Time of one pass forward and backward through VGG and back to the picture, measured now.

    The result is remembered for the life of the process.
    """
    encoder = VGG(store.load_encoder(weights), pooling=pooling, padding=padding)
    move_network(encoder, device, precision)
    canvas = LaplacianPyramid(
        torch.rand(1, 3, _PROBE_SIDE_PX, _PROBE_SIDE_PX, device=device), levels=1
    )
    times = []
    for _ in range(4):
        start = time.perf_counter()
        encoder(canvas(), [deepest])[deepest].square().mean().backward()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times) / (_PROBE_SIDE_PX * _PROBE_SIDE_PX / 1e6)
