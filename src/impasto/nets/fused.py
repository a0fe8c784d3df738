"""The same arithmetic in fewer passes over memory, where no gradient is wanted.

At full resolution a picture's activations are tens of megabytes, and an instant method spends its
time moving them: a ReLU of its own takes half as long as the convolution before it.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """ReLU of a convolution of (N, C, H, W); on a processor in one pass, bit for bit the same."""
    if not _can_fuse(conv, x):
        return F.relu_(conv(x))
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x,
        conv.weight,
        conv.bias,
        conv.padding,
        conv.stride,
        conv.dilation,
        conv.groups,
        "relu",
        [],
        "",
    )
    return fused


def upsample_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of 3 x 3, padded by zeros, of (N, C, H, W) after nearest upsampling by two.

    Without gradients it is one transposed convolution of 4 x 4 that holds both: along each side,
    the upsampled pixels 2q and 2q + 1 are the pixel q, so that two neighboring weights (three
    pairs of which overlap) fall on one pixel. Up to rounding it is the same, and has no grid.
    """
    if torch.is_grad_enabled():
        return conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]
    both = _pair_sums(_pair_sums(conv.weight.float(), 2), 3).transpose(0, 1)
    both = both.to(x.dtype, memory_format=torch.channels_last)
    return F.conv_transpose2d(x, both, conv.bias, stride=2, padding=1)


def _pair_sums(weight: Tensor, side: int) -> Tensor:
    """Weights w0, w1, w2 along a side as w2, w2 + w1, w1 + w0, w0."""
    mirrored = weight.flip(side)
    wide = [0, 0] * (4 - 1 - side)
    return F.pad(mirrored, [*wide, 0, 1]) + F.pad(mirrored, [*wide, 1, 0])


def _can_fuse(conv: nn.Conv2d, x: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == conv.weight.dtype
        and x.dtype in (torch.float32, torch.bfloat16)
        and conv.padding_mode == "zeros"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and (x.dtype == torch.float32 or _has_bf16())
    )


@functools.cache
def _has_bf16() -> bool:
    """Whether oneDNN computes bf16 on this processor; those without AVX-512 or AMX it refuses."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
