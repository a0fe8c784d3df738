"""``impasto video`` from the command line to the exit code, with a small fast network."""

import signal
import sys
from pathlib import Path

import clips
import pytest
import tiny_models

from impasto.pictures import read


@pytest.fixture
def film(tmp_path):
    return clips.clip(tmp_path / "in.mp4", clips.frames(25, 48, 64), audio="aac")


@pytest.fixture
def line(models, film, tmp_path):
    return ("video", film, tiny_models.STYLES[0], "-o", tmp_path / "out.mp4",
            "--weights", models["fast"], "--precision", "fp32")  # fmt: skip


def test_a_film_comes_out_with_its_sound_recipe_and_measures(
    impasto, style, film, models, tmp_path
):
    done = impasto("video", film, style, "-o", tmp_path / "out.mp4", "--method", "adain",
                   "--weights", models["adain"], "--precision", "fp32", "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert "25 frames" in done.err
    told = done.json
    assert (told["frames"], told["seconds"], told["fps"]) == (25, 2.5, 10)
    assert {"warping_1", "style_error"} <= told["measures"].keys()
    assert told["recipe"]["film"]["sound"] == ["aac"]
    ours, theirs = (clips.packets(p, "audio") for p in (tmp_path / "out.mp4", film))
    assert [d for d, _ in ours] == [d for d, _ in theirs]
    assert len(clips.decoded(tmp_path / "out.mp4")) == 25
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_show_tells_how_it_was_made_and_the_command(impasto, line, tmp_path):
    assert impasto(*line, "--end", "0.5", "--encoding-quality", "30", "--no-detect-shots").code == 0
    done = impasto("show", tmp_path / "out.mp4")
    assert done.code == 0, done.err
    assert "film      5 frames, 0.5 s at 10 frames a second" in done.out
    command = done.out.splitlines()[-1].split()
    assert command[:2] == ["impasto", "video"]
    assert " --end 0.5 --no-detect-shots --encoding-quality 30" in done.out
    again = impasto(*command[1:])
    assert again.code == 0, again.err
    assert clips.packets(tmp_path / "out-again.mp4", "video") == clips.packets(
        tmp_path / "out.mp4", "video"
    )
    assert impasto("show", tmp_path / "in.mp4").code == 2


def test_show_puts_pictures_again_into_a_folder_of_their_own(impasto, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = str(Path("walk", "%03d.png"))
    assert impasto(*line[:3], "-o", frames, *line[5:], "--end", "0.2").code == 0
    command = impasto("show", frames).out.splitlines()[-1].split()
    assert command[command.index("-o") + 1] == str(Path("walk-again", "%03d.png"))
    done = impasto("rerun", frames, "-o", "b.png")
    assert done.code == 2
    assert "impasto show" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_to_the_same_frames(impasto, start, line, tmp_path, number):
    assert impasto(*line).code == 0
    whole = clips.packets(tmp_path / "out.mp4", "video")
    (tmp_path / "out.mp4").unlink()
    left = tmp_path / "out.mp4.impasto-parts"
    running = start(*line)
    running.wait_for(left / "state")
    running.signal(number)
    done = running.end()
    assert done.code == (-signal.SIGKILL if number == signal.SIGKILL else 130), done.err
    assert not (tmp_path / "out.mp4").exists()
    if number == signal.SIGINT:
        assert "out.partial.mp4 is the film so far. --resume goes on." in done.err
    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert "Going on after frame" in done.err
    assert clips.packets(tmp_path / "out.mp4", "video") == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_preview_paints_a_few_frames_and_stops(impasto, line, tmp_path):
    done = impasto(*line, "--preview-times", "0:00.5,1")
    assert done.code == 0, done.err
    assert done.out.split() == [str(tmp_path / "out.preview.png")]
    assert read(tmp_path / "out.preview.png").width > 96
    assert not (tmp_path / "out.mp4").exists()


def test_frame_by_frame_is_warned_of(impasto, line):
    assert "strokes will jump" in impasto(*line, "--stability", "0", "--end", "0.3").err
    assert "strokes will jump" not in impasto(*line, "--end", "0.3").err


def test_the_network_for_films_is_the_one_that_learnt_to_be_steady(impasto, film, tmp_path):
    line = ("video", film, "udnie", "-o", tmp_path / "out.mp4", "--end", "0.2", "--json")
    assert impasto(*line).json["recipe"]["options"]["weights"] == "fast-stable"
    assert impasto(*line, "--stability", "0").json["recipe"]["options"]["weights"] == ""


def test_a_still_becomes_a_film(impasto, line, photo):
    done = impasto("video", photo, *line[2:], "--seconds", "0.4", "--fade-in", "--json")
    assert done.code == 0, done.err
    assert done.json["frames"] == 10


def test_python_paints_the_same_film(impasto, line, film, models, tmp_path):
    import impasto as package

    assert impasto(*line, "--end", "1").code == 0
    result = package.stylize_video(film, tiny_models.STYLES[0], tmp_path / "b.mp4", end=1.0,
                           weights=models["fast"], precision="fp32")  # fmt: skip
    assert result.frames == 10
    assert clips.packets(result.path, "video") == clips.packets(tmp_path / "out.mp4", "video")
    assert package.stylize_video is not None
    assert callable(package.stylize_video)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--start", "9"), "no frame from 9 s on"),
        (("--start", "1:xx"), "write a time as"),
        (("--start", "1", "--preview-times", "0.5"), "no frame at 0.5 s"),
        (("--stability", "2"), "it must be 0 to 1"),
        (("--encoding-quality", "99"), "it must be 0 to 51"),
        (("--fps", "5"), "a film has its own"),
        (("--method", "auto"), "no method 'auto'"),
    ],
)
def test_bad_settings_are_told(impasto, line, flags, said):
    done = impasto(*line, *flags)
    assert done.code == 2
    assert said in done.err


def test_bad_films_are_told(impasto, line, tmp_path):
    (tmp_path / "bad.mp4").write_text("no film")
    done = impasto("video", "", *line[2:])
    assert (done.code, "no name" in done.err) == (2, True)
    for name, said in (("bad.mp4", "it is no film"), ("none.mp4", "there is no such file")):
        done = impasto("video", tmp_path / name, *line[2:])
        assert done.code == 2
        assert said in done.err
    assert not (tmp_path / "out.mp4").exists()
