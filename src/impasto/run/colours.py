"""Keeping the content's colours, the one stage that every method shares.

Either the styles take the content's colours before a method sees them, or the painting takes them
after it. Both work band by band on pictures of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from impasto.core.colours import Colours
from impasto.core.picture import Picture, Pixels, Raster
from impasto.pictures import Spool, fit_long_side, resize
from impasto.pictures.colour import Keep, colour_map, mixed, with_luminance
from impasto.pictures.spool import bands

SEEN = 1024
"""Long side in pixels of the copies from which histograms and covariances are taken."""


def recoloured_style(style: Picture, content: Picture, colours: Colours) -> Picture:
    """A style picture in the content's colours; its name and checksum stay the file's."""
    keep = cast(Keep, colours.keep)
    apply = colour_map(_small(style.pixels), _small(content.pixels), keep)
    seen = np.asarray(style.pixels)
    return replace(style, pixels=mixed(seen, apply(seen), colours.share))


def recolour(painting: Any, content: Raster, colours: Colours) -> None:
    """Give a painting the content's colours, in place, band by band.

    Args:
        painting: (height, width, 3) in 0..1, an array or a :class:`Spool`.
        content: of any size.
        colours: how; those that work "after".
    """
    height, width = painting.shape[:2]
    photo = resize(content, height, width, to_disk=isinstance(painting, Spool))
    change = _change(painting, photo, colours)
    where = None if colours.mask is None else resize(colours.mask, height, width)
    for top, bottom in bands(height, width):
        rows = slice(top, bottom), slice(None)
        before = np.asarray(painting[rows])
        share = colours.share if where is None else colours.share * np.asarray(where[rows])
        painting[rows] = mixed(before, change(before, np.asarray(photo[rows])), share)


def _change(
    painting: Raster, photo: Raster, colours: Colours
) -> Callable[[Pixels, Pixels], Pixels]:
    """What is done to a band of the painting, beside the same band of the photograph."""
    keep = cast(Keep, colours.keep)
    if keep in ("luminance", "yuv"):
        return lambda painted, seen: with_luminance(seen, painted, keep)
    weights = None if colours.mask is None else _small(colours.mask, like=painting)
    apply = colour_map(_small(painting), _small(photo, like=painting), keep, weights, weights)
    return lambda painted, _: apply(painted)


def _small(raster: Raster, like: Raster | None = None) -> Pixels:
    """A raster at ``SEEN`` pixels at most; ``like`` another one, of the same small size as that."""
    height, width = (raster if like is None else like).shape[:2]
    small = fit_long_side(height, width, min(SEEN, max(height, width)))
    return np.asarray(resize(raster, *small))
