"""What is kept of a search: a study that Optuna itself can read, and small pictures."""

import sqlite3
from dataclasses import replace

import numpy as np
import optuna
import pytest
from PIL import Image

from impasto.advise.tune.search_space import SearchSpace
from impasto.advise.tune.storage import TrialStorage, TrialThumbnails, thumbnail_folder
from impasto.advise.tune.trial import Trial
from impasto.core.errors import InputError
from impasto.methods import get_method

SPACE = SearchSpace(get_method("adain"), {})


def a_trial(number=0, strength=0.5, **more):
    knobs = SPACE.complete({"strength": strength})
    measures = {"style_error": 0.6, "content_error": 0.4, "ssim": 0.3, "noise": 2.0}
    return Trial(number, knobs, "optuna", measures, 0.65, 0.25, **more)


def test_trials_are_there_again_after_reopening(tmp_path):
    path = tmp_path / "tune.db"
    kept = [a_trial(), a_trial(1, 0.7, why="bolder"), a_trial(2, 0.9, final=True)]
    store = TrialStorage(path, "one", {"aim": 0.5}, SPACE)
    for each in kept:
        store.add(each)
    again = TrialStorage(path, "one", {"aim": 0.9}, SPACE)
    assert again.trials == kept
    assert again.about["aim"] == 0.5


def test_optuna_reads_the_study_as_its_own(tmp_path):
    path = tmp_path / "tune.db"
    TrialStorage(path, "one", {}, SPACE).add(a_trial(strength=0.7))
    study = optuna.load_study(study_name="one", storage=f"sqlite:///{path}")
    assert study.best_params == {"strength": 0.7, "style_size": 512}
    assert study.best_value == 0.65


def test_a_value_that_is_not_searched_is_kept_all_the_same(tmp_path):
    path = tmp_path / "tune.db"
    outside = replace(a_trial(), knobs=SPACE.complete({"strength": 0.1}))
    TrialStorage(path, "one", {}, SPACE).add(outside)
    assert TrialStorage(path, "one", {}, SPACE).trials == [outside]


def test_two_studies_share_a_file(tmp_path):
    path = tmp_path / "tune.db"
    TrialStorage(path, "one", {}, SPACE).add(a_trial())
    assert TrialStorage(path, "other", {}, SPACE).trials == []


@pytest.mark.parametrize("name", ["what?x=1.db", "50%20 #2 grün.db"])
def test_the_file_has_the_name_that_was_given(tmp_path, name):
    TrialStorage(tmp_path / name, "one", {}, SPACE).add(a_trial())
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with sqlite3.connect(tmp_path / name) as file:
        assert file.execute("select count(*) from trials").fetchone() == (1,)


def test_trials_of_somebody_else_in_the_file_are_left_out(tmp_path):
    path = tmp_path / "tune.db"
    study = optuna.create_study(study_name="one", storage=f"sqlite:///{path}")
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
    assert TrialStorage(path, "one", {}, SPACE).trials == []


def test_a_file_that_is_no_study_is_refused_and_stays(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("my notes")
    with pytest.raises(InputError, match=r"notes\.db is no study"):
        TrialStorage(path, "one", {}, SPACE)
    assert path.read_text() == "my notes"


def test_a_damaged_study_is_refused(tmp_path):
    path = tmp_path / "tune.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 500)
    with pytest.raises(InputError, match=r"tune\.db cannot be used"):
        TrialStorage(path, "one", {}, SPACE)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        TrialStorage(tmp_path, "one", {}, SPACE)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*missing"):
        TrialStorage(tmp_path / "missing" / "tune.db", "one", {}, SPACE)


def test_in_memory_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = TrialStorage(None, "one", {}, SPACE)
    store.add(a_trial())
    TrialThumbnails(None).add("x", np.zeros((8, 8, 3), np.float32))
    assert len(store.trials) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_kept_small_and_found_by_another_run(tmp_path):
    folder = thumbnail_folder(tmp_path / "tune.db")
    pixels = np.zeros((300, 600, 3), np.float32)
    pixels[:, 300:] = 1.0
    TrialThumbnails(folder).add("a-0001", pixels)
    with Image.open(tmp_path / "tune.trials" / "a-0001.jpg") as image:
        assert image.size == (256, 128)
    found = np.asarray(TrialThumbnails(folder).get("a-0001"))
    assert found[:, :100].max() < 0.1
    assert found[:, -100:].min() > 0.9


def test_a_picture_that_is_lost_or_damaged_is_none(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    assert TrialThumbnails(tmp_path).get("none") is None
    assert TrialThumbnails(tmp_path).get("bad") is None
