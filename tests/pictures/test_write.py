import errno
import io
import itertools
import json
import os
import resource
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms

from impasto.core.errors import InputError
from impasto.pictures import check_writable, read, read_recipe, write, write_bytes

SUFFIXES = ("jpg", "jpeg", "png", "webp", "avif", "tif", "tiff")
RANDOM = np.random.default_rng(0)
ACROSS = np.linspace(0, 1, 48, dtype=np.float32)
SMOOTH = np.dstack(np.broadcast_arrays(ACROSS, ACROSS[:32, None], np.float32(0.4)))
NOISE = RANDOM.random((20, 30, 3), dtype=np.float32)
RECIPE = json.dumps(
    {"method": "gatys", "note": "ciel étoilé 星月夜 🌌 ]]> <b> & \" ' \\ \x00 \x1b \uffff"},
    ensure_ascii=False,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
unit_floats = st.floats(-0.5, 1.5, width=32)
small_pictures = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)), elements=unit_floats
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------- what is in a file


@given(pixels=small_pictures, bits=st.sampled_from([8, 16]), suffix=st.sampled_from(["png", "tif"]))
@settings(max_examples=40, deadline=None)
def test_every_value_is_clipped_and_rounded_to_the_nearest_step(
    tmp_path_factory, pixels, bits, suffix
):
    path = tmp_path_factory.getbasetemp() / f"a.{suffix}"
    write(pixels, path, bits=bits)
    top = 2**bits - 1
    steps = read(path).pixels * np.float64(top)
    assert np.abs(steps - pixels.clip(0, 1) * np.float64(top)).max() <= 0.5 + 1e-2
    assert read(path).bits == bits


@given(
    values=st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda kind: arrays.arrays(
            kind, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(4))
        )
    ),
    suffix=st.sampled_from(["png", "tif"]),
)
@settings(max_examples=40, deadline=None)
def test_reading_and_writing_again_loses_nothing(tmp_path_factory, values, suffix):
    bits, path = 8 * values.dtype.itemsize, tmp_path_factory.getbasetemp() / f"b.{suffix}"
    scaled = values.astype(np.float32) / np.float32(2**bits - 1)
    write(scaled[..., :3], path, alpha=scaled[..., 3], bits=bits)
    again = read(path)
    assert np.array_equal(again.pixels, scaled[..., :3])
    assert np.array_equal(again.alpha, scaled[..., 3])
    if suffix == "tif":
        assert np.array_equal(tifffile.imread(path), values)
    elif bits == 8:
        assert np.array_equal(np.asarray(Image.open(path)), values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_shows_the_picture_and_is_tagged_srgb(tmp_path, suffix):
    path = tmp_path / f"a.{suffix.upper()}"
    assert write(SMOOTH, path) == ()
    with Image.open(path) as image:
        assert np.abs(np.asarray(image.convert("RGB")) / 255 - SMOOTH).mean() < 0.01
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert read(path).notes == ()


@pytest.mark.parametrize("suffix", ["png", "webp", "avif", "tif"])
def test_alpha_is_kept(tmp_path, suffix):
    alpha = SMOOTH[..., 0]
    assert write(SMOOTH, tmp_path / f"a.{suffix}", alpha=alpha) == ()
    assert np.abs(read(tmp_path / f"a.{suffix}").alpha - alpha).mean() < 0.01


def test_jpeg_shows_alpha_on_white(tmp_path):
    alpha = np.repeat(np.float32([[0, 0.5, 1]]), 16, axis=0).repeat(16, axis=1)
    notes = write(np.zeros((*alpha.shape, 3), np.float32), tmp_path / "a.jpg", alpha=alpha)
    assert notes == ("laid on white: JPEG holds no transparency",)
    row = read(tmp_path / "a.jpg").pixels[8, [4, 24, 44], 0]
    assert np.abs(row - [1, 0.5, 0]).max() < 0.03


def test_quality(tmp_path):
    sizes = {}
    for suffix, quality in itertools.product(("jpg", "webp", "avif"), (30, 95)):
        write(NOISE, tmp_path / f"a.{suffix}", quality=quality)
        sizes[suffix, quality] = (tmp_path / f"a.{suffix}").stat().st_size
    for suffix in ("jpg", "webp", "avif"):
        assert sizes[suffix, 30] < sizes[suffix, 95]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (10000, 3)])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_extreme_shapes(tmp_path, suffix, shape):
    write(np.ones((*shape, 3), np.float32), tmp_path / f"a.{suffix}")
    assert read(tmp_path / f"a.{suffix}").pixels.shape == (*shape, 3)


# -------------------------------------------------------------------------------------- recipe


@pytest.mark.parametrize("alpha", [None, SMOOTH[..., 0]], ids=["opaque", "alpha"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_recipe_comes_back(tmp_path, suffix, alpha):
    path = tmp_path / f"a.{suffix}"
    write(SMOOTH, path, recipe=RECIPE, alpha=alpha)
    assert json.loads(read_recipe(path)) == json.loads(RECIPE)
    write(SMOOTH, path, alpha=alpha)
    assert read_recipe(path) is None


@given(value=json_values, indent=st.sampled_from([None, 2]), ascii=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_recipe_comes_back(tmp_path_factory, value, indent, ascii):
    path = tmp_path_factory.getbasetemp() / "r.png"
    recipe = json.dumps(value, indent=indent, ensure_ascii=ascii)
    write(SMOOTH[:1, :1], path, recipe=recipe)
    assert json.loads(read_recipe(path)) == value
    if ascii:
        assert read_recipe(path) == recipe


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_other_programs_find_the_recipe(tmp_path, suffix):
    write(SMOOTH, tmp_path / f"a.{suffix}", recipe='{"method": "gatys"}')
    with Image.open(tmp_path / f"a.{suffix}") as image, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow asks for defusedxml
        xmp = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert b"https://impasto.dev/ns/1/" in xmp
    assert b'{"method": "gatys"}' in xmp


def test_a_recipe_too_long_for_jpeg_is_left_out_and_the_picture_written(tmp_path):
    recipe = json.dumps(["x" * 70_000])
    assert "left the recipe out" in write(SMOOTH, tmp_path / "a.jpg", recipe=recipe)[0]
    assert read_recipe(tmp_path / "a.jpg") is None
    longest = json.dumps(["x" * 59_000])
    assert write(SMOOTH, tmp_path / "a.jpg", recipe=longest) == ()
    assert read_recipe(tmp_path / "a.jpg") == longest
    for suffix in ("png", "webp", "avif", "tif"):
        write(SMOOTH, tmp_path / f"a.{suffix}", recipe=recipe)
        assert read_recipe(tmp_path / f"a.{suffix}") == recipe


@pytest.mark.parametrize(
    "xmp",
    [
        b"no xml",
        b"<a/>",
        b'<!DOCTYPE r [<!ENTITY a "b">]><i:recipe xmlns:i="https://impasto.dev/ns/1/">&a;</i:recipe>',
    ],
)
def test_foreign_packets_hold_no_recipe(tmp_path, xmp):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.webp", xmp=xmp)
    assert read_recipe(tmp_path / "a.webp") is None


def test_recipes_of_other_files(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.gif")
    assert read_recipe(tmp_path / "a.gif") is None
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(InputError, match="text file"):
        read_recipe(tmp_path / "a.png")


# ------------------------------------------------------------------------------- whole or not


@pytest.mark.parametrize("broken", ["write", "fsync", "rename", "close to the end"])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(tmp_path, monkeypatch, broken):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if broken == "write":
        device = Path("/dev/full")
        if not device.exists():
            pytest.skip("no such device")
        real = Path.open
        monkeypatch.setattr(
            Path, "open", lambda path, mode: real(device, "wb") if "x" in mode else real(path, mode)
        )
    elif broken == "close to the end":
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    else:
        monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), full)
    try:
        with pytest.raises(
            InputError, match=r"a\.png: the system says .*; make room or choose"
        ) as error:
            write(NOISE, target)
    finally:
        if broken == "close to the end":
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(_handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(NOISE, tmp_path / "a.png")
    assert names(tmp_path) == []


def test_several_writers_never_mix(tmp_path):
    contents = [bytes([i]) * 200_000 for i in range(4)]
    target = tmp_path / "a.bin"

    def repeat(content):
        for _ in range(20):
            write_bytes(target, content)

    writers = [threading.Thread(target=repeat, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if target.exists():
            assert target.read_bytes() in contents
    assert names(tmp_path) == ["a.bin"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "there" / "b.png")
    write(NOISE, link)
    assert link.is_symlink()
    assert names(tmp_path / "there") == ["b.png"]


def test_rights_are_those_of_any_new_file(tmp_path):
    write(NOISE, tmp_path / "a.png")
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


# ------------------------------------------------------------------------------------- faults


FAULTS = {
    "a": ({}, "has no suffix; use one of .jpg"),
    "a.bmp": ({}, "suffix .bmp is not known; use one of"),
    "a.jpg": ({"bits": 16}, "JPEG holds 8 bits; for 16 use .png, .tif, .tiff"),
    "a.webp": ({"bits": 16}, "WebP holds 8 bits"),
    "a.avif": ({"bits": 16}, "AVIF holds 8 bits"),
    "a.png": ({"bits": 12}, "must be 8 or 16"),
    "missing/deep/a.png": ({}, "run: mkdir -p "),
    "folder.png": ({}, "it is a folder"),
    "old.png": ({"overwrite": False}, "already exists"),
    "old.png/a.png": ({}, "Not a directory"),
    "nul\0.png": ({}, "null byte"),
    "n" * 300 + ".png": ({}, "too long"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("before", [True, False], ids=["before the work", "when writing"])
def test_faults(tmp_path, name, before):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "old.png").write_bytes(b"old")
    options, words = FAULTS[name]
    path = f"{tmp_path}/{name}"
    with pytest.raises(InputError) as error:
        check_writable(path, **options) if before else write(NOISE, path, **options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["folder.png", "old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
def test_a_folder_that_takes_no_files():
    for attempt in (check_writable, lambda path: write(NOISE, path)):
        with pytest.raises(InputError, match="the system says"):
            attempt("/proc/a.png")


def test_a_protected_file(tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(InputError, match="write-protected"):
        check_writable(tmp_path / "a.png")


def test_a_check_leaves_no_trace_and_tells_what_will_be_lost(tmp_path):
    assert check_writable(tmp_path / "a.png", 16, True, size=(4000, 4000)) == ()
    assert "no transparency" in check_writable(tmp_path / "a.jpg", 8, True)[0]
    with pytest.raises(InputError, match="at most 16383 pixels a side, not 20000 x 10"):
        check_writable(tmp_path / "a.webp", size=(10, 20_000))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (NOISE[..., 0], {}, "shape"),
        (NOISE[:0], {}, "shape"),
        (NOISE, {"alpha": NOISE[1:, :, 0]}, "alpha is"),
        (NOISE * np.float32(np.nan), {}, "NaN"),
        (NOISE, {"quality": 0}, "outside 1..100"),
        (np.zeros((2, 17_000, 3), np.float32), {}, "at most 16383"),
    ],
)
def test_pixels_that_cannot_be_written(tmp_path, pixels, options, words):
    with pytest.raises(InputError, match=words):
        write(pixels, tmp_path / "a.webp", **options)
    assert names(tmp_path) == []
