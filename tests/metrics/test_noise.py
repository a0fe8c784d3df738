"""The estimate of noise, against noise of known strength."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.metrics.noise import noise_sigma


def scene(height=120, width=160):
    """Slopes and hard edges without any noise."""
    y, x = np.mgrid[0:height, 0:width]
    plane = 0.3 + 0.002 * x + 0.001 * y
    plane[30:80, 40:111] += 0.3
    plane[(x - 120) ** 2 + (y - 80) ** 2 < 900] = 0.2
    return plane


def estimate(plane):
    return float(noise_sigma(torch.from_numpy(plane)[None, None]))


@given(sigma=st.floats(0.002, 0.1), seed=st.integers(0, 99))
def test_noise_of_known_strength_is_found(sigma, seed):
    noise = np.random.default_rng(seed).normal(0, sigma, (120, 160))
    assert estimate(scene() + noise) == pytest.approx(sigma, rel=0.1)


def test_edges_and_slopes_are_no_noise():
    assert estimate(scene()) < 1e-4


def test_what_is_measured_are_the_diagonal_details_of_haars_wavelet():
    random = np.random.default_rng(0).random((7, 9))
    blocks = random[:6, :8].reshape(3, 2, 4, 2)
    details = (
        blocks[:, 0, :, 0] - blocks[:, 0, :, 1] - blocks[:, 1, :, 0] + blocks[:, 1, :, 1]
    ) / 2
    lower_median = np.sort(np.abs(details).ravel())[5]
    assert estimate(random) == pytest.approx(lower_median / 0.67448975)


def test_pictures_are_measured_one_by_one():
    both = torch.rand(2, 1, 20, 20, dtype=torch.float64)
    assert float(noise_sigma(both)[1]) == float(noise_sigma(both[1:])[0])
