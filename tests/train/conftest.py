"""Folders of tiny pictures, and runs of a few steps on them."""

import copy

import numpy as np
import pytest
from PIL import Image

from impasto.train.fit import prepare, train

SMALL = {"steps": 6, "batch_size": 2, "crop_size": 64, "precision": "fp32"}


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def little_oxford(narrow, monkeypatch):
    """What teaches the compact encoder is narrow too."""
    from impasto.weights import store

    real = store.load_encoder
    monkeypatch.setattr(
        store, "load_encoder", lambda name: real(narrow if name == "oxford" else name)
    )


@pytest.fixture
def loop_of(album_folders, narrow, tmp_path, little_oxford):
    """Prepares a training of a few steps."""
    photos, styles = album_folders

    def make(
        name="fast", *, output="out.safetensors", init_from="", resume=False, sources=(), **more
    ):
        given = {"photos": [str(photos)], "styles": [str(styles)], **dict(sources)}
        knobs = {**SMALL, **more}
        if name in ("fast", "adain"):
            knobs.setdefault("loss_network", str(narrow))
        if name in ("adain", "wct"):
            knobs.setdefault("encoder", "oxford")
        return prepare(
            name,
            knobs,
            **given,
            init_from=init_from,
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
        return train(loop, output, note, watch, **more)

    return run


LORA = {
    "steps": 4,
    "batch_size": 2,
    "rank": 2,
    "alpha": 2.0,
    "precision": "fp32",
    "early_stop": False,
    "sample_prompts": "a boat",
    "sample_steps": 2,
    "learning_rate": 1e-2,
    "gradient_checkpointing": False,
    "blocks": ("mid",),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five pictures of stripes in three shapes, three of them with a caption."""
    folder = tmp_path_factory.mktemp("brand")
    for number, (height, width) in enumerate([(48, 48), (48, 48), (40, 64), (64, 40), (48, 50)]):
        rows = (np.arange(height) // 4 % 2 * 200 + 20 * number).astype(np.uint8)
        Image.fromarray(np.tile(rows[:, None, None], (1, width, 3))).save(folder / f"{number}.png")
        if number < 3:
            (folder / f"{number}.txt").write_text(f"a boat\nand {'abc'[number]} tree")
    return folder


@pytest.fixture(scope="module")
def _read_once():
    """Bases are read once, and copied for every run."""
    from impasto.train.lora.frozen_base import FrozenDiffusionModel

    real, known = FrozenDiffusionModel._load, {}

    def load(self, source, looked):
        if (place := str(source.folder)) not in known:
            before = set(vars(self))
            real(self, source, looked)
            known[place] = {n: value for n, value in vars(self).items() if n not in before}
        shared = {id(known[place]["tokenizers"]): known[place]["tokenizers"]}
        vars(self).update(copy.deepcopy(known[place], shared))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrozenDiffusionModel, "_load", load)
        yield


@pytest.fixture
def lora_of(pictures, tiny, tmp_path, monkeypatch, _read_once):
    """Prepares a LoRA of a few steps on a tiny base."""
    monkeypatch.setattr("impasto.train.lora.task.PRIOR_SAMPLING_STEPS", 2)

    def make(kind="sd15", *, output="brand.safetensors", resume=False, init_from="", styles=(),
             photos=None, captions=None, **more):  # fmt: skip
        knobs = {**LORA, "model": tiny[kind], **more}
        return prepare(
            "lora",
            knobs,
            photos=[str(photos or pictures)],
            styles=list(styles),
            init_from=init_from,
            captions=captions,
            output=tmp_path / output,
            device="cpu",
            resume=resume,
        )

    return make


@pytest.fixture
def clip(tmp_path_factory):
    """A tiny CLIP, as a folder."""
    from tiny_clip import write_clip

    return str(write_clip(tmp_path_factory.mktemp("clip")))
