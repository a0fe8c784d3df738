"""Pictures that stay on disk, so that a large one never has to fit into memory."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from impasto.core.errors import InputError, ResourceError
from impasto.core.picture import Pixels

MAX_IN_MEMORY_MEGAPIXELS = 24.0
"""A larger picture is kept on disk; one of this size takes 0.3 GB in memory."""

CHUNK_PIXELS = 1 << 20
"""Pixels that are worked on at a time."""


def is_large(height: int, width: int) -> bool:
    """Whether a picture of this size is kept on disk."""
    return height * width > MAX_IN_MEMORY_MEGAPIXELS * 1e6


def row_chunks(height: int, width: int) -> Iterator[tuple[int, int]]:
    """(top, bottom) of bands of rows, one below the other, of at most a megapixel or one row."""
    rows = max(1, CHUNK_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def quantize(values: Pixels, bits: int) -> NDArray[Any]:
    """0..1 to the nearest of the integers of ``bits`` bits, 8 or 16; what lies outside is clipped.

    Raises:
        InputError: NaN.
    """
    if np.isnan(values).any():
        raise InputError("The pixels hold NaN: the method that made them failed.")
    top = (1 << bits) - 1
    kind = np.uint8 if bits == 8 else np.uint16
    return np.ascontiguousarray(np.rint(values.clip(0, 1) * np.float32(top)), dtype=kind)


class DiskArray:
    """Pixels in a temporary file, read and written a window at a time.

    ``spool[top:bottom, left:right]`` is a new float32 array in 0..1; assigning to a window clips to
    0..1 and rounds to the nearest step. What was never written is 0. Threads may share a spool.
    The file is gone when the spool is closed, collected, or the program ends.

    Args:
        shape: (height, width, channels), or (height, width) for alpha.
        bits: per channel on disk, 8 or 16.

    Raises:
        ResourceError: the disk cannot hold it; so does writing a window.
    """

    def __init__(self, shape: tuple[int, ...], bits: int = 8) -> None:
        self.shape = shape
        self.bits = bits
        self._bytes_per_pixel = math.prod(shape[2:]) * bits // 8
        self._lock = threading.Lock()
        try:
            if shutil.disk_usage(tempfile.gettempdir()).free < self._total_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._file: Any = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._finalizer = weakref.finalize(self, self._file.close)
            self._file.truncate(self._total_bytes)
        except OSError as error:
            raise self._disk_full_error(error) from error

    def close(self) -> None:
        """Remove the file now."""
        self._finalizer()

    def __getitem__(self, window: tuple[slice, slice], /) -> Pixels:
        top, bottom, left, right = self._window_bounds(window)
        out = np.empty((bottom - top, right - left, *self.shape[2:]), np.float32)
        for first, last in row_chunks(bottom - top, right - left):
            raw = np.empty(out[first:last].shape, np.uint8 if self.bits == 8 else np.uint16)
            with self._lock:
                for part in self._file_runs(raw, top + first, left):
                    self._file.readinto(part)
            np.divide(raw, np.float32((1 << self.bits) - 1), out=out[first:last])
        return out

    def __setitem__(self, window: tuple[slice, slice], values: Pixels, /) -> None:
        top, bottom, left, right = self._window_bounds(window)
        values = np.broadcast_to(values, (bottom - top, right - left, *self.shape[2:]))
        for first, last in row_chunks(bottom - top, right - left):
            raw = quantize(values[first:last], self.bits)
            try:
                with self._lock:
                    for part in self._file_runs(raw, top + first, left):
                        while part:  # a disk that is nearly full takes less than it is given
                            part = part[self._file.write(part) :]
            except OSError as error:
                raise self._disk_full_error(error) from error

    def __array__(
        self, dtype: DTypeLike | None = None, /, *, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A disk array lies on disk: its pixels are always a copy.")
        return self[:, :].astype(dtype or np.float32, copy=False)

    def _window_bounds(self, window: object) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of a window, as Python slices have them."""
        if (
            not isinstance(window, tuple)
            or len(window) != 2
            or not all(isinstance(side, slice) and side.step in (None, 1) for side in window)
        ):
            raise TypeError(
                "A disk array gives windows, array[top:bottom, left:right]; "
                "np.asarray(array) gives an array for everything else."
            )
        top, bottom, _ = window[0].indices(self.shape[0])
        left, right, _ = window[1].indices(self.shape[1])
        return top, max(top, bottom), left, max(left, right)

    def _file_runs(self, raw: NDArray[Any], top: int, left: int) -> Iterator[memoryview]:
        """The bytes of ``raw`` that lie side by side in the file, which is wound to their place."""
        if not raw.size:
            return
        whole = raw.shape[1] == self.shape[1]
        for i, row in enumerate(raw.reshape(1 if whole else len(raw), -1)):
            self._file.seek(((top + i) * self.shape[1] + left) * self._bytes_per_pixel)
            yield row.data.cast("B")

    @property
    def _total_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self._bytes_per_pixel

    def _disk_full_error(self, error: OSError) -> ResourceError:
        folder = tempfile.tempdir or "the folder for temporary files"
        return ResourceError(
            f"A picture of {self.shape[1]} x {self.shape[0]} needs "
            f"{self._total_bytes / 1e6:,.0f} MB in "
            f"{folder}, and the system says {error.strerror!r}; make room there, "
            "or set TMPDIR to another folder."
        )
