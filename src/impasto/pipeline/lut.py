"""The colour part of a painting as a look-up table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.core.errors import InputError
from impasto.core.picture import Raster
from impasto.pictures import fit_long_side, from_any, resize
from impasto.pictures.write import check_place

if TYPE_CHECKING:
    from impasto.pictures.lut import Table

SEEN = 1024
"""Long side in pixels of the copies from which it is fitted, at most."""
SEEN_ERROR = 8 / 255
"""Root mean square from which on the difference is plainly seen."""
MOSTLY = 0.8
"""The share of the change below which the error says little: there is hardly any change."""


def colour_table(content: object, painting: object) -> Table:
    """The table that takes the colours of a picture to those of its painting.

    Args:
        content: a path, an array, or whatever else :func:`impasto.pictures.from_any` takes.
        painting: the same; of another size, the content is brought to it.

    Returns:
        A table with ``.write(path, title)``, ``.error`` and ``.explained``.

    Raises:
        InputError: what is no picture.
    """
    return fitted(from_any(content, "content").pixels, from_any(painting, "painting").pixels)


def check_table(path: str | Path) -> None:
    """Find out before the work whether a table can be written there; leaves no trace.

    Raises:
        InputError: another suffix, or a folder that is missing or cannot be written.
    """
    if Path(path).suffix.lower() != ".cube":
        raise InputError(f"Cannot write {path}: a look-up table ends in .cube.")
    check_place(path)


def fitted(content: Raster, painting: Raster) -> Table:
    """The same for pixels (height, width, 3) in 0..1."""
    from impasto.pictures.lut import fit

    height, width = painting.shape[:2]
    size = fit_long_side(height, width, min(SEEN, max(height, width)))
    return fit(np.asarray(resize(content, *size)), np.asarray(resize(painting, *size)))


def described(table: Table) -> str:
    """How well it fits, in a sentence."""
    said = (
        f"The table explains {max(0.0, table.explained):.0%} of the change; off by "
        f"{255 * table.error:.1f} of 255 (root mean square)"
    )
    if table.explained >= MOSTLY and table.error <= SEEN_ERROR:
        return f"{said}."
    return f"{said}: what depends on the place, and not on the colour, is not in it."
