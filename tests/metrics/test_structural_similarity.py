"""What is kept of a drawing, against scikit-image, numpy, scipy and what must hold."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from impasto.metrics.structural_similarity import (
    edge_ssim,
    gradient_correlation,
    gradient_magnitude,
    luminance,
    ssim,
)


def picture(height=48, width=64, seed=0):
    """A luminance with edges, slopes and noise, in float64."""
    random = np.random.default_rng(seed)
    coarse = random.random((6, 8))
    big = scipy.ndimage.zoom(coarse, (height / 6, width / 8), order=random.integers(0, 3))
    noisy = big + 0.05 * random.standard_normal(big.shape)
    return torch.from_numpy(noisy.clip(0, 1))[None, None]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(48, 64), (33, 41), (12, 90)])
def test_ssim_is_scikit_images(seed, shape):
    a, b = picture(*shape, seed=seed), picture(*shape, seed=seed + 100)
    b = 0.6 * a + 0.4 * b
    wanted = structural_similarity(
        a[0, 0].numpy(),
        b[0, 0].numpy(),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert float(ssim(a, b)) == pytest.approx(wanted, abs=1e-12)


def test_ssim_in_fp32_is_near_enough():
    a, b = picture(seed=1), picture(seed=2)
    assert float(ssim(a.float(), b.float())) == pytest.approx(float(ssim(a, b)), abs=1e-5)


def test_the_luminance_is_that_of_rec_709():
    rgb = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    wanted = 0.2126 * rgb[:, 0] + 0.7152 * rgb[:, 1] + 0.0722 * rgb[:, 2]
    torch.testing.assert_close(luminance(rgb)[:, 0], wanted)


def test_the_gradient_is_scipys():
    a = picture(seed=3)
    plane = a[0, 0].numpy()
    across, down = (scipy.ndimage.sobel(plane, axis=axis) / 8 for axis in (1, 0))
    wanted = np.hypot(across, down)[1:-1, 1:-1]
    np.testing.assert_allclose(gradient_magnitude(a)[0, 0].numpy(), wanted, atol=2e-6)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_correlation_is_numpys(seed):
    a, b = picture(seed=seed), 0.5 * picture(seed=seed) + 0.5 * picture(seed=seed + 9)
    edges = [gradient_magnitude(x)[0, 0].numpy().ravel() for x in (a, b)]
    wanted = np.corrcoef(*edges)[0, 1]
    assert float(gradient_correlation(a, b)) == pytest.approx(wanted, abs=1e-12)


def test_edges_of_other_contrast_or_turned_to_negative_are_the_same_edges():
    a = picture(seed=4)
    assert float(gradient_correlation(a, 0.9 - 0.4 * a)) == pytest.approx(1.0, abs=1e-6)


def test_edges_elsewhere_do_not_correlate():
    a, b = picture(96, 128, seed=5), picture(96, 128, seed=6)
    assert abs(float(gradient_correlation(a, b))) < 0.2
    assert float(edge_ssim(a, b)) < 0.6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_edges_there_is_still_a_number(dtype):
    flat, other = torch.full((1, 1, 20, 20), 0.3, dtype=dtype), picture(20, 20).to(dtype)
    assert float(gradient_correlation(flat, flat)) == 1.0
    assert float(gradient_correlation(flat, flat * 0.5)) == 1.0
    assert float(gradient_correlation(flat, other)) == 0.0


@given(seed=st.integers(0, 50), kind=st.sampled_from([ssim, gradient_correlation, edge_ssim]))
def test_a_picture_is_like_itself_and_likeness_is_mutual(seed, kind):
    a, b = picture(24, 30, seed), picture(24, 30, seed + 1000)
    assert float(kind(a, a)) == pytest.approx(1.0, abs=1e-9)
    assert float(kind(a, b)) == pytest.approx(float(kind(b, a)), abs=1e-12)
    assert -1.0 <= float(kind(a, b)) < 1.0


@pytest.mark.parametrize("kind", [ssim, gradient_correlation, edge_ssim])
def test_a_batch_is_measured_picture_by_picture(kind):
    a = torch.cat([picture(seed=s) for s in (0, 1)])
    b = torch.cat([picture(seed=s) for s in (2, 3)])
    each = torch.cat([kind(a[k : k + 1], b[k : k + 1]) for k in (0, 1)])
    torch.testing.assert_close(kind(a, b), each)


@pytest.mark.parametrize("kind", [ssim, gradient_correlation, edge_ssim])
def test_each_can_be_descended(kind):
    a, b = picture(seed=0), picture(seed=1)
    a[..., :20, :20] = 1.0  # without any slope
    a.requires_grad_()
    (slope,) = torch.autograd.grad(kind(a, b).sum(), a)
    assert torch.isfinite(slope).all()
    with torch.no_grad():
        assert float(kind(a + 1e-2 * slope / slope.norm(), b)) > float(kind(a, b))


@pytest.mark.parametrize("kind", [ssim, edge_ssim])
def test_more_noise_is_less_alike(kind):
    a, noise = picture(seed=7), torch.from_numpy(np.random.default_rng(0).normal(size=(48, 64)))
    found = [float(kind(a, a + level * noise)) for level in (0.0, 0.05, 0.1, 0.2)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
