"""A film on its way: finished parts in a folder beside the output, and where the brush was.

Every part is written whole and then the state, so that a kill loses no more than the part that was
being painted. A state is only ever gone on from by a run of the same film and settings.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.core.errors import InputError
from impasto.pictures import write_bytes
from impasto.pipeline.checkpoint import Checkpoint

NAME = re.compile(r"part-(\d{6})\.nut")


def segments_folder(output: Path) -> Path:
    """The folder of parts that belongs to an output."""
    return output.with_name(f"{output.name}.impasto-parts")


class SegmentStore:
    """The parts of one output.

    Args:
        folder: of the parts; made when the first one is finished. What an earlier run left there
            stays until then.
        identity: all that decides the frames.
        resume: whether to go on from what is there.

    Attributes:
        state: where to go on, or None for the beginning.
        why_new: why it begins anew although there was something to go on from, or "".
        count: parts that are finished.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], resume: bool) -> None:
        self.folder, self._saved = folder, Checkpoint(folder / "state", identity)
        self.state: Mapping[str, Any] | None = None
        self.why_new, self.count = "", 0
        if resume:
            try:
                found = self._saved.load()
            except InputError as error:
                self.why_new = str(error).partition(": delete")[0].partition(". Delete")[0]
            else:
                self.state = found
        if self.state is not None:
            self.count = self.state["parts"]
        self._begun = self.state is not None

    def commit(self, part: bytes | None, state: Mapping[str, Any]) -> None:
        """A part is finished.

        Args:
            part: of a film; None where the frames are files of their own.
            state: of tensors, numbers and texts, in mappings and lists.

        Raises:
            InputError: it cannot be written.
        """
        if not self._begun:
            self.remove()
            try:
                self.folder.mkdir()
            except OSError as error:
                raise InputError(
                    f"Cannot make {self.folder}: the system says {error.strerror!r}; make room, or "
                    "choose another place."
                ) from error
            self._begun = True
        if part is not None:
            write_bytes(self._file(self.count), part)
        self.count += 1
        self._saved.save({**state, "parts": self.count})

    @property
    def resumable(self) -> bool:
        """Whether a later run could go on from here."""
        return (self.folder / "state").exists()

    def files(self) -> list[Path]:
        """The finished parts, in their order."""
        return [self._file(i) for i in range(self.count)] if self._begun else []

    def remove(self) -> None:
        """Nothing is to be gone on from any more."""
        if self.folder.is_dir() and all(_is_ours(p) for p in self.folder.iterdir()):
            shutil.rmtree(self.folder)

    def _file(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.nut"


def _is_ours(path: Path) -> bool:
    return path.name == "state" or bool(NAME.fullmatch(path.name)) or path.suffix == ".part"
