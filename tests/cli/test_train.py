"""``impasto train``, from the words to the model."""

import json
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image

from impasto.cli import watchers
from impasto.weights.model_files import read_model, read_model_header


@pytest.fixture
def line(album_folders, narrow, tmp_path):
    photos, styles = album_folders
    return (
        *("train", "fast", "--photos", photos, "--styles", styles),
        *("-o", tmp_path / "out.safetensors", "--loss-network", narrow, "--device", "cpu"),
        *("--steps", 4, "--batch-size", 2, "--crop-size", 64, "--precision", "fp32"),
    )


def tensors_of(path):
    return read_model(path, path.name, "", "fast").tensors


def test_a_model_is_taught_and_everything_said(impasto, line, tmp_path):
    done = impasto(*line, "--note", "random; CC0", "--preview", tmp_path / "steps")
    out = tmp_path / "out.safetensors"
    assert done.code == 0, done.err
    assert done.out == f"{out}\n"
    for said in (
        "Teaching fast from 7 photos and 3 styles.",
        "4 steps of 2 pictures of 64 px, fp32 on cpu: about",
        f"{out}.impasto-training, every 1 min",
        f"Previews go to {tmp_path / 'steps'}, every 1 steps",
        "Taught 4 steps",
    ):
        assert said in done.err
    assert "cannot be read" not in done.err
    shown = sorted(path.name for path in (tmp_path / "steps").iterdir())
    assert shown == [
        *(watchers.train_preview_file_name(step) for step in range(1, 5)),
        "latest.jpg",
    ]
    with Image.open(tmp_path / "steps" / "latest.jpg") as picture:
        assert min(picture.size) >= 64
    header = read_model_header(out)
    assert header["card"]["command"].startswith("impasto train fast --photos photos --styles")
    assert str(tmp_path) not in json.dumps(header)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.safetensors", "steps"]


def test_with_json_one_line_and_quietly_nothing_else(impasto, line, tmp_path):
    done = impasto(*line, "--json", "-q")
    assert done.code == 0
    assert done.err == ""
    assert done.json["output"] == str(tmp_path / "out.safetensors")
    assert done.json["finished"]
    assert done.json["steps"] == 4
    assert done.json["unreadable"] == {}
    assert set(done.json["losses"]) == {"content", "style", "tv", "gamut"}


def test_ctrl_c_loses_nothing_and_resume_ends_with_the_same_bits(
    impasto, line, tmp_path, monkeypatch
):
    whole = tmp_path / "whole.safetensors"
    assert impasto(*line, "-o", whole).code == 0
    out, left = tmp_path / "out.safetensors", tmp_path / "out.safetensors.impasto-training"
    with monkeypatch.context() as patch:
        patch.setattr(
            watchers.TrainPreviewWriter,
            "add",
            lambda self, preview, step: signal.raise_signal(signal.SIGINT),
        )
        done = impasto(*line, "--preview", tmp_path / "steps", "--preview-every", 3, "--json")
    assert done.code == 130
    assert "Stopped after step 3 of 4. The same command with --resume goes on." in done.err
    assert not done.json["finished"]
    assert done.json["checkpoint"] == str(left)
    assert left.exists()
    assert not out.exists()

    other = impasto(*line, "--resume", "--batch-size", 3)
    assert other.code == 2
    assert "batch_size differ" in other.err
    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert "Going on after step 3 of 4." in done.err
    assert not left.exists()
    one, two = tensors_of(whole), tensors_of(out)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_who_forgets_resume_and_stops_loses_nothing(impasto, line, tmp_path, monkeypatch):
    left = tmp_path / "out.safetensors.impasto-training"
    left.write_bytes(b"hours of work")
    monkeypatch.setattr(
        watchers.TrainPreviewWriter,
        "add",
        lambda self, preview, step: signal.raise_signal(signal.SIGINT),
    )
    done = impasto(*line, "--preview", tmp_path / "steps", "--preview-every", 1)
    assert done.code == 130
    assert "An unfinished run of" in done.err
    assert "The earlier unfinished run is still there" in done.err
    assert left.read_bytes() == b"hours of work"


def test_resume_without_a_checkpoint_begins_from_the_start(impasto, line):
    done = impasto(*line, "--resume")
    assert done.code == 0
    assert "it begins from the start" in done.err


def test_unreadable_pictures_are_named_at_once_or_at_the_end(
    impasto, line, album_folders, tmp_path
):
    mine = tmp_path / "mine"
    mine.mkdir()
    whole = (album_folders[0] / "photo-0.jpg").read_bytes()
    (mine / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (mine / "text.png").write_text("no picture")
    done = impasto(*line, "--photos", mine)
    assert done.code == 0, done.err
    early, late = (line for line in done.err.splitlines() if line.startswith("warning: "))
    assert "Left out, for they cannot be read" in early
    assert "text.png" in early
    assert "Left out later" in late
    assert "cut.jpg" in late


def test_tensorboard_gets_curves_and_pictures(impasto, line, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    done = impasto(*line, "--tensorboard", tmp_path / "board", "--preview-every", 4)
    assert done.code == 0, done.err
    events = accumulator.EventAccumulator(str(tmp_path / "board")).Reload()
    assert [e.step for e in events.Scalars("loss/total")] == [1, 2, 3, 4]
    assert "loss/style" in events.Tags()["scalars"]
    assert [e.step for e in events.Images("preview")] == [4]


def test_without_tensorboard_the_install_line_is_said(impasto, line, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    done = impasto(*line, "--tensorboard", tmp_path / "board")
    assert done.code == 2
    assert 'pip install "impasto[train]"' in done.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-o", "{}/out.pth"), "a model is a .safetensors file"),
        (("-o", "{}/none/out.safetensors"), "its folder is missing"),
        (("-o", "{narrow}"), "is an input and would be overwritten"),
        (("--init-from", "compact"), "wanted is a fast network"),
        (("--photos", "{}/none"), "There is no folder"),
        (("--photos", "{}/empty"), "holds no pictures"),
        (("--preview", "{photos}/steps"), "would be trained with"),
        (("--preview", "{narrow}"), "is a file"),
        (("--preview-every", "0"), "--preview-every"),
        (("--loss-network", "oxfrod"), "oxford"),
        (("--batch-size", "0"), "1 to 4096"),
        (("--stpes", "3"), "Did you mean --steps?"),
        (("--device", "abacus"), "abacus"),
    ],
)
def test_what_is_refused_before_the_work(
    impasto, line, album_folders, narrow, tmp_path, more, said
):
    (tmp_path / "empty").mkdir()
    before = narrow.read_bytes()
    words = [w.replace("{}", str(tmp_path)) for w in more]
    words = [w.format(narrow=narrow, photos=album_folders[0]) for w in words]
    done = impasto(*line, *words)
    assert done.code == (3 if "abacus" in more else 2)
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert narrow.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fsat",), "Did you mean fast?"),
        (("--photos", "a", "fast"), "Say first what is to be trained"),
        (("fast", "-o", "a.safetensors"), "--photos"),
        (("fast", "--photos", "a"), "--output"),
    ],
)
def test_wrong_usage_says_what_is_right(impasto, words, said):
    done = impasto("train", *words)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("name", ["compact", "adain", "wct", "fast"])
def test_every_lesson_has_a_help_with_its_knobs(impasto, name):
    done = impasto("train", name, "--help")
    assert done.code == 0
    assert "--learning-rate" in done.out.partition("Lesson:")[2]
    assert ("--table-only" in done.out) == (name == "fast")
    assert name in impasto("train", "--help").out


def test_the_list_of_lessons_loads_no_torch():
    command = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules));"
        "sys.argv = ['impasto', 'train', '--help']; from impasto.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
