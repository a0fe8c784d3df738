"""Whether files are whole, what is in them by their headers, and their checksums."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path

from impasto.core.errors import WeightsError

_BLOB_NAME = re.compile(r"[0-9a-f]{64}")


def read_tensor_shapes(
    path: Path, hint: str = "Fetch or copy it again."
) -> dict[str, tuple[int, ...]]:
    """Name → shape of the tensors in a safetensors file on this machine.

    Raises:
        WeightsError: it is no safetensors, or its end is missing.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise ValueError("its header is too long")
            head = json.loads(file.read(length))
        head.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in head.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in head.items()}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise WeightsError(f"{path} is no whole safetensors file ({error}). {hint}") from error
    if path.stat().st_size != end:
        raise WeightsError(
            f"{path} is only half here: {path.stat().st_size} of {end} bytes. {hint}"
        )
    return shapes


def check_complete(
    root: Path, files: Sequence[str], title: str, hint: str, damaged_hint: str = ""
) -> None:
    """Refuse what is downloaded or copied only in part.

    Args:
        root: the folder.
        files: that will be loaded, from the root on.
        title: what messages call the model.
        hint: the sentence that says how to fetch it.
        damaged_hint: the same for what is here and damaged.

    Raises:
        WeightsError: the first file that is missing or not whole, and the line that fetches it.
    """
    damaged_hint = damaged_hint or hint
    for file in files:
        path = root / file
        if not path.is_file():
            places = (path.parent, root.parent.parent / "blobs")  # of a folder; of the hub's cache
            left = [p.name for place in places for p in place.glob("*.incomplete")]
            half = f" ({left[0]} is a download that was broken off)" if left else ""
            raise WeightsError(f"{title} has no {file}{half}. {hint}")
        if file.endswith(".safetensors"):
            read_tensor_shapes(path, damaged_hint)
        elif file.endswith(".index.json"):
            try:
                shards = set(json.loads(path.read_text("utf-8"))["weight_map"].values())
            except (ValueError, KeyError, AttributeError) as error:
                raise WeightsError(f"{path} is damaged: {error}. {damaged_hint}") from error
            within = Path(file).parent
            shards_here = [(within / shard).as_posix() for shard in sorted(shards)]
            check_complete(root, shards_here, title, hint, damaged_hint)


def file_digests(root: Path, files: Sequence[str], title: str) -> dict[str, str]:
    """Title and file → sha256, as a recipe lists them.

    The hub's cache names a large file by its sha256; others are read, once in a process.
    """
    found = {}
    for file in files:
        for path in sorted(root.glob(file)):
            found[f"{title}/{path.relative_to(root).as_posix()}"] = file_sha256(path)
    return found


def file_sha256(path: Path) -> str:
    """Of a file; one in the hub's cache bears it as its name."""
    real = Path(os.path.realpath(path))
    if _BLOB_NAME.fullmatch(real.name) and real.parent.name == "blobs":
        return real.name
    stat = real.stat()
    return _cached_sha256(str(real), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _cached_sha256(path: str, size: int, modified: int) -> str:
    """Of a file as it was when it had this size and date."""
    total = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()
