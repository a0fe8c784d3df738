import numpy as np
import pytest
from PIL import Image

from impasto.core.errors import InputError
from impasto.pictures import make_contact_sheet, write, write_animation

RED = np.broadcast_to(np.float32([1, 0, 0]), (60, 80, 3)).copy()
BLUE = np.broadcast_to(np.float32([0, 0, 1]), (80, 60, 3)).copy()


def areas(page, color):
    """Number of pixels of exactly this color."""
    return int((np.abs(page - color) < 1e-6).all(axis=2).sum())


def test_tiles_keep_their_aspect_in_one_row():
    page = make_contact_sheet([("before", RED), ("after", BLUE)], height=96)
    assert page.dtype == np.float32
    assert 0 <= page.min() < page.max() <= 1
    assert areas(page, [1, 0, 0]) == 96 * 128
    assert areas(page, [0, 0, 1]) == 96 * 72
    assert page.shape[1] == 128 + 72 + 3 * 8


def test_margins_are_even_paper():
    page = make_contact_sheet([("", RED)], height=96)
    tile = (page == [1, 0, 0]).all(axis=2)
    rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
    assert rows[0] == columns[0] == page.shape[0] - 1 - rows[-1] == page.shape[1] - 1 - columns[-1]
    assert np.unique(page[~tile], axis=0).shape[0] == 1
    assert page[0, 0].min() > 0.95


def test_labels_are_written_below():
    labeled = make_contact_sheet([("after", RED)], height=96)
    bare = make_contact_sheet([("", RED)], height=96)
    assert labeled.shape[0] > bare.shape[0]
    below = labeled[8 + 96 :]
    assert below.min() < 0.4
    ink = np.flatnonzero((below < 0.7).any(axis=(0, 2)))
    assert abs((ink[0] + ink[-1]) / 2 - labeled.shape[1] / 2) < 3


def test_a_long_label_stays_under_its_tile():
    page = make_contact_sheet(
        [("an endless story\nof many words " * 9, BLUE), ("", RED)], height=96
    )
    dark = (page < 0.5).all(axis=2)
    assert dark.any()
    assert np.flatnonzero(dark.any(axis=0)).max() < 8 + 72


def test_a_grid():
    tiles = [(str(i), RED) for i in range(5)]
    page = make_contact_sheet(tiles, height=48, columns=2)
    assert page.shape[1] == 2 * 64 + 3 * 8
    assert areas(page, [1, 0, 0]) == 5 * 48 * 64
    assert (
        make_contact_sheet(tiles, height=48, columns=99).shape
        == make_contact_sheet(tiles, height=48).shape
    )


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1)])
def test_extreme_tiles(shape):
    page = make_contact_sheet([("line", np.zeros((*shape, 3), np.float32)), ("", RED)], height=64)
    assert page.shape[1] <= 3 * 64 + 86 + 3 * 8


@pytest.mark.parametrize(
    ("tiles", "options"), [([], {}), ([("", RED)], {"height": 8}), ([("", RED)], {"columns": 0})]
)
def test_impossible_sheets(tiles, options):
    with pytest.raises(InputError, match="at least"):
        make_contact_sheet(tiles, **options)


@pytest.mark.parametrize("suffix", ["webp", "gif", "png"])
def test_an_animation_has_its_frames_and_lasts_as_long(tmp_path, suffix):
    frames = []
    for i in range(6):
        write(RED * np.float32(i / 5), tmp_path / f"{i}.png")
        frames.append(tmp_path / f"{i}.png" if i % 2 else RED * np.float32(i / 5))
    write_animation(frames, tmp_path / f"a.{suffix}", fps=24)
    with Image.open(tmp_path / f"a.{suffix}") as moving:
        assert moving.n_frames == 6
        assert moving.info["loop"] == 0
        total = 0
        for i in range(6):
            moving.seek(i)
            moving.load()
            total += moving.info["duration"]
            assert abs(moving.convert("RGB").getpixel((40, 30))[0] - 51 * i) <= 6
    assert abs(total - 250) <= 5


@pytest.mark.parametrize(
    ("frames", "name", "fps", "words"),
    [
        ([RED], "a.mp4", 24, "ends in .webp, .gif or .png"),
        ([], "a.gif", 24, "no frames"),
        ([RED], "a.gif", 60, "outside 0..50 for GIF"),
        ([RED], "a.webp", 0, "outside"),
        ([RED, BLUE], "a.webp", 9, "frame 2 is 60 x 80, the first is 80 x 60"),
        ([RED, "missing.png"], "a.webp", 9, "no such file"),
    ],
)
def test_impossible_animations(tmp_path, frames, name, fps, words):
    with pytest.raises(InputError, match=words):
        write_animation(frames, tmp_path / name, fps)
    assert list(tmp_path.iterdir()) == []
