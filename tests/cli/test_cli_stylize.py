import hashlib
import os

import pytest
from PIL import Image

from impasto.cli.lock import exclusive_run
from impasto.cli.progress import ProgressBarCallback
from impasto.cli.words import format_bytes, format_duration, format_value
from impasto.core.errors import InputError


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_painting_and_a_sheet(impasto, photo, style, small, tmp_path):
    out, sheet = tmp_path / "out.png", tmp_path / "sheet.jpg"
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (photo, style)]
    done = impasto("stylize", photo, style, "-o", out, "--contact-sheet", sheet, *small)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [str(out), str(sheet)]
    with Image.open(out) as image:
        assert image.size == (48, 34)
    with Image.open(sheet) as image:
        assert image.width > 2 * image.height
    assert files_in(tmp_path) == ["out.png", "sheet.jpg"]
    assert before == [hashlib.sha256(path.read_bytes()).hexdigest() for path in (photo, style)]


def test_encoder_is_another_word_for_weights(impasto, photo, style, small, tmp_path):
    line = ("stylize", photo, style, "--json", *small)
    found = [
        impasto(*line, "-o", tmp_path / f"{flag}.png", flag, "compact").json["recipe"]
        for flag in ("--encoder", "--weights")
    ]
    assert [each["options"]["weights"] for each in found] == ["compact"] * 2
    assert [list(each["files"]) for each in found] == [["compact"]] * 2
    assert found[0]["losses"] == found[1]["losses"]
    none = impasto(*line, "-o", tmp_path / "out.png", "--encoder", "compact",
                   "--style-layers", "conv5_2")  # fmt: skip
    assert none.code == 2
    assert "VGG-19 compact has conv1_1 to conv5_1, but no layer 'conv5_2'" in none.err


def test_what_is_said_before_and_after(impasto, photo, style, small, tmp_path):
    said = impasto("stylize", photo, style, "-o", tmp_path / "out.png", *small).err.splitlines()
    assert said[0].startswith(
        "photo.png in the manner of style.png, by gatys: 48 x 34 px, fp32 on cpu, about "
    )
    assert any(line.startswith("Painting  50%  step 1 of 2, loss ") for line in said)
    assert said[-1].startswith("Painted in ")


def test_quiet_says_nothing_but_warnings(impasto, photo, style, small, tmp_path):
    line = ("stylize", "-o", tmp_path / "out.png", *small, "-q")
    assert impasto(*line, photo, style).err == ""
    said = impasto(*line, photo, photo).err
    assert said == "warning: A style is the content picture itself: little will change.\n"


def test_json_is_one_line_that_says_everything(impasto, photo, style, small, tmp_path):
    out = tmp_path / "out.png"
    done = impasto("stylize", photo, style, style, "-o", out, "--json", "--style-weights", "2,1",
                   *small)  # fmt: skip
    told = done.json
    assert set(told) == {
        "output", "sheet", "lut", "seconds", "peak_bytes", "losses", "warnings", "recipe"
    }  # fmt: skip
    assert told["output"] == str(out)
    assert told["sheet"] is None
    assert told["peak_bytes"] > 1e6
    assert told["recipe"]["options"]["style_weights"] == [2.0, 1.0]
    assert told["recipe"]["finished"]
    assert "total" in told["losses"]


def test_depth_and_quality(impasto, photo, style, small, tmp_path):
    line = ("stylize", photo, style, *small, "-q")
    impasto(*line, "-o", tmp_path / "deep.tif", "--bits", "16")
    impasto(*line, "-o", tmp_path / "fine.jpg", "--encoding-quality", "98")
    impasto(*line, "-o", tmp_path / "poor.jpg", "--encoding-quality", "5")
    assert (tmp_path / "fine.jpg").stat().st_size > (tmp_path / "poor.jpg").stat().st_size
    with Image.open(tmp_path / "deep.tif") as image:
        assert image.tag_v2[258] == (16, 16, 16)  # BitsPerSample


def test_transparency_that_jpeg_loses_is_told_once(impasto, style, small, tmp_path):
    Image.new("RGBA", (50, 40), (200, 100, 50, 128)).save(tmp_path / "ghost.png")
    done = impasto("stylize", tmp_path / "ghost.png", style, "-o", tmp_path / "out.jpg", *small)
    assert done.err.count("laid on white") == 1


def test_previews_and_animation(impasto, photo, style, tmp_path, pixels):
    out, folder = tmp_path / "out.png", tmp_path / "steps"
    line = ("stylize", photo, style, "-o", out, "--size", "48", "--precision", "fp32",
            "--preview", folder, "--preview-every", "25", "--animate")  # fmt: skip
    done = impasto(*line, "--steps", "8")
    assert done.out.splitlines() == [str(out), str(folder / "animation.webp")]
    frames = [f"impasto-{i:04d}.png" for i in range(1, 6)]
    assert files_in(folder) == ["animation.webp", *frames]  # at the start, 25 %, 50 %, 75 %, end
    assert (pixels(folder / frames[-1]) == pixels(out)).all()
    with Image.open(folder / "animation.webp") as film:
        assert film.n_frames == 5
    (folder / "mine.png").write_bytes(b"not yours")
    impasto(*line, "--steps", "2")
    assert files_in(folder) == ["animation.webp", *frames[:2], "mine.png"]


def test_previews_that_cannot_be_written_cost_a_warning(
    impasto, photo, style, small, tmp_path, monkeypatch
):
    def refuse(*_):
        raise InputError("Cannot write it: the system says 'No space left on device'.")

    monkeypatch.setattr("impasto.cli.previews.write", refuse)
    done = impasto("stylize", photo, style, "-o", tmp_path / "out.png", *small,
                   "--preview", tmp_path / "steps")  # fmt: skip
    assert done.code == 0
    assert done.err.count("No more previews") == 1


def test_plan_says_it_all_and_does_nothing(impasto, photo, style, small, tmp_path):
    line = ("plan", photo, style, *small, "-o", tmp_path / "x.png", "--preview", tmp_path / "p")
    done = impasto(*line)
    assert done.code == 0
    assert "48 x 34 px" in done.out
    told = impasto(*line, "--json").json
    assert (told["width"], told["height"], told["precision"]) == (48, 34, "fp32")
    assert told["knobs"]["steps"] == 2
    assert 0 < told["peak_bytes"] < told["available_bytes"]
    assert files_in(tmp_path) == []
    assert impasto(*line, "--bits", "12").code == 2


def test_an_unfinished_run_is_mentioned_and_spared_at_first(impasto, photo, style, small, tmp_path):
    out, left = tmp_path / "out.png", tmp_path / "out.png.impasto-checkpoint"
    left.write_bytes(b"of an earlier run")
    done = impasto("stylize", photo, style, "-o", out, *small)
    assert done.code == 0
    assert f"An unfinished run of {out} lies here; --resume continues it." in done.err
    assert not left.exists()  # the painting is finished: nothing to resume
    done = impasto("stylize", photo, style, "-o", out, *small, "--resume")
    assert "No unfinished run" in done.err


def test_one_run_at_a_time_for_an_output(impasto, photo, style, small, tmp_path):
    out = tmp_path / "out.png"
    with exclusive_run(out):
        done = impasto("stylize", photo, style, "-o", out, *small)
    assert done.code == 2
    assert "Another run is painting" in done.err
    assert files_in(tmp_path) == []
    (tmp_path / ".out.png.impasto-lock").touch()  # what a killed run leaves binds nobody
    assert impasto("stylize", photo, style, "-o", out, *small).code == 0
    assert files_in(tmp_path) == ["out.png"]


@pytest.mark.skipif(os.name == "nt", reason="the name is legal there")
def test_where_no_lock_can_be_the_run_goes_on_without(tmp_path):
    with exclusive_run(tmp_path / ("x" * 250 + ".png")):
        assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (1234, "20 min"),
     (3600, "1 h"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations_in_words(seconds, said):
    assert format_duration(seconds) == said


def test_numbers_in_words():
    assert (format_bytes(8e7), format_bytes(1.25e9)) == ("80 MB", "1.2 GB")
    assert [format_value(v) for v in (None, (), ("a", "b"), True, 0.5, 1e-6, 300)] == [
        "unset", "none", "a,b", "yes", "0.5", "1e-06", "300"
    ]  # fmt: skip


def test_the_time_left_is_the_forecast_until_it_is_measured():
    from impasto.cli.console import Reporter
    from impasto.core.progress import ProgressEvent

    class Meter:
        def update(self, share, words):
            self.words = words

    meter = Meter()
    teller = ProgressBarCallback(meter, Reporter(quiet=True), seconds=1000, is_resumed=False)
    teller(ProgressEvent(1, 10, 0.1, {}, lambda: None, dict))
    assert meter.words == "step 1 of 10, 15 min left"
    teller(ProgressEvent(5, 10, 0.5, {}, lambda: None, dict))
    assert meter.words == "step 5 of 10, 1 s left"
