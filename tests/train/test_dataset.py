import numpy as np
import pytest
import torch
from PIL import Image

from impasto.core.errors import InputError
from impasto.train.dataset import ImageDataset


def solid(path, value, size=(70, 66)):
    Image.new("RGB", size, (value, value, value)).save(path, quality=100)
    return path


@pytest.fixture
def shades(tmp_path):
    """Five pictures of one gray each, so that a crop says which picture it is of."""
    folder = tmp_path / "shades"
    (folder / "deeper").mkdir(parents=True)
    for number in range(5):
        where = folder / "deeper" if number == 4 else folder
        solid(where / f"{number}.jpg", 40 * number)
    return folder


def shades_in(batch):
    return [round(float(crop.mean()) * 255 / 40) for crop in batch]


def test_a_batch_is_a_function_of_seed_and_step_alone(album_folders):
    one, other = (ImageDataset(album_folders[:1], 64, 3, "photos") for _ in range(2))
    there = [one.batch(step, 3) for step in range(6)]
    back = [other.batch(step, 3) for step in reversed(range(6))]
    assert all(map(torch.equal, there, reversed(back)))
    another = ImageDataset(album_folders[:1], 64, 4, "photos")
    assert not torch.equal(another.batch(0, 3), there[0])


def test_crops_are_of_the_side_and_in_0_to_1(album_folders):
    batch = ImageDataset(album_folders[:1], 64, 0, "photos").batch(0, 4)
    assert batch.shape == (4, 3, 64, 64)
    assert batch.dtype == torch.float32
    assert batch.min() >= 0
    assert batch.max() <= 1


def test_a_round_shows_every_picture_once(shades):
    album = ImageDataset([shades], 64, 0, "photos")
    seen = [shade for step in range(6) for shade in shades_in(album.batch(step, 5))]
    rounds = [seen[i : i + 5] for i in range(0, 30, 5)]
    assert all(sorted(each) == [0, 1, 2, 3, 4] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_a_preview_between_two_steps_changes_nothing(shades):
    calm, disturbed = (ImageDataset([shades], 64, 0, "photos") for _ in range(2))
    for step in range(20):
        assert torch.equal(calm.batch(step, 3), disturbed.batch(step, 3))
        disturbed.batch(0, 6)


def test_what_is_no_picture_is_named_and_left_out(shades):
    (shades / "text.jpg").write_text("no picture")
    (shades / "empty.png").touch()
    solid(shades / "line.png", 0, size=(50, 1))
    (shades / "notes.txt").write_text("not even asked")
    album = ImageDataset([shades], 64, 0, "photos")
    assert len(album) == 5
    assert {path.name for path in album.unreadable} == {"text.jpg", "empty.png", "line.png"}
    assert "50 x 1" in album.unreadable[shades / "line.png"]


def test_a_picture_that_breaks_late_is_named_and_replaced_by_the_next(shades, album_folders):
    whole = next(album_folders[0].iterdir()).read_bytes()
    (shades / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    albums = [ImageDataset([shades], 64, 0, "photos") for _ in range(2)]
    assert len(albums[0]) == 6
    there = [albums[0].batch(step, 4) for step in range(6)]
    back = [albums[1].batch(step, 4) for step in reversed(range(6))]
    assert all(map(torch.equal, there, reversed(back)))
    for album in albums:
        assert [path.name for path in album.unreadable] == ["cut.jpg"]


def test_a_picture_made_to_fill_the_memory_is_left_out(shades, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(InputError, match="None of the photos can be read"):
        ImageDataset([shades], 64, 0, "photos")


def test_a_folder_without_pictures_says_so(tmp_path):
    with pytest.raises(InputError, match=r"holds no pictures \(.jpg"):
        ImageDataset([tmp_path], 64, 0, "photos")


def test_a_missing_folder_says_so(tmp_path):
    with pytest.raises(InputError, match=r"There is no folder .*nowhere: name one with styles"):
        ImageDataset([tmp_path / "nowhere"], 64, 0, "styles")


def test_a_folder_in_which_nothing_can_be_read_names_the_files(tmp_path):
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(InputError, match=r"None of the photos can be read .*a\.jpg: "):
        ImageDataset([tmp_path], 64, 0, "photos")


def test_when_all_prove_damaged_the_batch_says_so(tmp_path, album_folders):
    for number, path in enumerate(sorted(album_folders[0].iterdir())[:2]):
        whole = path.read_bytes()
        (tmp_path / f"{number}.jpg").write_bytes(whole[: len(whole) // 2])
    album = ImageDataset([tmp_path], 64, 0, "photos")
    with pytest.raises(InputError, match="None of the photos can be read"):
        album.batch(0, 2)


def test_a_file_is_an_album_of_one(shades):
    album = ImageDataset([shades / "3.jpg"], 64, 0, "styles")
    assert shades_in(album.batch(0, 3)) == [3, 3, 3]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode):
    values = np.arange(70 * 70).reshape(70, 70) % 256
    if mode == "I;16":
        picture = Image.fromarray(values.astype(np.uint16))
    else:
        picture = Image.fromarray(values.astype(np.uint8)).convert("RGB").convert(mode)
    picture.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    assert ImageDataset([tmp_path], 64, 0, "photos").batch(0, 1).shape == (1, 3, 64, 64)


def test_several_processes_read_ahead_in_their_own_strides(shades):
    album = ImageDataset([shades], 64, 0, "photos")
    for step in (1, 3, 5):
        album.batch(step, 2)
    assert album._next[0] == (7, 2)
