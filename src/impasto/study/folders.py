"""Folders of results: which pictures of which folders belong together, by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from impasto.core.errors import InputError
from impasto.core.knobs import closest_name

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"),
    *(".gif", ".bmp", ".heic", ".heif"),
)
"""What is taken for a picture in a folder."""


def index_results(
    folders: Mapping[str, str | os.PathLike[str]],
) -> dict[str, dict[str, Path]]:
    """Method → name → file.

    Raises:
        InputError: fewer than two methods, a method without a name, one folder twice, or what
            :func:`index_pictures` raises.
    """
    if len(folders) < 2:
        only = f"only {next(iter(folders))} was given" if folders else "none was given"
        raise InputError(
            f"A study compares two methods at least, each with a folder of its own; {only}."
        )
    seen: dict[Path, str] = {}
    for method, folder in folders.items():
        if not method.strip():
            raise InputError(f"The method of {folder} has no name: write NAME={folder}")
        place = Path(folder).resolve()
        if place in seen:
            raise InputError(f"{seen[place]} and {method} are the same folder, {folder}.")
        seen[place] = method
    return {method: index_pictures(folder, "results") for method, folder in folders.items()}


def index_pictures(folder: str | os.PathLike[str], description: str) -> dict[str, Path]:
    """Name without suffix → file, of the pictures that lie directly in a folder.

    Args:
        folder: the folder.
        description: "results": what is sought there, for messages.

    Raises:
        InputError: no such folder, no picture in it, or two of one name.
    """
    place = Path(folder)
    if not place.is_dir():
        siblings = [e.name for e in place.parent.iterdir()] if place.parent.is_dir() else []
        near = closest_name(place.name, siblings)
        hint = (
            f"did you mean {place.parent / near}?"
            if near
            else f"name one with {description} in it."
        )
        raise InputError(f"There is no folder {folder}: {hint}")
    files = sorted(
        f for f in place.iterdir() if f.suffix.lower() in PICTURE_SUFFIXES and f.is_file()
    )
    if not files:
        raise InputError(f"{folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)}).")
    found: dict[str, Path] = {}
    for file in files:
        if file.stem in found:
            raise InputError(
                f"{folder} has {found[file.stem].name} and {file.name}: which of them is meant? "
                "Move one away."
            )
        found[file.stem] = file
    return found


def shared_names(results: Mapping[str, Mapping[str, Path]]) -> tuple[list[str], list[str]]:
    """The names that every method has, and sentences on what is left out.

    Raises:
        InputError: there is none.
    """
    shared = set.intersection(*(set(found) for found in results.values()))
    if not shared:
        examples = "; ".join(
            f"{m} has {summarize_names(sorted(found))}" for m, found in results.items()
        )
        raise InputError(
            "No picture has the same name in all folders, so that nothing can be compared: "
            f"{examples}. Name the results of one content and style alike in every folder."
        )
    said = []
    for method, found in results.items():
        if missing := sorted(set().union(*results.values()) - set(found)):
            said.append(f"Left out, as {method} has no picture of that name: {', '.join(missing)}.")
    return sorted(shared), said


def summarize_names(names: Sequence[str], max_names: int = 5) -> str:
    """A list in words; of a long one the first, and how many there are besides."""
    rest = len(names) - max_names
    return ", ".join(names[:max_names]) + (f" and {rest} more" if rest > 0 else "")


def match_name(scene: str, names: Iterable[str], *, prefer_first: bool) -> str | None:
    """The name that is meant by a scene's: the same, or the longest that is whole words of it.

    Args:
        scene: "canal-starry-night".
        names: among which it is sought.
        prefer_first: of several as long, take the one that stands first in the scene's name, else
        last.
    """
    found = []
    for name in names:
        if name == scene:
            return name
        places = [m.start() for m in re.finditer(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", scene)]
        if places:
            found.append((len(name), -places[0] if prefer_first else places[-1], name))
    return max(found)[2] if found else None
