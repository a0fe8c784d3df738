"""Which kind of file is it? Told from its first bytes, and for writing from the suffix."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import InputError

SIGNATURE_BYTES = 4096
"""How many first bytes :func:`detect_format` needs at most."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
_FTYP_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF",
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
    b"hevc": "HEIC", b"hevx": "HEIC",
}  # fmt: skip
_FOREIGN_SIGNATURES = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a ZIP archive (or a document, or PyTorch weights)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"gimp xcf", "a GIMP document"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video (impasto video paints those)"),
    (b"RIFF", "a sound or AVI video (impasto video paints those)"),
    (b"OggS", "an Ogg sound or video"),
    (b"ID3", "an MP3 sound"),
    (b"fLaC", "a FLAC sound"),
    (b"wOF", "a web font"),
    (b"\0\x01\0\0", "a font"),
    (b"OTTO", "a font"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a Git LFS pointer (git lfs pull fetches the picture)"),
)
_RAW_SUFFIXES = {
    ".arw",
    ".cr2",
    ".cr3",
    ".dng",
    ".nef",
    ".nrw",
    ".orf",
    ".pef",
    ".raf",
    ".rw2",
    ".srw",
}


def detect_format(head: bytes, path: str | os.PathLike[str]) -> str:
    """The kind of picture that a file is.

    Args:
        head: its first bytes, up to :data:`SIGNATURE_BYTES` of them.
        path: its name, for the messages and to know camera raw files, which look like TIFF.

    Returns:
        "JPEG", "PNG", "WebP", "AVIF", "TIFF", "GIF", "BMP" or "HEIC".

    Raises:
        InputError: an empty file, or one of another kind; the message says which, if known.
    """
    if not head:
        raise InputError(f"Cannot read {path}: the file is empty; take a fresh copy.")
    if Path(path).suffix.lower() in _RAW_SUFFIXES:
        raise _unsupported_error(path, "a camera raw file")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _detect_by_brand(head, path)
    for magic, kind in _SIGNATURES:
        if head.startswith(magic):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<?xml") and b"<svg" in text:
        raise _unsupported_error(path, "an SVG drawing")
    for magic, what in _FOREIGN_SIGNATURES:
        if head.startswith(magic) or text.startswith(magic):
            raise _unsupported_error(path, what)
    raise _unsupported_error(path, "a text file" if _is_text(head) else "a file of an unknown kind")


def _detect_by_brand(head: bytes, path: str | os.PathLike[str]) -> str:
    """The kind by the brands in an ISO "ftyp" box: the major brand, then the compatible ones."""
    box = head[: int.from_bytes(head[:4], "big")]
    for at in (8, *range(16, len(box), 4)):
        if kind := _FTYP_BRANDS.get(box[at : at + 4]):
            return kind
    raise _unsupported_error(
        path, "a video (impasto video paints those), or HEIF of an unknown kind"
    )


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head[:-4].decode("utf-8")  # the last character may be cut in two
    except UnicodeDecodeError:
        return False
    return True


def _unsupported_error(path: str | os.PathLike[str], what: str) -> InputError:
    return InputError(
        f"Cannot read {path}: it seems to be {what}; "
        "give a JPEG, PNG, WebP, AVIF, TIFF, HEIC, GIF or BMP picture."
    )


@dataclass(frozen=True)
class Format:
    """A format that can be written: its name, bits per channel, longest side in px, and alpha."""

    name: str
    bits: tuple[int, ...]
    max_side_px: int
    has_alpha: bool = True


_JPEG = Format("JPEG", (8,), 65_500, has_alpha=False)  # by libjpeg; the format itself: 65,535
_TIFF = Format("TIFF", (8, 16), 10_000_000)
_WRITABLE_FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": Format("PNG", (8, 16), 10_000_000),
    ".webp": Format("WebP", (8,), 16_383),
    ".avif": Format("AVIF", (8,), 16_384),
    ".tif": _TIFF,
    ".tiff": _TIFF,
}


def max_bits(path: str | os.PathLike[str]) -> int:
    """The most bits per channel that the format of the suffix holds; 8 if it is unknown."""
    form = _WRITABLE_FORMATS.get(Path(path).suffix.lower())
    return max(form.bits) if form else 8


def format_for(path: str | os.PathLike[str], bits: int) -> Format:
    """The format in which a picture of ``bits`` bits per channel is written to ``path``.

    Raises:
        InputError: a missing or unknown suffix, or too many bits for the format; lists what works.
    """
    suffix = Path(path).suffix.lower()
    form = _WRITABLE_FORMATS.get(suffix)
    fitting = [s for s, f in _WRITABLE_FORMATS.items() if bits in f.bits]
    if not fitting:
        raise InputError(f"Cannot write {path} with {bits} bits per channel; it must be 8 or 16.")
    works = ", ".join(fitting)
    if form is None:
        what = f"the suffix {suffix} is not known" if suffix else "its name has no suffix"
        raise InputError(f"Cannot write {path}: {what}; use one of {works}.")
    if bits not in form.bits:
        raise InputError(f"Cannot write {path}: {form.name} holds 8 bits; for {bits} use {works}.")
    return form
