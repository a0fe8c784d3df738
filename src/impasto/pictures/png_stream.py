"""Rows of pixels into libvips, as it asks for them: it never holds the whole picture."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.pictures._vips import pyvips

_PNG_COLOR_TYPES = {3: 2, 4: 6}
"""PNG's numbers for RGB and RGBA."""


@contextlib.contextmanager
def image_from_rows(
    rows: Iterator[NDArray[Any]], shape: tuple[int, int, int], bits: int
) -> Iterator[pyvips.Image]:
    """A libvips image whose pixels are made while it is written, from top to bottom.

    libvips takes pixels from a callback only in a file format, so they come as a PNG that is not
    compressed.

    Args:
        rows: arrays (n, width, channels) of uint8 or uint16, one below the other.
        shape: (height, width, channels) of all of them together; a fourth channel is alpha.
        bits: 8 or 16.

    Raises:
        pyvips.Error: in the block, what libvips says.
        Exception: whatever ``rows`` raised, in place of what libvips says of it.
    """
    parts = _png_chunks(rows, shape, bits)
    rest = memoryview(b"")
    failure: list[BaseException] = []

    def read(size: int) -> memoryview | None:
        nonlocal rest
        try:
            rest = rest or memoryview(next(parts, b""))
        except BaseException as error:  # nothing passes through libvips
            failure.append(error)
            return None
        part, rest = rest[:size], rest[size:]
        return part

    source = pyvips.SourceCustom()
    source.on_read(read)
    try:
        yield pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error").copy()
    except pyvips.Error:
        if failure:
            raise failure[0] from None
        raise


def _png_chunks(
    rows: Iterator[NDArray[Any]], shape: tuple[int, int, int], bits: int
) -> Iterator[bytes]:
    """The parts of a PNG file that holds the rows as they are."""
    height, width, channels = shape
    head = struct.pack(">IIBBBBB", width, height, bits, _PNG_COLOR_TYPES[channels], 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head)
    packer = zlib.compressobj(0)
    for part in rows:
        lines = part.astype(f">u{bits // 8}", copy=False).reshape(len(part), -1).view(np.uint8)
        yield _chunk(b"IDAT", packer.compress(np.pad(lines, ((0, 0), (1, 0))).data))  # 0: no filter
    yield _chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b"")


def _chunk(chunk_type: bytes, body: bytes) -> bytes:
    return (
        struct.pack(">I", len(body))
        + chunk_type
        + body
        + struct.pack(">I", zlib.crc32(chunk_type + body))
    )
