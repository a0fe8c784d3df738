"""Colors on the command line: kept, told, shown, made again, and written as a table."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path, photo, style, monkeypatch):
    """The photo, a style and a mask in the current folder."""
    Image.open(photo).save(tmp_path / "photo.png")
    Image.open(style).save(tmp_path / "style.png")
    half = np.zeros((40, 56), np.uint8)
    half[:, 28:] = 255
    Image.fromarray(half).save(tmp_path / "sky.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def flags(models):
    return ("--method", "adain", "--weights", models["adain"], "--precision", "fp32")


WAYS = {
    "after": ("--keep-color", "histogram", "--color-strength", "0.8"),
    "before": ("--keep-color", "covariance", "--color-stage", "before"),
    "masked": ("--keep-color", "luminance", "--color-mask", "sky.png"),
}


@pytest.mark.parametrize("way", WAYS)
def test_show_gives_commands_that_keep_the_same_colors(impasto, folder, flags, pixels, way):
    words = ("photo.png", "style.png", *flags)
    assert impasto("stylize", *words, "-o", "plain.png").code == 0
    done = impasto("stylize", *words, *WAYS[way], "-o", "out.png")
    assert done.code == 0, done.err
    assert "The content's colors are kept" in done.err
    assert (pixels("out.png") != pixels("plain.png")).any()
    text = impasto("show", "out.png").out
    assert "\nedges " in text
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("  impasto ")]
    assert [line[1] for line in lines] == ["rerun", "stylize"]
    for line in lines:
        again = impasto(*line[1:], "-q")
        assert again.code == 0, again.err
        assert (pixels("out-again.png") == pixels("out.png")).all()


def test_the_plan_tells_it(impasto, folder, flags):
    done = impasto("plan", "photo.png", "style.png", *WAYS["masked"], *flags)
    assert done.code == 0, done.err
    assert "in the painting, in 50% of it" in done.out


def test_a_table_is_written_and_its_fit_told(impasto, folder, flags):
    words = ("stylize", "photo.png", "style.png", "-o", "out.png", "--lut", "look.cube", *flags)
    done = impasto(*words)
    assert done.code == 0, done.err
    assert "% of the change; off by" in done.err
    assert "look.cube" in done.out
    lines = (folder / "look.cube").read_text().splitlines()
    assert lines[:2] == ['TITLE "style on photo"', "LUT_3D_SIZE 33"]
    assert len(lines) == 2 + 33**3
    facts = json.loads(impasto(*words, "--json").out)
    assert facts["lut"] == "look.cube"
    assert facts["lut_explains"] <= 1
    assert set(facts["recipe"]["structure"]) == {"edges", "edge_ssim"}


def test_a_rerun_can_write_the_table_too(impasto, folder, flags):
    assert impasto("stylize", "photo.png", "style.png", "-o", "out.png", *flags).code == 0
    assert impasto("rerun", "out.png", "-o", "again.png", "--lut", "look.cube").code == 0
    assert (folder / "look.cube").exists()


def test_a_method_for_photographs_says_whether_it_stays_one(impasto, folder, models, flags):
    photo = ("--method", "photowct", "--weights", models["photowct"])
    words = ("stylize", "photo.png", "style.png", "-o", "out.png")
    assert "photograph (edges" in impasto(*words, *photo, "--strength", "0").err
    assert "photograph" not in impasto(*words, *flags).err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--keep-color", "hue"), "luminance"),
        (("--color-strength", "0.5"), "no colors to keep"),
        (("--keep-color", "yuv", "--color-strength", "2"), "must be 0 to 1"),
        (("--keep-color", "yuv", "--color-stage", "before"), "--color-stage after"),
        (("--keep-color", "yuv", "--color-mask", "none.png"), "no such file"),
        (("--lut", "look.png"), "ends in .cube"),
        (("--lut", "nowhere/look.cube"), "folder is missing"),
        (("--keep-color", "yuv", "--color-mask", "sky.png", "--contact-sheet", "sky.png"),
         "sky.png is an input"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_the_work(impasto, folder, flags, args, says):
    before = {path.name for path in folder.iterdir()}
    done = impasto("stylize", "photo.png", "style.png", "-o", "out.png", *args, *flags)
    assert done.code == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert {path.name for path in folder.iterdir()} == before


def test_a_table_never_replaces_an_input(impasto, folder, flags):
    (folder / "look.cube").symlink_to("photo.png")
    done = impasto("stylize", "photo.png", "style.png", "-o", "out.png", "--lut", "look.cube",
                   *flags)  # fmt: skip
    assert done.code == 2
    assert "look.cube is an input" in done.err


def test_a_rerun_spares_the_mask(impasto, folder, flags):
    words = ("photo.png", "style.png", "-o", "out.png", *WAYS["masked"], *flags)
    assert impasto("stylize", *words).code == 0
    assert "--overwrite-input" in impasto("rerun", "out.png", "-o", "sky.png").err


def test_a_learnt_style_cannot_be_recolored_before(impasto, folder, models):
    done = impasto("stylize", "photo.png", "red-lines", "-o", "out.png", "--method", "fast",
                   "--weights", models["fast"], *WAYS["before"])  # fmt: skip
    assert done.code == 2
    assert "--color-stage after" in done.err
