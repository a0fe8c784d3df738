"""The sliced Wasserstein distance against scipy, an assignment problem and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from impasto.losses.sliced_wasserstein import (
    quantiles,
    random_directions,
    sliced_wasserstein,
    sorted_projections,
)


def cloud(channels=3, height=4, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)


def cheapest(a, b):
    """W² of two sets of numbers, by the assignment of copies that costs least."""
    times = math.lcm(len(a), len(b))
    a, b = np.repeat(a, times // len(a)), np.repeat(b, times // len(b))
    costs = (a[:, None] - b[None, :]) ** 2
    rows, columns = linear_sum_assignment(costs)
    return costs[rows, columns].mean()


@given(
    m=st.integers(1, 8), n=st.integers(1, 8), seed=st.integers(0, 99), channels=st.integers(1, 4)
)
def test_along_each_direction_it_is_the_cheapest_assignment(m, n, seed, channels):
    a, b = cloud(channels, 1, m, seed), cloud(channels, 1, n, seed + 100)
    along = random_directions(channels, 5, seed).double().numpy()
    rows = [x[0, :, 0].T.numpy() @ along for x in (a, b)]
    wanted = np.mean([cheapest(rows[0][:, k], rows[1][:, k]) for k in range(5)])
    assert float(sliced_wasserstein(a, b, 5, seed)) == pytest.approx(wanted, abs=1e-12)


def test_where_one_cloud_lies_above_the_other_it_bounds_scipys_distance():
    a, b = cloud(1, 6, 7), 0.3 * cloud(1, 5, 3, seed=1) + 9
    first = wasserstein_distance(a.flatten().numpy(), b.flatten().numpy())
    # W1² <= W2², and W2² is W1² plus the variance of the quantiles' difference.
    sorted_a, sorted_b = (np.sort(x.flatten().numpy()) for x in (a, b))
    steps = np.arange(42 * 15) / (42 * 15)
    gap = sorted_b[(steps * 15).astype(int)] - sorted_a[(steps * 42).astype(int)]
    assert float(sliced_wasserstein(a, b, 3)) == pytest.approx(first**2 + gap.var(), rel=1e-9)


def test_a_cloud_moved_away_is_as_far_as_it_was_moved():
    a, shift = cloud(4, 9, 9), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    moved = a + shift.view(1, 4, 1, 1)
    found = float(sliced_wasserstein(a, moved, 20_000))
    # Of even directions in d dimensions, the mean of (shift · direction)² is |shift|² / d.
    assert found == pytest.approx(float(shift.square().sum()) / 4, rel=0.05)


def test_gaussian_clouds_are_as_far_as_their_formula_says():
    a, b = cloud(2, 200, 200), 3 * cloud(2, 190, 210, seed=1)
    assert float(sliced_wasserstein(a, b, 16)) == pytest.approx((3 - 1) ** 2, rel=0.03)


def test_where_features_lie_does_not_matter():
    a = cloud(5, 6, 8)
    turned = a.flatten(2)[:, :, torch.randperm(48)].view(1, 5, 8, 6)
    assert float(sliced_wasserstein(a, turned)) == pytest.approx(0.0, abs=1e-24)


def test_it_sees_what_second_moments_do_not():
    coin = torch.tensor([-1.0, 1.0] * 50).view(1, 1, 10, 10)
    rare = torch.tensor([-(2**0.5), 0.0, 0.0, 2**0.5] * 25).view(1, 1, 10, 10)
    assert float(coin.square().mean()) == pytest.approx(float(rare.square().mean()))
    assert float(sliced_wasserstein(coin, rare)) > 0.1


def test_the_same_seed_gives_the_same_directions_of_length_one():
    found = random_directions(6, 40, seed=3)
    assert torch.equal(found, random_directions(6, 40, seed=3))
    assert not torch.equal(found, random_directions(6, 40, seed=4))
    torch.testing.assert_close(found.norm(dim=0), torch.ones(40))


def test_it_can_be_descended():
    a, b = cloud(2, 3, 3).requires_grad_(), cloud(2, 4, 3, seed=1)
    assert torch.autograd.gradcheck(lambda x: sliced_wasserstein(x, b, 4), a)


def test_quantiles_keep_nearly_all_of_it():
    a, b = cloud(4, 60, 70), 1.5 * cloud(4, 50, 61, seed=1) + 0.2
    along = random_directions(4, 64, 0).double()
    short = [quantiles(sorted_projections(x, along), 512) for x in (a, b)]
    found = float((short[0] - short[1]).square().mean())
    assert found == pytest.approx(float(sliced_wasserstein(a, b)), rel=0.02)


@given(m=st.integers(1, 30))
def test_as_many_quantiles_as_values_are_the_values(m):
    values = torch.sort(cloud(1, 1, m)[0, 0]).values
    assert torch.equal(quantiles(values, m), values)
