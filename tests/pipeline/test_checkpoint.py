"""Checkpoints: when they are written, that they are whole, and whose they are."""

import itertools
import os

import pytest
import torch

from impasto.core.errors import InputError
from impasto.core.progress import ProgressEvent
from impasto.pipeline import checkpoint as module
from impasto.pipeline.checkpoint import (
    MIN_INTERVAL_SECONDS,
    MIN_INTERVAL_WRITE_FACTOR,
    Checkpoint,
    checkpoint_path,
)

STATE = {"step": 3, "changes": [torch.arange(6.0).view(2, 3)], "best": 1.5, "average": None}


@pytest.fixture
def clock(monkeypatch):
    """The time, to be set by hand."""
    held = {"now": 1000.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: held["now"])
    return held


def tick(state=lambda: STATE):
    return ProgressEvent(1, 2, 0.5, {}, lambda: None, state)


def same(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def test_a_state_comes_back_as_it_was(tmp_path):
    Checkpoint(tmp_path / "x", {"seed": 1}).save(STATE)
    assert same(Checkpoint(tmp_path / "x", {"seed": 1}).load(), STATE)
    assert os.listdir(tmp_path) == ["x"]  # noqa: PTH208


def test_without_a_file_there_is_nothing_to_go_on_from(tmp_path):
    assert Checkpoint(tmp_path / "x", {}).load() is None


def test_the_file_lies_beside_the_output(tmp_path):
    place = checkpoint_path(tmp_path / "painting.png")
    assert place.parent == tmp_path
    assert place.name.startswith("painting.png.")


def test_it_is_written_every_few_seconds_and_not_between(tmp_path, clock):
    calls = []
    keeper = Checkpoint(tmp_path / "x", {})

    def state():
        calls.append(clock["now"])
        return STATE

    for now in range(1000, 1013):
        clock["now"] = float(now)
        keeper(tick(state))
    assert calls == [1000 + MIN_INTERVAL_SECONDS, 1000 + 2 * MIN_INTERVAL_SECONDS]


def test_slow_writing_takes_a_sixth_of_the_time_at_most(tmp_path, clock, monkeypatch):
    saved = []

    def slow(self, state):
        saved.append(clock["now"])
        clock["now"] += 3.0

    monkeypatch.setattr(Checkpoint, "save", slow)
    keeper = Checkpoint(tmp_path / "x", {})
    for _ in range(400):
        clock["now"] += 1.0
        keeper(tick())
    gaps = [b - a for a, b in itertools.pairwise(saved)]
    assert gaps
    assert min(gaps) >= 3.0 * MIN_INTERVAL_WRITE_FACTOR
    assert len(saved) >= 10


def test_a_checkpoint_of_another_run_is_refused_and_told_apart(tmp_path):
    Checkpoint(tmp_path / "x", {"seed": 1, "size": [3, 4], "knobs": {"a": 1}}).save(STATE)
    other = Checkpoint(tmp_path / "x", {"seed": 2, "size": [3, 4], "knobs": {"a": 2}})
    with pytest.raises(InputError, match="belongs to another run: seed, knobs differ"):
        other.load()
    assert same(torch.load(tmp_path / "x", weights_only=True)["state"], STATE)


@pytest.mark.parametrize("data", [b"", b"no checkpoint", b"PK\x03\x04", None])
def test_a_damaged_checkpoint_is_refused_with_what_to_do(tmp_path, data):
    keeper = Checkpoint(tmp_path / "x", {})
    keeper.save(STATE)
    whole = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[: len(whole) // 2] if data is None else data)
    with pytest.raises(InputError, match="damaged: delete it"):
        keeper.load()


@pytest.mark.parametrize("content", [{"state": {}}, [1, 2], 3])
def test_another_programs_file_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x")
    with pytest.raises(InputError, match="no checkpoint of ours"):
        Checkpoint(tmp_path / "x", {}).load()


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    torch.save({"identity": {}, "state": Evil()}, tmp_path / "x")
    with pytest.raises(InputError):
        Checkpoint(tmp_path / "x", {}).load()
    assert not (tmp_path / "pwned").exists()


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    keeper = Checkpoint(tmp_path / "x", {})
    keeper.save(STATE)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        keeper.save({"step": 4})
    assert same(keeper.load(), STATE)
    assert os.listdir(tmp_path) == ["x"]  # noqa: PTH208


def test_removing_is_allowed_twice(tmp_path):
    keeper = Checkpoint(tmp_path / "x", {})
    keeper.save(STATE)
    keeper.remove()
    keeper.remove()
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(content, file):
        file.write(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc] unexpected pos")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="No space left"):
        Checkpoint(tmp_path / "x", {}).save(STATE)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
