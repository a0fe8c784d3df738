import numpy as np
import pytest
from PIL import Image

from impasto.pictures import sequence


def save(path, seed=0, size=(80, 60), shift=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((100, 60), Image.Resampling.BICUBIC)
    picture.crop((shift, 0, shift + size[0], size[1])).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "after"),
    [("a_0009.png", "a_0010.png"), ("7.jpg", "8.jpg"), ("shot2_41b.png", "shot2_42b.png")],
)
def test_the_next_number_is_found_with_its_zeros(tmp_path, name, after):
    here, there = save(tmp_path / name), save(tmp_path / after)
    assert sequence.adjacent_picture(here) == there
    assert sequence.adjacent_picture(there) == here  # the last one has only one before it


def test_a_picture_without_number_or_neighbor_has_none(tmp_path):
    assert sequence.adjacent_picture(save(tmp_path / "canal.png")) is None
    assert sequence.adjacent_picture(save(tmp_path / "canal_0001.png")) is None


def test_the_change_is_the_mean_difference_in_0_to_1(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, gray in zip(paths, (51, 153), strict=True):
        Image.new("RGB", (40, 30), (gray,) * 3).save(path)
    assert sequence.mean_abs_difference(*paths) == pytest.approx(0.4, abs=0.005)


def test_frames_change_little_and_other_pictures_much(tmp_path):
    one, moved = save(tmp_path / "a.png"), save(tmp_path / "b.png", shift=1)
    assert sequence.mean_abs_difference(one, moved) < 0.03
    assert sequence.mean_abs_difference(one, save(tmp_path / "c.png", seed=1)) > 0.1


def test_what_cannot_be_compared_has_changed_without_bound(tmp_path):
    one = save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert sequence.mean_abs_difference(one, tmp_path / "b.png") == float("inf")
    assert sequence.mean_abs_difference(one, save(tmp_path / "c.png", size=(60, 60))) == float(
        "inf"
    )


def test_alpha_and_gray_can_be_compared(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    Image.new("RGBA", (40, 30), (90, 90, 90, 255)).save(paths[0])
    Image.new("L", (40, 30), 90).save(paths[1])
    assert sequence.mean_abs_difference(*paths) == pytest.approx(0, abs=0.01)
