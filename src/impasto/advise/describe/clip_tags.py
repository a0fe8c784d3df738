"""Style words chosen by CLIP from :mod:`impasto.advise.describe.vocabulary`."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.advise.describe.vocabulary import WORD_GROUPS, WordGroup
from impasto.core.picture import Pixels

LOGIT_SCALE = 100.0
"""What cosines are multiplied by before the softmax: the published models have all learnt it."""

MIN_PROBABILITY = 0.4
"""The probability that a word must have among those of its group."""

MIN_PROBABILITY_RATIO = 2.0
"""How many times as probable as the next it must be."""

Embeddings = NDArray[np.floating]


class ImageTextModel(Protocol):
    """What is needed of :class:`impasto.nets.clip.Clip`."""

    def embed_images(self, images: list[Pixels]) -> object: ...

    def embed_texts(self, texts: list[str]) -> object: ...


class StyleTagger:
    """A CLIP with the embedded vocabulary.

    Args:
        clip: a :class:`impasto.nets.clip.Clip`.
    """

    def __init__(self, clip: ImageTextModel) -> None:
        self._clip = clip
        self._word_embeddings = {
            kind: self._embed_words(group) for kind, group in WORD_GROUPS.items()
        }

    def __call__(self, pixels: Pixels) -> list[tuple[str, str]]:
        """(kind, word): of each group the word that fits clearly better than all others, if any."""
        (seen,) = np.asarray(self._clip.embed_images([pixels]))
        found = []
        for kind, group in WORD_GROUPS.items():
            word = clearest_word(self._word_embeddings[kind] @ seen, group.words)
            if word:
                found.append((kind, word))
        return found

    def _embed_words(self, group: WordGroup) -> Embeddings:
        """A unit vector for each word, the mean over the templates, and a last one for none."""
        every = []
        for template in group.prompt_templates:
            texts = [template.format(word) for word in group.words]
            every.append(np.asarray(self._clip.embed_texts([*texts, group.blank_prompt])))
        mean = np.mean(every, axis=0)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def clearest_word(similarities: Embeddings, words: tuple[str, ...]) -> str:
    """The word that fits, or "" if none does clearly.

    Args:
        similarities: of the picture with each word, and last with the sentence that says none of
            them.
        words: as many as there are cosines, but one.
    """
    powers = np.exp(LOGIT_SCALE * (similarities - similarities.max()))
    chances = powers / powers.sum()
    first, second = np.argsort(-chances)[:2]
    clear = (
        chances[first] >= MIN_PROBABILITY
        and chances[first] >= MIN_PROBABILITY_RATIO * chances[second]
    )
    return words[first] if clear and first < len(words) else ""
