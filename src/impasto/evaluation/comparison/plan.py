"""A comparison that is planned: who takes part, where it goes, and what is there already."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import InputError
from impasto.core.knobs import knobs_to_dict
from impasto.core.picture import Picture
from impasto.core.recipe import Recipe
from impasto.core.units import parse_duration
from impasto.evaluation.comparison.candidates import (
    ALL_METHODS,
    MethodSelection,
    PlannedCandidate,
    SharedOptions,
    parse_candidates,
    plan_candidates,
    style_pictures,
)
from impasto.evaluation.comparison.result import (
    COMPARISON_FILE,
    CONTACT_SHEET_FILE,
    INPUTS_FOLDER,
    REPORT_FILE,
    Comparison,
    ComparisonRow,
    ExcludedMethod,
    impasto_version,
    load_comparison,
)
from impasto.pictures import as_picture, check_writable, read, read_recipe, write
from impasto.pipeline.checkpoint import Checkpoint, checkpoint_path
from impasto.pipeline.stylize import run_identity

DEFAULT_SIZE_PX = 512
"""Long side of the paintings in pixels unless told; a smaller content keeps its own."""
STARTUP_SECONDS = 5.0
"""What a process takes to start, until one has shown it."""


@dataclass(frozen=True, eq=False)
class ComparisonPlan:
    """A comparison that is planned: nothing is painted yet.

    Attributes:
        folder: where everything goes.
        options: what every method is asked.
        content, styles: the pictures as the judge sees them.
        candidates: who takes part, in the order in which they were named.
        left_out: who does not, and why.
        text, clip: for the judge.
        deadline: seconds that a painting may take; None: as long as it needs.
        done: file → row of paintings of an earlier run that are these.
        resumable: file → row of paintings that can be gone on with; None if the run that began it
        was
            killed before it could say anything.
        other_rows: rows of earlier runs that nobody asked for now.
    """

    folder: Path
    options: SharedOptions
    content: Picture
    styles: tuple[Picture, ...]
    candidates: tuple[PlannedCandidate, ...]
    left_out: tuple[ExcludedMethod, ...]
    text: str
    clip: str
    deadline: float | None
    done: Mapping[str, ComparisonRow]
    resumable: Mapping[str, ComparisonRow | None]
    other_rows: tuple[ComparisonRow, ...]

    @property
    def pending(self) -> list[PlannedCandidate]:
        """What is to be painted, the shortest first: who stops early has the most."""
        left = [fit for fit in self.candidates if fit.candidate.file not in self.done]
        return sorted(left, key=lambda fit: fit.plan.forecast.seconds)

    @property
    def seconds(self) -> float:
        """What it will take, by the forecasts."""
        return sum(fit.plan.forecast.seconds + STARTUP_SECONDS for fit in self.pending)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the plans warn of; with whom, where it is not everyone."""
        found: dict[str, list[str]] = {}
        for fit in self.candidates:
            for warning in fit.plan.warnings:
                found.setdefault(warning, []).append(fit.candidate.label)
        return tuple(
            text if len(labels) == len(self.candidates) else f"{', '.join(labels)}: {text}"
            for text, labels in found.items()
        )

    def make_comparison(self, rows: Mapping[str, ComparisonRow], finished: bool) -> Comparison:
        """What there is after these rows, by label."""
        return Comparison(
            folder=self.folder,
            content=self.options.content,
            styles=self.options.styles,
            size=self.options.size,
            seed=self.options.seed,
            text=self.text,
            rows=tuple(
                rows[f.candidate.label] for f in self.candidates if f.candidate.label in rows
            ),
            left_out=self.left_out,
            others=self.other_rows,
            finished=finished,
        )


def plan_comparison(
    content: object,
    styles: object | Sequence[object],
    *,
    methods: MethodSelection = ALL_METHODS,
    folder: str | Path = "",
    size: int | None = None,
    text: str = "",
    clip: str = "",
    seed: int = 0,
    style_weights: Sequence[float] = (),
    device: str = "auto",
    deadline: str | float | None = None,
    force: bool = False,
) -> ComparisonPlan:
    """Read the pictures, check every setting, and plan; see :func:`compare` for the arguments."""
    wanted = parse_candidates(methods)
    limit = None if deadline is None else parse_duration(deadline)
    things = [content, *(styles if isinstance(styles, (list, tuple)) else [styles])]
    place = Path(folder) if folder else default_folder(things)
    earlier = load_comparison(place)
    picture = as_picture(content, "content")
    paths = [_picture_path(thing, place, number) for number, thing in enumerate(things)]
    if earlier and not _same_files((earlier.content, *earlier.styles), paths):
        raise InputError(
            f"{place} holds a comparison of {earlier.content} and {', '.join(earlier.styles)}: "
            "choose another folder with -o, or delete that one."
        )
    match = SharedOptions(
        content=paths[0],
        styles=tuple(paths[1:]),
        size=min(DEFAULT_SIZE_PX, picture.long_side) if size is None else size,
        seed=seed,
        style_weights=tuple(style_weights),
        device=device,
    )
    if not all(map(_is_file_path, things)):
        ensure_folder(place)
        if not earlier:  # from now on it shows whose the folder is
            Comparison(place, match.content, match.styles, match.size, finished=False).save()
        ensure_folder(place / INPUTS_FOLDER)
        for thing, path in zip(things, paths, strict=True):
            if not _is_file_path(thing):
                given = as_picture(thing, Path(path).stem)
                write(given.pixels, path, alpha=given.alpha, bits=16)
        picture = read(paths[0])
    fits, left_out = plan_candidates(wanted, match, picture, limit)
    rows = {row.file: row for row in (*earlier.rows_with_image, *earlier.others)} if earlier else {}
    done, begun = ({}, {}) if force else _find_earlier(place, rows, fits, limit)
    asked = {fit.candidate.file for fit in fits}
    contest = ComparisonPlan(
        folder=place,
        options=match,
        content=picture,
        styles=style_pictures(fits),
        candidates=tuple(fits),
        left_out=tuple(left_out),
        text=text,
        clip=clip,
        deadline=limit,
        done=done,
        resumable=begun,
        other_rows=tuple(row for file, row in rows.items() if file not in asked),
    )
    _refuse_overwriting(contest)
    return contest


def default_folder(pictures: Sequence[object]) -> Path:
    """Where a comparison goes unless told: a folder named after content and styles."""
    names = [Path(_picture_path(each, Path(), i)).stem[:60] for i, each in enumerate(pictures[:3])]
    return Path("-".join(["compare", *names]))


def _is_file_path(source: object) -> bool:
    return isinstance(source, (str, os.PathLike))


def _picture_path(source: object, folder: Path, number: int) -> str:
    """Where a picture lies, or is to lie if it is in memory."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(folder / INPUTS_FOLDER / f"{f'style-{number}' if number else 'content'}.png")


def ensure_folder(folder: Path) -> None:
    """Make a folder, if it is not there.

    Raises:
        InputError: it cannot be made.
    """
    check_writable(folder.with_name("folder.png"))
    folder.mkdir(exist_ok=True)


def _same_files(ones: Sequence[str], others: Sequence[str]) -> bool:
    return list(map(os.path.realpath, ones)) == list(map(os.path.realpath, others))


def _refuse_overwriting(plan: ComparisonPlan) -> None:
    """Refuse to write over an input."""
    folder = plan.folder
    written = [
        folder / name
        for name in (
            REPORT_FILE,
            CONTACT_SHEET_FILE,
            COMPARISON_FILE,
            *(f.candidate.file for f in plan.candidates),
        )
    ]
    for path in (plan.options.content, *plan.options.styles):
        if any(Path(path).exists() and w.exists() and w.samefile(path) for w in written):
            raise InputError(
                f"{path} is an input and would be overwritten: choose another folder with -o."
            )


def _find_earlier(
    folder: Path,
    rows: Mapping[str, ComparisonRow],
    candidates: Sequence[PlannedCandidate],
    limit: float | None,
) -> tuple[dict[str, ComparisonRow], dict[str, ComparisonRow | None]]:
    """Paintings that are there already, and those that were begun; see :class:`ComparisonPlan`."""
    done: dict[str, ComparisonRow] = {}
    begun: dict[str, ComparisonRow | None] = {}
    for fit in candidates:
        file, path = fit.candidate.file, folder / fit.candidate.file
        row = rows.get(file)
        if row and not _is_up_to_date(path, fit):
            row = None
        late = row and limit is not None and row.painting_seconds >= limit
        if row and (row.status == "painted" or late):
            done[file] = dataclasses.replace(row, label=fit.candidate.label, values={}, reused=True)
        elif _has_checkpoint(path, fit):
            begun[file] = row
    return done, begun


def _has_checkpoint(path: Path, candidate: PlannedCandidate) -> bool:
    """Whether there is a checkpoint of what would be painted now."""
    place = checkpoint_path(path)
    try:
        return Checkpoint(place, run_identity(candidate.request, candidate.plan)).load() is not None
    except InputError:  # of another run, or damaged
        return False


def _is_up_to_date(path: Path, candidate: PlannedCandidate) -> bool:
    """Whether a painting's recipe is what would be painted now."""
    import torch

    try:
        recipe = Recipe.from_json(read_recipe(path) or "", str(path))
    except InputError:
        return False
    request, setting = candidate.request, candidate.plan.setting
    wanted = {
        "method": request.method.name,
        "knobs": knobs_to_dict(request.method),
        "inputs": [p.sha256 for p in (request.content, *request.styles)],
        "options": {
            "seed": request.seed,
            "style_weights": list(request.style_weights),
            "weights": request.weights,
        },
        "setting": {**dataclasses.asdict(setting), "threads": torch.get_num_threads()},
        "version": impasto_version(),
    }
    made = {
        "method": recipe.method,
        "knobs": recipe.knobs,
        "inputs": [each.sha256 for each in recipe.inputs],
        "options": recipe.options,
        "setting": recipe.setting,
        "version": recipe.versions.get("impasto"),
    }
    return wanted == made
