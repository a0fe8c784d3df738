"""The leak check: whether things of the reference have come into a picture, by CLIP.

An adapter that is too strong copies what its reference shows. CLIP says how likely each thing of a
list is in a picture. What the reference shows, and the picture shows too although neither content
nor prompt asked for it, has leaked. Measured on names of things, the manner does not count.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.core.picture import Raster
from impasto.nets.clip import Clip

DEFAULT_LEAK_LIMIT = 0.25
"""Leak above which a picture shows the reference's things."""
CLIP_LOGIT_SCALE = 100.0
"""What CLIP multiplies its cosines by."""
OBJECT_NAMES = (
    "a face", "a man", "a woman", "a child", "a crowd", "a hand", "a skull", "a dog", "a cat",
    "a horse", "a cow", "a bird", "a fish", "an insect", "a butterfly", "a dragon", "a flower",
    "a tree", "a forest", "a field", "grass", "a mountain", "a rock", "the sea", "a wave",
    "a river", "a lake", "a beach", "an island", "the sky", "clouds", "the moon", "stars",
    "the sun", "snow", "fire", "a house", "a village", "a city", "a tower", "a church", "a castle",
    "a bridge", "a street", "a door", "a window", "a room", "a staircase", "a garden", "a boat",
    "a ship", "a car", "a train", "a bicycle", "an aeroplane", "a wheel", "a clock", "a lamp",
    "a chair", "a table", "a bed", "a book", "a letter", "a bottle", "a cup", "a bowl", "fruit",
    "an apple", "bread", "a hat", "a dress", "a crown", "a sword", "a mask", "a mirror",
    "a musical instrument", "a machine", "a robot", "a map", "a pattern without things",
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def load_clip(name: str) -> Clip:
    """A CLIP that stays loaded for the next request.

    Raises:
        ImpastoError: it cannot be had.
    """
    return Clip(name)


class ContentLeakMetric:
    """Measures leaks by one CLIP.

    Args:
        clip: loaded.
        references: pictures whose things must stay out.
        content: the content picture if it is to be seen, or None.
        prompt: what is asked for in words.
    """

    def __init__(
        self, clip: Clip, references: Sequence[Raster], content: Raster | None, prompt: str
    ) -> None:
        self._clip = clip
        self._object_embeds = clip.embed_texts([f"a picture of {thing}" for thing in OBJECT_NAMES])
        self._unwanted_probabilities = self._object_probabilities(
            clip.embed_images(references)
        ).amax(0)
        wanted = (
            [self._object_probabilities(clip.embed_images([content]))]
            if content is not None
            else []
        )
        if prompt:
            wanted.append(self._object_probabilities(clip.embed_texts([prompt])))
        if wanted:
            self._unwanted_probabilities = (
                self._unwanted_probabilities - torch.cat(wanted).amax(0)
            ).clamp(min=0)

    def __call__(self, image: Raster) -> float:
        """How much of what only the references show is in a picture: 0 nothing, 1 all of it."""
        if not bool(self._unwanted_probabilities.any()):
            return 0.0
        found = self._object_probabilities(self._clip.embed_images([image]))[0]
        return float(
            torch.minimum(found, self._unwanted_probabilities).sum()
            / self._unwanted_probabilities.sum()
        )

    def _object_probabilities(self, vectors: Tensor) -> Tensor:
        """How likely each thing is, (N, things), the sum 1."""
        return (CLIP_LOGIT_SCALE * vectors @ self._object_embeds.T).softmax(-1)
