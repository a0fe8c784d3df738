"""Regions as a caller asks for them: masks, label pictures, or found automatically.

And what a plan, a recipe and a folder of pictures say of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from impasto.core.errors import InputError, KnobError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.request import Region, Request
from impasto.pictures import write
from impasto.pictures.labels import Color, color_to_hex, hex_to_color, read_label_map
from impasto.pictures.masks import LabelMask, LazyRaster, coverage_fraction
from impasto.pictures.region_masks import RegionMask, read_mask, regions_from_labels

_AUTO_PATTERN = re.compile(r"auto(?::(\d+))?")
DEFAULT_AUTO_REGIONS = 3
"""Regions that are found unless a number is given."""
MAX_AUTO_REGIONS = 8
"""Regions that are found at most."""


@dataclass(frozen=True)
class RegionSpec:
    """The regions of a request, and what else belongs to it because of them.

    Attributes:
        styles: all styles: those that were given, then those of regions.
        regions, options, warnings: as in :class:`Request`.
    """

    styles: tuple[Picture, ...]
    regions: tuple[Region, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def parse_regions(
    content: Picture,
    styles: Sequence[Picture],
    read_style: Callable[[object, str], Picture],
    *,
    regions: object = (),
    labels: object = None,
    style_labels: object = (),
) -> RegionSpec:
    """Read the regions that a caller asks for.

    See :func:`impasto.pipeline.stylize` for the arguments.

    Args:
        content: what is divided.
        styles: those that were given.
        read_style: reads a style that comes with a region; takes it and what messages call it.
        regions: pairs of a mask and a style; or "auto", "auto:3".
        labels: a label picture of the content.
        style_labels: those of the styles, one for each, or none.

    Raises:
        InputError: a mask or label picture that cannot be used.
        KnobError: regions that do not go together, or with the styles.
    """
    several = isinstance(style_labels, (list, tuple))
    listed = list(style_labels) if several else [style_labels]  # type: ignore[call-overload]
    if labels is None:
        if listed:
            raise KnobError("style_labels need the labels of the content too: give labels.")
        return _from_masks(content, tuple(styles), read_style, regions)
    if regions:
        raise KnobError("Give regions or labels, not both.")
    return _from_labels(content, tuple(styles), labels, listed)


def _from_masks(
    content: Picture,
    styles: tuple[Picture, ...],
    read_style: Callable[[object, str], Picture],
    regions: object,
) -> RegionSpec:
    if isinstance(regions, str):
        return _from_segmentation(content, styles, regions)
    if not isinstance(regions, (list, tuple)):
        raise KnobError(f"regions = {regions!r}: give pairs of a mask and its style, or auto.")
    every = list(styles)
    own: dict[str, int] = {}  # sha256 of a style that came with a region → its place
    found: list[Region] = []
    asked: list[list[Any]] = []
    for number, each in enumerate(regions, start=1):
        if isinstance(each, Region):
            found.append(each)
            continue
        if not isinstance(each, (list, tuple)) or len(each) not in (2, 3):
            raise KnobError(f"Region {number} is {each!r}: give a mask and a style.")
        mask = read_mask(each[0], f"mask {number}", content)
        index = each[1]
        if not isinstance(index, int) or isinstance(index, bool):
            picture = read_style(index, f"the style of region {number}")
            index = own.setdefault(picture.sha256, len(every))
            every += [picture] if index == len(every) else []
        shown = None
        if len(each) == 3 and each[2] is not None and 0 <= index < len(every):
            shown = read_mask(each[2], f"style mask {number}", every[index])
        found.append(_make_region(mask, index, shown))
        asked.append([mask.name, index, shown and shown.name])
    if len(asked) < len(found):  # some came ready made, and cannot be asked for in words
        asked = []
    return RegionSpec(tuple(every), tuple(found), {"regions": asked} if asked else {})


def _make_region(mask: RegionMask, style: int, style_mask: RegionMask | None) -> Region:
    sources = {each.name: each.sha256 for each in (mask, style_mask) if each}
    notes = (*mask.notes, *(style_mask.notes if style_mask else ()))
    raster = style_mask.raster if style_mask else None
    return Region(Path(mask.name).name, mask.raster, style, raster, sources, notes)


def _from_labels(
    content: Picture, styles: tuple[Picture, ...], labels: object, style_labels: Sequence[object]
) -> RegionSpec:
    own = read_label_map(labels, "labels").resize_to(content)
    if style_labels and len(style_labels) != len(styles):
        raise KnobError(
            f"{len(style_labels)} style label pictures for {len(styles)} styles: give one each."
        )
    if not style_labels and len(own.colors) != len(styles):
        listed = ", ".join(
            f"{color_to_hex(c)} ({share:.0%})"
            for c, share in zip(own.colors, own.fractions, strict=True)
        )
        raise KnobError(
            f"{own.name} has {len(own.colors)} labels and there "
            f"{_style_count_text(len(styles))}: give "
            f"{len(own.colors)} styles, in the order {listed}; or one style with style_labels, "
            "its own label picture."
        )
    theirs = [
        read_label_map(each, f"style labels {i}").resize_to(style)
        for i, (each, style) in enumerate(zip(style_labels, styles, strict=False), start=1)
    ]
    regions, remarks = regions_from_labels(own, theirs)
    notes = tuple(note for each in (own, *theirs) for note in each.notes)
    # All files, also those of which no label has a partner: they decided that too.
    sources = {each.name: each.sha256 for each in (own, *theirs)}
    regions = (replace(regions[0], notes=notes, sources=sources), *regions[1:])
    asked = {"labels": own.name, "style_labels": [each.name for each in theirs]}
    return RegionSpec(styles, regions, asked, remarks)


def _style_count_text(styles: int) -> str:
    return "is 1 style" if styles == 1 else f"are {styles} styles"


def _from_segmentation(content: Picture, styles: tuple[Picture, ...], value: str) -> RegionSpec:
    match = _AUTO_PATTERN.fullmatch(value.strip())
    count = int(match[1] or DEFAULT_AUTO_REGIONS) if match else 0
    if not 2 <= count <= MAX_AUTO_REGIONS:
        raise KnobError(
            f"regions = {value!r}: give auto, auto:N with N from 2 to {MAX_AUTO_REGIONS}, or a "
            f"mask and its "
            "style."
        )
    if len(styles) != 1:
        raise KnobError(
            f"Automatic regions are matched with those of 1 style, and there "
            f"{_style_count_text(len(styles))}."
        )
    from impasto.pipeline import segmentation

    labels, style_labels = segmentation.segment_pair(content, styles[0], count)
    regions, remarks = regions_from_labels(labels, [style_labels])
    used = segmentation.encoder_digests()
    regions = tuple(replace(region, sources=used) for region in regions)
    if len(labels.colors) < count:
        count = len(labels.colors)
        found = "only one region" if count == 1 else f"only {count} regions that differ"
        remarks = (f"{content.name} has {found}.", *remarks)
    return RegionSpec(styles, regions, {"regions": f"auto:{count}"}, remarks)


def region_recipe_options(request: Request) -> dict[str, Any]:
    """What a recipe keeps, so that :func:`impasto.pipeline.make_request` makes the same regions."""
    if not request.regions:
        return {}
    return {**request.region_options, "background": request.background, "feather": request.feather}


def region_table(request: Request) -> list[dict[str, Any]]:
    """What each region is, for the plan and the recipe: shares are of the areas, 0 to 1."""
    return [
        {
            "name": region.name,
            "share": round(coverage_fraction(region.mask), 4),
            "style": request.styles[region.style_index].name,
            "style_share": None if shown is None else round(coverage_fraction(shown), 4),
        }
        for region, shown in ((r, r.style_mask) for r in request.regions)
    ]


def format_region(row: Mapping[str, Any]) -> str:
    """A row of :func:`region_table` in words."""
    share = row["style_share"]
    part = "" if share is None else f", {share:.0%} of it"
    return f"{row['name']}, {row['share']:.0%} of the content: {Path(row['style']).name}{part}"


def region_input_files(request: Request) -> tuple[tuple[str, str, str], ...]:
    """The files that regions were read from, for the recipe: role, name and sha256."""
    known = {name: sha for region in request.regions for name, sha in region.sources.items()}
    listed: list[tuple[str, Any]] = []
    regions = request.region_options.get("regions", ())
    for mask, _, style_mask in () if isinstance(regions, str) else regions:
        listed += [("mask", mask), ("style mask", style_mask)]
    listed.append(("labels", request.region_options.get("labels")))
    listed += [("style labels", name) for name in request.region_options.get("style_labels", ())]
    return tuple((role, name, known[name]) for role, name in dict.fromkeys(listed) if name in known)


def segmentation_weights(request: Request) -> dict[str, str]:
    """The weights that found the regions by themselves, name → sha256."""
    if not isinstance(request.region_options.get("regions"), str):
        return {}
    return {name: sha for region in request.regions for name, sha in region.sources.items()}


class _MaskImage(LazyRaster):
    """A mask as a picture."""

    def __init__(self, mask: Raster) -> None:
        self.mask, self.shape = mask, (*mask.shape[:2], 3)

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        return np.repeat(self.mask[top:bottom, left:right][:, :, None], 3, axis=2)


class _LabelImage(LazyRaster):
    """Hard masks as a label picture: each in its color, on a ground of another one."""

    def __init__(self, masks: Sequence[Raster], colors: Sequence[Color]) -> None:
        self.masks, self.shape = masks, (*masks[0].shape[:2], 3)
        ground = next(c for c in _BACKGROUND_COLORS if c not in colors)
        self.palette = np.array([ground, *colors], np.float32) / np.float32(255)

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        numbers = np.zeros((bottom - top, right - left), np.intp)
        for number, mask in enumerate(self.masks, start=1):
            numbers[mask[top:bottom, left:right] > 0.5] = number
        found: Pixels = self.palette[numbers]
        return found


_BACKGROUND_COLORS = tuple((gray, gray, gray) for gray in range(128, 256))


def save_regions(request: Request, folder: Path) -> list[Path]:
    """Write the regions as pictures that can be edited and given back.

    Labels become label pictures, content-labels.png and style-labels.png (of several styles, one
    each, with its number); other masks become a gray picture each.

    Args:
        request: with regions.
        folder: it is made if it is missing; files of these names are replaced.

    Returns:
        The files written.

    Raises:
        InputError: they cannot be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--regions-out {folder} is a file: give a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    rasters = _region_images(request)
    for name, raster in rasters.items():
        write(raster, folder / name)
    return [folder / name for name in rasters]


def region_file_names(request: Request) -> tuple[str, ...]:
    """The names of the files that :func:`save_regions` writes."""
    return tuple(_region_images(request))


def _region_images(request: Request) -> dict[str, Raster]:
    return _label_images(request) or _mask_images(request)


def _label_images(request: Request) -> dict[str, Raster]:
    """File name → label picture; none if regions are no labels."""
    regions = request.regions
    if not all(isinstance(region.mask, LabelMask) for region in regions):
        return {}
    colors = [hex_to_color(region.name) for region in regions]
    found: dict[str, Raster] = {
        "content-labels.png": _LabelImage([region.mask for region in regions], colors)
    }
    for style in range(len(request.styles)):
        pairs = [
            (region.style_mask, color)
            for region, color in zip(regions, colors, strict=True)
            if region.style_index == style and region.style_mask is not None
        ]
        if pairs:
            number = f"-{style + 1}" if len(request.styles) > 1 else ""
            masks, theirs = zip(*pairs, strict=True)
            found[f"style-labels{number}.png"] = _LabelImage(masks, theirs)
    return found


def _mask_images(request: Request) -> dict[str, Raster]:
    found: dict[str, Raster] = {}
    for number, region in enumerate(request.regions, start=1):
        found[f"mask-{number}.png"] = _MaskImage(region.mask)
        if region.style_mask is not None:
            found[f"style-mask-{number}.png"] = _MaskImage(region.style_mask)
    return found
