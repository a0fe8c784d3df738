"""Numbered pictures and stills as films."""

from fractions import Fraction

import numpy as np
import pytest

from impasto.core.errors import InputError, KnobError
from impasto.pictures import write
from impasto.video.image_sequence import (
    ImageSequence,
    frame_path,
    is_image_sequence,
    list_frames,
)


@pytest.fixture
def folder(tmp_path):
    """Pictures 8 to 12 of rising gray, with alpha."""
    for i in range(8, 13):
        pixels = np.full((20, 30, 3), i / 20, np.float32)
        write(pixels, tmp_path / f"a{i}.png", alpha=np.full((20, 30), 0.6, np.float32), bits=16)
    return tmp_path


def grays(source):
    return [round(20 * float(frame.pixels[0, 0, 0])) for frame in source.frames()]


def test_a_pattern_and_a_folder_go_by_the_numbers(folder):
    for name in (folder / "a%d.png", folder):
        source = ImageSequence(str(name), fps=Fraction(5))
        assert grays(source) == [8, 9, 10, 11, 12]
        assert source.info.seconds == 1
        assert source.info.bits == 16


def test_times_alpha_and_parts(folder):
    source = ImageSequence(str(folder), fps=Fraction(10), start=0.1, end=0.35, size=15)
    found = list(source.frames())
    assert grays(source) == [9, 10, 11]
    assert [frame.time for frame in found] == [0, Fraction(1, 10), Fraction(2, 10)]
    assert found[0].pixels.shape == (10, 15, 3)
    assert found[0].alpha == pytest.approx(0.6, abs=1e-4)


def test_a_still_is_seen_for_a_while(folder):
    source = ImageSequence(str(folder / "a8.png"), seconds=2, fps=Fraction(3))
    assert grays(source) == [8] * 6
    with pytest.raises(KnobError, match="--seconds"):
        ImageSequence(str(folder / "a8.png"))


def test_digits_are_as_many_as_the_pattern_says(folder):
    found = [path.stem for path in list_frames(str(folder / "a%02d.png"))]
    assert found == ["a10", "a11", "a12"]
    assert frame_path("x/%05d.png", 7).name == "00007.png"
    assert frame_path("x/f%d.png", 7).name == "f7.png"


def test_what_are_pictures(folder):
    assert is_image_sequence("a/%05d.png")
    assert is_image_sequence(str(folder))
    assert is_image_sequence("a.jpg")
    assert not is_image_sequence("a.mp4")


def test_bad_pictures_are_told(folder):
    write(np.zeros((20, 31, 3), np.float32), folder / "a13.png")
    with pytest.raises(InputError, match=r"a13\.png is 31 x 20 px"):
        list(ImageSequence(str(folder)).frames())
    with pytest.raises(InputError, match="There are no pictures as"):
        ImageSequence(str(folder / "b%d.png"))
    with pytest.raises(InputError, match=r"it is 0\.24 s long"):
        ImageSequence(str(folder), start=9)
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="There are no pictures in"):
        ImageSequence(str(folder / "empty"))
