"""Decoding by libvips: into memory, or band by band to disk if the picture is large."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.pictures._vips import pyvips, vips_message
from impasto.pictures.decoded import (
    AVIF_DISK_DECODE_BYTES_PER_PIXEL,
    DECODE_BYTES_PER_PIXEL,
    DISK_DECODE_BYTES_PER_PIXEL,
    UPRIGHT_NOTE,
    DecodedImage,
    check_size,
)
from impasto.pictures.disk_array import DiskArray, is_large, row_chunks
from impasto.pictures.icc import CONVERTED_NOTE

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float64}
_AVIF_SIZE_PATTERN = re.compile(rb"ispe.{4}(.{4})(.{4})", re.DOTALL)
_AVIF_HEAD_BYTES = 1 << 20
_MAX_SIDE_PX = 10_000_000


def open_lazy(file: FileIO, file_format: str, name: str) -> pyvips.Image:
    """A libvips image of which only the header has been read.

    Args:
        file: the file; until the image is decoded, only libvips may read from it.
        file_format: of the picture.
        name: of the file, for the messages.

    Raises:
        InputError: the header is damaged.
    """
    if file_format == "AVIF":  # a side that libvips cannot hold would make it print to stderr
        boxes = file.read(_AVIF_HEAD_BYTES).partition(b"mdat")[0]
        for sides in _AVIF_SIZE_PATTERN.findall(boxes):
            if max(int.from_bytes(side, "big") for side in sides) > _MAX_SIDE_PX:
                raise damaged_error(name, file_format, "it claims an impossible size")
    file.seek(0)
    source = pyvips.Source.new_from_descriptor(file.fileno())
    try:
        if file_format == "AVIF":  # libvips does not know a moving one by its first bytes
            return pyvips.Image.heifload_source(source, fail_on="error", access="sequential")
        return pyvips.Image.new_from_source(source, "", fail_on="error", access="sequential")
    except pyvips.Error as error:
        raise damaged_error(name, file_format, vips_message(error)) from error


def decode(file: FileIO, file_format: str, name: str, max_megapixels: float) -> Picture:
    """The picture in a file that libvips reads.

    Raises:
        InputError: a damaged file, too many pixels, samples of an unknown type.
        ResourceError: too little memory, or disk for a large one.
    """
    moving = file_format == "AVIF" and file.read(12)[8:] == b"avis"
    image = open_lazy(file, file_format, name)
    large = is_large(image.height, image.width)
    spooling = (
        AVIF_DISK_DECODE_BYTES_PER_PIXEL if file_format == "AVIF" else DISK_DECODE_BYTES_PER_PIXEL
    )
    check_size(
        image.width,
        image.height,
        max_megapixels,
        name,
        spooling if large else DECODE_BYTES_PER_PIXEL,
    )
    if image.format not in _DTYPES:
        raise InputError(
            f"Cannot read {name}: it holds {image.interpretation} samples of type {image.format}; "
            "save it as RGB with 8 or 16 bits per channel."
        )
    orientation = _get_field(image, "orientation", 1)
    profile = _get_field(image, "icc-profile-data", None)
    top, notes = _sample_max(image, file_format), _notes(image, moving)

    def rows(raw: Any) -> Picture:
        values = np.frombuffer(raw, _DTYPES[image.format]).reshape(-1, image.width, image.bands)
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        values = _apply_orientation(values, orientation)
        samples = DecodedImage(values, image.interpretation == "cmyk", top, profile, notes)
        return samples.to_picture(name, "")

    try:
        picture = (
            _decode_to_disk(image, rows, orientation) if large else rows(image.write_to_memory())
        )
    except pyvips.Error as error:
        raise damaged_error(name, file_format, vips_message(error)) from error
    return dataclasses.replace(picture, sha256=stream_sha256(file))


def _decode_to_disk(
    image: pyvips.Image, rows: Callable[[Any], Picture], orientation: int
) -> Picture:
    """The picture, decoded and converted some rows at a time, with its pixels on disk."""
    size = (image.height, image.width) if orientation < 5 else (image.width, image.height)
    region = pyvips.Region.new(image)
    spools: list[DiskArray] = []
    for top, bottom in row_chunks(image.height, image.width):
        part = rows(region.fetch(0, top, image.width, bottom - top))
        planes = [np.asarray(plane) for plane in (part.pixels, part.alpha) if plane is not None]
        if not spools:
            # Another profile gives more than the 256 values it started from.
            fine = any(note.startswith(CONVERTED_NOTE) for note in part.notes)
            depths = (16 if fine else part.bits, part.bits)
            spools = [
                DiskArray((*size, *plane.shape[2:]), bits)
                for plane, bits in zip(planes, depths, strict=False)
            ]
        window = _oriented_window(top, bottom, image.height, orientation)
        for spool, plane in zip(spools, planes, strict=True):
            spool[window] = plane
    alpha = spools[1] if len(spools) > 1 else None
    return dataclasses.replace(part, pixels=spools[0], alpha=alpha)


def _notes(image: pyvips.Image, moving: bool) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if (pages := _get_field(image, "n-pages", 1)) > 1:
        notes += (f"took the first of {pages} frames",)
    elif moving:
        notes += ("took the first frame",)
    if _get_field(image, "orientation", 1) > 1:
        notes += (UPRIGHT_NOTE,)
    return notes


def _sample_max(image: pyvips.Image, file_format: str) -> float:
    """The sample value that stands for 1."""
    if file_format == "AVIF" and image.format == "ushort":
        return left_aligned_max(image.get("bits-per-sample"))
    return {"uchar": 255.0, "ushort": 65535.0}.get(image.format, 1.0)


def _apply_orientation(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of the rows, turned and mirrored as an EXIF orientation (1..8) asks."""
    down, across = _orientation_flips(orientation)
    if orientation > 4:
        values = values.swapaxes(0, 1)
    return values[:: -1 if down else 1, :: -1 if across else 1]


def _oriented_window(top: int, bottom: int, height: int, orientation: int) -> tuple[slice, slice]:
    """Where rows of a picture of ``height`` rows lie when it is upright."""
    sideways = orientation > 4
    if _orientation_flips(orientation)[sideways]:
        top, bottom = height - bottom, height - top
    rows, everything = slice(top, bottom), slice(None)
    return (everything, rows) if sideways else (rows, everything)


def _orientation_flips(orientation: int) -> tuple[bool, bool]:
    """Whether an EXIF orientation mirrors top to bottom, and left to right, after transposing."""
    turn = (orientation - 1) % 4
    return turn in (2, 3), turn in (1, 2)


def _get_field(image: pyvips.Image, name: str, default: Any) -> Any:
    return image.get(name) if name in image.get_fields() else default


def left_aligned_max(bits: int) -> float:
    """The largest value of ``bits`` bits that lie at the upper end of 16."""
    return float(((1 << bits) - 1) << (16 - bits))


def stream_sha256(file: FileIO) -> str:
    """The checksum of a whole file."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def damaged_error(name: str, file_format: str, reason: str) -> InputError:
    """The error for a file whose beginning promised more than the rest holds."""
    reason = " ".join(reason.split()).rstrip(".")
    return InputError(
        f"Cannot read {name}: the {file_format} file is cut off or damaged ({reason}); take a "
        f"fresh copy."
    )
