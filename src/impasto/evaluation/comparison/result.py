"""A comparison as data: what was painted and measured, what was left out, and how it is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from impasto.core.errors import InputError
from impasto.metrics.registry import METRICS
from impasto.pictures import write_bytes

COMPARISON_FILE = "comparison.json"
"""The file in a comparison's folder that holds it, and shows that the folder is one."""
REPORT_FILE, CONTACT_SHEET_FILE, RESULTS_FOLDER, INPUTS_FOLDER = (
    "index.html",
    "sheet.png",
    "results",
    "inputs",
)
MADE_BY = "impasto compare"

COST_COLUMNS = ("seconds", "painting_seconds", "peak_bytes")
"""What a painting took; the fewer the better."""


@dataclass(frozen=True)
class ComparisonRow:
    """One method with its knobs, and what came of it.

    Attributes:
        label: method and the knobs that were given: "gatys steps=100".
        title: what the method is, in one line.
        status: "painted"; "stopped": the painting is as it was when it was stopped; "failed".
        file: the painting, relative to the comparison's folder; "" if there is none.
        seconds: of the whole command, from the start of its process to its end.
        painting_seconds: of the painting alone, once everything was loaded.
        peak_bytes: the most memory that the process held; on a GPU, beside what lay on that.
        values: metric → value.
        knobs: every knob, defaults included.
        command: the words of the command line that paints it.
        notes: what happened, and what the plan warned of; one sentence each.
        reused: whether an earlier comparison had painted it.
        code: the exit code of its process.
    """

    label: str
    method: str
    title: str
    status: Literal["painted", "stopped", "failed"]
    file: str = ""
    seconds: float = 0.0
    painting_seconds: float = 0.0
    peak_bytes: int = 0
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    knobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reused: bool = False
    code: int = 0


@dataclass(frozen=True)
class ExcludedMethod:
    """A method that was not painted with, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Paintings of one content in the manner of the same styles, by several methods.

    Attributes:
        folder: where the paintings, the sheet and the page lie.
        content: path of the content.
        styles: paths of the styles, or their names where a method has learnt them.
        size: long side of the paintings in pixels.
        seed: of everything random.
        text: what the metric ``clip_text`` compares with.
        rows: what was painted, in the order in which the methods were named.
        left_out: methods that do not fit.
        unpainted: metric → value of the content itself, as a point of reference.
        missing: metric → what it lacks here, and how to get it.
        notes: on the measuring, one sentence each.
        others: of earlier runs into this folder: their paintings lie there still.
        finished: False if it was stopped before its end.
    """

    folder: Path
    content: str
    styles: tuple[str, ...]
    size: int
    seed: int = 0
    text: str = ""
    rows: tuple[ComparisonRow, ...] = ()
    left_out: tuple[ExcludedMethod, ...] = ()
    unpainted: Mapping[str, float] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    others: tuple[ComparisonRow, ...] = ()
    finished: bool = True

    @property
    def rows_with_image(self) -> tuple[ComparisonRow, ...]:
        """The rows that have a painting."""
        return tuple(row for row in self.rows if row.file)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of which there is a value, in the order of a table."""
        return tuple(name for name in METRICS if any(name in row.values for row in self.rows))

    def best_labels(self, column: str) -> frozenset[str]:
        """Return the labels of the rows that are best in a metric or a cost column.

        Paintings that were stopped are no competitors, and where there is only one, none is best.
        """
        values = {
            row.label: getattr(row, column) if column in COST_COLUMNS else row.values[column]
            for row in self.rows
            if row.status == "painted" and (column in COST_COLUMNS or column in row.values)
        }
        if len(values) < 2:
            return frozenset()
        higher = column not in COST_COLUMNS and METRICS[column].better == "higher"
        top = (max if higher else min)(values.values())
        return frozenset(label for label, value in values.items() if value == top)

    @property
    def report_path(self) -> Path:
        """The page for a browser."""
        return self.folder / REPORT_FILE

    @property
    def contact_sheet_path(self) -> Path:
        """The contact sheet."""
        return self.folder / CONTACT_SHEET_FILE

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "made_by": MADE_BY,
            "version": impasto_version(),
            **dataclasses.asdict(self),
            "folder": str(self.folder),
        }

    def save(self) -> None:
        """Write it into its folder.

        Raises:
            InputError: the file cannot be written.
        """
        data = self.to_dict()
        del data["folder"]  # the folder may be moved
        text = json.dumps(data, indent=1, ensure_ascii=False)
        write_bytes(self.folder / COMPARISON_FILE, text.encode("utf-8", "surrogateescape"))


def impasto_version() -> str:
    """Of Impasto."""
    return metadata.version("impasto")


def load_comparison(folder: Path) -> Comparison | None:
    """The comparison that lies in a folder; None where there is nothing.

    Raises:
        InputError: the folder holds other things than a comparison, or one of another version; or
            it is a file.
    """
    try:
        there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise InputError(
            f"{folder} is no folder that can be read: choose another with -o."
        ) from error
    if not there:
        return None
    try:
        data = json.loads(
            (folder / COMPARISON_FILE).read_bytes().decode("utf-8", "surrogateescape")
        )
        ours = data.pop("made_by") == MADE_BY
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        ours = False
    if not ours:
        raise InputError(
            f"{folder} holds other things than a comparison ({', '.join(there[:3])}): choose "
            "another folder with -o, or an empty one."
        )
    try:
        return _parse_comparison(folder, data)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / COMPARISON_FILE} is of another version of Impasto, or damaged: choose "
            f"another folder "
            "with -o, or delete that one."
        ) from error


def _parse_comparison(folder: Path, data: dict[str, Any]) -> Comparison:
    del data["version"]
    for name in ("rows", "others"):
        data[name] = tuple(
            ComparisonRow(**{**row, "command": tuple(row["command"]), "notes": tuple(row["notes"])})
            for row in data[name]
        )
    data["left_out"] = tuple(ExcludedMethod(**each) for each in data["left_out"])
    data["styles"], data["notes"] = tuple(data["styles"]), tuple(data["notes"])
    return Comparison(folder=folder, **data)
