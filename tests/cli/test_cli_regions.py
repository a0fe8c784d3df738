"""Regions on the command line: asked for, told, written, shown and made again."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image

from impasto.cli.region_flags import _parse_region
from impasto.core.errors import KnobError


@pytest.fixture
def folder(tmp_path, photo, style, monkeypatch):
    """The photo, two styles, a mask and a pair of label pictures in the current folder."""
    Image.open(photo).save(tmp_path / "photo.png")
    Image.open(style).save(tmp_path / "style.png")
    Image.open(style).rotate(180).save(tmp_path / "other.png")
    half = np.zeros((40, 56), np.uint8)
    half[:, 28:] = 255
    Image.fromarray(half).save(tmp_path / "sky.png")
    labels = np.zeros((40, 56, 3), np.uint8)
    labels[..., 2] = 255 - half
    labels[..., 0] = half
    Image.fromarray(labels).save(tmp_path / "labels.png")
    Image.fromarray(labels[:, ::-1]).resize((50, 50), 0).save(tmp_path / "style-labels.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def flags(models):
    return ("--method", "adain", "--weights", models["adain"], "--precision", "fp32")


def test_a_mask_with_its_style(impasto, folder, flags, pixels):
    done = impasto("stylize", "photo.png", "style.png", "-o", "out.png", "--region",
                   "sky.png=other.png", "--feather", "4", *flags)  # fmt: skip
    assert done.code == 0, done.err
    assert "sky.png, 50% of the content: other.png." in done.err
    plain = impasto("stylize", "photo.png", "style.png", "-o", "plain.png", *flags)
    assert plain.code == 0
    assert (pixels("out.png") != pixels("plain.png")).any()


def test_a_region_may_bring_the_only_style_and_the_rest_be_kept(impasto, folder, flags, pixels):
    done = impasto("stylize", "photo.png", "-o", "out.png", "--region", "sky.png=other.png",
                   "--background", "keep", *flags)  # fmt: skip
    assert done.code == 0, done.err
    assert (pixels("out.png")[:, :28] == pixels("photo.png")[:, :28]).all()
    assert (pixels("out.png")[:, 28:] != pixels("photo.png")[:, 28:]).any()


WAYS = {
    "masks": ("style.png", "--region", "sky.png=other.png", "--feather", "3"),
    "kept": ("--region", "sky.png=other.png", "--background", "keep"),
    "labels": ("style.png", "--labels", "labels.png", "--style-labels", "style-labels.png"),
    "labels and styles": ("style.png", "other.png", "--labels", "labels.png"),
    "auto": ("style.png", "--region", "auto:2"),
}


@pytest.mark.parametrize("way", WAYS)
def test_show_gives_commands_that_repeat_it(impasto, folder, flags, pixels, way):
    done = impasto("stylize", "photo.png", *WAYS[way], "-o", "out.png", *flags)
    assert done.code == 0, done.err
    text = impasto("show", "out.png").out
    assert text.count("\nregion ") == (1 if way in ("masks", "kept") else 2)
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("  impasto ")]
    assert [line[1] for line in lines] == ["rerun", "stylize"]
    for line in lines:
        again = impasto(*line[1:], "-q")
        assert again.code == 0, again.err
        assert (pixels("out-again.png") == pixels("out.png")).all()


def test_the_plan_lists_regions_and_writes_them_if_asked(impasto, folder, flags):
    args = ("photo.png", *WAYS["auto"], "--regions-out", "parts", *flags)
    done = impasto("plan", *args)
    assert done.code == 0, done.err
    assert done.out.count("\nregion ") == 2
    assert {p.name for p in (folder / "parts").iterdir()} == {
        "content-labels.png", "style-labels.png"
    }  # fmt: skip
    facts = json.loads(impasto("plan", *args, "--json").out)
    assert [row["name"] for row in facts["regions"]] == ["#0000ff", "#00ff00"]


def test_automatic_regions_given_back_make_the_same_picture(impasto, folder, flags, pixels):
    done = impasto("stylize", "photo.png", *WAYS["auto"], "-o", "out.png", "--regions-out", "parts",
                   *flags)  # fmt: skip
    assert done.code == 0, done.err
    assert "parts/content-labels.png" in done.err
    labels = ("--labels", "parts/content-labels.png", "--style-labels", "parts/style-labels.png")
    done = impasto("stylize", "photo.png", "style.png", "-o", "again.png", *labels, *flags)
    assert done.code == 0, done.err
    assert (pixels("again.png") == pixels("out.png")).all()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--region", "sky.png"), "must be MASK=STYLE"),
        (("--region", "=other.png"), "must be MASK=STYLE"),
        (("--region", "auto", "--region", "sky.png=other.png"), "stands alone"),
        (("--region", "sky.png=nowhere.png"), "nowhere.png: there is no such file"),
        (("--region", "auto:99"), "N from 2 to 8"),
        (("--labels", "labels.png"), "2 labels and there is 1 style"),
        (("--style-labels", "labels.png"), "labels of the content"),
        (("--labels", "photo.png"), "does not look like a label picture"),
        (("--regions-out", "parts"), "no regions to write"),
        (("--region", "sky.png=other.png", "--regions-out", "style.png"), "is a file"),
        (("--background", "keep"), "give a region"),
    ],
)
def test_mistakes_are_told(impasto, folder, flags, args, says):
    done = impasto("stylize", "photo.png", "style.png", "-o", "out.png", *args, *flags)
    assert done.code == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert not (folder / "out.png").exists()


def test_without_any_style_it_is_told(impasto, folder, flags):
    done = impasto("stylize", "photo.png", "-o", "out.png", *flags)
    assert done.code == 2
    assert "No style picture" in done.err


def test_masks_are_inputs_that_are_spared(impasto, folder, flags):
    for out, args in (("sky.png", WAYS["masks"]), ("labels.png", WAYS["labels"])):
        done = impasto("stylize", "photo.png", *args, "-o", out, *flags)
        assert done.code == 2
        assert "--overwrite-input" in done.err
    assert impasto("stylize", "photo.png", *WAYS["masks"], "-o", "out.png", *flags).code == 0
    done = impasto("rerun", "out.png", "-o", "sky.png")
    assert "--overwrite-input" in done.err
    (folder / "labels.png").rename(folder / "content-labels.png")
    done = impasto("stylize", "photo.png", "style.png", "-o", "new.png", "--labels",
                   "content-labels.png", "--style-labels", "style-labels.png", "--regions-out", ".",
                   *flags)  # fmt: skip
    assert "would replace content-labels.png" in done.err


def test_names_that_hold_an_equals_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a=b.png", "c=d.png"):
        (tmp_path / name).touch()
    assert _parse_region("a=b.png=c=d.png") == ("a=b.png", "c=d.png")
    assert _parse_region("x.png=y=z.png") == ("x.png", "y=z.png")
    with pytest.raises(KnobError):
        _parse_region("x.png")
