"""Styles by their names, from the command line."""

import json
from functools import partial
from pathlib import Path

import pytest
from tiny_models import STYLES

from impasto.core.interrupt import InterruptHandler
from impasto.engines.feedforward import base
from impasto.methods import get_method
from impasto.pictures import write
from impasto.pipeline import checkpoint
from impasto.weights import store


@pytest.fixture
def fast(models):
    return ("--method", "fast", "--weights", models["fast"], "--precision", "fp32")


def test_a_name_is_no_file(impasto, photo, fast, tmp_path):
    out, sheet = tmp_path / "out.png", tmp_path / "sheet.png"
    done = impasto("stylize", photo, "red-lines", *fast, "-o", out, "--contact-sheet", sheet)
    assert done.code == 0, done.err
    assert "photo.png in the manner of red-lines, by fast" in done.err
    assert out.exists()
    assert sheet.exists()


def test_several_names_are_blended_and_remembered(impasto, photo, fast, tmp_path, pixels):
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    styles = ("red-lines", "blue-dots", "--style-weights", "1,3")
    assert impasto("stylize", photo, *styles, *fast, "-o", out).code == 0
    shown = impasto("show", out)
    assert "style     red-lines  sha256" in shown.out
    (line,) = (each for each in shown.out.splitlines() if "impasto stylize" in each)
    assert f"{photo} red-lines blue-dots -o" in line
    assert impasto("rerun", out, "-o", again).code == 0
    assert (pixels(again) == pixels(out)).all()


def test_an_unknown_name_is_a_users_mistake(impasto, photo, fast, tmp_path):
    done = impasto("stylize", photo, "red-line", *fast, "-o", tmp_path / "out.png")
    assert done.code == 2
    assert "Did you mean red-lines?" in done.err


def test_the_plan_names_the_styles(impasto, photo, fast):
    done = impasto("plan", photo, "red-lines", *fast, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["styles"] == ["red-lines"]


def test_a_file_that_stands_for_a_style_is_not_overwritten(impasto, photo, fast, tmp_path):
    style = tmp_path / "red-lines.png"
    write(get_method("fast").load_style("red-lines", str(fast[3])).pixels, style)
    done = impasto("stylize", photo, style, *fast, "-o", style)
    assert done.code == 2
    assert "is an input and would be overwritten" in done.err


def test_the_styles_of_the_methods_own_weights_are_listed(impasto, models, monkeypatch):
    monkeypatch.setattr(store, "bundled_models", lambda: {"fast": Path(models["fast"])})
    assert f"styles    {', '.join(STYLES)}" in impasto("methods", "fast").out
    assert impasto("methods", "fast", "--json").json["styles"] == list(STYLES)
    monkeypatch.setattr(store, "bundled_models", lambda: {})
    done = impasto("methods", "fast")
    assert done.code == 0
    assert "styles    " not in done.out


def test_stopped_it_keeps_its_tiles_and_begins_anew_next_time(
    impasto, photo, fast, tmp_path, monkeypatch
):
    def check(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(InterruptHandler, "raise_if_interrupted", check)
    monkeypatch.setattr(checkpoint, "MIN_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(base, "run_tiled", partial(base.run_tiled, tile_side=16))
    done = impasto("stylize", photo, "red-lines", *fast, "-o", tmp_path / "out.png")
    assert done.code == 130
    assert "Stopped after step 1 of 8" in done.err
    assert "It begins from the start next time." in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
