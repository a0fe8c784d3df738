"""Who watches a training: a folder of numbered pictures, and TensorBoard."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.core.errors import InputError, MissingExtraError
from impasto.pictures import write

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.train.trainer import Progress

TRAIN_PREVIEW_FILE_PATTERN = re.compile(r"impasto-\d{6,}\.jpg")
LATEST_FILE_NAME = "latest.jpg"
MAX_CURVE_POINTS = 2000
"""About so many points make a curve in TensorBoard."""


def train_preview_file_name(step: int) -> str:
    """The file name of the preview after a step."""
    return f"impasto-{step:06d}.jpg"


class TrainPreviewWriter:
    """Writes previews into a folder; a full disk costs a warning, never the training.

    Args:
        folder: where to; made if it is missing.
        resume: keep the pictures that are there, instead of replacing them.
        warn: told once if a picture cannot be written.
    """

    def __init__(self, folder: Path, resume: bool, warn: Callable[[str], None]) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._warn, self._write_failed = folder, warn, False
        for path in () if resume else list(folder.iterdir()):
            if TRAIN_PREVIEW_FILE_PATTERN.fullmatch(path.name):
                path.unlink()

    def add(self, preview: Tensor, step: int) -> None:
        """The preview after ``step``, (3, H, W) in 0..1."""
        if self._write_failed:
            return
        pixels = np.ascontiguousarray(preview.permute(1, 2, 0).float().cpu().numpy())
        try:
            for name in (train_preview_file_name(step), LATEST_FILE_NAME):
                write(pixels, self._folder / name)
        except InputError as error:
            self._write_failed = True
            self._warn(f"No more previews: {error}")


class TensorBoardWriter:
    """Writes curves and previews for TensorBoard.

    Args:
        folder: where to; made if it is missing.
        start_step: what an earlier run wrote of later steps is left out.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, start_step: int) -> None:
        try:
            kind = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                'TensorBoard needs an extra; run: pip install "impasto[train]"'
            ) from error
        self._writer = kind(str(folder), purge_step=start_step + 1 if start_step else None)

    def __call__(self, progress: Progress) -> None:
        every = max(1, progress.steps // MAX_CURVE_POINTS)
        if progress.step % every and progress.step < progress.steps:
            return
        for name, value in progress.terms.items():
            self._writer.add_scalar(f"loss/{name}", value, progress.step)
        self._writer.add_scalar("loss/total", sum(progress.terms.values()), progress.step)

    def add(self, preview: Tensor, step: int) -> None:
        """The preview after ``step``, (3, H, W) in 0..1."""
        self._writer.add_image("preview", preview.float().cpu(), step)

    def close(self) -> None:
        """Nothing more will come."""
        self._writer.close()
