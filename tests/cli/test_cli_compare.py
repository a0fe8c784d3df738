"""``impasto compare``, with real processes where nothing else is said."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from impasto.evaluation.comparison import worker

FLAGS = ("--methods", "adain,fast;wct:strength=0.5", "--size", "48")


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    """The working folder of this module's tests, and what was said when it was painted in."""
    return tmp_path_factory.mktemp("working"), []


@pytest.fixture
def there(working, monkeypatch):
    monkeypatch.chdir(working[0])
    return working[0] / "compare-photo-style"


@pytest.fixture
def line(photo, style):
    return ("compare", photo, style)


@pytest.fixture
def done(impasto, quick, line, there, working):
    """What the command line comes to; it is carried out once."""
    said = working[1]
    if not said:
        said.append(impasto(*line, *FLAGS, "--json"))
    return said[0]


def test_every_method_that_fits_is_painted_and_measured(done, there):
    assert done.code == 0, done.err
    data = done.json
    assert [row["label"] for row in data["rows"]] == ["adain", "wct strength=0.5"]
    assert [each["label"] for each in data["left_out"]] == ["fast"]
    for row in data["rows"]:
        assert row["seconds"] > row["painting_seconds"] > 0
        assert row["peak_bytes"] > 50e6  # a process of its own, with PyTorch in it
        assert {"ssim", "gram", "style_error", "content_error"} <= row["values"].keys()
    assert data["unpainted"]["ssim"] == pytest.approx(1)
    assert (there / "index.html").is_file()
    assert Path(data["page"]) == Path("compare-photo-style", "index.html")


def test_what_is_kept_is_what_is_said(done, there):
    kept = json.loads((there / "comparison.json").read_text())
    said = done.json
    assert {name: said[name] for name in kept} == kept


def test_the_table_has_arrows_and_marks_the_best(impasto, quick, done, line, there):
    again = impasto(*line, *FLAGS)
    assert again.code == 0
    assert "adain: painted already" in again.err
    assert "fast is left out: The fast network has not learnt the style" in again.err
    values = {row["label"]: row["values"]["ssim"] for row in done.json["rows"]}
    (ssim,) = (each for each in again.out.splitlines() if each.startswith("SSIM ↑"))
    cells = ssim.split()[2:]
    best = max(values, key=values.get)
    expected = [f"{v:.3f}" + " *" * (label == best) for label, v in values.items()]
    assert " ".join(cells) == " ".join(expected)
    assert "index.html" in again.out
    assert "sheet.png" in again.out


def test_quiet_says_the_result_alone(impasto, quick, done, line, there):
    again = impasto(*line, *FLAGS, "-q")
    assert again.err == ""
    assert "SSIM" in again.out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--methods", "adian"), "Did you mean adain?"),
        (("--methods", "gatys:steps=0"), "steps = 0 does not fit"),
        (("--deadline", "soon"), "deadline = 'soon' does not fit"),
        (("--deadline", "1ms", "--methods", "adain"), "the deadline is 0.001 s"),
        (("--size", "0"), "size = 0 does not fit"),
        (("-o", "missing/deep"), "its folder is missing"),
    ],
)
def test_a_mistake_is_told_before_anything_is_painted(
    impasto, quick, line, tmp_path, monkeypatch, flags, says
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "run", None)
    done = impasto(*line, *flags)
    assert done.code in (2, 3)
    assert says in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_left_alone(impasto, quick, line, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = impasto(*line, "-o", tmp_path)
    assert done.code == 2
    assert "holds other things than a comparison (mine.txt)" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (2, 2), (-9, 3), (1, 1)])
def test_if_nothing_is_painted_the_exit_code_says_why(
    impasto, quick, line, tmp_path, monkeypatch, code, expected
):
    outcome = worker.ProcessResult(code, 1.0, {"error": "It broke."}, "", False)
    monkeypatch.setattr(worker, "run", lambda *_: outcome)
    done = impasto(*line, "--methods", "adain", "-o", tmp_path / "out")
    assert done.code == expected
    assert "adain: It broke." in done.err
    assert "It broke." in (tmp_path / "out" / "index.html").read_text()


def test_the_time_left_is_told(impasto, quick, line, tmp_path, monkeypatch):
    outcome = worker.ProcessResult(3, 1.0, {"error": "It broke."}, "", False)

    def carry_out(words, stop, told, limit):
        for second in range(60):
            told(float(second))
        return outcome

    monkeypatch.setattr(worker, "run", carry_out)
    done = impasto(*line, "--methods", "adain,wct", "-o", tmp_path / "out")
    assert "1 of 2, " in done.err
    assert " s left" in done.err


CAREFUL = """
import impasto.pipeline.checkpoint, sys
impasto.pipeline.checkpoint.MIN_INTERVAL_SECONDS = 0.0
from impasto.cli import main
main()
"""
"""A program whose paintings save a checkpoint after every step."""


@pytest.fixture
def begin(tmp_path, home):
    """Starts a comparison in a process of its own; its methods run as careful programs."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nshift 2\nexec {sys.executable} -c '{CAREFUL}' \"$@\"\n")
    program.chmod(0o755)
    code = f"import sys; sys.executable = {str(program)!r}; from impasto.cli import main; main()"
    begun = []

    def call(*args):
        begun.append(subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "IMPASTO_HOME": str(home), "OMP_NUM_THREADS": "1"},
        ))  # fmt: skip
        return begun[-1]

    yield call
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_ctrl_c_shows_the_painting_so_far_and_the_same_command_goes_on(
    begin, line, tmp_path, pixels
):
    out = tmp_path / "out"
    flags = ("--size", "48", "-o", out, "--methods", "adain;gatys:steps=100", "--json")
    painting = out / "results" / "gatys-steps-100.png"
    left = painting.with_name(painting.name + ".impasto-checkpoint")
    running = begin(*line, *flags)
    while not left.exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    said, told = running.communicate(timeout=120)
    assert running.returncode == 130, told
    assert "the same command goes on" in told
    first, second = json.loads(said)["rows"]
    assert (first["status"], second["status"]) == ("painted", "stopped")
    assert "Stopped by Ctrl-C after step" in second["notes"][0]
    assert "Stopped by Ctrl-C" in (out / "index.html").read_text()

    said, told = begin(*line, *flags).communicate(timeout=240)
    after = json.loads(said)["rows"]
    assert [row["reused"] for row in after] == [True, False]
    assert [row["status"] for row in after] == ["painted", "painted"]
    assert after[1]["painting_seconds"] > second["painting_seconds"]
    assert not left.exists()

    whole = tmp_path / "whole.png"
    words = ("-o", whole, "--size", "48", "--method", "gatys", "--steps", "100", "-q")
    assert begin("stylize", *line[1:], *words).wait(timeout=240) == 0
    assert (pixels(painting) == pixels(whole)).all()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_a_deadline_that_is_missed_keeps_the_painting_so_far(
    impasto, quick, line, tmp_path, monkeypatch
):
    from impasto.evaluation.comparison import compare

    monkeypatch.setattr(compare, "GRACE_SECONDS", 20.0 - 36000.0)
    flags = ("--methods", "gatys:steps=10000", "--size", "48", "-o", tmp_path / "out")
    done = impasto(*line, *flags, "--deadline", "10h", "--json")
    assert done.code == 0, done.err
    (row,) = done.json["rows"]
    assert row["status"] == "stopped"
    assert "Stopped by the deadline after step" in row["notes"][0]
    assert 20 < row["seconds"] < 60
