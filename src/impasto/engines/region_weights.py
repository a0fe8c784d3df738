"""How much each region counts at every pixel of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from impasto.core.picture import Raster
from impasto.core.request import Request
from impasto.ops.regional_transforms import MIN_POSITIONS
from impasto.pictures.disk_array import DiskArray, is_large, row_chunks
from impasto.pictures.masks import (
    Coverage,
    FeatheredMask,
    RegionWeights,
    coverage_fraction,
    resize_mask,
)
from impasto.pictures.resize import _thumbnail_size, resize


def region_weights(request: Request, height: int, width: int) -> Raster:
    """What each part of a request's painting counts at every pixel of it.

    Args:
        request: with a region at least.
        height: of the painting.
        width: of the painting.

    Returns:
        float32 (height, width, regions + 1), at least 0, with the sum 1: the regions in their
        order, with soft edges of ``request.feather`` px of the content, then the rest. In memory,
        unless a picture of this size is kept on disk.
    """
    soft = [
        FeatheredMask(r.mask, request.feather) if request.feather else r.mask
        for r in request.regions
    ]
    found = RegionWeights([resize_mask(mask, height, width) for mask in soft])
    return found if is_large(height, width) else np.asarray(found)


def region_coverage(request: Request, height: int, width: int) -> Raster:
    """How much of every pixel is painted when the rest is kept: float32 (height, width), 0..1.

    Edges are softened inside the regions: what no region covers is never touched.
    """
    whole: Raster = Coverage([region.mask for region in request.regions])
    if request.feather:
        whole = FeatheredMask(whole, request.feather, inward=True)
    found = resize_mask(whole, height, width)
    return found if is_large(height, width) else np.asarray(found)


def keep_background(image: Raster, request: Request) -> Raster:
    """The painting where regions are, and the content elsewhere, to the bit.

    Args:
        image: (height, width, 3); what lies on disk is changed there.
        request: of the painting.

    Returns:
        The same size. Where the content has another size, it is resized.
    """
    height, width = image.shape[:2]
    content = request.content.pixels
    if content.shape[:2] != (height, width):
        content = resize(content, height, width, to_disk=True)
    alpha = region_coverage(request, height, width)
    out: Any = image if isinstance(image, DiskArray) else np.empty(image.shape, np.float32)
    for top, bottom in row_chunks(height, width):
        rows = slice(top, bottom), slice(0, width)
        share = alpha[rows][:, :, None]
        out[rows] = image[rows] * share + content[rows] * (1 - share)
    found: Raster = out
    return found


def small_region_warnings(
    request: Request, stride: int, *, fallback_roles: Sequence[str] = ("content", "style")
) -> tuple[str, ...]:
    """A sentence for every region whose statistics are of few positions, or of none.

    Args:
        request: with regions, or without.
        stride: pixels between two positions of the deepest layer.
        fallback_roles: pictures of which all is looked at where a region of them has few positions.
    """
    height, width = _thumbnail_size(request.content.pixels, request.size or 30_000)
    said = []
    for region in request.regions:
        pairs = [("content", region.mask, height * width)]
        if region.style_mask is not None:
            pairs.append(("style", region.style_mask, math.prod(region.style_mask.shape)))
        for role, mask, pixels in pairs:
            covered = coverage_fraction(mask)
            if covered == 0:
                said.append(f"The region {region.name} is empty in the {role}" + {
                    "content": ": it changes nothing.",
                    "style": ": all of that style is looked at instead.",
                }[role])  # fmt: skip
            elif covered * pixels < MIN_POSITIONS * stride**2:
                said.append(
                    f"The region {region.name} has about {covered * pixels:.0f} px in the {role}: "
                    "few to know its features by."
                    + (
                        f" What is missing is taken from all of the {role}."
                        * (role in fallback_roles)
                    )
                )
    return tuple(said)
