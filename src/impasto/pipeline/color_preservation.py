"""Keeping the content's colours, the one stage that every method shares.

Either the styles take the content's colours before a method sees them, or the painting takes them
after it. Both work band by band on pictures of any size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from impasto.core.color_options import Colours
from impasto.core.errors import InputError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.request import Request
from impasto.engines.region_weights import cover
from impasto.ops.color import Keep, colour_map, mixed, with_luminance
from impasto.pictures import Spool, fit_long_side, resize
from impasto.pictures.disk_array import bands
from impasto.pictures.masks import area
from impasto.pictures.region_masks import mask_of

SEEN = 1024
"""Long side in pixels of the copies from which histograms and covariances are taken."""


def asked(content: Picture, keep: str, share: float, when: str, mask: object) -> Colours:
    """How colours are kept, from what a caller says; see :func:`impasto.pipeline.stylize`.

    Raises:
        InputError: a mask that is no picture, or is black everywhere.
        KnobError: settings that do not fit.
    """
    if mask is None:
        return Colours(keep, share, when)
    found = mask_of(mask, "colour mask", content)
    if area(found.raster) == 0:
        raise InputError(f"{found.name} is black everywhere: there are no colours to keep.")
    source = (found.name, found.sha256)
    return Colours(keep, share, when, found.raster, source, found.notes)


def options(colours: Colours) -> dict[str, Any]:
    """What a recipe keeps, as :func:`impasto.pipeline.make_request` takes it."""
    if not colours.any:
        return {}
    kept = {"keep_colour": colours.keep, "colour_share": colours.share}
    mask = {"colour_mask": colours.source[0]} if colours.source else {}
    return {**kept, "colour_when": colours.when, **mask}


def remarks(colours: Colours) -> list[str]:
    """What a plan says of it, one sentence each."""
    if not colours.any:
        return []
    what = "only lightness is painted" if colours.keep in ("luminance", "yuv") else "matched"
    whose = "the painting" if colours.when == "after" else "the styles before it"
    far = "" if colours.share == 1 else f", to {colours.share:.0%}"
    where = "" if colours.mask is None else f", in {area(colours.mask):.0%} of it"
    said = f"The content's colours are kept ({colours.keep}: {what}) in {whose}{far}{where}."
    return [said, *colours.notes]


def before(request: Request) -> Request:
    """The request that is painted: with recoloured styles, if that is how colours are kept."""
    colours = request.colours
    if not colours.any or colours.when != "before":
        return request
    styles = tuple(recoloured_style(s, request.content, colours) for s in request.styles)
    return replace(request, styles=styles)


def after(painted: Raster, request: Request) -> Raster:
    """The painting in the content's colours, if that is how they are kept.

    With ``rest = "keep"`` only what is painted counts for the colours.

    Args:
        painted: (height, width, 3); what lies on disk is changed there.
        request: of the painting.
    """
    colours = request.colours
    if not colours.any or colours.when != "after":
        return painted
    out: Any = painted if isinstance(painted, Spool) else np.array(painted, np.float32)
    part = cover(request, *painted.shape[:2]) if request.rest == "keep" else None
    recolour(out, request.content.pixels, colours, part)
    found: Raster = out
    return found


def recoloured_style(style: Picture, content: Picture, colours: Colours) -> Picture:
    """A style picture in the content's colours; its name and checksum stay the file's."""
    keep = cast(Keep, colours.keep)
    apply = colour_map(_small(style.pixels), _small(content.pixels), keep)
    seen = np.asarray(style.pixels)
    return replace(style, pixels=mixed(seen, apply(seen), colours.share))


def recolour(painting: Any, content: Raster, colours: Colours, part: Raster | None = None) -> None:
    """Give a painting the content's colours, in place, band by band.

    Args:
        painting: (height, width, 3) in 0..1, an array or a :class:`Spool`.
        content: of any size.
        colours: how; those that work "after".
        part: (height, width) in 0..1: how much every pixel counts for histograms and covariances,
            beside the mask; None: all alike. All are recoloured.
    """
    height, width = painting.shape[:2]
    photo = resize(content, height, width, to_disk=isinstance(painting, Spool))
    change = _change(painting, photo, colours, part)
    where = None if colours.mask is None else resize(colours.mask, height, width)
    for top, bottom in bands(height, width):
        rows = slice(top, bottom), slice(None)
        before = np.asarray(painting[rows])
        share = colours.share if where is None else colours.share * np.asarray(where[rows])
        painting[rows] = mixed(before, change(before, np.asarray(photo[rows])), share)


def _change(
    painting: Raster, photo: Raster, colours: Colours, part: Raster | None
) -> Callable[[Pixels, Pixels], Pixels]:
    """What is done to a band of the painting, beside the same band of the photograph."""
    keep = cast(Keep, colours.keep)
    if keep in ("luminance", "yuv"):
        return lambda painted, seen: with_luminance(seen, painted, keep)
    counts = [_small(each, like=painting) for each in (colours.mask, part) if each is not None]
    weights = functools.reduce(np.multiply, counts) if counts else None
    if weights is not None and weights.max() <= 0:  # what is painted and the mask are apart
        return lambda painted, _: painted
    apply = colour_map(_small(painting), _small(photo, like=painting), keep, weights, weights)
    return lambda painted, _: apply(painted)


def _small(raster: Raster, like: Raster | None = None) -> Pixels:
    """A raster at ``SEEN`` pixels at most; ``like`` another one, of the same small size as that."""
    height, width = (raster if like is None else like).shape[:2]
    small = fit_long_side(height, width, min(SEEN, max(height, width)))
    return np.asarray(resize(raster, *small))
