"""Captions that name what a picture shows, and nothing of how it is made."""

import numpy as np
import pytest
from PIL import Image
from tiny_clip import write_clip

from impasto.advise.describe.captions import (
    MIN_OBJECT_PROBABILITY,
    ObjectTagger,
    make_captions,
    strip_style_words,
)
from impasto.core.errors import WeightsError
from impasto.metrics.object_names import OBJECTS


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        ("A watercolor painting of a red bus, Impressionism, by Monet", "a red bus"),
        ("a dog by the sea", "a dog by the sea"),
        ("oil on canvas", ""),
        ("Starry night in the style of Vincent van Gogh", "starry night"),
        ("a stained glass window with birds", "a window with birds"),
        ("woman with umbrella, after Renoir", "woman with umbrella"),
        ("a red bus\n in a street, impressionist", "a red bus in a street"),
        ("", ""),
        ("Colorado river, gray and colorful", "colorado river, gray and colorful"),
        ("a house made by a river", "a house made by a river"),
        ("a cart drawn by two horses", "a cart drawn by two horses"),
        ("a horse drawn by Rembrandt", "a horse"),
        ("a house painted by Jane Doe", "a house"),
        ("a comic book on a table", "a comic book on a table"),
        ("a watercolor of a ship, by Turner", "a ship"),
        ("a mosaic of a lion", "a lion"),
    ],
)
def test_style_words_are_left_out(caption, left):
    assert strip_style_words(caption) == left


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        Image.new("RGB", (40, 50), "red").save(tmp_path / f"{name}.png")
    (tmp_path / "a.txt").write_text("A tree, oil on canvas")
    return tmp_path


def test_files_come_first_and_clip_says_the_others(folder, tmp_path_factory):
    clip = write_clip(tmp_path_factory.mktemp("clip"))
    found, notes = make_captions([str(folder)], "auto", str(clip))
    assert found[str(folder / "a.png")] == "a tree"
    other = found[str(folder / "b.png")]
    assert all(word in OBJECTS for word in other.split(", ") if word)
    assert "1 captions lost style words" in notes[0]
    assert "CLIP said" in notes[1]


def test_word_for_word_or_none(folder):
    assert make_captions([str(folder)], "files")[0] == {
        str(folder / "a.png"): "A tree, oil on canvas",
        str(folder / "b.png"): "",
    }
    assert set(make_captions([str(folder)], "none")[0].values()) == {""}


def test_clip_that_was_asked_for_has_to_be_there(folder, monkeypatch):
    monkeypatch.setenv("IMPASTO_CLIP", "/no/clip")
    assert make_captions([str(folder)], "auto")[0][str(folder / "b.png")] == ""
    with pytest.raises(WeightsError, match="no CLIP"):
        make_captions([str(folder)], "clip")


def test_clip_passes_a_damaged_picture_over(folder, tmp_path_factory):
    whole = (folder / "b.png").read_bytes()
    (folder / "c.png").write_bytes(whole[: len(whole) // 2])
    clip = write_clip(tmp_path_factory.mktemp("clip"))
    found, _ = make_captions([str(folder)], "auto", str(clip))
    assert found[str(folder / "c.png")] == ""


def test_only_likely_things_are_named(folder):
    class Eye:
        """Sees a tree, a little less a house, and nothing else."""

        def embed_texts(self, texts):
            return np.eye(len(texts))

        def embed_images(self, images):
            seen = np.zeros(len(OBJECTS))
            seen[OBJECTS.index("tree")], seen[OBJECTS.index("house")] = 0.7, 0.69
            return seen[None]

    assert ObjectTagger(Eye())(str(folder / "a.png")) == "tree, house"
    assert 1 / (1 + np.e) >= MIN_OBJECT_PROBABILITY
