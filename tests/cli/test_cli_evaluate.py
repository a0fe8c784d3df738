"""``impasto evaluate`` from the command line to what it says."""

import csv
import io
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny_clip import write_clip

from impasto.metrics import METRICS
from impasto.weights import store

QUICK = ("--metrics", "ssim,edges")


def save(path, seed, height=40, width=56):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def results(tmp_path):
    return [save(tmp_path / f"{name}.png", k) for k, name in enumerate(("first", "second"))]


@pytest.fixture
def sets(tmp_path, photo):
    """A folder of contents and two of results."""
    for k in range(3):
        save(tmp_path / "contents" / f"c{k}.png", k)
        save(tmp_path / "gatys" / f"c{k}.png", 10 + k)
        save(tmp_path / "adain" / f"c{k}-adain.png", 20 + k)
    return [tmp_path / name for name in ("contents", "gatys", "adain")]


def lines_of(done):
    return [line.split() for line in done.out.splitlines()]


def test_results_are_compared_in_a_table_with_the_better_direction(
    impasto, photo, style, results, quick
):
    done = impasto("evaluate", photo, style, *results, "--metrics", "ssim,gram")
    assert done.code == 0
    head = done.out.splitlines()[0]
    assert "SSIM ↑" in head
    assert "Gram error ↓" in head
    rows = [line for line in lines_of(done) if line and line[0].endswith(".png")]
    assert [row[0] for row in rows] == [path.name for path in results]
    assert "mean" not in done.out


def test_the_figures_are_those_of_the_python_function(impasto, photo, style, results):
    from impasto import evaluate

    done = impasto("evaluate", photo, style, *results, *QUICK, "--json")
    wanted = evaluate(str(photo), str(style), [str(path) for path in results],
                      metrics=["ssim", "edges"])  # fmt: skip
    assert done.json["rows"] == wanted.to_dict()["rows"]
    assert set(done.json) == {"size", "metrics", "rows", "means", "missing", "left_out"}


def test_results_are_called_by_what_tells_them_apart(impasto, photo, style, tmp_path, monkeypatch):
    near = save(tmp_path / "here" / "a.png", 0)
    far = save(tmp_path / "there" / "a.png", 1)
    monkeypatch.chdir(near.parent)
    rows = lines_of(impasto("evaluate", photo, style, "a.png", far, *QUICK))
    assert [row[0] for row in rows[2:4]] == ["here/a.png", "there/a.png"]


def test_sets_show_their_means_and_between_what_they_lie(impasto, sets, style):
    contents, *folders = sets
    done = impasto("evaluate", contents, style, *folders, *QUICK)
    assert done.out.count("mean of 3") == 2
    assert done.out.count("95 % from") == 2
    data = impasto("evaluate", contents, style, *folders, *QUICK, "--json").json
    for each in data["means"]:
        found = each["scores"]["ssim"]
        assert found["low"] < found["mean"] < found["high"]


def test_what_does_not_match_is_warned_of_and_the_rest_is_measured(impasto, sets, style):
    contents, folder, _ = sets
    save(folder / "stray.png", 50)
    save(folder / "c1.png", 50, height=56, width=40)
    done = impasto("evaluate", contents, style, folder, *QUICK)
    assert done.code == 0
    assert done.err.count("Left out: ") == 2
    assert "stray.png" in done.err
    assert "another shape" in done.err


def test_folders_that_do_not_match_at_all_are_listed(impasto, sets, style, tmp_path):
    other = save(tmp_path / "other" / "x9.png", 0).parent
    done = impasto("evaluate", sets[0], style, other)
    assert done.code == 2
    assert all(name in done.err for name in ("x9.png", "c0.png", "c2.png", "do not match up"))


def test_the_csv_goes_to_a_file_or_to_stdout(impasto, photo, style, results, tmp_path):
    place = tmp_path / "scores.csv"
    done = impasto("evaluate", photo, style, *results, *QUICK, "--csv", place)
    assert "SSIM" in done.out
    text = place.read_text()
    assert [row["result"] for row in csv.DictReader(io.StringIO(text))] == list(map(str, results))
    alone = impasto("evaluate", photo, style, *results, *QUICK, "--csv", "-")
    assert alone.out == text


def test_layers_and_explanations_come_when_asked_for(impasto, photo, style, results, quick):
    done = impasto("evaluate", photo, style, results[0], "--metrics", "gram", "--per-layer",
                   "--explain")  # fmt: skip
    assert "conv5_1" in done.out
    assert METRICS["gram"].source in done.out
    assert f"Usual: {METRICS['gram'].usual}" in done.out
    assert "conv5_1" not in impasto("evaluate", photo, style, results[0], *QUICK).out


def test_weights_that_are_not_here_are_told_and_the_rest_goes_on(
    impasto, photo, style, results, quick, monkeypatch, tmp_path
):
    from huggingface_hub import constants

    from impasto.core.errors import WeightsError

    real = store.load_metric_network

    def without_lpips(name):
        if name == "lpips":
            raise WeightsError("no lpips here: get them")
        return real(name)

    monkeypatch.setattr(store, "load_metric_network", without_lpips)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("IMPASTO_CLIP", raising=False)
    done = impasto("evaluate", photo, style, results[0])
    assert done.code == 0
    assert "Not measured: lpips: no lpips here: get them" in done.err
    assert "Not measured: clip_style, leak: CLIP openai/clip-vit-base-patch32" in done.err
    assert "style error ↓" in done.out


def test_clip_is_taken_from_a_folder(impasto, photo, style, results, tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    write_clip(folder)
    done = impasto("evaluate", photo, style, results[0], "--clip", folder, "--text", "a cat",
                   "--metrics", "clip_style,clip_text", "--json")  # fmt: skip
    assert set(done.json["rows"][0]["scores"]) == {"clip_style", "clip_text"}


def test_a_painting_alone_is_measured_against_its_recipe(
    impasto, photo, style, small, tmp_path, quick
):
    painting = tmp_path / "painting.png"
    impasto("stylize", photo, style, "-o", painting, *small)
    done = impasto("evaluate", painting, *QUICK, "--json")
    assert done.json["rows"][0]["content"] == str(photo)


@pytest.mark.parametrize("bits", [8, 16])
def test_transparent_and_deep_pictures_are_measured(impasto, photo, style, tmp_path, bits):
    import tifffile

    top = 2**bits - 1
    rgba = np.random.default_rng(0).integers(0, top + 1, (40, 56, 4)).astype(f"uint{bits}")
    tifffile.imwrite(tmp_path / "deep.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    done = impasto("evaluate", photo, style, tmp_path / "deep.tif", *QUICK)
    assert done.code == 0
    assert "deep.tif: transparent parts were laid on white." in done.err


def test_identical_pictures_are_noted_and_measured(impasto, photo, style, tmp_path):
    copy = shutil.copy(photo, tmp_path / "copy.png")
    done = impasto("evaluate", photo, style, copy, *QUICK, "--json")
    assert done.json["rows"][0]["scores"]["ssim"] == pytest.approx(1)
    assert "is the content itself" in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("{photo}", "{style}"), "at least one RESULT are wanted"),
        (("{photo}", "{style}", "gone.png"), "There is no file gone.png"),
        (("{photo}", "gone.png", "{photo}"), "Cannot read gone.png"),
        (("gone.png",), "There is no file gone.png"),
        (("{photo}",), "holds no recipe"),
        (("{photo}", "{style}", "{photo}", "--metrics", "beauty"), "There is no metric 'beauty'"),
        (("{photo}", "{style}", "{photo}", "--metrics", "clip_text"), "give one with --text"),
        (("{photo}", "{style}", "{photo}", "--size", "8"), "size = 8 does not fit"),
        (("{photo}", "{style}", "{photo}", "--json", "--csv", "-"), "both want stdout"),
        (("{photo}", "{style}", "{style}"), "another shape"),
        (("{photo}", "{style}", "{photo}", *QUICK, "--csv", "no/where.csv"), "folder is missing"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_in_one_sentence(impasto, photo, style, args, message, monkeypatch,
                                             tmp_path):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = impasto("evaluate", *(str(a).format(photo=photo, style=style) for a in args))
    assert done.code == 2
    assert message in done.err


def test_an_unwritable_csv_is_found_before_the_work(impasto, photo, style, monkeypatch, tmp_path):
    from impasto.evaluation import evaluate as module

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "evaluate", None)
    done = impasto("evaluate", photo, style, photo, "--csv", "no/where.csv")
    assert done.code == 2


def test_metrics_complete_after_a_comma():
    from impasto.cli.evaluate import evaluate

    option = next(param for param in evaluate.params if param.name == "metrics")
    found = option.shell_complete(None, "ssim,st")
    assert [item.value for item in found] == ["ssim,style_error"]
