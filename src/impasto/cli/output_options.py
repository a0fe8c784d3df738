"""Where a painting goes, and every reason to refuse that before the work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.cli.previews import ANIMATION_FILE_NAME, PREVIEW_FILE_PATTERN, preview_file_name
from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.core.request import Request
from impasto.pictures import check_writable
from impasto.pictures.formats import max_bits
from impasto.pipeline.lut import check_lut_path
from impasto.pipeline.region_options import region_file_names, save_regions


@dataclass(frozen=True)
class OutputOptions:
    """The flags that say what is written where; an empty text is a flag that was not given."""

    output: str
    bits: int | None
    encoding_quality: int
    contact_sheet: str
    lut: str
    preview: str
    preview_every: float
    animate: bool
    resume: bool
    overwrite_input: bool

    def check(
        self, content: Picture, inputs: Sequence[Path], size: tuple[int, int] | None = None
    ) -> tuple[str, ...]:
        """Refuse what cannot or must not be written; leaves no trace.

        Args:
            content: what is painted: its depth and transparency are the painting's.
            inputs: files that must stay as they are.
            size: (height, width) of the painting, once it is known.

        Returns:
            Notes on what OUT will not hold.

        Raises:
            InputError: says which file, and what to do.
        """
        notes: tuple[str, ...] = ()
        if self.output:
            bits = self.bits or min(content.bits, max_bits(self.output))
            notes = check_writable(self.output, bits, content.alpha is not None, size=size)
        if self.contact_sheet:
            check_writable(self.contact_sheet)
            if self.output and is_same_file(Path(self.contact_sheet), Path(self.output)):
                raise InputError(f"-o and --contact-sheet both name {self.output}: give two names.")
        if self.lut:
            check_lut_path(self.lut)
        if self.animate and not self.preview:
            raise InputError("--animate needs pictures to animate: say --preview DIR too.")
        if self.preview:
            self._check_preview(Path(self.preview), inputs)
        self._check_overwrites(inputs)
        return notes

    def _check_overwrites(self, inputs: Sequence[Path]) -> None:
        for written in (self.output, self.contact_sheet, self.lut):
            if not written or self.overwrite_input:
                continue
            if any(is_same_file(Path(written), path) for path in inputs):
                raise InputError(
                    f"{written} is an input and would be overwritten: choose another name, or say "
                    "--overwrite-input."
                )

    def _check_preview(self, folder: Path, inputs: Sequence[Path]) -> None:
        """Refuse a preview folder that cannot be made or written, or in which files are at risk."""
        if folder.is_dir():
            check_writable(folder / preview_file_name(1))
        elif folder.exists():
            raise InputError(f"--preview {folder} is a file: give a folder.")
        else:
            check_writable(folder.with_name(preview_file_name(1)))
        others = [Path(other) for other in (self.output, self.contact_sheet) if other]
        for path in (*inputs, *others):
            ours = PREVIEW_FILE_PATTERN.fullmatch(path.name) or path.name == ANIMATION_FILE_NAME
            if ours and is_same_file(path.parent, folder):
                raise InputError(f"--preview {folder} would replace {path}: give another folder.")


def write_regions(request: Request, folder: str, inputs: Sequence[Path]) -> list[Path]:
    """Write the regions into a folder, if there are some and a folder is named.

    Raises:
        InputError: they cannot be written there, or would replace an input.
    """
    if not folder:
        return []
    if not request.regions:
        raise InputError("--regions-out has no regions to write: give --region or --labels.")
    names = region_file_names(request)
    for path in inputs:
        if path.name in names and is_same_file(path.parent, Path(folder)):
            raise InputError(f"--regions-out {folder} would replace {path}: give another folder.")
    return save_regions(request, Path(folder))


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file or would be, links followed."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)
