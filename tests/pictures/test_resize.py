import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.core.errors import InputError
from impasto.pictures import fit_long_side, resize

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.random((40, 60, 3), dtype=np.float32)
sides = st.integers(1, 20_000)


@given(height=sides, width=sides, long_side=sides)
def test_the_long_side_is_exact_and_the_aspect_nearest(height, width, long_side):
    h, w = fit_long_side(height, width, long_side)
    assert max(h, w) == long_side
    assert min(h, w) >= 1
    assert (h >= w) if height > width else (w >= h)
    exact = min(height, width) * long_side / max(height, width)
    assert abs(min(h, w) - exact) <= 0.5 or min(h, w) == 1


def test_a_size_that_fits_already_stays():
    assert fit_long_side(300, 400, 400) == (300, 400)
    assert fit_long_side(7, 7, 3) == (3, 3)
    assert fit_long_side(1, 5000, 100) == (1, 100)


@pytest.mark.parametrize("sizes", [(0, 5, 5), (5, 0, 5), (5, 5, 0)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(InputError, match="long side"):
        fit_long_side(*sizes)
    with pytest.raises(InputError, match="at least 1 px"):
        resize(NOISE, 0, 5)


def test_the_same_size_is_the_same_picture():
    wild = NOISE * 3 - 1
    assert np.array_equal(resize(wild, 40, 60), wild)
    assert not np.shares_memory(resize(wild, 40, 60), wild)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (20, 30), (97, 13), (400, 600)])
def test_shape_type_and_range(shape):
    out = resize(NOISE, *shape)
    assert out.shape == (*shape, 3)
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert out.flags.c_contiguous
    plane = resize(NOISE[..., 1], *shape)
    assert np.array_equal(plane, out[..., 1])


@given(value=st.floats(0, 1, width=32), shape=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_a_flat_color_stays_flat(value, shape):
    flat = np.full((7, 11, 3), value, np.float32)
    assert np.abs(resize(flat, *shape) - value).max() < 1e-6


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (10000, 3)])
def test_extreme_pictures(size):
    picture = np.full((*size, 3), 0.25, np.float32)
    assert np.allclose(resize(picture, 4, 4), 0.25, atol=1e-6)
    assert np.allclose(resize(picture, *fit_long_side(*size, 64)), 0.25, atol=1e-6)


def test_it_agrees_with_eight_bits():
    eight = np.rint(NOISE * 255).astype(np.uint8)
    expected = np.asarray(Image.fromarray(eight).resize((25, 17), Image.Resampling.LANCZOS))
    got = resize(eight.astype(np.float32) / 255, 17, 25) * 255
    assert np.abs(got - expected).max() < 2  # eight bits are rounded in between


def test_shrinking_does_not_alias():
    stripes = np.zeros((64, 64), np.float32)
    stripes[:, ::2] = 1
    assert np.abs(resize(stripes, 16, 16)[2:-2, 2:-2] - 0.5).max() < 0.02


def test_shrinking_a_smooth_wave_samples_it():
    def wave(n):
        return 0.5 + 0.4 * np.sin(2 * np.pi * (np.arange(n) + 0.5) / n)

    picture = np.outer(wave(240), np.ones(240)).astype(np.float32)
    expected = np.outer(wave(60), np.ones(60))
    assert np.abs(resize(picture, 60, 60) - expected)[4:-4].max() < 2e-3
