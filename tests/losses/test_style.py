"""Style losses against numpy, scipy, closed forms and finite differences."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from impasto.losses.style import (
    Gaussian,
    feature_gaussian,
    gram_loss,
    gram_matrix,
    matrix_sqrt,
    to_float64,
    wasserstein_loss,
)


def features(channels=4, height=5, width=6, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator, dtype=dtype)


def covariance(n, rank=None, seed=0):
    root = torch.randn(n, rank or n, generator=torch.Generator().manual_seed(seed)).double()
    return root @ root.T


def distance(mean_1, cov_1, mean_2, cov_2):
    """W² / C of two Gaussians by our loss."""
    target = Gaussian(mean_2, cov_2)
    return wasserstein_loss(Gaussian(mean_1, cov_1), target, matrix_sqrt(to_float64(cov_2)))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # bfloat16 has 8 significant bits: half a unit in the last is 2^-9 of the value.
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 2**-8)],
)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_gram_matrix_is_numpys(dtype, tolerance, memory):
    f = features(7, 9, 11).relu().to(dtype).contiguous(memory_format=memory)
    found = gram_matrix(f)
    f = f.double().numpy()
    wanted = np.einsum("bchw,bdhw->cd", f, f) / (9 * 11)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    np.testing.assert_allclose(found.double().numpy(), wanted, rtol=tolerance, atol=tolerance)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_a_gram_matrix_is_symmetric_and_positive_semi_definite(channels, height, width, seed):
    gram = gram_matrix(features(channels, height, width, seed=seed))
    torch.testing.assert_close(gram, gram.T, rtol=1e-13, atol=1e-15)
    assert torch.linalg.eigvalsh(gram).min() > -1e-12 * max(1.0, float(gram.trace()))
    trace = features(channels, height, width, seed=seed).square().sum() / (height * width)
    torch.testing.assert_close(gram.trace(), trace)


def test_a_gram_matrix_does_not_know_where_things_are():
    f = features(4, 6, 6)
    mixed = f.flatten(2)[..., torch.randperm(36)].view_as(f)
    torch.testing.assert_close(gram_matrix(mixed), gram_matrix(f))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_gram_matrixs_gradient_is_right(memory):
    f = features(3, 4, 5).contiguous(memory_format=memory).requires_grad_()
    assert gradcheck(gram_matrix, f)
    assert gradcheck(gram_matrix, features(3, 1, 1).requires_grad_())


def test_the_gradient_keeps_the_layout_of_the_features():
    f = features(8, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    gram_matrix(f).sum().backward()
    assert f.grad.is_contiguous(memory_format=torch.channels_last)


def test_a_bfloat16_gradient_is_close_to_the_exact_one():
    gradients = []
    for dtype in (torch.float64, torch.bfloat16):
        f = features(16, 12, 12).relu().to(dtype).requires_grad_()
        target = gram_matrix(features(16, 12, 12, seed=1).to(dtype))
        gram_loss(gram_matrix(f), target).backward()
        gradients.append(f.grad.double().flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999


def test_the_gram_loss_is_the_papers_equation_4():
    g, a = (gram_matrix(features(5, seed=s)).numpy() * 30 for s in (0, 1))
    # The paper's G is not divided by M = 30: E = Σ (G - A)² / (4 N² M²).
    wanted = ((g - a) ** 2).sum() / (4 * 5**2 * 30**2)
    found = gram_loss(*(gram_matrix(features(5, seed=s)) for s in (0, 1)))
    assert float(found) == pytest.approx(wanted, rel=1e-12)
    assert gradcheck(gram_loss, (torch.rand(3, 3).double().requires_grad_(), torch.eye(3).double()))


def test_mean_and_covariance_are_numpys():
    f = features(4, 7, 9) + 3
    found = feature_gaussian(f)
    rows = f[0].flatten(1).numpy()
    np.testing.assert_allclose(found.mean, rows.mean(1), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(rows, bias=True), rtol=1e-10, atol=1e-13)


def test_a_single_position_has_no_covariance():
    found = feature_gaussian(features(3, 1, 1))
    torch.testing.assert_close(found.covariance, torch.zeros(3, 3).double(), atol=1e-15, rtol=0)


@pytest.mark.parametrize("rank", [6, 3, 1])
def test_the_root_times_itself_is_the_matrix(rank):
    a = covariance(6, rank)
    root = matrix_sqrt(a)
    torch.testing.assert_close(root @ root, a)
    torch.testing.assert_close(root, root.T)
    assert torch.linalg.eigvalsh(root).min() > -1e-6  # of all roots, the positive one
    if rank == 6:  # scipy's does not like singular matrices
        np.testing.assert_allclose(root, scipy.linalg.sqrtm(a.numpy()), atol=1e-9)


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 9), st.floats(0, 9))
def test_in_one_dimension_the_distance_is_of_means_and_deviations(m1, m2, s1, s2):
    one = [torch.tensor(v, dtype=torch.float64) for v in ([m1], [[s1**2]], [m2], [[s2**2]])]
    assert float(distance(*one)) == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, abs=1e-9)


def test_where_covariances_commute_the_distance_is_of_their_roots():
    turn = torch.linalg.qr(covariance(5))[0]
    a, b = (torch.rand(5, generator=torch.Generator().manual_seed(s)).double() for s in (1, 2))
    zero = torch.zeros(5).double()
    found = distance(zero, (turn * a) @ turn.T, zero, (turn * b) @ turn.T)
    assert float(found) == pytest.approx(float((a.sqrt() - b.sqrt()).square().sum()) / 5, rel=1e-9)


@pytest.mark.parametrize("rank", [7, 3])
def test_the_distance_is_scipys(rank):
    one, two = covariance(7, rank, seed=1), covariance(7, seed=2)
    means = torch.randn(2, 7, generator=torch.Generator().manual_seed(3)).double()
    a, b = one.numpy(), two.numpy()
    root = scipy.linalg.sqrtm(b)
    cross = scipy.linalg.sqrtm(root @ a @ root).real
    wanted = ((means[0] - means[1]) ** 2).sum() + np.trace(a + b - 2 * cross)
    found = distance(means[0], one, means[1], two)
    assert float(found) == pytest.approx(float(wanted) / 7, rel=1e-6)
    torch.testing.assert_close(found, distance(means[1], two, means[0], one))


def test_it_is_the_cost_of_the_best_transport():
    # Of two sets of points on a line, the best transport pairs them in order; for samples of
    # Gaussians its mean cost tends to W².
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.normal(1, 2, 200_000)), np.sort(rng.normal(-1, 0.5, 200_000))
    one = [torch.tensor(v, dtype=torch.float64) for v in ([1.0], [[4.0]], [-1.0], [[0.25]])]
    assert ((x - y) ** 2).mean() == pytest.approx(float(distance(*one)), rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_picture_has_no_distance_to_itself_and_no_reason_to_move(dtype):
    # Variances over eight orders of magnitude, as in VGG's deeper layers, and rank deficient.
    scales = torch.logspace(0, 4, 40, dtype=dtype).view(1, 40, 1, 1)
    f, other = (features(40, 5, 5, dtype, seed=s).relu() * scales for s in (0, 1))

    def slope(target):
        g = feature_gaussian(target)
        x = f.clone().requires_grad_()
        loss = wasserstein_loss(feature_gaussian(x), g, matrix_sqrt(to_float64(g.covariance)))
        loss.backward()
        return loss.detach(), x.grad.norm()

    (zero, still), (far, steep) = slope(f), slope(other)
    assert abs(zero) < 1e-5 * far
    assert still < 1e-3 * steep


@pytest.mark.parametrize(("height", "width"), [(5, 5), (1, 3)], ids=["full rank", "deficient"])
def test_the_distances_gradient_is_right(height, width):
    # With fewer positions than channels the covariance has not full rank. The roots of its zeros
    # are known to 1e-8 only, so the differences must be taken over a longer way.
    target = feature_gaussian(features(4, 6, 6, seed=5))
    root = matrix_sqrt(target.covariance)
    f = features(4, height, width).requires_grad_()
    assert gradcheck(
        lambda x: wasserstein_loss(feature_gaussian(x), target, root), f, eps=1e-3, atol=1e-4
    )


FLAT = torch.full((1, 4, 5, 5), 2.0, dtype=torch.float64)


@pytest.mark.parametrize(
    ("source", "target"),
    [(FLAT, features(4)), (features(4), FLAT), (FLAT, FLAT + 1), (features(4, 1, 1), features(4))],
    ids=["flat source", "flat target", "both flat", "one position"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_flat_pictures_have_a_finite_distance_and_gradient(source, target, dtype):
    g = feature_gaussian(target.to(dtype))
    x = source.to(dtype).clone().requires_grad_()
    loss = wasserstein_loss(feature_gaussian(x), g, matrix_sqrt(to_float64(g.covariance)))
    loss.backward()
    means = (source.mean((2, 3)) - target.mean((2, 3))).square().sum()
    variances = (source.var((2, 3), correction=0) - 0).sum()
    both = target.var((2, 3), correction=0).sum() + variances  # at least one of them is 0
    assert float(loss.detach()) == pytest.approx(float(means + both) / 4, rel=1e-4)
    assert x.grad.isfinite().all()
