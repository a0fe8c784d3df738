"""Making a study: folders of results become scenes, and their pictures move into one file.

The pictures are copied, shrunk and as JPEG, so that a study can be moved and its folders deleted.
What a file says about itself (its name, its recipe) is not copied: nothing a rater gets tells the
method. Results of one scene are brought to the size of the smallest, so that sharpness does not.
"""

from __future__ import annotations

import io
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.core.errors import ImpastoError, InputError, KnobError
from impasto.core.picture import Picture
from impasto.core.recipe import InputFile, Recipe
from impasto.pictures import atomic_write, fit_long_side, read, read_recipe, resize
from impasto.study import DEFAULT_PAIRS_EACH
from impasto.study.database import create_database
from impasto.study.folders import (
    index_pictures,
    index_results,
    match_name,
    shared_names,
    summarize_names,
)

MAX_SIDE_PX = 1600
"""Long side in px to which pictures are shrunk."""
JPEG_QUALITY = 92
"""Of the JPEG copies, which keep all of the color's resolution."""
_ROLES = ("content", "style")
_ASPECT_TOLERANCE = 0.02
"""By how much the aspect ratios of two results of one scene may differ before it is said."""


@dataclass(frozen=True)
class StudySummary:
    """What went into a study.

    Attributes:
        methods: their names.
        scenes: the names of the scenes.
        pairs: how many pairs there are to be compared.
        warnings: what did not match up and was left out, and what else is odd.
    """

    methods: tuple[str, ...]
    scenes: tuple[str, ...]
    pairs: int
    warnings: tuple[str, ...]


def make_study(
    path: str | os.PathLike[str],
    folders: Mapping[str, str | os.PathLike[str]],
    *,
    contents: str | os.PathLike[str] | None = None,
    styles: str | os.PathLike[str] | None = None,
    seed: int = 0,
    pairs_each: int = DEFAULT_PAIRS_EACH,
    callback: Callable[[int, int], None] = lambda _done, _all: None,
) -> StudySummary:
    """Make the study ``path`` from folders of results, one for each method.

    Pictures of the same name (without the suffix) in all folders are one scene. Its content and
    style are sought in ``contents`` and ``styles``: a picture of the scene's name, or else the one
    whose name is the longest that stands in the scene's as whole words ("canal" in
    "canal-starry-night"). Without such a folder they are the files that the results' recipes name,
    as long as they are unchanged.

    Args:
        path: the new file; one that exists is never replaced.
        folders: method → folder of its results.
        contents: folder of content pictures.
        styles: folder of style pictures.
        seed: of the order and the sides in which pairs will be shown, 0 to 2³² - 1.
        pairs_each: after how many pairs a rater is thanked, at least 1.
        callback: called with the number of scenes done and of all.

    Raises:
        InputError: fewer than two methods, no common name, an unusable folder or picture, or a
            file ``path`` that exists or cannot be written.
        KnobError: a seed or pairs_each out of range.
    """
    if not 0 <= seed < 2**32:
        raise KnobError(f"seed = {seed} does not fit: it must be 0 to 4294967295.")
    if pairs_each < 1:
        raise KnobError(f"pairs_each = {pairs_each} does not fit: it must be at least 1.")
    if os.path.lexists(path):
        raise InputError(
            f"{path} exists and may hold answers: choose another name, or delete it yourself."
        )
    results = index_results(folders)
    names, left_out = shared_names(results)
    shelves = {
        role: index_pictures(folder, f"{role} pictures") if folder is not None else None
        for role, folder in zip(_ROLES, (contents, styles), strict=True)
    }
    with atomic_write(path, overwrite=False) as file, create_database(file.name) as base:
        base.executemany(
            "INSERT INTO about VALUES (?, ?)",
            [("seed", str(seed)), ("pairs_each", str(pairs_each)), ("id", secrets.token_hex(4))],
        )
        base.executemany("INSERT INTO method (name) VALUES (?)", [(name,) for name in folders])
        filling = _StudyWriter(base, shelves)
        for done, name in enumerate(names):
            callback(done, len(names))
            filling.add_scene(name, {method: results[method][name] for method in folders})
    count = len(folders)
    return StudySummary(
        methods=tuple(folders),
        scenes=tuple(names),
        pairs=len(names) * count * (count - 1) // 2,
        warnings=(*left_out, *filling.warnings()),
    )


class _StudyWriter:
    """Puts scenes into a study's file, and keeps what is odd about them."""

    def __init__(
        self, database: sqlite3.Connection, sources: Mapping[str, Mapping[str, Path] | None]
    ) -> None:
        self._database, self._sources = database, sources
        self._picture_ids: dict[str, int] = {}
        self._missing: dict[str, list[str]] = {role: [] for role in _ROLES}
        self._size_notes: list[str] = []
        self._shape_notes: list[str] = []
        self._identical: list[str] = []

    def add_scene(self, scene: str, files: Mapping[str, Path]) -> None:
        """The scene ``scene`` with the results ``files``, method → file."""
        pictures = {method: read(file) for method, file in files.items()}
        self._check_sizes(scene, pictures)
        side = min(MAX_SIDE_PX, *(picture.long_side for picture in pictures.values()))
        shown = [self._input_picture(role, scene, files) for role in _ROLES]
        number = self._database.execute(
            "INSERT INTO scene (name, content, style) VALUES (?, ?, ?)", (scene, *shown)
        ).lastrowid
        for method, picture in pictures.items():
            self._database.execute(
                "INSERT INTO result SELECT ?, id, ? FROM method WHERE name = ?",
                (number, self._insert_picture(picture, side), method),
            )

    def warnings(self) -> tuple[str, ...]:
        """What is odd about the scenes, one sentence each."""
        said = []
        for role in _ROLES:
            if missing := self._missing[role]:
                said.append(
                    f"No {role} picture is known for {summarize_names(missing)}: it is not "
                    f"shown, and the "
                    f"question about the {role} is not asked there. --{role}s DIR gives them."
                )
        if self._size_notes:
            said.append(f"Results differ in size; each is shown as the smallest of its scene: "
                        f"{summarize_names(self._size_notes)}.")  # fmt: skip
        if self._shape_notes:
            said.append(f"Results differ in shape, which may tell them apart: "
                        f"{summarize_names(self._shape_notes)}.")  # fmt: skip
        if self._identical:
            said.append(
                f"Two methods have the same picture, to the pixel: "
                f"{summarize_names(self._identical)}."
            )
        return tuple(said)

    def _check_sizes(self, scene: str, pictures: Mapping[str, Picture]) -> None:
        sizes = {(each.width, each.height) for each in pictures.values()}
        aspects = [width / height for width, height in sizes]
        if len(sizes) > 1:
            words = ", ".join(f"{m} {p.width} x {p.height}" for m, p in pictures.items())
            uneven = max(aspects) > (1 + _ASPECT_TOLERANCE) * min(aspects)
            (self._shape_notes if uneven else self._size_notes).append(f"{scene} ({words})")
        if len({each.sha256 for each in pictures.values()}) < len(pictures):
            self._identical.append(scene)

    def _input_picture(self, role: str, scene: str, files: Mapping[str, Path]) -> int | None:
        """The number of the scene's content or style picture, if one is found."""
        shelf = self._sources[role]
        if shelf is None:
            found = _find_in_recipes(role, files.values())
        else:
            name = match_name(scene, shelf, prefer_first=role == "content")
            found = read(shelf[name]) if name is not None else None
        if found is None:
            self._missing[role].append(scene)
            return None
        if found.sha256 not in self._picture_ids:
            self._picture_ids[found.sha256] = self._insert_picture(
                found, min(MAX_SIDE_PX, found.long_side)
            )
        return self._picture_ids[found.sha256]

    def _insert_picture(self, picture: Picture, long_side: int) -> int:
        height, width = fit_long_side(picture.height, picture.width, long_side)
        number = self._database.execute(
            "INSERT INTO picture (token, sha256, width, height, jpeg) VALUES (?, ?, ?, ?, ?)",
            (secrets.token_urlsafe(12), picture.sha256, width, height,
             encode_jpeg(picture, height, width)),
        ).lastrowid  # fmt: skip
        assert number is not None
        return number


def encode_jpeg(picture: Picture, height: int, width: int, quality: int = JPEG_QUALITY) -> bytes:
    """A copy of another size as JPEG, without anything else; transparency is laid on white."""
    pixels = np.asarray(resize(picture.pixels, height, width))
    if picture.alpha is not None:
        cover = np.asarray(resize(picture.alpha, height, width))[:, :, None]
        pixels = pixels * cover + (1 - cover)
    out = io.BytesIO()
    image = Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
    image.save(out, "JPEG", quality=quality, subsampling=0, optimize=True)
    return out.getvalue()


def _find_in_recipes(role: str, files: Iterable[Path]) -> Picture | None:
    """The content or style that the first result with a recipe names, if it is still the same."""
    for file in files:
        for made_of in _recipe_inputs(file):
            if made_of.role != role:
                continue
            try:
                picture = read(made_of.name)
            except ImpastoError:  # moved, or never a file: it is told as missing
                continue
            if picture.sha256 == made_of.sha256:
                return picture
    return None


def _recipe_inputs(file: Path) -> tuple[InputFile, ...]:
    try:
        text = read_recipe(file)
        return Recipe.from_json(text).inputs if text else ()
    except ImpastoError:
        return ()
