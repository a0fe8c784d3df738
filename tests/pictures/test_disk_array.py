import errno
import gc
import io
import os
import resource
import subprocess
import sys
import tempfile
import threading

import icc_profiles as icc
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from impasto.core import devices
from impasto.core.errors import InputError, ResourceError
from impasto.core.picture import Picture
from impasto.core.result import Result
from impasto.pictures import (
    DiskArray,
    disk_array,
    make_contact_sheet,
    read,
    read_recipe,
    resize,
    write,
)

RANDOM = np.random.default_rng(0)
HEIGHT, WIDTH = 24, 37
SMOOTH = np.add.outer(np.arange(HEIGHT) * 4, np.arange(WIDTH) * 3)
EIGHT = np.dstack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]]).clip(0, 255).astype(np.uint8)
SIXTEEN = RANDOM.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
ALPHA = RANDOM.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
ADOBE = icc.profile("Adobe", icc.ADOBE_RGB, icc.ADOBE_CURVE)

ends = st.none() | st.integers(-40, 40)
windows = st.tuples(st.builds(slice, ends, ends), st.builds(slice, ends, ends))
shapes = st.sampled_from([(24, 37, 3), (24, 37), (1, 30, 3), (30, 1)])


@pytest.fixture
def low(monkeypatch):
    """Everything is large, and worked on in bands of two or three rows."""
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.0)
    monkeypatch.setattr(disk_array, "CHUNK_PIXELS", 90)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of one's own for temporary files."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def spooled(values, bits=8):
    out = DiskArray(values.shape, bits)
    out[:, :] = values
    return out


def noise(shape, bits=8):
    top = 2**bits - 1
    return RANDOM.integers(0, top + 1, shape).astype(np.float32) / np.float32(top)


# ------------------------------------------------------------------------------------- windows


@given(shape=shapes, window=windows, bits=st.sampled_from([8, 16]))
def test_a_window_is_what_an_array_has_there(shape, window, bits):
    values = noise(shape, bits)
    part = spooled(values, bits)[window]
    assert part.dtype == np.float32
    assert np.array_equal(part, values[window])


@given(shape=shapes, places=st.lists(windows, max_size=4), bits=st.sampled_from([8, 16]))
def test_writing_windows_is_what_it_is_in_an_array(shape, places, bits):
    mirror = np.zeros(shape, np.float32)
    out = DiskArray(shape, bits)
    for window in places:
        values = noise(mirror[window].shape, bits)
        mirror[window] = values
        out[window] = values
    assert np.array_equal(out, mirror)


@pytest.mark.parametrize("bits", [8, 16])
def test_bands_change_nothing(low, bits):
    values = noise((40, 50, 3), bits)
    out = spooled(values, bits)
    assert np.array_equal(np.asarray(out), values)
    assert np.array_equal(out[3:38, 7:11], values[3:38, 7:11])


@pytest.mark.parametrize("bits", [8, 16])
def test_values_are_clipped_and_rounded_to_the_nearest_step(bits):
    values = RANDOM.uniform(-0.2, 1.2, (30, 20)).astype(np.float32)
    error = np.asarray(spooled(values, bits)) - values.clip(0, 1)
    assert np.abs(error).max() <= 0.5001 / (2**bits - 1)


def test_an_array_of_another_type_and_never_an_alias():
    out = spooled(noise((4, 5, 3)))
    assert np.asarray(out, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        out.__array__(copy=False)


@pytest.mark.parametrize(
    "window",
    [0, slice(0, 2), (0, slice(2)), (slice(2), slice(2), 0), (slice(0, 4, 2), slice(2)), ...],
)
def test_what_is_no_window_is_refused_with_the_way_out(window):
    out = DiskArray((6, 6, 3))
    with pytest.raises(TypeError, match=r"np\.asarray\(array\)"):
        out[window]
    with pytest.raises(TypeError, match=r"array\[top:bottom, left:right\]"):
        out[window] = 0.5


def test_wrong_shapes_and_nan_are_refused():
    out = DiskArray((6, 6, 3))
    with pytest.raises(ValueError, match="broadcast"):
        out[0:2, 0:2] = np.zeros((3, 2, 3), np.float32)
    with pytest.raises(InputError, match="NaN"):
        out[0:2, 0:2] = np.full((2, 2, 3), np.nan, np.float32)


def test_threads_do_not_mix():
    values = noise((64, 64, 3))
    out = DiskArray(values.shape)
    wrong = []

    def work(first):
        for i in range(first, 64, 4):
            out[i : i + 1, :] = values[i : i + 1]
            for left in range(0, 64, 8):
                wrong.append(not np.array_equal(out[i : i + 1, left : left + 8],
                                                values[i : i + 1, left : left + 8]))  # fmt: skip

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(wrong)
    assert np.array_equal(out, values)


# ------------------------------------------------------------------------------------ the file


@pytest.mark.parametrize("how", ["closed", "collected"])
def test_the_file_goes_with_the_spool(folder, how):
    out = DiskArray((100, 100, 3))
    file = out._file
    if how == "closed":
        out.close()
        with pytest.raises(ValueError, match="closed"):
            out[0:1, 0:1]
    else:
        del out
        gc.collect()
    assert file.closed
    assert list(folder.iterdir()) == []


def test_nothing_is_left_or_said_when_the_program_ends(tmp_path):
    code = "from impasto.pictures import DiskArray; kept = DiskArray((100, 100, 3)); kept[:, :] = 1"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_refused_before_the_work(folder, monkeypatch):
    usage = disk_array.shutil.disk_usage(folder)._replace(free=100_000_000)
    monkeypatch.setattr(disk_array.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(ResourceError) as error:
        DiskArray((10_000, 10_000, 3))
    for words in ("10000 x 10000 needs 300 MB", str(folder), "No space left", "set TMPDIR"):
        assert words in str(error.value)


@pytest.mark.parametrize("at", ["made", "written"])
def test_a_disk_that_takes_no_more_is_a_resource_error(monkeypatch, at):
    out = DiskArray((100, 100, 3))
    attempts = {
        "made": lambda: DiskArray((100, 100, 3)),
        "written": lambda: out.__setitem__((slice(100), slice(100)), 1),
    }
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(ResourceError, match=r"File too large.* set TMPDIR"):
            attempts[at]()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# ------------------------------------------------------------------------------------- reading


def files(folder):
    """Pictures of many kinds, by name."""
    turned = {}
    for orientation in range(1, 9):
        turned[orientation] = Image.Exif()
        turned[orientation][0x0112] = orientation
    image, clear = Image.fromarray(EIGHT), Image.fromarray(np.dstack([EIGHT, ALPHA]))
    deep = np.dstack([SIXTEEN, ALPHA.astype(np.uint16) * 257])
    saves = {
        "plain.jpg": lambda p: image.save(p, quality=90),
        "progressive.jpg": lambda p: image.save(p, progressive=True),
        "gray.jpg": lambda p: image.convert("L").save(p),
        "adobe.jpg": lambda p: image.save(p, icc_profile=ADOBE),
        "damaged profile.jpg": lambda p: image.save(p, icc_profile=ADOBE[:300]),
        "cmyk.jpg": lambda p: image.convert("CMYK").save(p),
        "cmyk.tif": lambda p: image.convert("CMYK").save(p),
        "alpha.png": lambda p: clear.save(p),
        "alpha turned.png": lambda p: clear.save(p, exif=turned[6]),
        "palette.png": lambda p: image.quantize(9).save(p, transparency=3),
        "alpha.webp": lambda p: clear.save(p, lossless=True, exact=True),
        "alpha.avif": lambda p: clear.save(p, quality=90),
        "16.png": lambda p: write(SIXTEEN / np.float32(65535), p, bits=16),
        "16.tif": lambda p: tifffile.imwrite(p, deep, photometric="rgb", extrasamples=[2]),
        "tiles.tif": lambda p: tifffile.imwrite(p, EIGHT, photometric="rgb", tile=(16, 16)),
        "adobe 16.tif": lambda p: tifffile.imwrite(
            p, SIXTEEN, photometric="rgb", extratags=[(34675, "B", len(ADOBE), ADOBE, True)]
        ),
        "frames.gif": lambda p: image.save(p, save_all=True, append_images=[image.rotate(180)]),
    }
    for orientation, exif in turned.items():
        saves[f"turned {orientation}.jpg"] = lambda p, exif=exif: image.save(p, exif=exif)
    for name, save in saves.items():
        save(folder / name)
    return [folder / name for name in saves]


def test_what_is_spooled_is_what_would_be_in_memory(tmp_path, low, monkeypatch):
    for path in files(tmp_path):
        on_disk = read(path)
        with monkeypatch.context() as patch:
            patch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 24.0)
            patch.setattr(disk_array, "CHUNK_PIXELS", 1 << 20)
            in_memory = read(path)
        assert isinstance(on_disk.pixels, DiskArray), path.name
        assert isinstance(in_memory.pixels, np.ndarray), path.name
        for fact in ("height", "width", "sha256", "bits", "notes", "name"):
            assert getattr(on_disk, fact) == getattr(in_memory, fact), path.name
        assert np.array_equal(on_disk.pixels, in_memory.pixels), path.name
        assert (on_disk.alpha is None) == (in_memory.alpha is None), path.name
        if in_memory.alpha is not None:
            assert isinstance(on_disk.alpha, DiskArray), path.name
            assert np.array_equal(on_disk.alpha, in_memory.alpha), path.name


def test_a_spooled_jpeg_is_what_pillow_decodes(tmp_path, low):
    Image.fromarray(EIGHT).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.abs(np.asarray(read(tmp_path / "a.jpg").pixels) * 255 - image).max() <= 1


def test_eight_bits_take_eight_bits_on_disk_unless_a_profile_made_more_of_them(tmp_path, low):
    Image.fromarray(EIGHT).save(tmp_path / "plain.png")
    Image.fromarray(EIGHT).save(tmp_path / "adobe.png", icc_profile=ADOBE)
    assert read(tmp_path / "plain.png").pixels.bits == 8
    adobe = read(tmp_path / "adobe.png")
    assert (adobe.pixels.bits, adobe.bits) == (16, 8)


def test_floats_keep_sixteen_bits(tmp_path, low):
    values = RANDOM.random((30, 20, 3), dtype=np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    assert np.abs(np.asarray(read(tmp_path / "a.tif").pixels) - values).max() <= 0.51 / 65535


def test_a_file_cut_off_in_the_middle_leaves_nothing_on_disk(tmp_path, low, folder):
    data = io.BytesIO()
    Image.fromarray(EIGHT.repeat(9, axis=0)).save(data, "PNG")
    (tmp_path / "a.png").write_bytes(data.getvalue()[: data.tell() // 2])
    with pytest.raises(InputError, match=r"a\.png: the PNG file is cut off or damaged"):
        read(tmp_path / "a.png")
    assert list(folder.iterdir()) == []


def test_a_hundred_megapixels_need_no_more_than_a_gigabyte_and_a_half(tmp_path, monkeypatch):
    Image.new("L", (10_000, 10_000)).save(tmp_path / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(devices, "available_bytes", lambda _device: 1_500_000_000)
        picture = read(tmp_path / "a.png")
    assert isinstance(picture.pixels, DiskArray)
    assert (picture.width, picture.height) == (10_000, 10_000)
    monkeypatch.setattr(devices, "available_bytes", lambda _device: 500_000_000)
    with pytest.raises(ResourceError, match="10000 x 10000 may take"):
        read(tmp_path / "a.png")


# ------------------------------------------------------------------------------------ resizing


@pytest.mark.parametrize(
    "size", [(12, 18), (7, 37), (24, 5), (1, 1), (50, 80), (23, 36), (24, 80), (90, 37), (24, 9)]
)
@pytest.mark.parametrize("channels", [(3,), ()], ids=["color", "alpha"])
def test_resizing_in_bands_is_resizing_at_once(low, size, channels):
    values = noise((HEIGHT, WIDTH, *channels), 16)
    out = resize(spooled(values, 16), *size)
    assert isinstance(out, DiskArray)
    planes = np.atleast_3d(values)
    expected = [
        Image.fromarray(np.ascontiguousarray(planes[:, :, c])).resize(
            size[::-1], Image.Resampling.LANCZOS
        )
        for c in range(planes.shape[2])
    ]
    error = np.atleast_3d(out) - np.dstack(expected).clip(0, 1)
    assert np.abs(error).max() < 0.51 / 65535 + 1e-6


def test_small_from_large_is_in_memory(low, monkeypatch):
    values = noise((60, 60, 3))
    out = spooled(values)
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 1e-3)
    small = resize(out, 20, 20)
    assert isinstance(small, np.ndarray)
    assert np.abs(small - resize(values, 20, 20)).max() < 1e-6
    assert resize(out, 60, 60) is out
    with pytest.raises(InputError, match="at least 1 px"):
        resize(out, 0, 20)


def test_an_array_stays_an_array(low):
    assert isinstance(resize(noise((20, 20, 3)), 40, 40), np.ndarray)


@pytest.mark.parametrize("shape", [(20, 31, 3), (20, 31)])
def test_an_array_can_be_enlarged_to_disk(monkeypatch, shape):
    values = noise(shape)
    monkeypatch.setattr(disk_array, "CHUNK_PIXELS", 90)
    assert isinstance(resize(values, 57, 80, to_disk=True), np.ndarray)  # it is not large
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.0)
    out = resize(values, 57, 80, to_disk=True)
    assert isinstance(out, DiskArray)
    assert np.abs(np.asarray(out) - resize(values, 57, 80)).max() < 1e-4


# ------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "tif"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "alpha"])
def test_a_spool_is_written_as_its_pixels_are(tmp_path, low, suffix, bits, transparent):
    depth = bits if suffix in ("png", "tif") else 8
    values, alpha = noise((HEIGHT, WIDTH, 3), bits), noise((HEIGHT, WIDTH), bits)
    options = {"bits": depth, "recipe": '{"a": 1}'}
    on_disk, in_memory = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    veils = (spooled(alpha, bits), alpha) if transparent else (None, None)
    notes = write(spooled(values, bits), on_disk, alpha=veils[0], **options)
    assert write(values, in_memory, alpha=veils[1], **options) == notes
    assert on_disk.read_bytes() == in_memory.read_bytes()
    assert read_recipe(on_disk) == '{"a": 1}'
    assert sorted(tmp_path.iterdir()) == [on_disk, in_memory]
    if suffix == "tif":
        planes = np.dstack([values, alpha]) if transparent else values
        expected = np.rint(planes * np.float64(2**depth - 1))
        assert np.abs(tifffile.imread(on_disk) - expected).max() == 0
    elif depth == 8:
        with Image.open(on_disk) as image:
            assert image.mode == ("RGBA" if transparent and suffix != "jpg" else "RGB")
            assert image.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_what_was_spooled_comes_back_when_written_and_read(tmp_path, low, suffix):
    original = Picture(spooled(noise((40, 30, 3), 16), 16), spooled(noise((40, 30), 16), 16))
    write(original.pixels, tmp_path / f"a.{suffix}", alpha=original.alpha, bits=16)
    again = read(tmp_path / f"a.{suffix}")
    assert np.array_equal(again.pixels, original.pixels)
    assert np.array_equal(again.alpha, original.alpha)


@pytest.mark.parametrize(("suffix", "most"), [("webp", 16_383), ("jpg", 65_500), ("avif", 16_384)])
def test_the_longest_side_of_a_format_is_written_and_no_longer_one(tmp_path, suffix, most):
    write(DiskArray((2, most, 3)), tmp_path / f"a.{suffix}")
    with pytest.raises(InputError, match=f"at most {most} pixels a side, not {most + 1} x 2"):
        write(DiskArray((2, most + 1, 3)), tmp_path / f"a.{suffix}")


class Failing(DiskArray):
    """A spool of which only the first rows can be read."""

    failure = ResourceError("gone")

    def __getitem__(self, window):
        if window[0].start > 10:
            raise self.failure
        return super().__getitem__(window)


@pytest.mark.parametrize("failure", [ResourceError("gone"), KeyboardInterrupt("stop")])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_failure_in_the_pixels_passes_and_leaves_nothing(
    tmp_path, low, suffix, failure, monkeypatch, capfd
):
    monkeypatch.setattr(Failing, "failure", failure)
    with pytest.raises(type(failure), match=str(failure)):
        write(Failing((60, 40, 3)), tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_a_full_disk_is_told_as_the_system_tells_it(tmp_path, low, suffix):
    (tmp_path / f"a.{suffix}").write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    picture = spooled(noise((300, 300, 3)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(InputError) as error:
            write(picture, tmp_path / f"a.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"says '{os.strerror(errno.EFBIG)}'; make room" in str(error.value)
    assert (tmp_path / f"a.{suffix}").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


# -------------------------------------------------------------------------------- and the rest


def test_a_sheet_and_a_result_take_spools():
    values, alpha = noise((40, 60, 3)), noise((40, 60))
    tiles = [("before", spooled(values)), ("after", values)]
    plain = make_contact_sheet([("before", values), ("after", values)], height=32)
    assert np.abs(make_contact_sheet(tiles, height=32) - plain).max() < 1e-6
    result = Result(spooled(values), spooled(alpha), None, 8, None)
    expected = np.rint(np.dstack([values, alpha]) * 255)
    assert np.array_equal(np.asarray(result.image), expected)


@pytest.mark.slow
def test_a_hundred_megapixels_are_read_resized_and_written_in_little_memory(tmp_path):
    row = Image.effect_noise((12_000, 64), 80)
    page = Image.new("L", (12_000, 8_400))
    for top in range(0, 8_400, 64):
        page.paste(row, (0, top))
    page.convert("RGB").save(tmp_path / "a.jpg", quality=90)
    code = """
import sys
from impasto.core.devices import peak_bytes
from impasto.pictures import read, resize, write
picture = read(sys.argv[1] + "/a.jpg")
write(picture.pixels, sys.argv[1] + "/b.jpg")
write(resize(picture.pixels, 7000, 10000), sys.argv[1] + "/c.png")
print(peak_bytes())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 700e6
    with Image.open(tmp_path / "b.jpg") as image, Image.open(tmp_path / "c.png") as smaller:
        assert image.size == (12_000, 8_400)
        assert smaller.size == (10_000, 7_000)
        part = (5_000, 4_000, 5_064, 4_064)
        error = np.asarray(image.crop(part), float) - np.asarray(page.crop(part))[..., None]
    assert np.abs(error).mean() < 8
