"""Buckets: every aspect finds one, and a round shows every picture."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from impasto.core.errors import InputError
from impasto.train.lora.aspect_buckets import (
    MAX_ASPECT_RATIO,
    AspectBuckets,
    bucket_sizes,
    nearest_size,
    read_on_white,
    resize_and_crop,
)


@pytest.mark.parametrize(("side", "step"), [(1024, 64), (512, 64), (768, 64), (32, 16), (64, 16)])
def test_sizes_have_the_area_and_the_step(side, step):
    sizes = bucket_sizes(side, step)
    assert (side, side) in sizes
    assert {(w, h) for h, w in sizes} == set(sizes)
    for height, width in sizes:
        assert height % step == width % step == 0
        assert height * width <= side * side
        assert max(height, width) / min(height, width) <= MAX_ASPECT_RATIO
    assert max(h * w for h, w in sizes) == side * side


def test_sdxl_s_sizes_are_among_them():
    sizes = bucket_sizes(1024, 64)
    for size in ((1024, 1024), (896, 1152), (832, 1216), (768, 1344)):
        assert size in sizes


def test_the_nearest_aspect_is_taken():
    sizes = bucket_sizes(1024, 64)
    assert nearest_size(sizes, 500, 500) == (1024, 1024)
    assert nearest_size(sizes, 3000, 4000) == (896, 1152)
    height, width = nearest_size(sizes, 100, 5000)
    assert width / height == pytest.approx(max(w / h for h, w in sizes))


def test_one_of_another_shape_is_not_seen_more_often_than_the_others():
    buckets = AspectBuckets([(8, 8)] * 7 + [(8, 16)], 4, seed=0)
    shown = Counter(
        index
        for turn in range(buckets.batches_per_epoch * 50)
        for index in buckets.batch_indices(turn)
    )
    assert set(shown.values()) == {50}


def test_a_round_shows_every_picture_once_and_a_batch_is_of_one_size():
    sizes = [(64, 64)] * 5 + [(48, 80)] * 2 + [(80, 48)]
    buckets = AspectBuckets(sizes, 2, seed=3)
    for rounds in range(3):
        shown = [
            buckets.batch_indices(rounds * buckets.batches_per_epoch + k)
            for k in range(buckets.batches_per_epoch)
        ]
        assert all(1 <= len(batch) <= 2 for batch in shown)
        assert all(len({sizes[k] for k in batch}) == 1 for batch in shown)
        assert Counter(k for batch in shown for k in batch) == dict.fromkeys(range(8), 1)
    again = AspectBuckets(sizes, 2, seed=3)
    assert [again.batch_indices(k) for k in (7, 2, 9)] == [
        buckets.batch_indices(k) for k in (7, 2, 9)
    ]
    assert [AspectBuckets(sizes, 2, seed=4).batch_indices(k) for k in range(9)] != [
        again.batch_indices(k) for k in range(9)
    ]


def test_the_middle_is_cut_out_and_nothing_distorted():
    wide = np.tile(np.arange(200, dtype=np.float32)[None, :, None] / 255, (100, 1, 3))
    pixels, corner = resize_and_crop(wide, (50, 50))
    assert pixels.shape == (50, 50, 3)
    assert corner == (0, 25)
    assert pixels[:, :, 0].mean() * 255 == pytest.approx(99.5, abs=1)
    assert (pixels[0, -1] - pixels[0, 0])[0] * 255 == pytest.approx(98, abs=3)


def test_of_a_strip_only_what_is_kept_is_scaled(monkeypatch):
    real, made = Image.Image.resize, []

    def resize(self, size, *args, **more):
        made.append(size)
        return real(self, size, *args, **more)

    monkeypatch.setattr(Image.Image, "resize", resize)
    pixels, corner = resize_and_crop(np.full((2, 1000, 3), 0.5, np.float32), (704, 1408))
    assert pixels.shape == (704, 1408, 3)
    assert corner == (0, (352_000 - 1408) // 2)
    assert max(map(max, made)) <= 1408


def test_pictures_are_upright_and_on_white(tmp_path):
    clear = Image.new("RGBA", (8, 6), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert read_on_white(tmp_path / "clear.png").min() == 1
    turned = Image.new("RGB", (8, 6))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert read_on_white(tmp_path / "turned.jpg").shape == (8, 6, 3)
    (tmp_path / "no.png").write_text("no")
    with pytest.raises(InputError, match="Cannot read"):
        read_on_white(tmp_path / "no.png")


def test_16_bits_are_not_white(tmp_path):
    gray = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(gray).save(tmp_path / "deep.png")
    assert np.abs(read_on_white(tmp_path / "deep.png")[:, :, 0] - gray / 65535).max() < 1e-4
