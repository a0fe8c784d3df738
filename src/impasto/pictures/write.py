"""Writing pictures: whole or not at all, tagged as sRGB, with the recipe inside."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import InputError
from impasto.core.picture import Raster
from impasto.pictures._vips import pyvips, vips_message
from impasto.pictures.disk_array import is_large, quantize, row_chunks
from impasto.pictures.formats import Format, format_for
from impasto.pictures.metadata import xmp_packet
from impasto.pictures.png_stream import image_from_rows

_MAX_JPEG_XMP_BYTES = 60_000
"""Bytes of XMP that libvips still puts into a JPEG file; it drops a longer packet."""
_SYSTEM_ERROR = re.compile(r"(?:system|unix) error: (.+)")
"""What the system said, among what libvips makes of it."""


def write(
    pixels: Raster,
    path: str | os.PathLike[str],
    *,
    alpha: Raster | None = None,
    bits: int = 8,
    recipe: str | None = None,
    quality: int = 92,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Write a picture in the format of the suffix, beside the target and renamed into place.

    It is encoded as a stream: JPEG, PNG and TIFF never have all of it in memory. WebP and AVIF do.

    Args:
        pixels: float32 (height, width, 3), sRGB; clipped to 0..1 and rounded to the nearest step.
        path: ends in jpg, jpeg, png, webp, avif, tif or tiff.
        alpha: float32 (height, width), 0..1, not premultiplied; JPEG shows it on white.
        bits: per channel, 8 or 16 (PNG and TIFF).
        recipe: a JSON text to keep inside; :func:`read_recipe` gives it back.
        quality: 1..100, for JPEG, WebP and AVIF; PNG and TIFF lose nothing.
        overwrite: whether an existing file may be replaced.

    Returns:
        Notes on what the file could not hold.

    Raises:
        InputError: what :func:`check_writable` finds, NaN, a full disk, a quality out of range.
    """
    if not 1 <= quality <= 100:
        raise InputError(f"Cannot write {path}: quality {quality} is outside 1..100.")
    size = _checked_size(pixels, alpha, path)
    form = _check_format(path, bits, size)
    notes = _loss_notes(form, alpha is not None)
    xmp = xmp_packet(recipe) if recipe is not None else b""
    if form.name == "JPEG" and len(xmp) > _MAX_JPEG_XMP_BYTES:
        notes += ("left the recipe out: it is too long for JPEG",)
        xmp = b""
    rows = _quantized_rows(pixels, alpha, form, bits)
    shape = (*size, 4 if alpha is not None and form.has_alpha else 3)
    try:
        with (
            image_from_rows(rows, shape, bits) as image,
            atomic_write(path, overwrite=overwrite) as file,
        ):
            if xmp:
                image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp)
            target = pyvips.Target.new_to_descriptor(file.fileno())
            image.write_to_target(target, Path(path).suffix, **_vips_options(form, quality, size))
    except pyvips.Error as error:
        system = _SYSTEM_ERROR.search(error.detail)
        if system:
            raise _write_error(path, OSError(0, system[1])) from error
        raise InputError(f"Cannot write {path}: libvips says {vips_message(error)!r}.") from error
    return notes


def check_writable(
    path: str | os.PathLike[str],
    bits: int = 8,
    has_alpha: bool = False,
    *,
    size: tuple[int, int] | None = None,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Find out before the work whether its result can be written; leaves no trace.

    Args:
        path: where the result shall go.
        bits: per channel, 8 or 16.
        has_alpha: whether the result is partly transparent.
        size: its (height, width) if known.
        overwrite: whether an existing file may be replaced.

    Returns:
        Notes on what the file will not hold.

    Raises:
        InputError: a suffix or size that cannot be written, bits that do not fit, a folder that
            is missing or not writable, or a target that is a folder, protected or already there.
    """
    form = _check_format(path, bits, size)
    check_file_writable(path, overwrite=overwrite)
    return _loss_notes(form, has_alpha)


def check_file_writable(path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Find out before the work whether any file can be written there; leaves no trace.

    Raises:
        InputError: a folder that is missing or not writable, or a target that is a folder,
            protected or already there.
    """
    target = _resolve_target(path, overwrite)
    probe = _temporary_path(target)
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise _write_error(path, error) from error


def write_bytes(
    path: str | os.PathLike[str], data: bytes | memoryview, *, overwrite: bool = True
) -> None:
    """Put ``data`` into the file ``path`` whole or not at all, also if others write it too.

    Raises:
        InputError: the file cannot be written; what was there before is untouched.
    """
    with atomic_write(path, overwrite=overwrite) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A new binary file that takes the place of ``path`` if the block ends well, else vanishes.

    Raises:
        InputError: the file cannot be written; what was there before is untouched.
    """
    target = _resolve_target(path, overwrite)
    beside = _temporary_path(target)
    try:
        try:
            with beside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _write_error(path, error) from error


def _resolve_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """The file behind ``path`` (links followed), if it may be written."""
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise InputError(f"Cannot write {path}: it is a folder; give a file name in it.")
        if not target.parent.exists():
            raise InputError(
                f"Cannot write {path}: its folder is missing; run: mkdir -p {target.parent}"
            )
        there = target.exists()
        if there and not target.is_file():
            raise InputError(f"Cannot write {path}: it is a device or pipe; choose another name.")
    except (OSError, ValueError) as error:
        raise _write_error(path, error) from error
    if there and not overwrite:
        raise InputError(f"Cannot write {path}: it already exists; allow overwriting or rename it.")
    if there and not os.access(target, os.W_OK):
        raise InputError(f"Cannot write {path}: it is write-protected; chmod u+w lifts that.")
    return target


def _temporary_path(target: Path) -> Path:
    """A new name in the folder of the target, short enough wherever the target's is."""
    return target.with_name(f".{secrets.token_hex(8)}.part")


def _write_error(path: str | os.PathLike[str], error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(
        f"Cannot write {path}: the system says {reason!r}; make room or choose another place."
    )


def _check_format(path: str | os.PathLike[str], bits: int, size: tuple[int, int] | None) -> Format:
    form = format_for(path, bits)
    if size is not None and max(size) > form.max_side_px:
        raise InputError(
            f"Cannot write {path}: {form.name} holds at most {form.max_side_px} pixels a side, "
            f"not {size[1]} x {size[0]}; use .png or .tif."
        )
    return form


def _loss_notes(form: Format, alpha: bool) -> tuple[str, ...]:
    if alpha and not form.has_alpha:
        return (f"laid on white: {form.name} holds no transparency",)
    return ()


def _checked_size(
    pixels: Raster, alpha: Raster | None, path: str | os.PathLike[str]
) -> tuple[int, int]:
    """(height, width) of pixels that can be written."""
    if len(pixels.shape) != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError(
            f"Cannot write {path}: the pixels' shape is {pixels.shape}, not (height, width, 3)."
        )
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        raise InputError(
            f"Cannot write {path}: alpha is {alpha.shape}, the pixels are {pixels.shape[:2]}."
        )
    return pixels.shape[0], pixels.shape[1]


def _quantized_rows(
    pixels: Raster, alpha: Raster | None, form: Format, bits: int
) -> Iterator[NDArray[Any]]:
    """The picture as integers, some rows at a time, with its alpha or laid on white."""
    height, width = pixels.shape[:2]
    for top, bottom in row_chunks(height, width):
        part = pixels[top:bottom, 0:width]
        if alpha is not None:
            cover = alpha[top:bottom, 0:width][:, :, None].clip(0, 1)
            part = np.dstack([part, cover]) if form.has_alpha else part * cover + (1 - cover)
        yield quantize(part, bits)


def _vips_options(form: Format, quality: int, size: tuple[int, int]) -> dict[str, Any]:
    """What libvips is told for a format."""
    options: dict[str, dict[str, Any]] = {
        # The best code for a JPEG is known only when all of it has been seen.
        "JPEG": {"Q": quality, "optimize_coding": not is_large(*size)},
        "PNG": {},
        "WebP": {"Q": quality, "alpha_q": 100, "smart_subsample": True},
        "AVIF": {"Q": quality, "compression": "av1"},
        "TIFF": {"compression": "deflate", "predictor": "horizontal"},
    }
    return {"profile": "srgb", **options[form.name]}
