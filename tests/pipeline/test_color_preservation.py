"""The color stage: the same on arrays and on disk, partial, and only where it is asked for."""

import numpy as np
import pytest
from skimage.color import rgb2yuv

from impasto.core.color_options import ColorOptions
from impasto.core.errors import KnobError
from impasto.core.picture import Picture
from impasto.pictures import DiskArray, disk_array
from impasto.pipeline.color_preservation import recolor, recolor_style


def pixels(seed, shape=(40, 50)):
    random = np.random.default_rng(seed)
    tint = random.uniform(0.3, 0.7, 3)
    return (0.5 * tint + 0.5 * random.random((*shape, 3))).astype(np.float32)


def recolored(**how):
    painting = pixels(1)
    recolor(painting, pixels(0), ColorOptions(**how))
    return painting


@pytest.mark.parametrize("mode", ["luminance", "yuv", "histogram", "covariance"])
def test_half_of_it_lies_halfway(mode):
    whole, half = recolored(mode=mode), recolored(mode=mode, strength=0.5)
    assert np.abs(whole - pixels(1)).mean() > 0.01
    assert np.allclose(half, (whole + pixels(1)) / 2, atol=1e-6)


@pytest.mark.parametrize("mode", ["histogram", "covariance"])
def test_the_mean_color_becomes_the_photographs(mode):
    assert np.allclose(recolored(mode=mode).mean((0, 1)), pixels(0).mean((0, 1)), atol=3e-3)


def test_yuv_keeps_the_photographs_chroma():
    found, photo = rgb2yuv(recolored(mode="yuv")), rgb2yuv(pixels(0))
    assert np.abs(found - photo)[..., 1:].mean() < 5e-3


@pytest.mark.parametrize("mode", ["luminance", "yuv", "histogram", "covariance"])
def test_a_painting_on_disk_comes_out_the_same(mode, monkeypatch):
    monkeypatch.setattr(disk_array, "CHUNK_PIXELS", 300)
    painting = DiskArray((40, 50, 3), 16)
    painting[:, :] = pixels(1)
    recolor(painting, pixels(0), ColorOptions(mode=mode))
    assert np.allclose(np.asarray(painting), recolored(mode=mode), atol=1e-3)


@pytest.mark.parametrize("mode", ["luminance", "histogram"])
def test_outside_the_mask_nothing_changes(mode):
    mask = np.zeros((40, 50), np.float32)
    mask[:, :25] = 1
    found = recolored(mode=mode, mask=mask)
    assert np.array_equal(found[:, 25:], pixels(1)[:, 25:])
    assert np.abs(found - pixels(1))[:, :25].mean() > 0.01


def test_a_photograph_of_another_size_is_brought_to_the_paintings():
    painting = pixels(1)
    recolor(painting, pixels(0, (80, 100)), ColorOptions(mode="luminance"))
    assert painting.shape == (40, 50, 3)


def test_a_style_takes_the_contents_colors_and_keeps_its_name():
    style = Picture(pixels(1), name="style.jpg", sha256="abc")
    found = recolor_style(
        style, Picture(pixels(0)), ColorOptions(mode="covariance", stage="before")
    )
    assert (found.name, found.sha256) == ("style.jpg", "abc")
    assert np.allclose(found.pixels.mean((0, 1)), pixels(0).mean((0, 1)), atol=3e-3)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"mode": "color"}, "keep_color = 'color'"),
        ({"mode": "yuv", "strength": 1.5}, "0 to 1"),
        ({"mode": "luminance", "stage": "before"}, "--color-stage after"),
        ({"mode": "yuv", "stage": "later"}, "before or after"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(how, said):
    with pytest.raises(KnobError, match=said):
        ColorOptions(**how)
