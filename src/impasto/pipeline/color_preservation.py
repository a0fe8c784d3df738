"""Keeping the content's colors, the one stage that every method shares.

Either the styles take the content's colors before a method sees them, or the painting takes them
after it. Both work band by band on pictures of any size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from impasto.core.color_options import ColorOptions
from impasto.core.errors import InputError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.request import Request
from impasto.engines.region_weights import region_coverage
from impasto.ops.color import ColorMode, blend_colors, fit_color_transfer, replace_luminance
from impasto.pictures import DiskArray, fit_long_side, resize
from impasto.pictures.disk_array import row_chunks
from impasto.pictures.masks import coverage_fraction
from impasto.pictures.region_masks import read_mask

MAX_STATISTICS_SIDE_PX = 1024
"""Long side in pixels of the copies from which histograms and covariances are taken."""


def parse_color_options(
    content: Picture, mode: str, strength: float, stage: str, mask: object
) -> ColorOptions:
    """How colors are kept, from what a caller says; see :func:`impasto.pipeline.stylize`.

    Raises:
        InputError: a mask that is no picture, or is black everywhere.
        KnobError: settings that do not fit.
    """
    if mask is None:
        return ColorOptions(mode, strength, stage)
    found = read_mask(mask, "color mask", content)
    if coverage_fraction(found.raster) == 0:
        raise InputError(f"{found.name} is black everywhere: there are no colors to keep.")
    source = (found.name, found.sha256)
    return ColorOptions(mode, strength, stage, found.raster, source, found.notes)


def color_recipe_options(colors: ColorOptions) -> dict[str, Any]:
    """What a recipe keeps, as :func:`impasto.pipeline.make_request` takes it."""
    if not colors.is_active:
        return {}
    kept = {"keep_color": colors.mode, "color_strength": colors.strength}
    mask = {"color_mask": colors.mask_source[0]} if colors.mask_source else {}
    return {**kept, "color_stage": colors.stage, **mask}


def color_notes(colors: ColorOptions) -> list[str]:
    """What a plan says of it, one sentence each."""
    if not colors.is_active:
        return []
    what = "only lightness is painted" if colors.mode in ("luminance", "yuv") else "matched"
    whose = "the painting" if colors.stage == "after" else "the styles before it"
    far = "" if colors.strength == 1 else f", to {colors.strength:.0%}"
    where = "" if colors.mask is None else f", in {coverage_fraction(colors.mask):.0%} of it"
    said = f"The content's colors are kept ({colors.mode}: {what}) in {whose}{far}{where}."
    return [said, *colors.notes]


def preprocess(request: Request) -> Request:
    """The request that is painted: with recolored styles, if that is how colors are kept."""
    colors = request.colors
    if not colors.is_active or colors.stage != "before":
        return request
    styles = tuple(recolor_style(s, request.content, colors) for s in request.styles)
    return replace(request, styles=styles)


def postprocess(image: Raster, request: Request) -> Raster:
    """The painting in the content's colors, if that is how they are kept.

    With ``background = "keep"`` only what is painted counts for the colors.

    Args:
        image: (height, width, 3); what lies on disk is changed there.
        request: of the painting.
    """
    colors = request.colors
    if not colors.is_active or colors.stage != "after":
        return image
    out: Any = image if isinstance(image, DiskArray) else np.array(image, np.float32)
    part = region_coverage(request, *image.shape[:2]) if request.background == "keep" else None
    recolor(out, request.content.pixels, colors, part)
    found: Raster = out
    return found


def recolor_style(style: Picture, content: Picture, colors: ColorOptions) -> Picture:
    """A style picture in the content's colors; its name and checksum stay the file's."""
    keep = cast(ColorMode, colors.mode)
    apply = fit_color_transfer(_downscale(style.pixels), _downscale(content.pixels), keep)
    seen = np.asarray(style.pixels)
    return replace(style, pixels=blend_colors(seen, apply(seen), colors.strength))


def recolor(
    image: Any, content: Raster, colors: ColorOptions, pixel_weights: Raster | None = None
) -> None:
    """Give a painting the content's colors, in place, band by band.

    Args:
        image: (height, width, 3) in 0..1, an array or a :class:`DiskArray`.
        content: of any size.
        colors: how; those that work "after".
        pixel_weights: (height, width) in 0..1: how much every pixel counts for histograms and
        covariances,
            beside the mask; None: all alike. All are recolored.
    """
    height, width = image.shape[:2]
    photo = resize(content, height, width, to_disk=isinstance(image, DiskArray))
    change = _make_recolor(image, photo, colors, pixel_weights)
    where = None if colors.mask is None else resize(colors.mask, height, width)
    for top, bottom in row_chunks(height, width):
        rows = slice(top, bottom), slice(None)
        before = np.asarray(image[rows])
        share = colors.strength if where is None else colors.strength * np.asarray(where[rows])
        image[rows] = blend_colors(before, change(before, np.asarray(photo[rows])), share)


def _make_recolor(
    image: Raster, photo: Raster, colors: ColorOptions, pixel_weights: Raster | None
) -> Callable[[Pixels, Pixels], Pixels]:
    """What is done to a band of the painting, beside the same band of the photograph."""
    keep = cast(ColorMode, colors.mode)
    if keep in ("luminance", "yuv"):
        return lambda painted, seen: replace_luminance(seen, painted, keep)
    counts = [
        _downscale(each, like=image) for each in (colors.mask, pixel_weights) if each is not None
    ]
    weights = functools.reduce(np.multiply, counts) if counts else None
    if weights is not None and weights.max() <= 0:  # what is painted and the mask are apart
        return lambda painted, _: painted
    apply = fit_color_transfer(
        _downscale(image), _downscale(photo, like=image), keep, weights, weights
    )
    return lambda painted, _: apply(painted)


def _downscale(raster: Raster, like: Raster | None = None) -> Pixels:
    """A raster at ``MAX_STATISTICS_SIDE_PX`` pixels at most.

    ``like`` another one, of the same small size as that.
    """
    height, width = (raster if like is None else like).shape[:2]
    small = fit_long_side(height, width, min(MAX_STATISTICS_SIDE_PX, max(height, width)))
    return np.asarray(resize(raster, *small))
