"""Frames: mirrored, or repeated where a side is too short."""

import numpy as np
import pytest
import torch

from impasto.ops.padding import PADDING_PX, can_reflect, pad, unpad


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (33, 65), (64, 48)])
@pytest.mark.parametrize("multiple", [4, 8, 16])
def test_sides_divide_evenly_and_the_picture_comes_back(size, multiple):
    x = torch.rand(2, 3, *size)
    y = pad(x, multiple)
    for side, length in zip(y.shape[2:], size, strict=True):
        assert side % multiple == 0
        assert length + 2 * PADDING_PX <= side < length + 2 * PADDING_PX + multiple
    assert torch.equal(unpad(y, *size), x)


@pytest.mark.parametrize("size", [(20, 23), (24, 100), (40, 41)])
def test_it_is_numpys_padding(size):
    x = torch.rand(1, 3, *size)
    y = pad(x, 8)
    after = [n - side - PADDING_PX for n, side in zip(y.shape[2:], size, strict=True)]
    mode = "reflect" if min(size) > max(after) else "edge"
    assert can_reflect(*size, 8) == (mode == "reflect")
    padding = ((0, 0), (0, 0), *((PADDING_PX, n) for n in after))
    assert np.array_equal(y.numpy(), np.pad(x.numpy(), padding, mode=mode))
