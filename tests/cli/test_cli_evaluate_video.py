"""``impasto evaluate --video`` from the command line to what it says."""

import numpy as np
import pytest
from moving import panning
from PIL import Image

from impasto.metrics.video import VIDEO_METRICS

pytest.importorskip("cv2")
pytest.importorskip("av")


@pytest.fixture
def film(tmp_path):
    folder = tmp_path / "film"
    folder.mkdir()
    for i, frame in enumerate(panning(7)):
        Image.fromarray(np.uint8(np.rint(255 * frame))).save(folder / f"{i:03d}.png")
    return folder


def test_films_are_measured(impasto, film, style):
    done = impasto("evaluate", "--video", film, style, film, "--json")
    assert done.code == 0
    (row,) = done.json["rows"]
    assert row["frames"] == 7
    assert set(row["scores"]) == set(VIDEO_METRICS)
    shown = impasto("evaluate", "--video", film, style, film, film, "--explain")
    assert shown.code == 0
    assert "warping error" in shown.out
    assert "flicker" in shown.out


@pytest.mark.parametrize("flags", [["--text", "a"], ["--per-layer"], ["--csv", "a.csv"]])
def test_flags_that_are_not_for_films(impasto, film, style, flags):
    done = impasto("evaluate", "--video", film, style, film, *flags)
    assert done.code == 2
    assert f"{flags[0]} is not for films" in done.err


def test_what_is_missing(impasto, film, style):
    assert impasto("evaluate", "--video", film, style).code == 2
    assert "say --video" in impasto("evaluate", film, style, film, "--flow", "dis").err
    done = impasto("evaluate", "--video", film, style, film.parent / "no.mp4")
    assert done.code == 2
    assert "no.mp4" in done.err
