"""Regions from pictures: gray masks, and pairs of label pictures.

Label pictures are those of Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer",
CVPR 2017, and Luan et al., "Deep Photo Style Transfer", CVPR 2017: flat colors, and the same
color in the content's and the style's is the same region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.request import Region
from impasto.pictures.convert import as_picture
from impasto.pictures.disk_array import is_large
from impasto.pictures.labels import MERGE_DISTANCE, Color, LabelMap, color_distance, color_to_hex
from impasto.pictures.masks import LazyRaster, coverage_fraction, resize_mask


@dataclass(frozen=True, eq=False)
class RegionMask:
    """A mask as it was read.

    Attributes:
        raster: float32 (height, width) of the picture that it is for, 0..1.
        name: of the file.
        sha256: of the file.
        notes: what was done to it, one sentence each.
    """

    raster: Raster
    name: str
    sha256: str
    notes: tuple[str, ...] = ()


class _GrayMask(LazyRaster):
    """A picture as a mask: its brightest channel, times its opacity if asked."""

    def __init__(self, pixels: Raster | None, alpha: Raster | None) -> None:
        whole = pixels if pixels is not None else alpha
        assert whole is not None
        self.pixels, self.alpha, self.shape = pixels, alpha, whole.shape[:2]

    def window(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        window = slice(top, bottom), slice(left, right)
        found = np.ones((bottom - top, right - left), np.float32)
        if self.pixels is not None:
            found = self.pixels[window].max(axis=2)
        return found if self.alpha is None else found * self.alpha[window]


def read_mask(image: object, name: str, picture: Picture) -> RegionMask:
    """A mask for a picture: white is inside, black outside, and gray in between.

    Where a mask has transparency, what is transparent is outside; one that is drawn in black on
    nothing is inside where it is drawn. One of another size is resampled.

    Args:
        image: a path, array, or whatever else :func:`impasto.pictures.as_picture` takes.
        name: what messages call it; a path is called by itself.
        picture: what the mask is for.

    Raises:
        InputError: it is no picture.
    """
    found = as_picture(image, name)
    height, width = picture.height, picture.width
    raster: Raster = _GrayMask(found.pixels, found.alpha)
    if found.alpha is not None and coverage_fraction(raster) == 0:
        raster = _GrayMask(None, found.alpha)
    notes = []
    if _is_colored(found):
        notes.append(f"{found.name} is not gray: its brightest channel counts as the mask.")
    if (found.height, found.width) != (height, width):
        stretch = (found.width * height) / (found.height * width)
        notes.append(
            f"{found.name} has {found.width} x {found.height} px and is resampled to the "
            f"{width} x {height} px of {picture.name}"
            + ("." if abs(stretch - 1) < 0.02 else ", which stretches it: it has another shape.")
        )
        raster = resize_mask(raster, height, width)
    if not is_large(height, width):
        raster = np.asarray(raster)
    return RegionMask(raster, found.name, found.sha256, tuple(notes))


def _is_colored(picture: Picture) -> bool:
    """Whether some of a picture is neither white, gray nor black."""
    rows, columns = (slice(0, None, max(1, side // 256)) for side in picture.pixels.shape[:2])
    if isinstance(picture.pixels, np.ndarray):
        part = picture.pixels[rows, columns]
    else:
        part = picture.pixels[0:256, 0 : picture.width]
    return bool(np.mean(np.ptp(part, axis=2) > 0.1) > 0.01)


def match_labels(content: LabelMap, style: LabelMap) -> dict[Color, Color]:
    """Labels of the content → those of the same color in the style.

    Where noise has moved a color, the nearest within a distance of 40 is its partner, if each is
    the nearest of the other.
    """
    found = {color: color for color in content.colors if color in style.colors}
    left = [c for c in content.colors if c not in found]
    right = [c for c in style.colors if c not in found]
    for color in left:
        near = min(right, key=lambda other: color_distance(color, other), default=None)
        if near is None or color_distance(color, near) > MERGE_DISTANCE:
            continue
        if min(left, key=lambda other: color_distance(near, other)) == color:
            found[color] = near
    return found


def regions_from_labels(
    content: LabelMap, styles: Sequence[LabelMap]
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """A region for each label of the content, with its partner in the styles.

    Args:
        content: at the size of the content.
        styles: of the styles in their order, each at the size of its style. The first that has a
            label is its partner; none: each label takes all of the style of its number.

    Returns:
        The regions, and what a user should know of them, one sentence each.
    """
    matches = [match_labels(content, style) for style in styles]
    where = {c: [i for i, m in enumerate(matches) if c in m] for c in content.colors}
    regions = []
    for number, color in enumerate(content.colors):
        sources, shown, index = {content.name: content.sha256}, None, number
        if styles:
            index = where[color][0] if where[color] else 0
        if styles and where[color]:
            style = styles[index]
            sources[style.name] = style.sha256
            shown = style.mask(matches[index][color])
        regions.append(Region(color_to_hex(color), content.mask(color), index, shown, sources))
    if not styles:
        return tuple(regions), ()
    alone = [color for color, there in where.items() if not there]
    unused = [
        f"{color_to_hex(color)} of {style.name}"
        for style, match in zip(styles, matches, strict=True)
        for color in style.colors
        if color not in match.values()
    ]
    return tuple(regions), (
        *_unmatched_notes(content, styles, alone),
        *_unused_notes(content, unused),
    )


def _unmatched_notes(
    content: LabelMap, styles: Sequence[LabelMap], unmatched: Sequence[Color]
) -> tuple[str, ...]:
    if not unmatched:
        return ()
    theirs = " and ".join(Path(style.name).name for style in styles)
    if len(unmatched) == len(content.colors):
        said = f"No label of {content.name} is in {theirs}: every region takes all of the style."
        return (said + " The same color makes the same region.",)
    names = ", ".join(color_to_hex(color) for color in unmatched)
    many = len(unmatched) > 1
    return (
        f"The label{'s' if many else ''} {names} of {content.name} {'are' if many else 'is'} not "
        f"in {theirs}: {'they take' if many else 'it takes'} all of the style.",
    )


def _unused_notes(content: LabelMap, unused: Sequence[str]) -> tuple[str, ...]:
    if not unused:
        return ()
    one = "it is" if len(unused) == 1 else "they are"
    return (f"{', '.join(unused)}: not in {content.name}, so {one} not looked at.",)
