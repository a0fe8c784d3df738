import numpy as np
import pytest
from tiny_clip import write_clip

from impasto.advise.describe.clip_tags import StyleTagger, clearest_word
from impasto.advise.describe.vocabulary import WORD_GROUPS
from impasto.nets.clip import Clip

GRAY = np.full((40, 50, 3), 0.5, np.float32)


class StandIn:
    """Sees in every picture the given words, and knows no others."""

    def __init__(self, *words):
        self.words = words
        self.read = []

    def embed_texts(self, texts):
        self.read += texts
        axes = [next((i for i, w in enumerate(self.words, 1) if w in text), 0) for text in texts]
        return np.eye(9)[axes]

    def embed_images(self, images):
        return np.array(
            [np.eye(9)[1 : len(self.words) + 1].sum(0) / max(len(self.words), 1) ** 0.5]
        )


def test_of_each_group_the_word_that_is_seen():
    found = StyleTagger(StandIn("Cubism", "woodcut", "faceted planes"))(GRAY)
    assert found == [
        ("medium", "woodcut"),
        ("movement", "Cubism"),
        ("technique", "faceted planes"),
    ]


def test_nothing_is_claimed_of_a_picture_without_a_style():
    assert StyleTagger(StandIn())(GRAY) == []


def test_the_vocabulary_is_read_once_in_all_its_sentences():
    stand_in = StandIn("Cubism")
    chooser = StyleTagger(stand_in)
    chooser(GRAY)
    chooser(GRAY)
    sentences = sum(len(g.prompt_templates) * (len(g.words) + 1) for g in WORD_GROUPS.values())
    assert len(stand_in.read) == sentences
    assert "an artwork of Cubism" in stand_in.read


WORDS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("cosines", "word"),
    [
        ([0.30, 0.25, 0.25, 0.20], "a"),  # chances 0.99, …
        ([0.300, 0.297, 0.25, 0.20], ""),  # 0.57 and 0.42: no margin
        ([0.260, 0.250, 0.250, 0.25], "a"),  # 0.475 and 0.175
        ([0.255, 0.250, 0.250, 0.25], ""),  # 0.35: not clear
        ([0.25, 0.25, 0.20, 0.30], ""),  # none of them
        ([-0.1, -0.2, -0.2, -0.2], "a"),
    ],
)
def test_a_word_must_be_clear(cosines, word):
    assert clearest_word(np.array(cosines), WORDS) == word


def test_with_a_real_clip_of_no_sense(tmp_path):
    clip = Clip(str(write_clip(tmp_path)))
    for kind, word in StyleTagger(clip)(GRAY):
        assert word in WORD_GROUPS[kind].words
