"""Reading pictures: any common file becomes an upright sRGB :class:`Picture`."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin

from impasto.core.errors import InputError, MissingExtraError
from impasto.core.knobs import closest_name
from impasto.core.picture import Picture
from impasto.pictures.decode import damaged_error, decode, left_aligned_max, stream_sha256
from impasto.pictures.decoded import MAX_MEGAPIXELS, DecodedImage, check_size, from_pillow
from impasto.pictures.formats import SIGNATURE_BYTES, detect_format


def read(path: str | os.PathLike[str], *, max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Read a picture file.

    JPEG, PNG, WebP, AVIF, TIFF and GIF are decoded by libvips, HEIC by pillow-heif (an extra)
    and BMP by Pillow. The EXIF orientation is applied, and an embedded color profile is
    converted to sRGB. What is already sRGB arrives exactly: v / 255, or v / 65535. Of an
    animation or a document the first frame is taken. TIFF of floating-point numbers is taken
    as sRGB in 0..1.

    What libvips decodes and has more than ``spool.SPOOL_MEGAPIXELS`` stays on disk, in a
    :class:`Spool` of 8 bits per channel, or 16 where the source or its profile needs them.

    Args:
        path: the file.
        max_megapixels: a larger picture is refused before it is decoded.

    Returns:
        The picture; its notes say what was done.

    Raises:
        InputError: a file that is missing, unreadable, no picture, damaged, cut off or too large.
        MissingExtraError: a HEIC file without the extra ``heic``.
        ResourceError: too little memory to decode it.
    """
    name = os.fspath(path)
    with open_picture(path) as (file, kind):
        if kind not in ("HEIC", "BMP"):
            return decode(file, kind, name, max_megapixels)
        samples = (_decode_heic if kind == "HEIC" else _decode_bmp)(
            file.read(), name, max_megapixels
        )
        return samples.to_picture(name, stream_sha256(file))


@contextlib.contextmanager
def open_picture(path: str | os.PathLike[str]) -> Iterator[tuple[FileIO, str]]:
    """A picture file, open at its start, and its kind (see :func:`detect_format`).

    Raises:
        InputError: a file that is missing, unreadable, empty or no picture.
    """
    try:
        with _open_seekable(path) as file:
            kind = detect_format(file.read(SIGNATURE_BYTES), path)
            file.seek(0)
            yield file, kind
    except FileNotFoundError as error:
        raise InputError(
            f"Cannot read {path}: there is no such file; {_missing_file_hint(path)}"
        ) from error
    except IsADirectoryError as error:
        raise InputError(f"Cannot read {path}: it is a folder; give a file in it.") from error
    except PermissionError as error:
        raise InputError(
            f"Cannot read {path}: you may not read it; chmod u+r gives the right."
        ) from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: the system says {error.strerror!r}.") from error


def _open_seekable(path: str | os.PathLike[str]) -> FileIO:
    """The open file; of a pipe, which cannot be wound back, a temporary copy."""
    try:
        file = Path(path).open("rb", buffering=0)  # noqa: SIM115
    except ValueError as error:  # a null byte in the name
        raise OSError(errno.EINVAL, str(error)) from error
    if file.seekable():
        return file
    with file:
        copy = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy


def _decode_heic(data: bytes, name: str, max_megapixels: float) -> DecodedImage:
    try:
        pillow_heif = importlib.import_module("pillow_heif")
    except ImportError as error:
        raise MissingExtraError(
            f'Cannot read {name}: HEIC needs an extra; run: pip install "impasto[heic]"'
        ) from error
    try:
        # The decoder turns the picture upright itself; its EXIF orientation must be ignored.
        image = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        check_size(image.size[0], image.size[1], max_megapixels, name)
        values = np.atleast_3d(np.asarray(image))
    except (OSError, ValueError, RuntimeError, SyntaxError, EOFError, IndexError) as error:
        raise damaged_error(name, "HEIC", str(error)) from error
    deep = values.dtype == np.uint16
    top = left_aligned_max(image.info["bit_depth"]) if deep else 255.0
    return DecodedImage(values, max_value=top, profile=image.info.get("icc_profile"))


def _decode_bmp(data: bytes, name: str, max_megapixels: float) -> DecodedImage:
    try:
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError) as error:
        raise damaged_error(name, "BMP", str(error)) from error
    check_size(*image.size, max_megapixels, name)
    return from_pillow(image, name)


def _missing_file_hint(path: str | os.PathLike[str]) -> str:
    """Advice on a missing file: the one in the same folder that was most likely meant."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f"nor is there a folder {folder}."
    near = closest_name(Path(path).name, (entry.name for entry in folder.iterdir()))
    return f"did you mean {near}?" if near else "check its name."
