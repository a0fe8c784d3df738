"""The color part of a painting as a look-up table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.core.errors import InputError
from impasto.core.picture import Raster
from impasto.pictures import as_picture, fit_long_side, resize
from impasto.pictures.write import check_file_writable

if TYPE_CHECKING:
    from impasto.pictures.lut import ColorLut

MAX_FIT_SIDE_PX = 1024
"""Long side in pixels of the copies from which it is fitted, at most."""
VISIBLE_RMS_ERROR = 8 / 255
"""Root mean square from which on the difference is plainly seen."""
MIN_EXPLAINED_FRACTION = 0.8
"""The share of the change below which the error says little: there is hardly any change."""


def make_color_lut(content: object, image: object) -> ColorLut:
    """The table that takes the colors of a picture to those of its painting.

    Args:
        content: a path, an array, or whatever else :func:`impasto.pictures.as_picture` takes.
        image: the same; of another size, the content is brought to it.

    Returns:
        A table with ``.write(path, title)``, ``.error`` and ``.explained``.

    Raises:
        InputError: what is no picture.
    """
    return fit_raster_lut(
        as_picture(content, "content").pixels, as_picture(image, "painting").pixels
    )


def check_lut_path(path: str | Path) -> None:
    """Find out before the work whether a table can be written there; leaves no trace.

    Raises:
        InputError: another suffix, or a folder that is missing or cannot be written.
    """
    if Path(path).suffix.lower() != ".cube":
        raise InputError(f"Cannot write {path}: a look-up table ends in .cube.")
    check_file_writable(path)


def fit_raster_lut(content: Raster, image: Raster) -> ColorLut:
    """The same for pixels (height, width, 3) in 0..1."""
    from impasto.pictures.lut import fit_lut

    height, width = image.shape[:2]
    size = fit_long_side(height, width, min(MAX_FIT_SIDE_PX, max(height, width)))
    return fit_lut(np.asarray(resize(content, *size)), np.asarray(resize(image, *size)))


def format_lut_fit(lut: ColorLut) -> str:
    """How well it fits, in a sentence."""
    said = (
        f"The table explains {max(0.0, lut.explained_fraction):.0%} of the change; off by "
        f"{255 * lut.error:.1f} of 255 (root mean square)"
    )
    if lut.explained_fraction >= MIN_EXPLAINED_FRACTION and lut.error <= VISIBLE_RMS_ERROR:
        return f"{said}."
    return f"{said}: what depends on the place, and not on the color, is not in it."
