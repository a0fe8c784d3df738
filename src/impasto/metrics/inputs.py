"""What is measured: content, styles and result at the sizes that the protocol says.

The protocol, which docs/evaluate.md explains: a result is measured at its own size, its long side
limited to ``size``. The content is resized to exactly that height and width. The styles have that
long side too, but are never enlarged. What is transparent is laid on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from impasto.core.errors import InputError
from impasto.core.picture import Picture, Pixels
from impasto.metrics.registry import MIN_SIDE_PX
from impasto.ops.convert import as_tensor
from impasto.pictures import fit_long_side, resize
from impasto.pictures.disk_array import row_chunks

ASPECT_TOLERANCE = 0.02
"""Aspect ratios this far apart are no longer the same picture at another size."""


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """Content and styles as a result of one size is compared with them.

    Attributes:
        content: (1, 3, H, W), RGB 0..1, at the result's size.
        styles: (1, 3, h, w) each.
        style_weights: of each style; their sum is 1.
    """

    content: Tensor
    styles: tuple[Tensor, ...]
    style_weights: tuple[float, ...]

    @classmethod
    def from_pictures(
        cls,
        content: Picture,
        styles: Sequence[Picture],
        style_weights: Sequence[float],
        height: int,
        width: int,
    ) -> EvaluationInputs:
        """The view for results of this height and width.

        Raises:
            InputError: a style that is too narrow to be measured.
        """
        return cls(
            as_tensor(resize_on_white(content, height, width)),
            tuple(as_tensor(_style_pixels(style, max(height, width))) for style in styles),
            tuple(style_weights),
        )


def evaluation_size(result: Picture, content: Picture, long_side: int) -> tuple[int, int]:
    """(height, width) at which a result is measured.

    Raises:
        InputError: another aspect ratio than the content's, or too few pixels.
    """
    ratio = result.width / result.height
    wanted = content.width / content.height
    # Whole pixels cannot meet a ratio exactly: half a pixel of the shorter side is no difference.
    slack = ASPECT_TOLERANCE + 0.5 / min(result.height, result.width)
    if abs(ratio / wanted - 1) > slack:
        raise InputError(
            f"{result.name} is {_format_size(result)}, but the content {content.name} is "
            f"{_format_size(content)}: another shape. Give a painting of this content, uncut."
        )
    return _limited_size(result, long_side, "painting")


def resize_on_white(picture: Picture, height: int, width: int) -> Pixels:
    """The pixels on white at a height and width, all in memory."""
    pixels = np.asarray(resize(picture.pixels, height, width))
    if picture.alpha is None:
        return pixels
    cover = np.asarray(resize(picture.alpha, height, width))[:, :, None]
    return pixels * cover + (1 - cover)


def input_notes(
    result: Picture, content: Picture, styles: Sequence[Picture], long_side: int
) -> list[str]:
    """What a user may want to know of the pictures that are measured."""
    pictures = (result, content, *styles)
    notes = [
        f"{p.name}: transparent parts were laid on white." for p in pictures if p.alpha is not None
    ]
    if (result.height, result.width) != (content.height, content.width):
        notes.append(
            f"{content.name} is {_format_size(content)}: it was measured at the painting's size, "
            f"{_format_size(result)} or smaller."
        )
    if is_same_picture(result, content):
        notes.append(f"{result.name} is the content itself, pixel for pixel.")
    for style in styles:
        if style.long_side < min(long_side, result.long_side):
            notes.append(
                f"The style {style.name} has only {_format_size(style)} pixels: its strokes are "
                f"coarser "
                "there than at the painting's size, and the figures of style come out too high."
            )
        if is_same_picture(result, style):
            notes.append(f"{result.name} is the style {style.name} itself, pixel for pixel.")
        if is_same_picture(content, style):
            notes.append(f"The content and the style {style.name} are the same picture.")
    return notes


def is_same_picture(a: Picture, b: Picture) -> bool:
    """Whether two pictures are the same file, or have the same pixels."""
    if a.sha256 and a.sha256 == b.sha256:
        return True
    if a.pixels.shape != b.pixels.shape:
        return False
    height, width = a.pixels.shape[:2]
    return all(
        np.array_equal(a.pixels[top:bottom, 0:width], b.pixels[top:bottom, 0:width])
        for top, bottom in row_chunks(height, width)
    )


def _style_pixels(style: Picture, long_side: int) -> Pixels:
    return resize_on_white(style, *_limited_size(style, long_side, "style"))


def _limited_size(picture: Picture, long_side: int, role: str) -> tuple[int, int]:
    height, width = fit_long_side(picture.height, picture.width, min(long_side, picture.long_side))
    if min(height, width) < MIN_SIDE_PX:
        raise InputError(
            f"The {role} {picture.name} is measured at {width} x {height} pixels, which is too "
            f"small: no side may be under {MIN_SIDE_PX}."
        )
    return height, width


def _format_size(picture: Picture) -> str:
    return f"{picture.width} x {picture.height}"
