import hashlib
import io
import os
import struct
import sys
import threading
import zlib

import icc_profiles as icc
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms, ImageOps

from impasto.core import devices
from impasto.core.errors import InputError, MissingExtraError, ResourceError
from impasto.pictures import as_picture, read
from impasto.pictures.decoded import DECODE_BYTES_PER_PIXEL

BLOCKS = np.zeros((32, 48, 3), np.uint8)
BLOCKS[:16, :24], BLOCKS[:16, 24:], BLOCKS[16:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (30, 40, 3), dtype=np.uint8)
NOISE16 = RANDOM.integers(0, 65536, (30, 40, 3), dtype=np.uint16)
CUBE = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3), -1).reshape(64, 64, 3)

pillow_images = st.sampled_from([(6, 5, 3), (1, 1, 3), (1, 9, 3), (7, 2, 3)]).flatmap(
    lambda shape: arrays.arrays(np.uint8, shape)
)


def eights(values):
    return values.astype(np.float32) / np.float32(255)


def sixteens(values):
    return values.astype(np.float32) / np.float32(65535)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def read_bytes(folder, data, name="picture.bin", **options):
    path = folder / name
    path.write_bytes(data)
    return read(path, **options)


def png(width, height, bits=8, color=2, rows=b""):
    """A PNG written by hand, with any size in its header."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


# ------------------------------------------------------------------------- sRGB comes through


@given(values=pillow_images, form=st.sampled_from(["PNG", "TIFF", "BMP", "WEBP"]))
@settings(max_examples=40, deadline=None)
def test_eight_bits_arrive_exactly(tmp_path_factory, values, form):
    options = {"lossless": True} if form == "WEBP" else {}
    data = saved(Image.fromarray(values), form, **options)
    picture = read_bytes(tmp_path_factory.getbasetemp(), data)
    assert np.array_equal(picture.pixels, eights(values))
    assert (picture.bits, picture.alpha, picture.notes) == (8, None, ())
    assert picture.sha256 == hashlib.sha256(data).hexdigest()


def test_sixteen_bits_arrive_exactly(tmp_path):
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in NOISE16)
    for_png = read_bytes(tmp_path, png(40, 30, bits=16, rows=rows))
    tifffile.imwrite(tmp_path / "a.tif", NOISE16, photometric="rgb", compression="zlib")
    for picture in (for_png, read(tmp_path / "a.tif")):
        assert np.array_equal(picture.pixels, sixteens(NOISE16))
        assert picture.bits == 16


def test_jpeg_is_what_pillow_decodes(tmp_path):
    data = saved(Image.fromarray(BLOCKS), "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(read_bytes(tmp_path, data).pixels * 255 - expected).max() <= 1


def test_ten_bits_reach_white(tmp_path):
    pyvips = pytest.importorskip("pyvips")
    white = pyvips.Image.new_from_array(np.full((16, 16, 3), 65535, np.uint16))
    white = white.copy(interpretation="rgb16")
    data = white.heifsave_buffer(compression="av1", bitdepth=10, lossless=True)
    picture = read_bytes(tmp_path, bytes(data))
    assert picture.bits == 16
    assert picture.pixels.min() == 1


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_not_premultiplied(tmp_path, form):
    values = np.dstack([NOISE, RANDOM.integers(0, 256, (30, 40), dtype=np.uint8)])
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    picture = read_bytes(tmp_path, saved(Image.fromarray(values), form, **options))
    assert np.array_equal(picture.pixels, eights(values[..., :3]))
    assert np.array_equal(picture.alpha, eights(values[..., 3]))


def test_associated_alpha_of_tiff_is_divided_out(tmp_path):
    alpha = np.full((30, 40, 1), 128, np.uint8)
    values = np.dstack([np.rint(NOISE * (128 / 255)).astype(np.uint8), alpha])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["assocalpha"])
    picture = read(tmp_path / "a.tif")
    assert np.abs(picture.pixels * 255 - NOISE).max() <= 2
    assert np.allclose(picture.alpha, 128 / 255)


def test_further_channels_are_dropped_with_a_note(tmp_path):
    values = np.dstack([NOISE, NOISE[..., :2]])
    kinds = ["unassalpha", "unspecified"]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=kinds)
    picture = read(tmp_path / "a.tif")
    assert np.array_equal(picture.alpha, eights(NOISE[..., 0]))
    assert picture.notes == ("dropped 1 further channels",)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_modes(tmp_path, mode, form):
    image = Image.fromarray(NOISE).convert(mode)
    picture = read_bytes(tmp_path, saved(image, form))
    assert np.array_equal(picture.pixels, eights(np.asarray(image.convert("RGB"))))
    assert (picture.alpha is not None) == (mode == "LA")


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(BLOCKS).quantize(3)
    hidden = image.getpixel((0, 0))
    picture = read_bytes(tmp_path, saved(image, "PNG", transparency=hidden))
    assert picture.alpha[0, 0] == 0
    assert picture.alpha[0, 47] == 1


def test_gray_of_sixteen_bits(tmp_path):
    picture = read_bytes(tmp_path, saved(Image.fromarray(NOISE16[..., 0]), "PNG"))
    assert np.array_equal(picture.pixels, np.dstack([sixteens(NOISE16[..., 0])] * 3))


def test_floating_point_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", sixteens(NOISE16), photometric="rgb")
    assert np.array_equal(read(tmp_path / "a.tif").pixels, sixteens(NOISE16))
    tifffile.imwrite(tmp_path / "b.tif", sixteens(NOISE16) * 9, photometric="rgb")
    with pytest.raises(InputError, match=r"b\.tif: its values run from .* rescale"):
        read(tmp_path / "b.tif")


def test_integers_of_32_bits_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", NOISE16.astype(np.uint32), photometric="rgb")
    with pytest.raises(InputError, match="8 or 16 bits"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_first_frame_of_an_animation(tmp_path, form):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    picture = read_bytes(tmp_path, saved(frames[0], form, save_all=True, append_images=frames[1:]))
    assert np.abs(picture.pixels[8, 8] - [1, 0, 0]).max() < 0.03
    if form != "PNG":  # to libvips a moving PNG is a still one
        count = "" if form == "AVIF" else "of 3 "
        assert picture.notes == (f"took the first {count}frame{'s' if count else ''}",)


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (10000, 3)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_extreme_shapes(tmp_path, size, form):
    picture = read_bytes(tmp_path, saved(Image.new("RGB", size, "white"), form))
    assert (picture.width, picture.height) == size
    assert picture.pixels.min() == 1


# -------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_as_pillow_has_it(tmp_path, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(BLOCKS), form, exif=exif, quality=95)
    upright = Image.fromarray(BLOCKS)
    upright.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright))
    picture = read_bytes(tmp_path, data)
    assert picture.pixels.shape == expected.shape
    assert np.abs(picture.pixels * 255 - expected).mean() < 8
    if form != "AVIF":  # there the decoder itself turns the picture
        assert picture.notes == (("turned upright",) if orientation > 1 else ())


# ------------------------------------------------------------------------------------ profiles


@pytest.mark.parametrize(
    ("primaries", "curve"),
    [(icc.DISPLAY_P3, icc.SRGB_CURVE), (icc.ADOBE_RGB, icc.ADOBE_CURVE)],
    ids=["Display P3", "Adobe RGB"],
)
def test_wide_gamut(tmp_path, primaries, curve):
    profile = icc.profile("Wide", primaries, curve)
    expected = icc.to_srgb(CUBE / 255, primaries, curve)
    eight = read_bytes(tmp_path, saved(Image.fromarray(CUBE), "PNG", icc_profile=profile))
    assert eight.notes == ("converted from Wide",)
    assert np.abs(eight.pixels - expected).max() * 255 < 0.6
    by_pillow = ImageCms.profileToProfile(
        Image.fromarray(CUBE),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert np.abs(eight.pixels * 255 - np.asarray(by_pillow)).max() < 1

    tag = [(34675, "B", len(profile), profile, True)]
    deep = CUBE.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=tag)
    sixteen = read(tmp_path / "a.tif")
    assert sixteen.bits == 16
    error = np.abs(sixteen.pixels - expected) * 255
    assert error.max() < 1.5
    assert error.mean() < 0.05


def test_sixteen_bits_stay_sixteen_through_a_profile():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = Image.fromarray(ramp)
    image.info["icc_profile"] = icc.profile("Gray", None, (0, (1.8,)))
    picture = as_picture(image)
    assert len(np.unique(picture.pixels)) > 50_000
    linear = icc.decode(icc.SRGB_CURVE, picture.pixels[..., 0])
    assert np.abs(linear - (ramp / 65535) ** 1.8).max() < 2e-3


@pytest.mark.parametrize(
    "profile",
    [
        icc.profile("mine", icc.SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["closed form", "Little CMS"],
)
def test_an_srgb_profile_changes_nothing(tmp_path, profile):
    picture = read_bytes(tmp_path, saved(Image.fromarray(NOISE), "PNG", icc_profile=profile))
    assert np.array_equal(picture.pixels, eights(NOISE))
    assert picture.notes == ()


def test_profile_of_rgb_on_gray(tmp_path):
    gray = Image.fromarray(NOISE[..., 0])
    adobe = icc.profile("Adobe", icc.ADOBE_RGB, icc.ADOBE_CURVE)
    picture = read_bytes(tmp_path, saved(gray, "JPEG", icc_profile=adobe, quality=100))
    values = np.dstack([np.asarray(gray)] * 3) / 255
    expected = icc.to_srgb(values, icc.ADOBE_RGB, icc.ADOBE_CURVE)
    assert np.abs(picture.pixels - expected).max() * 255 < 3  # JPEG itself moves a step or two


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all" * 20,
        icc.profile("P3", icc.DISPLAY_P3)[:300],
        icc.profile("P3", icc.DISPLAY_P3).replace(b"rTRC", b"xTRC"),
        icc.profile("P3", icc.DISPLAY_P3).replace(b"mntr", b"link"),
        icc.profile("gray"),
    ],
    ids=["garbage", "cut off", "no curve", "device link", "gray on RGB"],
)
def test_unusable_profiles_are_ignored_with_a_note(profile):
    image = Image.fromarray(NOISE)
    image.info["icc_profile"] = profile
    picture = as_picture(image)
    assert np.array_equal(picture.pixels, eights(NOISE))
    assert "ignored its color profile" in picture.notes[0]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile(tmp_path, form):
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[:16, 16:, 3] = 255  # black; the rest of the upper half is paper
    inks[16:, :16, 0] = 255  # cyan
    inks[16:, 16:, 1:3] = 255  # magenta + yellow
    image = Image.frombytes("CMYK", (32, 32), inks.tobytes())
    picture = read_bytes(tmp_path, saved(image, form))
    paper, black, cyan, red = (picture.pixels[y, x] for y in (8, 24) for x in (8, 24))
    assert paper.min() > 0.99
    assert black.max() < 0.25
    assert cyan[0] < 0.2 < 0.5 < cyan[2]
    assert red[2] < 0.3 < 0.7 < red[0]
    assert "CMYK" in picture.notes[0]


def test_cmyk_by_its_profile(tmp_path):
    pyvips = pytest.importorskip("pyvips")
    press = bytes(pyvips.Operation.call("profile_load", "cmyk"))
    inks = RANDOM.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    image = Image.frombytes("CMYK", (16, 16), inks.tobytes())
    by_pillow = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(press)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    picture = read_bytes(tmp_path, saved(image, "TIFF", icc_profile=press))
    assert np.abs(picture.pixels * 255 - np.asarray(by_pillow)).max() < 1
    assert picture.notes[0].startswith("converted from")


# ---------------------------------------------------------------------------------------- HEIC


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    profile = icc.profile("Phone", icc.DISPLAY_P3)
    heif.from_pillow(Image.fromarray(BLOCKS)).save(out, quality=95, icc_profile=profile)
    picture = read_bytes(tmp_path, out.getvalue(), "photo.heic")
    expected = icc.to_srgb(BLOCKS / 255, icc.DISPLAY_P3, icc.SRGB_CURVE)
    assert np.abs(picture.pixels - expected).mean() * 255 < 6
    assert "converted from Phone" in picture.notes
    with pytest.raises(InputError, match="cut off or damaged"):
        read_bytes(tmp_path, out.getvalue()[:600], "cut.heic")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(tmp_path, orientation):
    heif = pytest.importorskip("pillow_heif")
    upright = Image.fromarray(BLOCKS)
    upright.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright))
    out = io.BytesIO()
    exif = upright.getexif().tobytes()
    heif.from_bytes("RGB", (48, 32), BLOCKS.tobytes()).save(out, quality=95, exif=exif)
    picture = read_bytes(tmp_path, out.getvalue(), "photo.heic")
    assert picture.pixels.shape == expected.shape
    assert np.abs(picture.pixels * 255 - expected).mean() < 6


def test_heic_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[heic\]"'):
        read_bytes(tmp_path, data, "photo.heic")


# -------------------------------------------------------------------------------------- errors


def one_sentence(error, *words):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith((".", "?", '"'))
    for word in words:
        assert word in text


def test_files_that_are_not_there(tmp_path):
    Image.fromarray(BLOCKS).save(tmp_path / "portrait.png")
    for name, words in {
        "portrait.jpg": ("no such file", "did you mean portrait.png?"),
        "folder/picture.png": ("no such file", "folder"),
        "": ("folder",),
        "nul\0.png": ("null",),
    }.items():
        with pytest.raises(InputError) as error:
            read(str(tmp_path) + "/" + name)
        one_sentence(error, *words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_a_pipe_is_read_like_a_file(tmp_path, form):
    data = saved(Image.fromarray(NOISE), form)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    picture = read(pipe)
    writer.join()
    assert np.array_equal(picture.pixels, eights(NOISE))
    assert picture.sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(InputError) as error:
        read(tmp_path / "secret.png")
    one_sentence(error, "secret.png", "chmod")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + b"\0" * 30, "ZIP"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "impasto video paints"),
        (b"\xff\x0a" + b"\0" * 20, "JPEG XL"),
        ("Grüße aus Arles".encode() * 500, "text"),
        (bytes(range(256)), "unknown kind"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_is_no_picture(tmp_path, data, what):
    with pytest.raises(InputError) as error:
        read_bytes(tmp_path, data, "picture.png")
    one_sentence(error, "picture.png", what)


def test_camera_raw(tmp_path):
    with pytest.raises(InputError, match="camera raw"):
        read_bytes(tmp_path, saved(Image.fromarray(BLOCKS), "TIFF"), "photo.NEF")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "BMP"])
def test_cut_off(tmp_path, form, share, capfd):
    data = saved(Image.fromarray(np.kron(NOISE, np.ones((4, 4, 1), np.uint8))), form)
    with pytest.raises(InputError) as error:
        read_bytes(tmp_path, data[: int(len(data) * share)])
    one_sentence(error, "picture.bin")
    assert capfd.readouterr() == ("", "")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_never_worse_than_an_input_error(tmp_path_factory, data):
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"]))
    file = bytearray(saved(Image.fromarray(NOISE), form))
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(4, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = read_bytes(tmp_path_factory.getbasetemp(), bytes(file), max_megapixels=1)
    except InputError:
        return
    assert np.isfinite(picture.pixels).all()


def test_a_bomb_is_refused_by_its_header(tmp_path):
    bomb = png(50_000, 50_000)
    with pytest.raises(InputError, match=r"50000 x 50000 is 2,500 megapixels.*max_megapixels"):
        read_bytes(tmp_path, bomb)
    bmp = bytearray(saved(Image.fromarray(BLOCKS), "BMP"))
    bmp[18:26] = struct.pack("<II", 50_000, 50_000)
    with pytest.raises(InputError, match="megapixels"):
        read_bytes(tmp_path, bytes(bmp))
    with pytest.raises(InputError, match=r"more than the 0\.001 allowed"):
        read_bytes(tmp_path, png(48, 32), max_megapixels=0.001)


@pytest.mark.parametrize("form", ["PNG", "BMP"])
def test_what_the_memory_cannot_hold_is_refused_by_its_header(tmp_path, monkeypatch, form):
    need = 48 * 32 * DECODE_BYTES_PER_PIXEL
    data = saved(Image.fromarray(BLOCKS), form)
    monkeypatch.setattr(devices, "available_bytes", lambda device: need)
    assert read_bytes(tmp_path, data).width == 48
    monkeypatch.setattr(devices, "available_bytes", lambda device: need - 1)
    with pytest.raises(ResourceError, match=r"48 x 32 may take .* make the picture smaller"):
        read_bytes(tmp_path, data)


def test_an_impossible_size_prints_nothing(tmp_path, capfd):
    data = bytearray(saved(Image.fromarray(BLOCKS), "AVIF"))
    data[data.index(b"ispe") + 8] = 0x7C
    with pytest.raises(InputError, match="impossible size"):
        read_bytes(tmp_path, bytes(data))
    assert capfd.readouterr() == ("", "")


def test_no_pixels(tmp_path):
    with pytest.raises(InputError):
        read_bytes(tmp_path, png(0, 5))


# ------------------------------------------------------------------------------------ from_any


def test_a_picture_passes_and_a_path_is_read(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    picture = as_picture(tmp_path / "a.png", "ignored")
    assert picture.name == str(tmp_path / "a.png")
    assert as_picture(picture) is picture


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "RGBa", "La", "YCbCr", "HSV"])
def test_pillow_modes(mode):
    straight = {"RGBa": "RGBA", "La": "LA"}.get(mode, mode)
    image = Image.fromarray(NOISE).convert(straight).convert(mode)
    picture = as_picture(image, "canvas")
    assert np.array_equal(
        picture.pixels, eights(np.asarray(image.convert(straight).convert("RGB")))
    )
    assert (picture.alpha is not None) == ("a" in mode.lower())
    assert picture.name == "canvas"


def test_pillow_orientation_and_deep_modes():
    image = Image.fromarray(BLOCKS)
    image.getexif()[0x0112] = 6
    picture = as_picture(image)
    assert (picture.height, picture.notes) == (48, ("turned upright",))
    for values in (NOISE16[..., 0], NOISE16[..., 0].astype(np.int32)):
        deep = as_picture(Image.fromarray(values))
        assert np.array_equal(deep.pixels[..., 1], sixteens(NOISE16[..., 0]))
        assert deep.bits == 16
    with pytest.raises(InputError, match="mode I"):
        as_picture(Image.fromarray(np.full((2, 2), 70_000, np.int32)))


@given(
    values=arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4])),
    )
)
@settings(max_examples=40, deadline=None)
def test_arrays_of_integers(values):
    picture = as_picture(values)
    scaled = values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    expected = np.repeat(scaled, 3, axis=2) if values.shape[2] == 1 else scaled[..., :3]
    assert np.array_equal(picture.pixels, expected)
    assert picture.pixels.dtype == np.float32
    assert picture.bits == 8 * values.dtype.itemsize
    if values.shape[2] == 4:
        assert np.array_equal(picture.alpha, scaled[..., 3])


def test_arrays_of_floats_are_copied():
    values = eights(NOISE)
    picture = as_picture(values)
    assert np.array_equal(picture.pixels, values)
    assert picture.bits == 16
    assert not np.shares_memory(picture.pixels, values)
    assert picture.sha256 == hashlib.sha256(values.tobytes()).hexdigest()
    assert as_picture(values[..., 0].astype(np.float64)).pixels.shape == (30, 40, 3)


def test_tensors():
    eight = torch.from_numpy(NOISE).permute(2, 0, 1)
    for tensor in (eight, eight[None], eight / 255, (eight / 255)[None].double().requires_grad_()):
        picture = as_picture(tensor)
        assert np.allclose(picture.pixels, eights(NOISE), atol=1e-7)
        assert picture.pixels.flags.c_contiguous
    assert as_picture(eight.to(torch.bfloat16) / 255).pixels.shape == NOISE.shape


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (np.zeros((3, 8, 8)), r"shape is \(3, 8, 8\)"),
        (np.zeros((0, 8, 3)), "shape"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.full((8, 8), np.inf), "infinite"),
        (np.full((8, 8), -0.5), "-0.5"),
        (np.full((8, 8), 200.0), "divide by 255"),
        (torch.zeros(2, 3, 8, 8), r"shape is \(2, 3, 8, 8\)"),
        (torch.zeros(8, 8, 3), "tensor must be"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (42, "it is a int"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_picture_in_memory(thing, words):
    with pytest.raises(InputError, match=rf"Cannot use my sketch: .*{words}"):
        as_picture(thing, "my sketch")


def test_rounding_outside_the_range_is_forgiven():
    assert as_picture(np.full((2, 2), 1.0000001)).pixels.max() == 1


def test_reading_needs_no_torch():
    import subprocess

    code = "import impasto.pictures, sys; print([m for m in sys.modules if m.startswith('torch')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
