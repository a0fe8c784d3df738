"""Samples as a decoder gives them, and how they become a :class:`Picture`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from impasto.core import devices
from impasto.core.errors import InputError, ResourceError
from impasto.core.picture import Picture
from impasto.pictures.icc import to_srgb

MAX_MEGAPIXELS = 400.0
"""What is read unless asked otherwise: a picture of 20,000 by 20,000."""

DECODE_BYTES_PER_PIXEL = 36
"""Bytes per pixel that decoding takes at most. Measured: 15 with 8 bits, 25 with 8 bits of another
profile, 35 with 16 bits of another profile."""

DISK_DECODE_BYTES_PER_PIXEL = 12
"""The same for a picture that is decoded to disk. Measured: 2 as a rule, 8 for WebP, progressive
JPEG and interlaced PNG, which are decoded as a whole."""

AVIF_DISK_DECODE_BYTES_PER_PIXEL = 24
"""The same for AVIF. Measured: 14 with 8 bits, 20 with 10 bits and alpha."""

UPRIGHT_NOTE = "turned upright"
_EXIF_ORIENTATION_TAG = 0x0112
_RANGE_TOLERANCE = 1e-3
_PILLOW_CONVERSIONS = {
    "1": "L",
    "La": "LA",
    "RGBa": "RGBA",
    "PA": "RGBA",
    "P": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}


@dataclass(frozen=True)
class DecodedImage:
    """A decoded picture, upright, in its own colors.

    Attributes:
        values: (height, width, n) of uint8, uint16 or float32; n counts the color channels
            (1 gray, 3 RGB, 4 CMYK), an alpha channel, and any further ones, which are dropped.
        is_cmyk: whether the color is CMYK.
        max_value: the value that stands for 1.
        profile: the bytes of the ICC profile, None if there is none.
        notes: what was done so far.
    """

    values: NDArray[Any]
    is_cmyk: bool = False
    max_value: float = 255.0
    profile: bytes | None = None
    notes: tuple[str, ...] = ()

    def to_picture(self, name: str, sha256: str) -> Picture:
        """The samples as a picture in sRGB.

        Raises:
            InputError: floating-point samples that are not finite or far outside 0..1.
        """
        values = self.values
        if values.dtype == np.float32:
            values = _check_range(values, name)
        channels = values.shape[2]
        colors = 4 if self.is_cmyk else 3 if channels >= 3 else 1
        pixels, notes = to_srgb(values[:, :, :colors], self.max_value, self.profile or None)
        alpha = None
        if channels > colors:
            alpha = values[:, :, colors].astype(np.float32, order="C") / np.float32(self.max_value)
        if channels > colors + 1:
            notes += (f"dropped {channels - colors - 1} further channels",)
        bits = 8 if values.dtype == np.uint8 else 16
        return Picture(pixels, alpha, name, sha256, bits, self.notes + notes)


def check_size(
    width: int,
    height: int,
    max_megapixels: float,
    name: str,
    bytes_per_pixel: int = DECODE_BYTES_PER_PIXEL,
) -> None:
    """Refuse a picture without pixels, or one so large that decoding it could fill the memory.

    Args:
        width: in px.
        height: in px.
        max_megapixels: the most that is allowed.
        name: of the file, for the messages.
        bytes_per_pixel: bytes of memory that decoding takes at most for a pixel.

    Raises:
        InputError: no pixels, or more than are allowed; says the size, and how to allow it.
        ResourceError: more than there is memory for now.
    """
    if width < 1 or height < 1:
        raise InputError(f"Cannot read {name}: it has no pixels ({width} x {height}).")
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise InputError(
            f"Cannot read {name}: {width} x {height} is {megapixels:,.0f} megapixels, more than "
            f"the {max_megapixels:g} allowed; if you trust the file, make it smaller, or open "
            "it in Python with impasto.read(path, max_megapixels=...)."
        )
    free = devices.available_bytes("cpu")
    if width * height * bytes_per_pixel > free:
        raise ResourceError(
            f"Cannot read {name}: decoding {width} x {height} may take "
            f"{width * height * bytes_per_pixel / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            f"are "
            "free; close other programs, or make the picture smaller."
        )


def from_pillow(image: Image.Image, name: str) -> DecodedImage:
    """The samples of a Pillow image of any mode, turned upright by its EXIF orientation.

    Raises:
        InputError: a damaged file behind it, or a mode that has no colors (or 32-bit integers).
    """
    try:
        turned = image.getexif().get(_EXIF_ORIENTATION_TAG, 1) in range(2, 9)
        if turned:
            image = ImageOps.exif_transpose(image)
        see_through = "transparency" in image.info
        profile = image.info.get("icc_profile")
        mode = _PILLOW_CONVERSIONS.get(image.mode, image.mode)
        if see_through and mode in ("L", "RGB"):
            mode = "LA" if mode == "L" else "RGBA"
        if mode != image.mode:
            image = image.convert(mode)
        values = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"Cannot read {name}: Pillow says {str(error).rstrip('.')!r}.") from error
    if mode == "I" and values.min() >= 0 and values.max() <= 65535:
        values = values.astype(np.uint16)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        values, top = values.astype(np.uint16), 65535.0
    elif mode in ("L", "LA", "RGB", "RGBA", "CMYK", "F"):
        top = 1.0 if mode == "F" else 255.0
    else:
        raise InputError(f"Cannot read {name}: mode {image.mode} is unsupported; convert to RGB.")
    notes = (UPRIGHT_NOTE,) if turned else ()
    return DecodedImage(np.atleast_3d(values), mode == "CMYK", top, profile, notes)


def _check_range(values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Floats in 0..1, forgiving what rounding leaves outside."""
    if not np.isfinite(values).all():
        raise InputError(f"Cannot use {name}: it holds NaN or infinite values.")
    low, high = float(values.min()), float(values.max())
    if low < -_RANGE_TOLERANCE or high > 1 + _RANGE_TOLERANCE:
        hint = "divide by 255, or give uint8" if 64 < high <= 255 else "rescale it"
        raise InputError(
            f"Cannot use {name}: its values run from {low:g} to {high:g}, "
            f"and floating-point values must lie in 0..1; {hint}."
        )
    return values.clip(0, 1)
