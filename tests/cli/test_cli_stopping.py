"""Runs in processes of their own that are stopped for real, and gone on with."""

import signal
import sys

import pytest

STEPS = 24
FLAGS = ("--size", "48", "--precision", "fp32", "--steps", str(STEPS))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")


@pytest.fixture(scope="module")
def unbroken(photo, style, tmp_path_factory):
    from impasto.cli import run

    out = tmp_path_factory.mktemp("unbroken") / "out.png"
    assert run(["stylize", str(photo), str(style), "-o", str(out), *FLAGS, "-q"]) == 0
    return out


@pytest.fixture
def line(photo, style, tmp_path):
    return ("stylize", photo, style, "-o", tmp_path / "out.png", *FLAGS)


def test_ctrl_c_keeps_the_painting_and_resume_completes_it(
    impasto, start, line, unbroken, pixels, tmp_path
):
    out, left = tmp_path / "out.png", tmp_path / "out.png.impasto-checkpoint"
    running = start(*line, "--json")
    running.wait_for(left)
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, done.err
    assert "--resume goes on" in done.err
    assert not done.json["recipe"]["finished"]
    steps = done.json["recipe"]["steps"]
    assert 0 < steps < STEPS
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, left.name]
    assert not impasto("show", out, "--json").json["finished"]

    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert f"Going on after step {steps} of {STEPS}." in done.err
    assert (pixels(out) == pixels(unbroken)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_a_killed_run_is_resumed(impasto, start, line, unbroken, pixels, tmp_path):
    out, left = tmp_path / "out.png", tmp_path / "out.png.impasto-checkpoint"
    running = start(*line)
    running.wait_for(left)
    second = impasto(*line)  # while the first one runs
    running.signal(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    assert second.code == 2
    assert "Another run is painting" in second.err
    assert not out.exists()

    other = impasto(*line, "--steps", "25", "--resume")
    assert other.code == 2
    assert "belongs to another run: knobs differ" in other.err
    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert "Going on after step" in done.err
    assert (pixels(out) == pixels(unbroken)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_a_termination_is_no_loss_either(start, line, tmp_path):
    running = start(*line)
    running.wait_for(tmp_path / "out.png.impasto-checkpoint")
    running.signal(signal.SIGTERM)
    done = running.end()
    assert done.code == 130, done.err
    assert (tmp_path / "out.png").exists()
    assert "--resume goes on" in done.err


def test_two_ctrl_c_at_once_end_cleanly(start, line, tmp_path):
    running = start(*line)
    running.wait_for(tmp_path / "out.png.impasto-checkpoint")
    running.signal(signal.SIGINT)
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert "--resume goes on" in done.err
    assert {path.name for path in tmp_path.iterdir()} <= {"out.png", "out.png.impasto-checkpoint"}


def test_who_forgets_resume_and_stops_loses_nothing(start, line, tmp_path):
    left = tmp_path / "out.png.impasto-checkpoint"
    left.write_bytes(b"hours of work")
    running = start(*line, "--preview", tmp_path / "steps")
    running.wait_for(tmp_path / "steps" / "impasto-0001.png")
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert "The earlier unfinished run is still there" in done.err
    assert left.read_bytes() == b"hours of work"


def test_a_damaged_checkpoint_is_told_of(impasto, line, tmp_path):
    (tmp_path / "out.png.impasto-checkpoint").write_bytes(b"not one")
    done = impasto(*line, "--resume")
    assert done.code == 2
    assert "delete it to start anew" in done.err
    assert not (tmp_path / "out.png").exists()


def test_a_disk_without_room_for_checkpoints_costs_a_warning(
    impasto, photo, style, small, tmp_path, monkeypatch
):
    from impasto.core.errors import InputError

    def refuse(path):
        raise InputError(f"Cannot write {path}: the system says 'No space left on device'.")

    monkeypatch.setattr("impasto.pipeline.checkpoint.MIN_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr("impasto.pipeline.checkpoint.atomic_write", refuse)
    done = impasto("stylize", photo, style, "-o", tmp_path / "out.png", *small)
    assert done.code == 0
    assert done.err.count("cannot be resumed") == 1


def test_a_painting_that_could_not_be_saved_is_not_painted_again(
    impasto, line, unbroken, pixels, tmp_path, monkeypatch
):
    from impasto.core.result import Result

    def killed(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("impasto.pipeline.checkpoint.MIN_INTERVAL_SECONDS", 0.0)
        patch.setattr(Result, "save", killed)
        assert impasto(*line).code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.png.impasto-checkpoint"]
    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert "begins from the start" not in done.err
    assert (pixels(tmp_path / "out.png") == pixels(unbroken)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
