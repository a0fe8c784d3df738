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
from impasto.pictures._vips import pyvips, why
from impasto.pictures.decoded import DECODING, SPOOLING, SPOOLING_AVIF, UPRIGHT, Samples, check_size
from impasto.pictures.disk_array import Spool, bands, is_large
from impasto.pictures.icc import CONVERTED

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float64}
_AVIF_SIDES = re.compile(rb"ispe.{4}(.{4})(.{4})", re.DOTALL)
_AVIF_HEAD = 1 << 20
_LONGEST = 10_000_000


def header(file: FileIO, kind: str, name: str) -> pyvips.Image:
    """A libvips image of which only the header has been read.

    Args:
        file: the file; until the image is decoded, only libvips may read from it.
        kind: of the picture.
        name: of the file, for the messages.

    Raises:
        InputError: the header is damaged.
    """
    if kind == "AVIF":  # a side that libvips cannot hold would make it print to stderr
        boxes = file.read(_AVIF_HEAD).partition(b"mdat")[0]
        for sides in _AVIF_SIDES.findall(boxes):
            if max(int.from_bytes(side, "big") for side in sides) > _LONGEST:
                raise damaged(name, kind, "it claims an impossible size")
    file.seek(0)
    source = pyvips.Source.new_from_descriptor(file.fileno())
    try:
        if kind == "AVIF":  # libvips does not know a moving one by its first bytes
            return pyvips.Image.heifload_source(source, fail_on="error", access="sequential")
        return pyvips.Image.new_from_source(source, "", fail_on="error", access="sequential")
    except pyvips.Error as error:
        raise damaged(name, kind, why(error)) from error


def decode(file: FileIO, kind: str, name: str, max_megapixels: float) -> Picture:
    """The picture in a file that libvips reads.

    Raises:
        InputError: a damaged file, too many pixels, samples of an unknown type.
        ResourceError: too little memory, or disk for a large one.
    """
    moving = kind == "AVIF" and file.read(12)[8:] == b"avis"
    image = header(file, kind, name)
    large = is_large(image.height, image.width)
    spooling = SPOOLING_AVIF if kind == "AVIF" else SPOOLING
    check_size(image.width, image.height, max_megapixels, name, spooling if large else DECODING)
    if image.format not in _DTYPES:
        raise InputError(
            f"Cannot read {name}: it holds {image.interpretation} samples of type {image.format}; "
            "save it as RGB with 8 or 16 bits per channel."
        )
    orientation = _field(image, "orientation", 1)
    profile = _field(image, "icc-profile-data", None)
    top, notes = _top(image, kind), _notes(image, moving)

    def rows(raw: Any) -> Picture:
        values = np.frombuffer(raw, _DTYPES[image.format]).reshape(-1, image.width, image.bands)
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        values = _turned(values, orientation)
        samples = Samples(values, image.interpretation == "cmyk", top, profile, notes)
        return samples.picture(name, "")

    try:
        picture = _spooled(image, rows, orientation) if large else rows(image.write_to_memory())
    except pyvips.Error as error:
        raise damaged(name, kind, why(error)) from error
    return dataclasses.replace(picture, sha256=sha256(file))


def _spooled(image: pyvips.Image, rows: Callable[[Any], Picture], orientation: int) -> Picture:
    """The picture, decoded and converted some rows at a time, with its pixels on disk."""
    size = (image.height, image.width) if orientation < 5 else (image.width, image.height)
    region = pyvips.Region.new(image)
    spools: list[Spool] = []
    for top, bottom in bands(image.height, image.width):
        part = rows(region.fetch(0, top, image.width, bottom - top))
        planes = [np.asarray(plane) for plane in (part.pixels, part.alpha) if plane is not None]
        if not spools:
            # Another profile gives more than the 256 values it started from.
            fine = any(note.startswith(CONVERTED) for note in part.notes)
            depths = (16 if fine else part.bits, part.bits)
            spools = [
                Spool((*size, *plane.shape[2:]), bits)
                for plane, bits in zip(planes, depths, strict=False)
            ]
        window = _window(top, bottom, image.height, orientation)
        for spool, plane in zip(spools, planes, strict=True):
            spool[window] = plane
    alpha = spools[1] if len(spools) > 1 else None
    return dataclasses.replace(part, pixels=spools[0], alpha=alpha)


def _notes(image: pyvips.Image, moving: bool) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if (pages := _field(image, "n-pages", 1)) > 1:
        notes += (f"took the first of {pages} frames",)
    elif moving:
        notes += ("took the first frame",)
    if _field(image, "orientation", 1) > 1:
        notes += (UPRIGHT,)
    return notes


def _top(image: pyvips.Image, kind: str) -> float:
    """The sample value that stands for 1."""
    if kind == "AVIF" and image.format == "ushort":
        return highest(image.get("bits-per-sample"))
    return {"uchar": 255.0, "ushort": 65535.0}.get(image.format, 1.0)


def _turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of the rows, turned and mirrored as an EXIF orientation (1..8) asks."""
    down, across = _mirrored(orientation)
    if orientation > 4:
        values = values.swapaxes(0, 1)
    return values[:: -1 if down else 1, :: -1 if across else 1]


def _window(top: int, bottom: int, height: int, orientation: int) -> tuple[slice, slice]:
    """Where rows of a picture of ``height`` rows lie when it is upright."""
    sideways = orientation > 4
    if _mirrored(orientation)[sideways]:
        top, bottom = height - bottom, height - top
    rows, everything = slice(top, bottom), slice(None)
    return (everything, rows) if sideways else (rows, everything)


def _mirrored(orientation: int) -> tuple[bool, bool]:
    """Whether an EXIF orientation mirrors top to bottom, and left to right, after transposing."""
    turn = (orientation - 1) % 4
    return turn in (2, 3), turn in (1, 2)


def _field(image: pyvips.Image, name: str, default: Any) -> Any:
    return image.get(name) if name in image.get_fields() else default


def highest(bits: int) -> float:
    """The largest value of ``bits`` bits that lie at the upper end of 16."""
    return float(((1 << bits) - 1) << (16 - bits))


def sha256(file: FileIO) -> str:
    """The checksum of a whole file."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def damaged(name: str, kind: str, reason: str) -> InputError:
    """The error for a file whose beginning promised more than the rest holds."""
    reason = " ".join(reason.split()).rstrip(".")
    return InputError(
        f"Cannot read {name}: the {kind} file is cut off or damaged ({reason}); take a fresh copy."
    )
