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
from impasto.train.dataset import ImageDataset
from impasto.train.lora.aspect_buckets import (
    AspectBuckets,
    bucket_sizes,
    nearest_size,
    read_on_white,
    resize_and_crop,
)
from impasto.train.lora.frozen_base import FrozenDiffusionModel

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class CachedLatents:
    """A picture as the U-Net learns it.

    Attributes:
        mean, std: of its latents, (4, h, w) on the processor.
        time_ids: height and width of the file, what was cut off at the top and left, and the height
            and width it has now, in pixels: what SDXL is told of a picture.
        caption: its prompt.
    """

    mean: Tensor
    std: Tensor
    time_ids: tuple[int, int, int, int, int, int]
    caption: str


@dataclass(frozen=True, eq=False)
class Batch:
    """What one batch consists of, on the processor.

    Attributes:
        latents, noise: (N, 4, h, w).
        timesteps: of the noise, (N,).
        captions, time_ids: as :class:`CachedLatents` has them.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    captions: list[str]
    time_ids: Tensor


def caption_path(picture: Path) -> Path:
    """Where a picture's caption is looked for: the same name with .txt."""
    return picture.with_suffix(".txt")


def read_captions(dataset: ImageDataset) -> dict[str, str]:
    """Path of a picture → what the .txt file beside it says; pictures without one are left out.

    Raises:
        InputError: such a file is no text.
    """
    found = {}
    for file in dataset.files:
        beside = caption_path(file)
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


def prepend_trigger(trigger: str, caption: str) -> str:
    """The word that calls the style, before what a picture shows."""
    return ", ".join(text for text in (trigger, caption) if text)


def encode_dataset(
    base: FrozenDiffusionModel, dataset: ImageDataset, captions: Mapping[str, str], crop_size: int
) -> tuple[list[CachedLatents], int]:
    """The latents of an album; a picture that cannot be read is left out of it.

    Args:
        base: encodes them.
        dataset: the pictures.
        captions: path → prompt; others have the prompt "".
        crop_size: of the square whose area the buckets have, in pixels.

    Returns:
        One for each picture, and how many are smaller than their bucket.

    Raises:
        InputError: none can be read.
    """
    found, small = list[CachedLatents](), 0
    sizes = bucket_sizes(crop_size, base.size_multiple)
    for file in list(dataset.files):
        try:
            whole = read_on_white(file)
        except (InputError, MissingExtraError) as error:
            dataset.exclude(file, str(error))
            continue
        height, width = whole.shape[:2]
        size = nearest_size(sizes, height, width)
        small += height * width < 0.8 * size[0] * size[1]
        pixels, corner = resize_and_crop(whole, size)
        mean, deviation = base.encode(torch.from_numpy(pixels).permute(2, 0, 1))
        ids = (height, width, *corner, *size)
        found.append(CachedLatents(mean, deviation, ids, captions.get(str(file), "")))
    return found, small


class LatentDataset:
    """Pictures that were encoded once, and the turns that are made of them.

    Args:
        items: the pictures.
        batch_size: most pictures in a turn.
        seed: of their order, the noise and its steps.
        num_train_timesteps: of the noise.
        caption_dropout: share of captions that are left out of a turn, 0..1.
    """

    def __init__(
        self,
        items: Sequence[CachedLatents],
        batch_size: int,
        seed: int,
        num_train_timesteps: int,
        caption_dropout: float = 0.0,
    ) -> None:
        self.items = items
        self.buckets = AspectBuckets([each.time_ids[4:] for each in items], batch_size, seed)
        self._seed, self._num_train_timesteps, self._caption_dropout = (
            seed,
            num_train_timesteps,
            caption_dropout,
        )

    def batch(self, batch_index: int) -> Batch:
        """The batch of a turn: the same for the same seed and turn.

        The steps of the noise go evenly through all there are (multiples of the golden ratio),
        which makes the loss calmer than drawing each for itself.
        """
        members = [self.items[index] for index in self.buckets.batch_indices(batch_index)]
        words = hashlib.sha256(f"{self._seed} {batch_index}".encode()).digest()
        random = torch.Generator().manual_seed(int.from_bytes(words[:7], "little"))
        mean = torch.stack([kept.mean for kept in members])
        spread = torch.stack([kept.std for kept in members])
        latents = mean + spread * torch.randn(mean.shape, generator=random)
        noise = torch.randn(mean.shape, generator=random)
        first = np.random.default_rng([self._seed, 11]).random()
        places = (
            first
            + (batch_index * self.buckets.batch_size + np.arange(len(members))) * _GOLDEN_RATIO
        )
        said = [kept.caption for kept in members]
        left_out = torch.rand(len(members), generator=random) < self._caption_dropout
        return Batch(
            latents=latents,
            noise=noise,
            timesteps=torch.from_numpy((places % 1 * self._num_train_timesteps).astype(np.int64)),
            captions=["" if out else text for text, out in zip(said, left_out, strict=True)],
            time_ids=torch.tensor([kept.time_ids for kept in members], dtype=torch.float32),
        )
