"""The pictures that a LoRA learns from: captions, latents, and what a turn is made of."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import InputError, MissingExtraError
from impasto.train.dataset import Album
from impasto.train.lora.aspect_buckets import Buckets, bucket_sizes, cut, nearest_size, seen
from impasto.train.lora.frozen_base import FrozenBase

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Kept:
    """A picture as the U-Net learns it.

    Attributes:
        mean, deviation: of its latents, (4, h, w) on the processor.
        ids: height and width of the file, what was cut off at the top and left, and the height
            and width it has now, in pixels: what SDXL is told of a picture.
        caption: its prompt.
    """

    mean: Tensor
    deviation: Tensor
    ids: tuple[int, int, int, int, int, int]
    caption: str


@dataclass(frozen=True, eq=False)
class Turn:
    """What one batch consists of, on the processor.

    Attributes:
        latents, noise: (N, 4, h, w).
        steps: of the noise, (N,).
        captions, ids: as :class:`Kept` has them.
    """

    latents: Tensor
    noise: Tensor
    steps: Tensor
    captions: list[str]
    ids: Tensor


def caption_file(picture: Path) -> Path:
    """Where a picture's caption is looked for: the same name with .txt."""
    return picture.with_suffix(".txt")


def captions_beside(album: Album) -> dict[str, str]:
    """Path of a picture → what the .txt file beside it says; pictures without one are left out.

    Raises:
        InputError: such a file is no text.
    """
    found = {}
    for file in album.files:
        beside = caption_file(file)
        if beside.is_file():
            try:
                text = " ".join(beside.read_text("utf-8-sig").split())
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"{beside} is no text in UTF-8 ({error}): mend it or take it out."
                ) from error
            if text:
                found[str(file)] = text
    return found


def with_trigger(trigger: str, caption: str) -> str:
    """The word that calls the style, before what a picture shows."""
    return ", ".join(text for text in (trigger, caption) if text)


def encoded(
    base: FrozenBase, album: Album, captions: Mapping[str, str], side: int
) -> tuple[list[Kept], int]:
    """The latents of an album; a picture that cannot be read is left out of it.

    Args:
        base: encodes them.
        album: the pictures.
        captions: path → prompt; others have the prompt "".
        side: of the square whose area the buckets have, in pixels.

    Returns:
        One for each picture, and how many are smaller than their bucket.

    Raises:
        InputError: none can be read.
    """
    found, small = list[Kept](), 0
    sizes = bucket_sizes(side, base.step)
    for file in list(album.files):
        try:
            whole = seen(file)
        except (InputError, MissingExtraError) as error:
            album.leave_out(file, str(error))
            continue
        height, width = whole.shape[:2]
        size = nearest_size(sizes, height, width)
        small += height * width < 0.8 * size[0] * size[1]
        pixels, corner = cut(whole, size)
        mean, deviation = base.encode(torch.from_numpy(pixels).permute(2, 0, 1))
        ids = (height, width, *corner, *size)
        found.append(Kept(mean, deviation, ids, captions.get(str(file), "")))
    return found, small


class Latents:
    """Pictures that were encoded once, and the turns that are made of them.

    Args:
        kept: the pictures.
        batch: most pictures in a turn.
        seed: of their order, the noise and its steps.
        steps: of the noise.
        dropped: share of captions that are left out of a turn, 0..1.
    """

    def __init__(
        self, kept: Sequence[Kept], batch: int, seed: int, steps: int, dropped: float = 0.0
    ) -> None:
        self.kept = kept
        self.buckets = Buckets([each.ids[4:] for each in kept], batch, seed)
        self._seed, self._steps, self._dropped = seed, steps, dropped

    def turn(self, turn: int) -> Turn:
        """The batch of a turn: the same for the same seed and turn.

        The steps of the noise go evenly through all there are (multiples of the golden ratio),
        which makes the loss calmer than drawing each for itself.
        """
        members = [self.kept[index] for index in self.buckets.of(turn)]
        words = hashlib.sha256(f"{self._seed} {turn}".encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(words[:7], "little"))
        mean = torch.stack([kept.mean for kept in members])
        spread = torch.stack([kept.deviation for kept in members])
        latents = mean + spread * torch.randn(mean.shape, generator=random)
        noise = torch.randn(mean.shape, generator=random)
        first = np.random.default_rng([self._seed, 11]).random()
        places = first + (turn * self.buckets.batch + np.arange(len(members))) * _GOLDEN
        said = [kept.caption for kept in members]
        left_out = torch.rand(len(members), generator=random) < self._dropped
        return Turn(
            latents=latents,
            noise=noise,
            steps=torch.from_numpy((places % 1 * self._steps).astype(np.int64)),
            captions=["" if out else text for text, out in zip(said, left_out, strict=True)],
            ids=torch.tensor([kept.ids for kept in members], dtype=torch.float32),
        )
