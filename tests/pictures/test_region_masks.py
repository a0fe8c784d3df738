"""Masks from files: white is inside, whatever size, depth or transparency they have."""

import numpy as np
import pytest
from PIL import Image

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.pictures import disk_array
from impasto.pictures.region_masks import read_mask

PHOTO = Picture(np.zeros((30, 40, 3), np.float32), name="photo.jpg")


def half(height=30, width=40, dtype=np.uint8, top=255):
    mask = np.zeros((height, width), dtype)
    mask[:, width // 2 :] = top
    return mask


@pytest.mark.parametrize(
    "given",
    [
        half(),
        half(dtype=np.uint16, top=65535),
        half(dtype=np.float32, top=1),
        Image.fromarray(half()),
        Image.fromarray(half()).convert("1"),
        np.dstack([half()] * 3),
        np.dstack([np.full((30, 40), 255, np.uint8), half()]).repeat((3, 1), axis=2),
        np.dstack([np.zeros((30, 40), np.uint8), half()]).repeat((3, 1), axis=2),
    ],
    ids=["8 bits", "16 bits", "floats", "Pillow", "1 bit", "RGB", "white cut-out", "black drawing"],
)  # fmt: skip
def test_white_is_inside(given):
    found = read_mask(given, "mask", PHOTO)
    assert found.notes == ()
    assert np.array_equal(found.raster, half(top=1))
    assert len(found.sha256) == 64


def test_gray_is_in_between():
    gray = (np.arange(1200).reshape(30, 40) % 256).astype(np.uint8)
    np.testing.assert_allclose(read_mask(gray, "mask", PHOTO).raster, gray / 255, atol=1e-7)


def test_a_file_is_called_by_its_name_and_a_mistake_too(tmp_path):
    path = tmp_path / "sky.png"
    Image.fromarray(half()).save(path)
    assert read_mask(path, "mask", PHOTO).name == str(path)
    with pytest.raises(InputError, match="did you mean sky"):
        read_mask(tmp_path / "sky.pgn", "mask", PHOTO)


def test_another_size_is_resampled_and_told():
    found = read_mask(half(60, 80), "sky", PHOTO)
    assert found.raster.shape == (30, 40)
    assert found.notes == ("sky has 80 x 60 px and is resampled to the 40 x 30 px of photo.jpg.",)
    assert (np.asarray(found.raster)[:, :18] == 0).all()
    assert (np.asarray(found.raster)[:, 22:] == 1).all()
    assert "which stretches it" in read_mask(half(40, 40), "sky", PHOTO).notes[0]


def test_a_colored_mask_counts_by_its_brightest_channel_and_is_told():
    red = np.dstack([half(), 0 * half(), 0 * half()])
    found = read_mask(red, "sky", PHOTO)
    assert np.array_equal(found.raster, half(top=1))
    assert found.notes == ("sky is not gray: its brightest channel counts as the mask.",)


def test_a_large_mask_stays_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "sky.png"
    Image.fromarray(half(60, 80)).save(path)
    small = np.asarray(read_mask(path, "sky", PHOTO).raster)
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.0)
    found = read_mask(path, "sky", PHOTO)
    assert not isinstance(found.raster, np.ndarray)
    np.testing.assert_allclose(np.asarray(found.raster), small, atol=1e-6)
