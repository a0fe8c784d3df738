"""Which result is of which content and style: matched by the names of the files.

A single file applies to all. Of folders, a result belongs to the content and the style whose
names its own is made of: ``canal``, ``canal-scream`` or ``canal_scream``, and after that whatever
tells it from others, as ``canal-scream-wct``. Where content and style bear the same name, as in
folders of pairs, that name is enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import InputError

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"),
    *(".heic", ".heif", ".gif", ".bmp"),
)
SEPARATORS = "-_. "
NAMED = 6
"""How many names a message lists before it only counts."""


@dataclass(frozen=True)
class Pool:
    """Contents or styles to choose from: name in lower case, without suffix → picture.

    Attributes:
        things: paths or pictures in memory.
        one: there is one, and it applies to every result.
    """

    things: Mapping[str, Any]
    one: bool

    def begins(self, name: str) -> list[tuple[str, str]]:
        """Which of its names a name begins with, longest first, and what then is left of it."""
        tries = ((each, _rest(name, each)) for each in sorted(self.things, key=len, reverse=True))
        found = [(each, rest) for each, rest in tries if rest is not None]
        return found or ([(next(iter(self.things)), name)] if self.one else [])


def pool(thing: Any, role: str) -> Pool:
    """A file, a picture in memory, or all pictures of a folder.

    Raises:
        InputError: a folder without pictures, or with two of the same name.
    """
    if not is_folder(thing):
        return Pool({stem(thing, role): thing}, one=True)
    found: dict[str, Path] = {}
    for path in pictures_in(thing):
        if (twin := found.setdefault(stem(path, role), path)) != path:
            raise InputError(
                f"{twin} and {path} have the same name: it is not clear which is the {role}."
            )
    return Pool(found, one=False)


def belongs(name: str, contents: Pool, styles: Pool) -> tuple[str, str] | None:
    """The names of the content and the style that a result is of, or None."""
    for content, rest in contents.begins(name.lower()):
        if styles.one:
            return content, next(iter(styles.things))
        if not rest and content in styles.things:
            return content, content
        for style, _ in styles.begins(rest):
            return content, style
    return None


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder, by name; not those of its subfolders.

    Raises:
        InputError: it has none.
    """
    found = sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise InputError(
            f"The folder {folder} holds no pictures ({', '.join(SUFFIXES)}); its subfolders are "
            "not searched."
        )
    return found


def is_folder(thing: Any) -> bool:
    """Whether it is the path of a folder."""
    return isinstance(thing, (str, os.PathLike)) and Path(thing).is_dir()


def stem(thing: Any, otherwise: str) -> str:
    """What a picture is called in lower case, without folder and suffix."""
    return Path(thing).stem.lower() if isinstance(thing, (str, os.PathLike)) else otherwise


def listed(names: Iterable[str]) -> str:
    """Names for a message; of many only the first ones."""
    all_names = list(names)
    more = len(all_names) - NAMED
    return ", ".join(all_names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _rest(name: str, beginning: str) -> str | None:
    """What follows a beginning and its separator; None if the name does not begin so."""
    if not name.startswith(beginning):
        return None
    rest = name[len(beginning) :]
    return rest.lstrip(SEPARATORS) if not rest or rest[0] in SEPARATORS else None
