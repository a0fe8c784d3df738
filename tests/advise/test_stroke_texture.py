import numpy as np
import pytest
from scipy import ndimage, stats

from impasto.advise.describe.stroke_texture import gaussian_blur, local_extremum, measure_strokes

SIDE = 192


def gray(light):
    """Lightness as OKLab without color."""
    return np.stack([light, light * 0, light * 0], -1)


def plane():
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    return y - SIDE / 2, x - SIDE / 2


def stripes(degrees, period=12.0):
    """Stripes that run at an angle, counted from the horizontal to where the left rises."""
    y, x = plane()
    angle = np.radians(degrees)
    across = x * np.sin(angle) + y * np.cos(angle)
    return 0.5 + 0.2 * np.sin(2 * np.pi * across / period)


def noise(deviation=0.1, shape=(SIDE, SIDE)):
    return 0.5 + np.random.default_rng(0).normal(0, deviation, shape)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 110, 135, 160])
def test_stripes_have_their_direction(degrees):
    found = measure_strokes(gray(stripes(degrees)))
    off = (found.direction - degrees + 90) % 180 - 90
    assert abs(off) < 1
    assert found.alignment > 0.98
    assert found.coherence > 0.95


def test_45_degrees_rise_to_the_right():
    light = np.zeros((SIDE, SIDE))
    for i in range(0, 2 * SIDE, 16):  # rows are counted downwards: y + x is constant on such a line
        light += np.abs(np.add.outer(np.arange(SIDE), np.arange(SIDE)) - i) < 4
    assert measure_strokes(gray(light * 0.5)).direction == pytest.approx(45, abs=1)


@pytest.mark.parametrize("period", [4, 6, 8, 12])
def test_stripes_have_their_period(period):
    assert measure_strokes(gray(stripes(30, period))).detail_period * SIDE == pytest.approx(
        period, rel=0.05
    )


def test_the_scale_is_that_of_the_picture_and_not_of_its_pixels():
    small = stripes(0, 4)[: SIDE // 2, : SIDE // 2]
    assert measure_strokes(gray(small)).detail_period == pytest.approx(
        2 * measure_strokes(gray(stripes(0, 4))).detail_period, rel=0.1
    )


def test_rings_are_coherent_in_all_directions():
    y, x = plane()
    found = measure_strokes(gray(0.5 + 0.2 * np.sin(np.hypot(x, y) * 0.6)))
    assert found.coherence > 0.85
    assert found.alignment < 0.05
    assert found.direction_entropy > 0.98


def test_noise_has_no_direction():
    found = measure_strokes(gray(noise()))
    assert found.coherence < 0.2
    assert found.alignment < 0.2


def test_stripes_fill_their_place_evenly_and_a_contour_does_not():
    y, _ = plane()
    # The gradient of a wave is a cosine: its mean size, squared, over its mean square.
    assert measure_strokes(gray(stripes(30))).evenness == pytest.approx(8 / np.pi**2, rel=0.02)
    assert measure_strokes(gray(noise())).evenness == pytest.approx(
        np.pi / 4, rel=0.03
    )  # Rayleigh's
    assert measure_strokes(gray(np.where(y < 0, 0.2, 0.8))).evenness < 0.2


def test_a_checkerboard_is_upright_and_one_on_its_corner_is_not():
    y, x = plane()
    upright, tilted = (
        ndimage.gaussian_filter((np.floor(a / 40) + np.floor(b / 40)) % 2 * 0.6, 1)
        for a, b in ((x, y), ((x + y) / np.sqrt(2), (x - y) / np.sqrt(2)))
    )
    assert measure_strokes(gray(upright)).axis_alignment > 0.9
    assert measure_strokes(gray(tilted)).axis_alignment < -0.9
    assert measure_strokes(gray(upright)).alignment < 0.1
    assert measure_strokes(gray(upright)).direction_entropy < 0.5


@pytest.mark.parametrize("deviation", [1.5, 2.0])
def test_a_blurred_edge_has_the_width_of_its_blur(deviation):
    y, _ = plane()
    light = ndimage.gaussian_filter1d(np.where(y < 0, 0.2, 0.8), deviation, axis=0)
    # The edge lies between two pixels; the slope is the difference of the next ones, over two.
    before, after = stats.norm.cdf([-0.5 / deviation, 1.5 / deviation])
    assert measure_strokes(gray(light)).edge_width == pytest.approx(2 / (after - before), rel=0.03)


def test_a_sharp_edge_is_as_wide_as_two_pixels():
    y, _ = plane()
    assert measure_strokes(gray(np.where(y < 0, 0.2, 0.8))).edge_width == pytest.approx(2)


def test_relief_is_the_deviation_of_noise():
    assert measure_strokes(gray(noise(0.06))).relief == pytest.approx(0.06, rel=0.08)


def test_half_a_flat_picture_is_half_flat():
    light = noise(0.1)
    light[: SIDE // 2] = 0.5
    assert measure_strokes(gray(light)).flat_fraction == pytest.approx(0.5, abs=0.03)


def test_one_color_has_no_strokes():
    found = measure_strokes(gray(np.full((64, 64), 0.4)))
    assert found.flat_fraction == 1
    assert (
        found.coherence,
        found.alignment,
        found.direction_entropy,
        found.relief,
        found.edge_width,
    ) == (0,) * 5
    assert 0 < found.detail_period < 0.1


def test_strokes_of_color_alone_are_relief():
    lab = gray(np.full((64, 64), 0.5))
    lab[:, :, 1] = noise(0.06, (64, 64)) - 0.5
    assert measure_strokes(lab).relief == pytest.approx(0.06, rel=0.15)


def test_the_blur_is_scipys():
    light = noise(shape=(50, 37))
    expected = ndimage.gaussian_filter(light, 2.5, mode="reflect", radius=8)
    assert np.allclose(gaussian_blur(light, 2.5), expected)


def test_the_extremes_are_scipys():
    light = noise(shape=(50, 37))
    assert np.array_equal(local_extremum(light, 3, np.maximum), ndimage.maximum_filter(light, 7))
    assert np.array_equal(local_extremum(light, 3, np.minimum), ndimage.minimum_filter(light, 7))
