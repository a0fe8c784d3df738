import errno
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.core.errors import ResourceError


def bomb():
    """A PNG of a few bytes that says it has 3.6 gigapixels."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def refused(done, *said, code=2):
    """One sentence on stderr and nothing else anywhere."""
    assert done.code == code
    assert done.out == ""
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith("impasto: ")
    for part in said:
        assert part in done.err
    return True


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        (b"", "the file is empty"),
        (b"hello, I am a text\n", "a text file"),
        ("cut", "cut off or damaged"),
        ("bomb", "megapixels"),
        ("folder", "it is a folder"),
    ],
)
def test_a_content_that_is_no_picture(impasto, photo, style, small, tmp_path, content, said):
    path, out = tmp_path / "content.png", tmp_path / "out.png"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        known = {"cut": photo.read_bytes()[: photo.stat().st_size // 2], "bomb": bomb()}
        path.write_bytes(known.get(content, content))
    before = sorted(tmp_path.iterdir())
    assert refused(impasto("stylize", path, style, "-o", out, *small), str(path), said)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("missing/out.png", (), "mkdir -p"),
        ("out.gif", (), "the suffix .gif is not known"),
        ("out", (), "has no suffix"),
        ("file/out.png", (), "file"),
        ("out.jpg", ("--bits", "16"), "JPEG holds 8 bits"),
        ("out.png", ("--contact-sheet", "{}/none/sheet.png"), "its folder is missing"),
        ("out.png", ("--contact-sheet", "{}/out.png"), "both name"),
        ("out.png", ("--animate",), "--preview DIR"),
        ("out.png", ("--preview", "{}/none/steps"), "its folder is missing"),
        ("out.png", ("--preview", "{}/file"), "is a file"),
        ("impasto-0001.png", ("--preview", "{}"), "would replace"),
        ("out.png", ("--encoding-quality", "101"), "1 to 100"),
        ("out.png", ("--seed", "-1"), "--seed"),
        ("out.png", ("--size", "0"), "1 to 30000"),
        ("out.png", ("--style-weights", "1,2"), "2 style weights for 1 style"),
        ("out.png", ("--style-weights", "a"), "numbers with commas"),
        ("out.png", ("--style-weights", "nan"), "style weights"),
        ("out.png", ("--weights", "oxfrod"), "did you mean oxford?"),
        ("out.png", ("--style-layers", "conv9_9"), "conv9_9"),
        ("out.png", ("--size", "48", "--size"), "--size"),
    ],
)
def test_what_is_refused_before_the_work(impasto, photo, style, small, tmp_path, name, more, said):
    (tmp_path / "file").touch()
    out = tmp_path / name
    words = [word.format(tmp_path) for word in more]
    assert refused(impasto("stylize", photo, style, "-o", out, *small, *words), said)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("flag", ["-o", "--contact-sheet"])
def test_an_input_is_never_overwritten_unless_asked(impasto, photo, style, small, tmp_path, flag):
    mine = tmp_path / "mine.png"
    mine.write_bytes(photo.read_bytes())
    link = tmp_path / "link.png"
    link.symlink_to(mine)
    for name in (mine, link):
        outs = {"-o": tmp_path / "out.png", flag: name}
        words = [str(word) for pair in outs.items() for word in pair]
        assert refused(impasto("stylize", mine, style, *words, *small), "--overwrite-input")
        assert refused(impasto("stylize", style, mine, *words, *small), "--overwrite-input")
    assert mine.read_bytes() == photo.read_bytes()
    assert impasto("stylize", mine, style, "-o", mine, *small, "--overwrite-input").code == 0
    assert mine.read_bytes() != photo.read_bytes()


def test_a_picture_that_a_knob_names_is_an_input_too(impasto, photo, style, small, tmp_path):
    start = tmp_path / "start.png"
    start.write_bytes(photo.read_bytes())
    done = impasto("stylize", photo, style, "-o", start, "--init", start, *small)
    assert refused(done, "is an input")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_device_is_never_replaced(impasto, photo, style, small, tmp_path):
    (tmp_path / "out.png").symlink_to("/dev/full")
    done = impasto("stylize", photo, style, "-o", tmp_path / "out.png", *small)
    assert refused(done, "a device or pipe")


def full_disk(monkeypatch, hit):
    """Let no file in the folder ``hit`` be written to the end."""
    real = os.fsync

    def fsync(handle):
        if str(hit) in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_on_a_full_disk_the_painting_is_saved_elsewhere(
    impasto, photo, style, small, tmp_path, monkeypatch
):
    place, refuge = tmp_path / "full", tmp_path / "refuge"
    place.mkdir()
    refuge.mkdir()
    out = place / "out.png"
    out.write_bytes(b"what was there")
    full_disk(monkeypatch, place)
    monkeypatch.setattr("tempfile.tempdir", str(refuge))
    done = impasto("stylize", photo, style, "-o", out, *small, "-q")
    assert refused(done, "No space left", str(refuge / "impasto-out.png"))
    assert out.read_bytes() == b"what was there"
    assert [path.name for path in place.iterdir()] == ["out.png"]
    with Image.open(refuge / "impasto-out.png") as image:
        assert np.asarray(image).shape == (34, 48, 3)
    full_disk(monkeypatch, tmp_path)
    done = impasto("stylize", photo, style, "-o", out, *small, "-q")
    assert refused(done, "No space left")
    assert "refuge" not in done.err


@pytest.mark.parametrize(
    "words",
    [("missing.png", "s.png"), ("--nonsense",), ("a", "b", "--steps", "x"), ("--method", "m")],
)
def test_with_json_an_error_is_one_line_too(impasto, words):
    done = impasto("stylize", *words, "-o", "out.png", "--json")
    assert done.code == 2
    assert set(done.json) == {"error", "exit_code"}
    assert done.json["exit_code"] == 2
    assert done.json["error"] in done.err


def raising(error):
    def make_plan(request):
        raise error

    return make_plan


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 9 bytes. Error code 12 (Cannot allocate memory)"
        ),
        OutOfMemoryError("CUDA out of memory."),
        ResourceError("take a smaller --size"),
    ],
)
def test_too_little_memory_is_code_3_with_advice(
    impasto, photo, style, tmp_path, monkeypatch, error
):
    monkeypatch.setattr("impasto.cli.stylize_runner.make_plan", raising(error))
    done = impasto("stylize", photo, style, "-o", tmp_path / "out.png")
    assert refused(done, "--size", code=3)


def test_no_such_device_is_code_3(impasto, photo, style, small, tmp_path):
    done = impasto("stylize", photo, style, "-o", tmp_path / "o.png", *small, "--device", "nope")
    assert refused(done, "--device auto", code=3)


def test_a_defect_of_ours_is_one_sentence(impasto, capsys, photo, style, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "impasto.cli.stylize_runner.make_plan", raising(ZeroDivisionError("by\nzero"))
    )
    line = ["stylize", str(photo), str(style), "-o", str(tmp_path / "out.png")]
    assert refused(impasto(*line), "ZeroDivisionError: by zero", "Please report it", code=1)
    monkeypatch.setenv("IMPASTO_DEBUG", "1")
    from impasto.cli import run

    assert run(line) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_the_system_refuses_is_no_defect(impasto, photo, style, tmp_path, monkeypatch):
    line = ("stylize", photo, style, "-o", tmp_path / "out.png")
    monkeypatch.setattr(
        "impasto.cli.stylize_runner.make_plan", raising(OSError(28, "No space", "out"))
    )
    assert refused(impasto(*line), "'No space': out")
    monkeypatch.setattr("impasto.cli.stylize_runner.make_plan", raising(OSError("timed out")))
    assert refused(impasto(*line), "'timed out'")


def test_ctrl_c_before_the_work_changes_nothing(impasto, photo, style, tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.cli.stylize_runner.make_plan", raising(KeyboardInterrupt()))
    done = impasto("stylize", photo, style, "-o", tmp_path / "out.png")
    assert done.code == 130
    assert "nothing was changed" in done.err
    assert list(tmp_path.iterdir()) == []
