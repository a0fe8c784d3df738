"""Local affine models against Levin's and He's definitions, written out window by window."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch

from impasto.losses.matting import (
    LocalAffineModels,
    MattingLaplacian,
    closed_form_smoothing,
    guided_filter,
    matting_loss,
)

EPSILON = 1e-3


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matting_laplacian(guide, radius, epsilon):
    """The matrix of Levin et al. 2008, eq. 12, by loops; ε is theirs: divided by |w| inside."""
    height, width, _ = guide.shape
    size = (2 * radius + 1) ** 2
    matrix = np.zeros((height * width, height * width))
    for y in range(radius, height - radius):
        for x in range(radius, width - radius):
            ys, xs = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
            places = (ys * width + xs).ravel()
            colors = guide[ys, xs].reshape(size, 3)
            centered = colors - colors.mean(0)
            spread = centered.T @ centered / size + epsilon / size * np.eye(3)
            affinity = (1 + centered @ np.linalg.inv(spread) @ centered.T) / size
            matrix[np.ix_(places, places)] += np.eye(size) - affinity
    return matrix


@pytest.fixture(scope="module")
def guide():
    return random(1, 3, 9, 11)


def by_definition(guide, radius=1, epsilon=EPSILON):
    """With our ε, which is the whole of what is added to the covariance."""
    size = (2 * radius + 1) ** 2
    return matting_laplacian(guide[0].permute(1, 2, 0).numpy(), radius, epsilon * size)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_the_product_is_that_of_levins_matrix(guide, radius):
    v = random(1, 2, 9, 11, seed=1)
    found = LocalAffineModels(guide, radius, EPSILON).apply_laplacian(v)[0].reshape(2, -1).T
    assert np.allclose(found, by_definition(guide, radius) @ v[0].reshape(2, -1).T.numpy())


def test_the_weights_of_pairs_give_the_same_product(guide):
    v = random(1, 2, 9, 11, seed=1)
    found = MattingLaplacian(guide, EPSILON).apply_laplacian(v)[0].reshape(2, -1).T
    wanted = by_definition(guide) @ v[0].reshape(2, -1).T.numpy()
    assert np.allclose(found, wanted, atol=1e-5)


def test_what_is_the_same_everywhere_costs_nothing_to_the_bit(guide):
    assert not MattingLaplacian(guide).apply_laplacian(torch.full((1, 3, 9, 11), 0.7)).any()


def test_any_mix_of_the_guides_colors_is_free(guide):
    mix = 0.3 * guide[:, :1] - 1.2 * guide[:, 1:2] + 0.5 * guide[:, 2:] + 0.7
    models = LocalAffineModels(guide, 1, 1e-12)
    assert float(matting_loss(mix, models)) == pytest.approx(0, abs=1e-9)
    assert float(matting_loss(random(1, 1, 9, 11, seed=2), models)) > 1e-3


def test_the_gradient_is_twice_the_product(guide):
    v = random(1, 3, 9, 11, seed=3).requires_grad_()
    models = LocalAffineModels(guide, 1, EPSILON)
    assert torch.autograd.gradcheck(lambda x: matting_loss(x, models), v)


@pytest.mark.parametrize("radius", [1, 3])
def test_the_guided_filter_is_hes_window_by_window(guide, radius):
    v = random(1, 1, 9, 11, seed=4)
    colors, values = guide[0].permute(1, 2, 0).numpy(), v[0, 0].numpy()
    total, count = np.zeros((9, 11)), np.zeros((9, 11))
    for y in range(radius, 9 - radius):
        for x in range(radius, 11 - radius):
            window = np.s_[y - radius : y + radius + 1, x - radius : x + radius + 1]
            inputs, wanted = colors[window].reshape(-1, 3), values[window].ravel()
            spread = np.cov(inputs.T, bias=True) + EPSILON * np.eye(3)
            both = ((inputs - inputs.mean(0)) * (wanted - wanted.mean())[:, None]).mean(0)
            a = np.linalg.solve(spread, both)
            total[window] += colors[window] @ a + wanted.mean() - a @ inputs.mean(0)
            count[window] += 1
    assert np.allclose(LocalAffineModels(guide, radius, EPSILON).smooth(v)[0, 0], total / count)


def test_the_closed_form_is_the_direct_solution(guide):
    painted = random(1, 3, 9, 11, seed=5)
    fidelity = 1e-2
    laplacian = matting_laplacian(guide[0].permute(1, 2, 0).numpy(), 1, 9 * 1e-7)
    degree = LocalAffineModels(guide).window_count[0, 0].flatten().numpy()
    scale = scipy.sparse.diags(degree**-0.5)
    affinity = scale @ (scipy.sparse.diags(degree) - laplacian) @ scale
    alpha = 1 / (1 + fidelity)
    system = scipy.sparse.csc_matrix(scipy.sparse.eye(99) - alpha * affinity)
    wanted = (1 - alpha) * painted[0].reshape(3, -1).T.numpy()
    direct = scipy.sparse.linalg.spsolve(system, wanted)
    found = closed_form_smoothing(painted, guide, fidelity=fidelity, tolerance=1e-10)
    assert np.allclose(found[0].reshape(3, -1).T, direct, atol=1e-6)


def test_smoothing_keeps_the_guides_edge_and_takes_noise_away():
    guide = torch.full((1, 3, 20, 30), 0.2, dtype=torch.float64)
    guide[..., 15:] = 0.8
    noisy = (guide > 0.5).double() + 0.1 * torch.randn(
        guide.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64
    )
    smooth = LocalAffineModels(guide, 4, 1e-4).smooth(noisy)
    assert smooth[..., :13].std() < 0.4 * noisy[..., :13].std()
    assert float((smooth[..., 15] - smooth[..., 14]).mean()) == pytest.approx(1, abs=0.05)


def test_a_change_that_the_photograph_explains_is_fitted_exactly(guide):
    change = 0.5 * guide.flip(1) - 0.2
    found = guided_filter(change, guide, 2, 1e-12)
    torch.testing.assert_close(found, change.float(), atol=1e-5, rtol=0)


def test_models_fitted_to_a_small_photograph_hold_for_the_large_one():
    large = random(1, 3, 36, 44, seed=7)
    small = torch.nn.functional.avg_pool2d(large, 4)
    found = guided_filter(small * 0.5 + 0.1, small, 1, 1e-12, large)
    torch.testing.assert_close(found, (large * 0.5 + 0.1).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 9)])
def test_a_photograph_smaller_than_a_window_is_fitted_too(size):
    guide = random(1, 3, *size)
    assert guided_filter(guide * 0.5, guide, 5, 1e-4).shape == guide.shape
