"""Color modes against scikit-image and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab, rgb2yuv, yuv2rgb
from skimage.exposure import match_histograms

from impasto.core.errors import InputError
from impasto.ops import color as ops_color


def pixels(seed=0, shape=(40, 50), low=0.1, high=0.9):
    random = np.random.default_rng(seed)
    mixing = random.uniform(0, 1, (3, 3))
    values = random.random((*shape, 3)) @ mixing / mixing.sum(0)
    return (low + (high - low) * values).astype(np.float32)


def moments(picture):
    flat = picture.reshape(-1, 3).astype(np.float64)
    return flat.mean(0), np.cov(flat.T, bias=True)


def test_yuv_is_scikit_images():
    assert np.allclose(ops_color.rgb_to_yuv(pixels()), rgb2yuv(pixels()), atol=1e-5)
    assert np.allclose(ops_color.yuv_to_rgb(rgb2yuv(pixels())), pixels(), atol=1e-5)


def test_luminance_in_yuv_is_the_recipe_of_gatys():
    photo, painted = pixels(0), pixels(1)
    wanted = np.dstack([rgb2yuv(painted)[..., :1], rgb2yuv(photo)[..., 1:]])
    found = ops_color.replace_luminance(photo, painted, "yuv")
    assert np.allclose(found, yuv2rgb(wanted).clip(0, 1), atol=1e-5)


def test_oklab_of_published_colors():
    # Ottosson 2020, table of pairs of XYZ and OKLab; here white, and sRGB's three primaries.
    found = ops_color.rgb_to_oklab(
        np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    )
    wanted = [[1, 0, 0], [0.62796, 0.22486, 0.12585], [0.86644, -0.23389, 0.1795],
              [0.45201, -0.03246, -0.31153]]  # fmt: skip
    assert np.allclose(found, wanted, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_oklab_and_back_is_the_same(seed):
    picture = np.random.default_rng(seed).random((4, 5, 3)).astype(np.float32)
    assert np.allclose(ops_color.oklab_to_rgb(ops_color.rgb_to_oklab(picture)), picture, atol=2e-4)


def test_what_srgb_cannot_hold_loses_chroma_and_keeps_lightness():
    wild = np.array([[0.7, 0.3, 0.1], [0.9, -0.2, 0.2], [0.3, 0.1, -0.3]], np.float32)
    found = ops_color.rgb_to_oklab(ops_color.oklab_to_rgb(wild))
    assert np.allclose(found[:, 0], wild[:, 0], atol=5e-3)
    hue = [np.arctan2(a[:, 2], a[:, 1]) for a in (found, wild)]
    assert np.allclose(*hue, atol=0.02)
    assert (np.linalg.norm(found[:, 1:], axis=1) < np.linalg.norm(wild[:, 1:], axis=1)).all()


def test_luminance_mode_keeps_hue_and_takes_lightness():
    photo, painted = pixels(0, low=0.3, high=0.7), pixels(1, low=0.3, high=0.7)
    found = rgb2lab(ops_color.replace_luminance(photo, painted))
    assert np.corrcoef(found[..., 0].ravel(), rgb2lab(painted)[..., 0].ravel())[0, 1] > 0.99
    for axis in (1, 2):
        assert np.corrcoef(found[..., axis].ravel(), rgb2lab(photo)[..., axis].ravel())[0, 1] > 0.98


def test_histograms_are_those_of_scikit_image():
    painted, photo = pixels(1), pixels(0)
    found = ops_color.fit_color_transfer(painted, photo, "histogram")(painted)
    wanted = match_histograms(painted, photo, channel_axis=-1)
    assert np.abs(found - wanted).max() < 2 / 255
    assert np.abs(found - wanted).mean() < 0.1 / 255


def test_covariance_gives_the_references_mean_and_covariance():
    painted, photo = pixels(1, low=0.3, high=0.6), pixels(0, low=0.35, high=0.65)
    found = ops_color.fit_color_transfer(painted, photo, "covariance")(painted)
    for ours, theirs in zip(moments(found), moments(photo), strict=True):
        assert np.allclose(ours, theirs, atol=2e-5)


def test_the_covariance_map_is_the_optimal_one():
    # Of all linear maps with the right covariance, the optimal one is symmetric and positive.
    painted, photo = pixels(1), pixels(0)
    apply = ops_color.fit_color_transfer(painted, photo, "covariance")
    middle = np.full(3, 0.5, np.float32)
    steps = middle + 0.01 * np.eye(3, dtype=np.float32)
    matrix = np.float64(apply(steps) - apply(middle)) / 0.01
    assert np.allclose(matrix, matrix.T, atol=1e-3)
    assert (np.linalg.eigvalsh(matrix) > 0).all()


@pytest.mark.parametrize("keep", ["histogram", "covariance"])
def test_a_pictures_own_colors_change_nothing(keep):
    picture = pixels()
    assert (
        np.abs(ops_color.fit_color_transfer(picture, picture, keep)(picture) - picture).max()
        < 1 / 255
    )


@pytest.mark.parametrize("keep", ["histogram", "covariance"])
def test_weights_of_one_region_are_the_cut_out_region(keep):
    painted, photo = pixels(1), pixels(0)
    left = np.zeros((40, 50), np.float32)
    left[:, :20] = 1
    masked = ops_color.fit_color_transfer(painted, photo, keep, left, left)(painted)
    cut = ops_color.fit_color_transfer(painted[:, :20], photo[:, :20], keep)(painted)
    assert np.allclose(masked, cut, atol=1e-5)


@pytest.mark.parametrize("keep", ["histogram", "covariance"])
def test_a_picture_of_one_color_has_a_map_too(keep):
    flat = np.full((8, 9, 3), 0.25, np.float32)
    found = ops_color.fit_color_transfer(flat, pixels(), keep)(flat)
    assert np.isfinite(found).all()
    assert np.allclose(found, found[0, 0])


def test_an_empty_region_is_refused():
    with pytest.raises(InputError, match="empty"):
        ops_color.fit_color_transfer(
            pixels(), pixels(), "covariance", np.zeros((40, 50), np.float32)
        )


def test_a_share_of_it_lies_between():
    a, b = pixels(0), pixels(1)
    assert np.array_equal(ops_color.blend_colors(a, b, 0.0), a)
    assert np.allclose(ops_color.blend_colors(a, b, 1.0), b, atol=1e-6)
    mask = np.zeros((40, 50), np.float32)
    mask[3] = 0.5
    found = ops_color.blend_colors(a, b, mask)
    assert np.allclose(found[3], (a[3] + b[3]) / 2, atol=1e-6)
    assert np.array_equal(found[4:], a[4:])
