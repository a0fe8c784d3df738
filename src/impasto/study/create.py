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
from impasto.core.recipe import Ingredient, Recipe
from impasto.pictures import fit_long_side, read, read_recipe, replacing, resize
from impasto.study import PAIRS_EACH
from impasto.study.database import created
from impasto.study.folders import common, match, pictures_in, results_of, some

LONGEST = 1600
"""Long side in px to which pictures are shrunk."""
QUALITY = 92
"""Of the JPEG copies, which keep all of the colour's resolution."""
_ROLES = ("content", "style")
_ASPECT = 0.02
"""By how much the aspect ratios of two results of one scene may differ before it is said."""


@dataclass(frozen=True)
class Made:
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
    pairs_each: int = PAIRS_EACH,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Made:
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
        progress: called with the number of scenes done and of all.

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
    results = results_of(folders)
    names, left_out = common(results)
    shelves = {
        role: pictures_in(folder, f"{role} pictures") if folder is not None else None
        for role, folder in zip(_ROLES, (contents, styles), strict=True)
    }
    with replacing(path, overwrite=False) as file, created(file.name) as base:
        base.executemany(
            "INSERT INTO about VALUES (?, ?)",
            [("seed", str(seed)), ("pairs_each", str(pairs_each)), ("id", secrets.token_hex(4))],
        )
        base.executemany("INSERT INTO method (name) VALUES (?)", [(name,) for name in folders])
        filling = _Filling(base, shelves)
        for done, name in enumerate(names):
            progress(done, len(names))
            filling.add(name, {method: results[method][name] for method in folders})
    count = len(folders)
    return Made(
        methods=tuple(folders),
        scenes=tuple(names),
        pairs=len(names) * count * (count - 1) // 2,
        warnings=(*left_out, *filling.warnings()),
    )


class _Filling:
    """Puts scenes into a study's file, and keeps what is odd about them."""

    def __init__(
        self, base: sqlite3.Connection, shelves: Mapping[str, Mapping[str, Path] | None]
    ) -> None:
        self._base, self._shelves = base, shelves
        self._known: dict[str, int] = {}
        self._without: dict[str, list[str]] = {role: [] for role in _ROLES}
        self._sizes: list[str] = []
        self._shapes: list[str] = []
        self._same: list[str] = []

    def add(self, scene: str, files: Mapping[str, Path]) -> None:
        """The scene ``scene`` with the results ``files``, method → file."""
        pictures = {method: read(file) for method, file in files.items()}
        self._look_at(scene, pictures)
        side = min(LONGEST, *(picture.long_side for picture in pictures.values()))
        shown = [self._aside(role, scene, files) for role in _ROLES]
        number = self._base.execute(
            "INSERT INTO scene (name, content, style) VALUES (?, ?, ?)", (scene, *shown)
        ).lastrowid
        for method, picture in pictures.items():
            self._base.execute(
                "INSERT INTO result SELECT ?, id, ? FROM method WHERE name = ?",
                (number, self._keep(picture, side), method),
            )

    def warnings(self) -> tuple[str, ...]:
        """What is odd about the scenes, one sentence each."""
        said = []
        for role in _ROLES:
            if missing := self._without[role]:
                said.append(
                    f"No {role} picture is known for {some(missing)}: it is not shown, and the "
                    f"question about the {role} is not asked there. --{role}s DIR gives them."
                )
        if self._sizes:
            said.append(f"Results differ in size; each is shown as the smallest of its scene: "
                        f"{some(self._sizes)}.")  # fmt: skip
        if self._shapes:
            said.append(f"Results differ in shape, which may tell them apart: "
                        f"{some(self._shapes)}.")  # fmt: skip
        if self._same:
            said.append(f"Two methods have the same picture, to the pixel: {some(self._same)}.")
        return tuple(said)

    def _look_at(self, scene: str, pictures: Mapping[str, Picture]) -> None:
        sizes = {(each.width, each.height) for each in pictures.values()}
        aspects = [width / height for width, height in sizes]
        if len(sizes) > 1:
            words = ", ".join(f"{m} {p.width} x {p.height}" for m, p in pictures.items())
            uneven = max(aspects) > (1 + _ASPECT) * min(aspects)
            (self._shapes if uneven else self._sizes).append(f"{scene} ({words})")
        if len({each.sha256 for each in pictures.values()}) < len(pictures):
            self._same.append(scene)

    def _aside(self, role: str, scene: str, files: Mapping[str, Path]) -> int | None:
        """The number of the scene's content or style picture, if one is found."""
        shelf = self._shelves[role]
        if shelf is None:
            found = _from_recipes(role, files.values())
        else:
            name = match(scene, shelf, at_start=role == "content")
            found = read(shelf[name]) if name is not None else None
        if found is None:
            self._without[role].append(scene)
            return None
        if found.sha256 not in self._known:
            self._known[found.sha256] = self._keep(found, min(LONGEST, found.long_side))
        return self._known[found.sha256]

    def _keep(self, picture: Picture, long_side: int) -> int:
        height, width = fit_long_side(picture.height, picture.width, long_side)
        number = self._base.execute(
            "INSERT INTO picture (token, sha256, width, height, jpeg) VALUES (?, ?, ?, ?, ?)",
            (secrets.token_urlsafe(12), picture.sha256, width, height,
             jpeg(picture, height, width)),
        ).lastrowid  # fmt: skip
        assert number is not None
        return number


def jpeg(picture: Picture, height: int, width: int, quality: int = QUALITY) -> bytes:
    """A copy of another size as JPEG, without anything else; transparency is laid on white."""
    pixels = np.asarray(resize(picture.pixels, height, width))
    if picture.alpha is not None:
        cover = np.asarray(resize(picture.alpha, height, width))[:, :, None]
        pixels = pixels * cover + (1 - cover)
    out = io.BytesIO()
    image = Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
    image.save(out, "JPEG", quality=quality, subsampling=0, optimize=True)
    return out.getvalue()


def _from_recipes(role: str, files: Iterable[Path]) -> Picture | None:
    """The content or style that the first result with a recipe names, if it is still the same."""
    for file in files:
        for made_of in _ingredients(file):
            if made_of.role != role:
                continue
            try:
                picture = read(made_of.name)
            except ImpastoError:  # moved, or never a file: it is told as missing
                continue
            if picture.sha256 == made_of.sha256:
                return picture
    return None


def _ingredients(file: Path) -> tuple[Ingredient, ...]:
    try:
        text = read_recipe(file)
        return Recipe.from_json(text).inputs if text else ()
    except ImpastoError:
        return ()
