"""Reading pictures: any common file becomes an upright sRGB :class:`Picture`."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import re
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin

from impasto.core.errors import InputError, MissingExtraError
from impasto.core.knobs import nearest
from impasto.core.picture import Picture
from impasto.pictures._vips import pyvips, why
from impasto.pictures.kinds import HEAD, kind_of
from impasto.pictures.samples import MAX_MEGAPIXELS, UPRIGHT, Samples, check_size, from_pillow

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32, "double": np.float64}
_AVIF_SIDES = re.compile(rb"ispe.{4}(.{4})(.{4})", re.DOTALL)
_LONGEST = 10_000_000


def read(path: str | os.PathLike[str], *, max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Read a picture file.

    JPEG, PNG, WebP, AVIF, TIFF and GIF are decoded by libvips, HEIC by pillow-heif (an extra)
    and BMP by Pillow. The EXIF orientation is applied, and an embedded colour profile is
    converted to sRGB. What is already sRGB arrives exactly: v / 255, or v / 65535. Of an
    animation or a document the first frame is taken. TIFF of floating-point numbers is taken
    as sRGB in 0..1.

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
    data, kind = load(path)
    name = os.fspath(path)
    if kind == "HEIC":
        samples = _heic(data, name, max_megapixels)
    elif kind == "BMP":
        samples = _bmp(data, name, max_megapixels)
    else:
        samples = _vips(data, kind, name, max_megapixels)
    return samples.picture(name, hashlib.sha256(data).hexdigest())


def load(path: str | os.PathLike[str]) -> tuple[bytes, str]:
    """The bytes of a picture file and its kind (see :func:`kind_of`), without decoding it.

    Raises:
        InputError: a file that is missing, unreadable, empty or no picture.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
            kind = kind_of(head, path)
            return head + file.read(), kind
    except FileNotFoundError as error:
        raise InputError(f"Cannot read {path}: there is no such file; {_hint(path)}") from error
    except IsADirectoryError as error:
        raise InputError(f"Cannot read {path}: it is a folder; give a file in it.") from error
    except PermissionError as error:
        raise InputError(
            f"Cannot read {path}: you may not read it; chmod u+r gives the right."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Cannot read {path}: the system says {reason!r}.") from error


def header(data: bytes, kind: str, name: str) -> pyvips.Image:
    """A libvips image of which only the header has been read.

    Raises:
        InputError: the header is damaged.
    """
    if kind == "AVIF":  # a side that libvips cannot hold would make it print to stderr
        for sides in _AVIF_SIDES.findall(data[: data.find(b"mdat")]):
            if max(int.from_bytes(side, "big") for side in sides) > _LONGEST:
                raise _damaged(name, kind, "it claims an impossible size")
    try:
        if kind == "AVIF":  # libvips does not know a moving one by its first bytes
            return pyvips.Image.heifload_buffer(data, fail_on="error", access="sequential")
        return pyvips.Image.new_from_buffer(data, "", fail_on="error", access="sequential")
    except pyvips.Error as error:
        raise _damaged(name, kind, why(error)) from error


def _vips(data: bytes, kind: str, name: str, max_megapixels: float) -> Samples:
    image = header(data, kind, name)
    check_size(image.width, image.height, max_megapixels, name)
    if image.format not in _DTYPES:
        raise InputError(
            f"Cannot read {name}: it holds {image.interpretation} samples of type {image.format}; "
            "save it as RGB with 8 or 16 bits per channel."
        )
    fields = set(image.get_fields())
    notes: tuple[str, ...] = ()
    profile = image.get("icc-profile-data") if "icc-profile-data" in fields else None
    pages = image.get("n-pages") if "n-pages" in fields else 1
    if pages > 1:
        notes += (f"took the first of {pages} frames",)
    elif kind == "AVIF" and data[8:12] == b"avis":
        notes += ("took the first frame",)
    try:
        if "orientation" in fields and image.get("orientation") > 1:
            image = image.copy_memory().autorot()
            notes += (UPRIGHT,)
        raw = image.write_to_memory()
    except pyvips.Error as error:
        raise _damaged(name, kind, why(error)) from error
    values = np.frombuffer(raw, _DTYPES[image.format])
    values = values.reshape(image.height, image.width, image.bands)
    if values.dtype.kind == "f":
        values, top = values.astype(np.float32), 1.0
    elif values.dtype == np.uint8:
        top = 255.0
    else:
        top = _top(image.get("bits-per-sample") if kind == "AVIF" else 16)
    return Samples(values, image.interpretation == "cmyk", top, profile, notes)


def _heic(data: bytes, name: str, max_megapixels: float) -> Samples:
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
        raise _damaged(name, "HEIC", str(error)) from error
    deep = values.dtype == np.uint16
    top = _top(image.info["bit_depth"]) if deep else 255.0
    return Samples(values, top=top, profile=image.info.get("icc_profile"))


def _bmp(data: bytes, name: str, max_megapixels: float) -> Samples:
    try:
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError) as error:
        raise _damaged(name, "BMP", str(error)) from error
    check_size(*image.size, max_megapixels, name)
    return from_pillow(image, name)


def _top(bits: int) -> float:
    """The largest value of ``bits`` bits that lie at the upper end of 16."""
    return float(((1 << bits) - 1) << (16 - bits))


def _damaged(name: str, kind: str, reason: str) -> InputError:
    reason = " ".join(reason.split()).rstrip(".")
    return InputError(
        f"Cannot read {name}: the {kind} file is cut off or damaged ({reason}); take a fresh copy."
    )


def _hint(path: str | os.PathLike[str]) -> str:
    """Advice on a missing file: the one in the same folder that was most likely meant."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f"nor is there a folder {folder}."
    near = nearest(Path(path).name, (entry.name for entry in folder.iterdir()))
    return f"did you mean {near}?" if near else "check its name."
