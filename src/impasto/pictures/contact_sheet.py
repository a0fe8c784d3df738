"""Pictures side by side: labeled contact sheets and animations."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from impasto.core.errors import InputError
from impasto.core.picture import Pixels, Raster
from impasto.pictures.read import read
from impasto.pictures.resize import resize
from impasto.pictures.write import write_bytes

_PAPER_COLOR = np.array([0.98, 0.976, 0.965], dtype=np.float32)
_INK_COLOR = np.array([0.22, 0.21, 0.2], dtype=np.float32)
_MAX_ASPECT = 3

_ANIMATION_FORMATS = {".webp": "WEBP", ".gif": "GIF", ".png": "PNG"}


def make_contact_sheet(
    labeled_images: Sequence[tuple[str, Raster]], *, height: int = 384, columns: int | None = None
) -> Pixels:
    """A contact sheet: tiles on off-white paper, evenly spaced, each with its label below.

    Args:
        labeled_images: (label, pixels of shape (height, width, 3) in 0..1); an empty label is left
            out.
        height: of the tiles in px, at least 16; a tile wider than three times that is lower.
        columns: tiles in a row; None puts all of them in one row.

    Returns:
        float32 (height, width, 3) in 0..1.

    Raises:
        InputError: no tiles, or a height or number of columns too small.
    """
    if not labeled_images or height < 16 or (columns is not None and columns < 1):
        raise InputError("A sheet needs a tile, a height of 16 px and one column at least.")
    columns = min(columns or len(labeled_images), len(labeled_images))
    fitted = [_fit_cell(pixels, height) for _, pixels in labeled_images]
    gap = max(8, height // 16)
    font = ImageFont.load_default(max(10, height // 20))
    line = sum(font.getmetrics()) + gap // 2 if any(label for label, _ in labeled_images) else 0  # type: ignore[union-attr]
    widths = [max(tile.shape[1] for tile in fitted[c::columns]) for c in range(columns)]
    starts = range(0, len(labeled_images), columns)
    heights = [max(tile.shape[0] for tile in fitted[s : s + columns]) for s in starts]
    full = (
        gap + sum(heights) + (line + gap) * len(heights),
        gap + sum(widths) + gap * columns,
    )
    page = np.broadcast_to(_PAPER_COLOR, (*full, 3)).copy()
    mask = Image.new("L", (full[1], full[0]))
    draw = ImageDraw.Draw(mask)
    for i, (label, _) in enumerate(labeled_images):
        row, column = divmod(i, columns)
        top = gap + sum(heights[:row]) + (line + gap) * row
        left = gap + sum(widths[:column]) + gap * column
        h, w = fitted[i].shape[:2]
        y, x = top + (heights[row] - h) // 2, left + (widths[column] - w) // 2
        page[y : y + h, x : x + w] = fitted[i]
        text = _shorten(" ".join(label.split()), draw, font, widths[column])
        spot = (left + widths[column] / 2, top + heights[row] + gap // 2)
        draw.text(spot, text, fill=255, font=font, anchor="ma")
    ink = np.asarray(mask, dtype=np.float32)[:, :, None] / np.float32(255)
    return page * (1 - ink) + _INK_COLOR * ink


def write_animation(
    frames: Sequence[str | os.PathLike[str] | Raster],
    path: str | os.PathLike[str],
    fps: float,
) -> None:
    """Write an animation that repeats for ever: WebP, GIF or PNG, by the suffix.

    Frames given as paths are read one at a time (PNG keeps all of them in memory, 8 bits each).

    Args:
        frames: paths, or float32 pixels (height, width, 3) in 0..1, all of one size.
        path: ends in webp, gif or png.
        fps: frames per second; GIF counts in hundredths of a second, so at most 50.

    Raises:
        InputError: no frames, frames of several sizes, another suffix, an fps that does not fit,
            or what :func:`read` and :func:`write` raise.
    """
    form = _ANIMATION_FORMATS.get(Path(path).suffix.lower())
    if form is None:
        raise InputError(f"Cannot write {path}: an animation ends in .webp, .gif or .png.")
    fastest = 50 if form == "GIF" else 1000
    if not 0 < fps <= fastest:
        raise InputError(f"Cannot write {path}: fps {fps:g} is outside 0..{fastest} for {form}.")
    if not frames:
        raise InputError(f"Cannot write {path}: there are no frames.")
    unit = 10 if form == "GIF" else 1
    ends = [round(i * 1000 / fps / unit) * unit for i in range(len(frames) + 1)]
    images = _iter_images(frames, form)
    out = io.BytesIO()
    next(images).save(
        out, form, save_all=True, loop=0,
        append_images=list(images) if form == "PNG" else images,  # that writer goes over them twice
        duration=[after - before for before, after in pairwise(ends)],
    )  # fmt: skip
    write_bytes(path, out.getvalue())


def _iter_images(
    frames: Sequence[str | os.PathLike[str] | Raster], form: str
) -> Iterator[Image.Image]:
    size: tuple[int, int] | None = None
    for i, frame in enumerate(frames):
        pixels = read(frame).pixels if isinstance(frame, (str, os.PathLike)) else frame
        image = Image.fromarray(np.rint(np.asarray(pixels).clip(0, 1) * 255).astype(np.uint8))
        size = size or image.size
        if image.size != size:
            raise InputError(
                f"Cannot animate: frame {i + 1} is {image.width} x {image.height}, "
                f"the first is {size[0]} x {size[1]}."
            )
        if form == "GIF":
            image = image.quantize(palette=image.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
        yield image


def _fit_cell(pixels: Raster, height: int) -> Pixels:
    """The tile at ``height``, or lower if it would be wider than :data:`_MAX_ASPECT` heights."""
    h, w = pixels.shape[:2]
    scale = min(height / h, _MAX_ASPECT * height / w)
    return np.asarray(resize(pixels, max(1, round(h * scale)), max(1, round(w * scale))))


def _shorten(
    label: str,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    width: int,
) -> str:
    """The label with an ellipsis where it would be wider than ``width`` px."""
    text = label
    while text and draw.textlength(text, font=font) > width:
        label = label[:-1]
        text = label.rstrip() + "…" if label else ""
    return text
