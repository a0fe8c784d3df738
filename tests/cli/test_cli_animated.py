"""``impasto video --method animatediff`` on a tiny model: killed, stopped, and what it says."""

import signal
import sys

import clips
import pytest
from tiny_videos import QUICK, settings

from impasto.cli.video import _FrameProgressCallback

pytest.importorskip("diffusers")
pytest.importorskip("av")


@pytest.fixture
def line(tiny, tmp_path):
    """A command that makes a film of three seconds."""
    knobs = settings(tiny, **{**QUICK, "steps": 3}, ip_adapter="")
    flags = [f"--{n.replace('_', '-')}={v}" for n, v in knobs.items() if v != ""]
    return ["video", "48x32", "-o", str(tmp_path / "out.mp4"), "--seconds", "3", *flags]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_a_killed_film_goes_on_to_the_same_frames(impasto, start, line, tmp_path):
    assert impasto(*line).code == 0
    whole = clips.packets(tmp_path / "out.mp4", "video")
    (tmp_path / "out.mp4").unlink()
    running = start(*line)
    running.wait_for(tmp_path / "out.mp4.impasto-parts" / "state")
    running.signal(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert "Going on after frame" in done.err
    assert clips.packets(tmp_path / "out.mp4", "video") == whole


def test_a_film_that_left_nothing_promises_nothing(impasto, line, tmp_path, monkeypatch):
    def stop(teller, tick):
        raise KeyboardInterrupt

    monkeypatch.setattr(_FrameProgressCallback, "__call__", stop)
    done = impasto(*line)
    assert done.code == 130
    assert "nothing to go on from" in done.err
    assert "--resume" not in done.err
    assert not list(tmp_path.iterdir())


def test_the_plan_says_whose_time_it_tells(impasto, line):
    done = impasto(*line)
    assert "The time is that of one frame." in done.err
    assert "24 frames; fp32 on cpu, about " in done.err
