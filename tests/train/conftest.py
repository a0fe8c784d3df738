"""Folders of tiny pictures, and runs of a few steps on them."""

import pytest

from impasto.train.teach import prepare, teach

SMALL = {"steps": 6, "batch": 2, "side": 64, "precision": "fp32"}


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def little_oxford(narrow, monkeypatch):
    """What teaches the compact encoder is narrow too."""
    from impasto.weights import store

    real = store.load
    monkeypatch.setattr(store, "load", lambda name: real(narrow if name == "oxford" else name))


@pytest.fixture
def loop_of(album_folders, narrow, tmp_path, little_oxford):
    """Prepares a training of a few steps."""
    photos, styles = album_folders

    def make(name="fast", *, output="out.safetensors", start="", resume=False, sources=(), **more):
        given = {"photos": [str(photos)], "styles": [str(styles)], **dict(sources)}
        knobs = {**SMALL, **more}
        if name in ("fast", "adain"):
            knobs.setdefault("judge", str(narrow))
        if name in ("adain", "wct"):
            knobs.setdefault("encoder", "oxford")
        return prepare(
            name,
            knobs,
            **given,
            start=start,
            output=tmp_path / output,
            device="cpu",
            resume=resume,
        )

    return make


@pytest.fixture
def taught(tmp_path):
    """Runs a prepared training; the output is told by its checkpoint."""

    def run(loop, watch=lambda _: None, note="", **more):
        output = loop.checkpoint.with_name(loop.checkpoint.name.removesuffix(".impasto-training"))
        return teach(loop, output, note, watch, **more)

    return run
