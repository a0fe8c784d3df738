"""Fewer passes over memory, the same arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from impasto.nets.fused import conv_relu, upsample_conv


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (7, 4)])
def test_one_transposed_convolution_is_upsampling_and_a_convolution(height, width, bias):
    torch.manual_seed(height)
    conv = nn.Conv2d(5, 3, 3, padding=1, bias=bias).double()
    x = torch.randn(2, 5, height, width, dtype=torch.float64)
    plain = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    with torch.no_grad():
        quick = upsample_conv(conv, x)
    # The weights are summed in float32.
    torch.testing.assert_close(quick, plain, rtol=1e-6, atol=1e-6)


def test_with_gradients_it_is_what_it_says():
    conv = nn.Conv2d(2, 2, 3, padding=1)
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    upsample_conv(conv, x).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_a_convolution_with_its_relu(dtype, padding):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, padding=1, padding_mode=padding).to(dtype)
    x = torch.randn(1, 4, 9, 8).to(dtype).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        found = conv_relu(conv, x)
        plain = F.relu(conv(x))
    assert found.min() == 0
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)


def test_a_relu_that_is_learnt_through():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    conv_relu(conv, x).square().sum().backward()
    assert x.grad is not None
