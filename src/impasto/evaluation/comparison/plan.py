"""A comparison that is planned: who takes part, where it goes, and what is there already."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import InputError
from impasto.core.knobs import as_mapping
from impasto.core.picture import Picture
from impasto.core.recipe import Recipe
from impasto.core.units import seconds
from impasto.evaluation.comparison.candidates import (
    ALL,
    Fit,
    Match,
    Wanted,
    choose,
    entries,
    styles_seen,
)
from impasto.evaluation.comparison.result import (
    INPUTS,
    KEPT,
    PAGE,
    SHEET,
    Comparison,
    LeftOut,
    Row,
    kept,
    version,
)
from impasto.pictures import check_writable, from_any, read, read_recipe, write
from impasto.pipeline.checkpoint import Checkpoint, place_for
from impasto.pipeline.stylize import identity

SIZE = 512
"""Long side of the paintings in pixels unless told; a smaller content keeps its own."""
START_SECONDS = 5.0
"""What a process takes to start, until one has shown it."""


@dataclass(frozen=True, eq=False)
class Contest:
    """A comparison that is planned: nothing is painted yet.

    Attributes:
        folder: where everything goes.
        match: what every method is asked.
        content, styles: the pictures as the judge sees them.
        fits: who takes part, in the order in which they were named.
        left_out: who does not, and why.
        text, clip: for the judge.
        deadline: seconds that a painting may take; None: as long as it needs.
        done: file → row of paintings of an earlier run that are these.
        begun: file → row of paintings that can be gone on with; None if the run that began it was
            killed before it could say anything.
        others: rows of earlier runs that nobody asked for now.
    """

    folder: Path
    match: Match
    content: Picture
    styles: tuple[Picture, ...]
    fits: tuple[Fit, ...]
    left_out: tuple[LeftOut, ...]
    text: str
    clip: str
    deadline: float | None
    done: Mapping[str, Row]
    begun: Mapping[str, Row | None]
    others: tuple[Row, ...]

    @property
    def todo(self) -> list[Fit]:
        """What is to be painted, the shortest first: who stops early has the most."""
        left = [fit for fit in self.fits if fit.entry.file not in self.done]
        return sorted(left, key=lambda fit: fit.plan.forecast.seconds)

    @property
    def seconds(self) -> float:
        """What it will take, by the forecasts."""
        return sum(fit.plan.forecast.seconds + START_SECONDS for fit in self.todo)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the plans warn of; with whom, where it is not everyone."""
        found: dict[str, list[str]] = {}
        for fit in self.fits:
            for warning in fit.plan.warnings:
                found.setdefault(warning, []).append(fit.entry.label)
        return tuple(
            text if len(labels) == len(self.fits) else f"{', '.join(labels)}: {text}"
            for text, labels in found.items()
        )

    def comparison(self, rows: Mapping[str, Row], finished: bool) -> Comparison:
        """What there is after these rows, by label."""
        return Comparison(
            folder=self.folder,
            content=self.match.content,
            styles=self.match.styles,
            size=self.match.size,
            seed=self.match.seed,
            text=self.text,
            rows=tuple(rows[f.entry.label] for f in self.fits if f.entry.label in rows),
            left_out=self.left_out,
            others=self.others,
            finished=finished,
        )


def prepare(
    content: object,
    styles: object | Sequence[object],
    *,
    methods: Wanted = ALL,
    folder: str | Path = "",
    size: int | None = None,
    text: str = "",
    clip: str = "",
    seed: int = 0,
    style_weights: Sequence[float] = (),
    device: str = "auto",
    deadline: str | float | None = None,
    again: bool = False,
) -> Contest:
    """Read the pictures, check every setting, and plan; see :func:`compare` for the arguments."""
    wanted = entries(methods)
    limit = None if deadline is None else seconds(deadline)
    things = [content, *(styles if isinstance(styles, (list, tuple)) else [styles])]
    place = Path(folder) if folder else folder_for(things)
    earlier = kept(place)
    picture = from_any(content, "content")
    paths = [_path(thing, place, number) for number, thing in enumerate(things)]
    if earlier and not _same_files((earlier.content, *earlier.styles), paths):
        raise InputError(
            f"{place} holds a comparison of {earlier.content} and {', '.join(earlier.styles)}: "
            "choose another folder with -o, or delete that one."
        )
    match = Match(
        content=paths[0],
        styles=tuple(paths[1:]),
        size=min(SIZE, picture.long_side) if size is None else size,
        seed=seed,
        style_weights=tuple(style_weights),
        device=device,
    )
    if not all(map(_is_path, things)):
        make_folder(place)
        if not earlier:  # from now on it shows whose the folder is
            Comparison(place, match.content, match.styles, match.size, finished=False).keep()
        make_folder(place / INPUTS)
        for thing, path in zip(things, paths, strict=True):
            if not _is_path(thing):
                given = from_any(thing, Path(path).stem)
                write(given.pixels, path, alpha=given.alpha, bits=16)
        picture = read(paths[0])
    fits, left_out = choose(wanted, match, picture, limit)
    rows = {row.file: row for row in (*earlier.shown, *earlier.others)} if earlier else {}
    done, begun = ({}, {}) if again else _earlier(place, rows, fits, limit)
    asked = {fit.entry.file for fit in fits}
    contest = Contest(
        folder=place,
        match=match,
        content=picture,
        styles=styles_seen(fits),
        fits=tuple(fits),
        left_out=tuple(left_out),
        text=text,
        clip=clip,
        deadline=limit,
        done=done,
        begun=begun,
        others=tuple(row for file, row in rows.items() if file not in asked),
    )
    _spare(contest)
    return contest


def folder_for(pictures: Sequence[object]) -> Path:
    """Where a comparison goes unless told: a folder named after content and styles."""
    names = [Path(_path(each, Path(), i)).stem[:60] for i, each in enumerate(pictures[:3])]
    return Path("-".join(["compare", *names]))


def _is_path(thing: object) -> bool:
    return isinstance(thing, (str, os.PathLike))


def _path(thing: object, folder: Path, number: int) -> str:
    """Where a picture lies, or is to lie if it is in memory."""
    if isinstance(thing, (str, os.PathLike)):
        return os.fspath(thing)
    return str(folder / INPUTS / f"{f'style-{number}' if number else 'content'}.png")


def make_folder(folder: Path) -> None:
    """Make a folder, if it is not there.

    Raises:
        InputError: it cannot be made.
    """
    check_writable(folder.with_name("folder.png"))
    folder.mkdir(exist_ok=True)


def _same_files(ones: Sequence[str], others: Sequence[str]) -> bool:
    return list(map(os.path.realpath, ones)) == list(map(os.path.realpath, others))


def _spare(contest: Contest) -> None:
    """Refuse to write over an input."""
    folder = contest.folder
    written = [folder / name for name in (PAGE, SHEET, KEPT, *(f.entry.file for f in contest.fits))]
    for path in (contest.match.content, *contest.match.styles):
        if any(Path(path).exists() and w.exists() and w.samefile(path) for w in written):
            raise InputError(
                f"{path} is an input and would be overwritten: choose another folder with -o."
            )


def _earlier(
    folder: Path, rows: Mapping[str, Row], fits: Sequence[Fit], limit: float | None
) -> tuple[dict[str, Row], dict[str, Row | None]]:
    """Paintings that are there already, and those that were begun; see :class:`Contest`."""
    done: dict[str, Row] = {}
    begun: dict[str, Row | None] = {}
    for fit in fits:
        file, path = fit.entry.file, folder / fit.entry.file
        row = rows.get(file)
        if row and not _is_of(path, fit):
            row = None
        late = row and limit is not None and row.painting_seconds >= limit
        if row and (row.status == "painted" or late):
            done[file] = dataclasses.replace(row, label=fit.entry.label, values={}, reused=True)
        elif _is_begun(path, fit):
            begun[file] = row
    return done, begun


def _is_begun(path: Path, fit: Fit) -> bool:
    """Whether there is a checkpoint of what would be painted now."""
    place = place_for(path)
    try:
        return Checkpoint(place, identity(fit.request, fit.plan)).load() is not None
    except InputError:  # of another run, or damaged
        return False


def _is_of(path: Path, fit: Fit) -> bool:
    """Whether a painting's recipe is what would be painted now."""
    import torch

    try:
        recipe = Recipe.from_json(read_recipe(path) or "", str(path))
    except InputError:
        return False
    request, setting = fit.request, fit.plan.setting
    wanted = {
        "method": request.method.name,
        "knobs": as_mapping(request.method),
        "inputs": [p.sha256 for p in (request.content, *request.styles)],
        "options": {
            "seed": request.seed,
            "style_weights": list(request.style_weights),
            "weights": request.weights,
        },
        "setting": {**dataclasses.asdict(setting), "threads": torch.get_num_threads()},
        "version": version(),
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
