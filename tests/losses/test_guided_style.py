"""Guided Gram matrices (Gatys et al. 2017) against numpy, the cut-out and finite differences."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from impasto.losses.style import (
    feature_gaussian,
    gram_matrix,
    guided_gaussians,
    guided_gram_matrices,
)


def features(channels=4, height=6, width=7, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator, dtype=dtype)


def soft(regions=3, height=6, width=7):
    """Weights of some regions that add up to 1; the first position is all the last one's."""
    generator = torch.Generator().manual_seed(7)
    weights = torch.rand(regions, height, width, generator=generator, dtype=torch.float64)
    weights[:-1, 0, 0] = 0
    return weights / weights.sum(0)


def test_they_are_equations_5_and_6_by_hand():
    f, weights = features(), soft()
    found = guided_gram_matrices(f, weights)
    rows = f[0].flatten(1).numpy()
    for gram, weight in zip(found, weights, strict=True):
        guidance = np.sqrt(weight.flatten().numpy())
        guidance /= np.sqrt((guidance**2).sum())  # the paper's T, of norm 1
        guided = rows * guidance
        np.testing.assert_allclose(gram, guided @ guided.T, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_that_of_a_hard_mask_is_that_of_the_cut_out(dtype):
    f = features(8, 12, 12, dtype=dtype)
    mask = torch.zeros(2, 12, 12)
    mask[0, 2:9, 1:6] = mask[1, :, 8:] = 1
    found = guided_gram_matrices(f, mask)
    for gram, part in zip(found, (f[:, :, 2:9, 1:6], f[..., 8:]), strict=True):
        wanted = gram_matrix(part)
        assert gram.dtype == wanted.dtype
        tolerance = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 2**-7}[dtype]
        torch.testing.assert_close(gram, wanted, rtol=tolerance, atol=tolerance)


def test_those_of_a_partition_add_up_to_the_whole_by_their_areas():
    f, weights = features(), soft()
    areas = weights.mean((1, 2))
    total = (areas[:, None, None] * guided_gram_matrices(f, weights)).sum(0)
    torch.testing.assert_close(total, gram_matrix(f))


def test_their_gradient_is_right():
    weights = soft(2, 3, 4)
    f = features(3, 3, 4).requires_grad_()
    assert gradcheck(lambda x: guided_gram_matrices(x, weights), f)


def test_no_gradient_reaches_what_a_region_does_not_cover():
    mask = torch.zeros(1, 6, 7)
    mask[:, :3] = 1
    f = features().requires_grad_()
    guided_gram_matrices(f, mask).square().sum().backward()
    assert (f.grad[:, :, 3:] == 0).all()
    assert (f.grad[:, :, :3] != 0).all()


def test_means_and_covariances_are_those_of_the_cut_out():
    f = features(5, 9, 9)
    mask = torch.zeros(1, 9, 9)
    mask[0, 1:7, 2:8] = 1
    (found,) = guided_gaussians(f, mask)
    torch.testing.assert_close(found, feature_gaussian(f[..., 1:7, 2:8]))
