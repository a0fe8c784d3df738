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

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"),
    *(".heic", ".heif", ".gif", ".bmp"),
)
NAME_SEPARATORS = "-_. "
MAX_LISTED_NAMES = 6
"""How many names a message lists before it only counts."""


@dataclass(frozen=True)
class NamedImages:
    """Contents or styles to choose from: name in lower case, without suffix → picture.

    Attributes:
        images: paths or pictures in memory.
        is_single: there is one, and it applies to every result.
    """

    images: Mapping[str, Any]
    is_single: bool

    def match_prefixes(self, name: str) -> list[tuple[str, str]]:
        """Which of its names a name begins with, longest first, and what then is left of it."""
        tries = (
            (each, _strip_prefix(name, each)) for each in sorted(self.images, key=len, reverse=True)
        )
        found = [(each, rest) for each, rest in tries if rest is not None]
        return found or ([(next(iter(self.images)), name)] if self.is_single else [])


def collect_images(source: Any, role: str) -> NamedImages:
    """A file, a picture in memory, or all pictures of a folder.

    Raises:
        InputError: a folder without pictures, or with two of the same name.
    """
    if not is_folder(source):
        return NamedImages({picture_stem(source, role): source}, is_single=True)
    found: dict[str, Path] = {}
    for path in list_pictures(source):
        if (twin := found.setdefault(picture_stem(path, role), path)) != path:
            raise InputError(
                f"{twin} and {path} have the same name: it is not clear which is the {role}."
            )
    return NamedImages(found, is_single=False)


def match_result(name: str, contents: NamedImages, styles: NamedImages) -> tuple[str, str] | None:
    """The names of the content and the style that a result is of, or None."""
    for content, rest in contents.match_prefixes(name.lower()):
        if styles.is_single:
            return content, next(iter(styles.images))
        if not rest and content in styles.images:
            return content, content
        for style, _ in styles.match_prefixes(rest):
            return content, style
    return None


def list_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder, by name; not those of its subfolders.

    Raises:
        InputError: it has none.
    """
    found = sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not found:
        raise InputError(
            f"The folder {folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)}); its "
            f"subfolders are "
            "not searched."
        )
    return found


def is_folder(source: Any) -> bool:
    """Whether it is the path of a folder."""
    return isinstance(source, (str, os.PathLike)) and Path(source).is_dir()


def picture_stem(source: Any, default: str) -> str:
    """What a picture is called in lower case, without folder and suffix."""
    return Path(source).stem.lower() if isinstance(source, (str, os.PathLike)) else default


def format_names(names: Iterable[str]) -> str:
    """Names for a message; of many only the first ones."""
    all_names = list(names)
    more = len(all_names) - MAX_LISTED_NAMES
    return ", ".join(all_names[:MAX_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def _strip_prefix(name: str, prefix: str) -> str | None:
    """What follows a beginning and its separator; None if the name does not begin so."""
    if not name.startswith(prefix):
        return None
    rest = name[len(prefix) :]
    return rest.lstrip(NAME_SEPARATORS) if not rest or rest[0] in NAME_SEPARATORS else None
