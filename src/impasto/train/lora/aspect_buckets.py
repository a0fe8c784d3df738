"""Pictures of any aspect in batches of one size each, without cutting much off them.

Source: the aspect ratio buckets of NovelAI, "NovelAI Improvements on Stable Diffusion", 2022, as
every trainer of diffusion models has them since. What is ours: a batch is a function of the seed
and the turn alone, as everywhere in :mod:`impasto.train`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.core.picture import Pixels
from impasto.pictures import read

MAX_ASPECT_RATIO = 2.0
"""The longest bucket is so many times as long as it is wide."""

Size = tuple[int, int]
"""Height and width in pixels."""


def bucket_sizes(side: int, multiple: int) -> list[Size]:
    """The sizes of about the area of a square.

    Args:
        side: of the square, in pixels.
        multiple: every side is a multiple of it.

    Returns:
        Heights and widths, none larger in area than side², none more than :data:`MAX_ASPECT_RATIO`
        times as long as wide; the square is among them.
    """
    whole = max(multiple, side // multiple * multiple)
    sizes = {(whole, whole)}
    for short in range(multiple, whole, multiple):
        long = side * side // short // multiple * multiple
        if long / short <= MAX_ASPECT_RATIO:
            sizes |= {(short, long), (long, short)}
    return sorted(sizes)


def nearest_size(sizes: Sequence[Size], height: int, width: int) -> Size:
    """The size of the most similar aspect; of two as similar, the larger."""
    aspect = math.log(width / height)
    return min(sizes, key=lambda s: (round(abs(math.log(s[1] / s[0]) - aspect), 6), -s[0] * s[1]))


class AspectBuckets:
    """Which pictures make the batch of a turn.

    Args:
        sizes: of each picture's bucket.
        batch_size: most pictures in a batch; where a bucket has fewer, it is smaller.
        seed: of the order.
    """

    def __init__(self, sizes: Sequence[Size], batch_size: int, seed: int) -> None:
        self.members: dict[Size, list[int]] = {}
        for index, size in enumerate(sizes):
            self.members.setdefault(size, []).append(index)
        self.batch_size, self.seed = batch_size, seed
        self.batches_per_epoch = sum(
            math.ceil(len(found) / batch_size) for found in self.members.values()
        )
        """Batches in which every picture is seen."""
        self._epoch_batches: dict[int, list[NDArray[np.int64]]] = {}

    def batch_indices(self, batch_index: int) -> list[int]:
        """The pictures of a turn, all of one bucket; a round shows every picture once."""
        rounds, place = divmod(batch_index, self.batches_per_epoch)
        if rounds not in self._epoch_batches:
            self._epoch_batches = {rounds: self._shuffled_batches(rounds)}
        return [int(index) for index in self._epoch_batches[rounds][place]]

    def _shuffled_batches(self, epoch: int) -> list[NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, 10, epoch])
        batches = []
        for members in self.members.values():
            parts = math.ceil(len(members) / self.batch_size)
            batches += np.array_split(random.permutation(members), parts)
        return [batches[k] for k in random.permutation(len(batches))]


def resize_and_crop(pixels: Pixels, size: Size) -> tuple[Pixels, Size]:
    """The middle of a picture at a bucket's size: as much of it as its aspect lets in.

    Args:
        pixels: (height, width, 3) in 0..1.
        size: of the bucket.

    Returns:
        The pixels (height, width, 3) in 0..1, and how much of the scaled picture was cut off at
        the top and at the left, in pixels.
    """
    height, width = size
    tall, wide = pixels.shape[:2]
    scale = max(height / tall, width / wide)
    top, left = (tall - height / scale) / 2, (wide - width / scale) / 2
    eight = Image.fromarray((pixels * 255).round().astype(np.uint8))
    small = eight.resize(
        (width, height),
        Image.Resampling.LANCZOS,
        (max(0, left), max(0, top), min(wide, wide - left), min(tall, tall - top)),
        reducing_gap=3.0,
    )
    corner = (round(max(0, top) * scale), round(max(0, left) * scale))
    return np.asarray(small, np.float32) / np.float32(255), corner


def read_on_white(file: Path) -> Pixels:
    """A picture (height, width, 3) in 0..1, as :func:`impasto.pictures.read` has it, on white.

    Raises:
        InputError: it cannot be read.
    """
    picture = read(file)
    pixels = np.asarray(picture.pixels)
    if picture.alpha is None:
        return pixels
    cover = np.asarray(picture.alpha)[:, :, None]
    on_white: Pixels = pixels * cover + (1 - cover)
    return on_white
