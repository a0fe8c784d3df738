"""Albums: folders of training pictures, from which every step draws the same crops each time.

A batch is a function of the seed and the step alone. So a run that was stopped goes on with the
crops that the unbroken run would have seen, and there is no state of a sampler to be kept.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.core.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
READ_ERRORS = (
    *(OSError, ValueError, TypeError, IndexError, SyntaxError, EOFError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises on files that are damaged, or no pictures, or made to harm."""
MAX_ZOOM = 1.5
"""The short side of what is cut out is 1 / ZOOM to 1 times that of the picture."""


class ImageDataset:
    """Pictures in folders, as batches of random crops.

    Args:
        folders: searched with their subfolders; a file is an album of one.
        crop_size: of the square crops, in pixels.
        seed: of the crops.
        role: "photos" or "styles": what messages call them.

    ``unreadable`` names the files that turned out to be no pictures, each with the reason; the
    next picture in line takes the place of one.

    Raises:
        InputError: no such folder, or no readable picture in any.
    """

    def __init__(
        self, folders: Iterable[str | os.PathLike[str]], crop_size: int, seed: int, role: str
    ) -> None:
        self.side, self.role = crop_size, role
        self.seed = [seed, *role.encode()]
        self.unreadable: dict[Path, str] = {}
        self.files = [f for folder in folders for f in self._found(Path(folder))]
        for file in list(self.files):
            if (reason := _read_error(file)) is not None:
                self._exclude(file, reason)
        self._order: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = {}
        self._ahead = ThreadPoolExecutor(1)
        self._next: tuple[tuple[int, int], Future[Tensor]] | None = None
        self._last = -1
        self._check()

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, step: int, size: int) -> Tensor:
        """Crops of ``step``, shape (size, 3, side, side), RGB 0..1; the next are read meanwhile."""
        if self._next and self._next[0] == (step, size):
            found = self._next[1].result()
        else:
            found = self._read(step, size)
        then = step + max(1, step - self._last)  # one of several processes takes longer strides
        self._last = step
        self._next = ((then, size), self._ahead.submit(self._read, then, size))
        return found

    def _found(self, folder: Path) -> list[Path]:
        if folder.is_file():
            return [folder]
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}: name one with {self.role} in it.")
        files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise InputError(f"{folder} holds no pictures ({', '.join(IMAGE_SUFFIXES)}).")
        return files

    def _read(self, step: int, size: int) -> Tensor:
        crops = [self._crop(step * size + k) for k in range(size)]
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255)

    def _crop(self, turn: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """The crop of one turn; a round through the album shows every picture once."""
        rounds, place = divmod(turn, len(self.files))
        order = self._epoch_order(rounds)
        random = np.random.default_rng([*self.seed, 1, turn])
        for k in range(len(self.files)):
            file = self.files[order[(place + k) % len(self.files)]]
            if file in self.unreadable:
                continue
            try:
                with Image.open(file) as picture:
                    return _crop_image(picture, self.side, random)
            except READ_ERRORS as error:
                self.unreadable[file] = str(error)
        raise self._empty_error()

    def _epoch_order(self, rounds: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """The order of one round; the last one is kept. Two threads may ask at once."""
        order = self._order.get(rounds)
        if order is None:
            order = np.random.default_rng([*self.seed, 0, rounds]).permutation(len(self.files))
            self._order = {rounds: order}
        return order

    def check_all(self) -> None:
        """Decode every picture once, and leave out those that are damaged further on.

        Raises:
            InputError: none is left.
        """
        for file in list(self.files):
            if (reason := _read_error(file, whole=True)) is not None:
                self._exclude(file, reason)
        self._check()

    def exclude(self, file: Path, reason: str) -> None:
        """Do without a picture.

        Raises:
            InputError: none is left.
        """
        self._exclude(file, reason)
        self._check()

    def _exclude(self, file: Path, reason: str) -> None:
        self.unreadable[file] = reason
        self.files.remove(file)

    def _check(self) -> None:
        if not self.files:
            raise self._empty_error()

    def _empty_error(self) -> InputError:
        named = "; ".join(f"{f}: {reason}" for f, reason in list(self.unreadable.items())[:3])
        return InputError(f"None of the {self.role} can be read ({named}).")


def _crop_image(
    picture: Image.Image, side: int, random: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A random square of the picture, mirrored half of the time, as (side, side, 3)."""
    picture.draft("RGB", (2 * side, 2 * side))
    picture = picture.convert("RGB")
    edge = min(picture.size) / random.uniform(1, MAX_ZOOM)
    left, top = (random.uniform(0, length - edge) for length in picture.size)
    box = (left, top, left + edge, top + edge)
    crop = picture.resize((side, side), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    values = np.asarray(crop)
    return values[:, ::-1] if random.random() < 0.5 else values


def _read_error(file: Path, whole: bool = False) -> str | None:
    """Why a file is no picture, by its head or by all of it; None if it is one."""
    try:
        with Image.open(file) as picture:
            width, height = picture.size
            if whole:
                picture.load()
    except READ_ERRORS as error:
        return str(error)
    return None if min(width, height) > 1 else f"only {width} x {height} pixels"
