import shlex
import shutil

import pytest


@pytest.fixture
def painted(impasto, photo, style, tmp_path):
    """A painting of two styles, with its inputs beside it."""
    for source, name in ((photo, "photo.png"), (style, "one.png"), (photo, "two.png")):
        shutil.copy(source, tmp_path / name)
    out = tmp_path / "out.png"
    done = impasto(
        "stylize", tmp_path / "photo.png", tmp_path / "one.png", tmp_path / "two.png",
        "-o", out, "--size", "48", "--steps", "3", "--precision", "fp32", "--seed", "7",
        "--style-weights", "2,1", "--init", "noise", "--style-layers", "conv1_1,conv2_1", "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    return out


def test_show_says_how_and_gives_commands_that_repeat_it(impasto, painted, pixels, tmp_path):
    text = impasto("show", painted).out
    for part in ("gatys", "48 x 34 px", "fp32 on cpu", "photo.png", "steps = 3", "seed = 7"):
        assert part in text
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("  impasto ")]
    assert [line[1] for line in lines] == ["rerun", "stylize"]
    for line in lines:
        again = tmp_path / "out-again.png"
        assert impasto(*line[1:], "-q").code == 0
        assert (pixels(again) == pixels(painted)).all()
        again.unlink()


def test_show_json_is_the_recipe(impasto, painted):
    recipe = impasto("show", painted, "--json").json
    assert recipe["method"] == "gatys"
    assert [i["role"] for i in recipe["inputs"]] == ["content", "style", "style"]


def test_rerun_finds_the_pictures_beside_the_painting(impasto, painted, pixels, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("photo.png", "one.png", "two.png", "out.png"):
        (tmp_path / name).rename(moved / name)
    done = impasto("rerun", moved / "out.png", "-o", tmp_path / "again.png", "--json")
    assert done.code == 0, done.err
    assert (pixels(tmp_path / "again.png") == pixels(moved / "out.png")).all()
    assert done.json["recipe"]["options"]["seed"] == 7


def test_rerun_asks_for_pictures_that_it_does_not_find(impasto, painted, photo, style, tmp_path):
    again = tmp_path / "again.png"
    (tmp_path / "photo.png").unlink()
    done = impasto("rerun", painted, "-o", again)
    assert done.code == 2
    assert "--content" in done.err
    assert impasto("rerun", painted, "-o", again, "--content", style).code == 2
    assert impasto("rerun", painted, "-o", again, "--content", photo, "--style", style).code == 2
    done = impasto("rerun", painted, "-o", again, "--content", photo, "--style", style,
                   "--style", photo)  # fmt: skip
    assert done.code == 0, done.err


def test_rerun_spares_the_painting_and_its_inputs(impasto, painted, tmp_path):
    for name in ("out.png", "photo.png", "two.png"):
        done = impasto("rerun", painted, "-o", tmp_path / name)
        assert done.code == 2
        assert "--overwrite-input" in done.err


def test_rerun_spares_the_picture_that_a_knob_names(impasto, photo, style, small, tmp_path):
    start = tmp_path / "start.png"
    shutil.copy(style, start)
    out = tmp_path / "out.png"
    assert impasto("stylize", photo, style, "-o", out, *small, "--init", start).code == 0
    done = impasto("rerun", out, "-o", start)
    assert done.code == 2
    assert "--overwrite-input" in done.err
    assert start.read_bytes() == style.read_bytes()


def test_rerun_says_what_may_differ(impasto, painted, tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.cli.rerun._installed_version", lambda name: "0.0")
    done = impasto("rerun", painted, "-o", tmp_path / "again.png")
    assert "pixels may differ" in done.err
    assert "here 0.0" in done.err


@pytest.mark.parametrize("verb", [("show",), ("rerun", "-o", "x.png")])
def test_a_picture_without_a_recipe(impasto, photo, verb):
    done = impasto(*verb, photo)
    assert done.code == 2
    assert "holds no recipe" in done.err
