"""Arrays out of a pickle, without running anything that is in it.

A pickle names functions that its reader is to call. Here only three names are answered, those
with which numpy writes an array, and what answers them is not numpy but a stand-in that notes
the shape, the type and the bytes. So a file can neither call anything nor build a broken array,
and it does not matter which numpy wrote it or is installed.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from impasto.core.errors import WeightsError

_ALLOWED_DTYPES = re.compile(r"[fiu][1248]")
"""The types of elements that are admitted: floats and integers of 1 to 8 bytes."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array in a pickle of nested dictionaries and lists, under its path: "fire2/0".

    Raises:
        WeightsError: the file cannot be read, or names anything besides numpy's arrays.
    """
    try:
        with path.open("rb") as file:
            content = _RestrictedUnpickler(file, encoding="latin1").load()
        return dict(_collect_arrays(content, ""))
    except Exception as error:  # a damaged pickle raises almost anything
        raise WeightsError(
            f"{path} could not be read as arrays, and no code in it was run: {error}"
        ) from error


class _DtypeStub:
    """Stands in for ``numpy.dtype``: the type of an array's elements."""

    def __init__(self, plain: str, *_: object) -> None:
        if not _ALLOWED_DTYPES.fullmatch(plain):
            raise pickle.UnpicklingError(f"it has an array of {plain!r}")
        self.dtype = np.dtype(plain)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _ArrayStub:
    """Stands in for ``numpy.ndarray``, and for the function that makes an empty one."""

    def __init__(self, *_: object) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, raw = state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # written by Python 2
        flat = np.frombuffer(raw, kind.dtype)
        self.array = flat.reshape(shape, order="F" if columns_first else "C")


class _RestrictedUnpickler(pickle.Unpickler):
    ANSWERS = {  # noqa: RUF012
        ("numpy", "ndarray"): _ArrayStub,
        ("numpy", "dtype"): _DtypeStub,
        ("numpy.core.multiarray", "_reconstruct"): _ArrayStub,
        ("numpy._core.multiarray", "_reconstruct"): _ArrayStub,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ANSWERS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self.ANSWERS[module, name]


def _collect_arrays(content: Any, path: str) -> list[tuple[str, np.ndarray]]:
    if isinstance(content, _ArrayStub):
        return [(path, content.array)]
    if not isinstance(content, (dict, list, tuple)):
        raise pickle.UnpicklingError(f"{path or 'the whole'} is no array")
    items = content.items() if isinstance(content, dict) else enumerate(content)
    return [
        found
        for key, value in items
        for found in _collect_arrays(value, f"{path}/{key}" if path else str(key))
    ]
