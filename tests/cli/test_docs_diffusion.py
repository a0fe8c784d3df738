"""Every command and every line of Python about diffusion in the docs, run as it is written.

Tiny models lie in a cache of the hub under the published names, so that nothing has to be named
otherwise; only trainings and films are told to take fewer steps.
"""

import re
import shlex
import shutil
from pathlib import Path

import clips
import pytest
from PIL import Image

pytest.importorskip("diffusers")

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {
    "methods/sdxl.md": r"\A",
    "lora.md": r"\A",
    "training.md": "## A style LoRA",
    "video.md": "## From words: AnimateDiff",
}
"""Page → the heading that the part about diffusion begins with."""


FEWER = {
    "train": (
        "--steps",
        "2",
        "--evaluations",
        "1",
        "--crop-size",
        "64",
        "--sample-prompts",
        "a ship",
    ),
    "video": ("--steps", "3"),
}


def blocks(page):
    """(language, text) of the page's blocks of code."""
    text = (DOCS / page).read_text("utf-8")
    text = text[re.search(PAGES[page], text).start() :]
    text = re.split(r"\n## ", text[3:])[0] if PAGES[page] != r"\A" else text
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands():
    for page in PAGES:
        for language, text in blocks(page):
            if language in ("", "console"):
                lines = text.replace("\\\n", " ").splitlines()
                lines = [line.removeprefix("$ ").strip() for line in lines]
                yield from ((page, line) for line in lines if line.startswith("impasto "))


@pytest.fixture(scope="module")
def cache(tiny, tmp_path_factory):
    """A cache of the hub with tiny models under the published names."""
    from tiny_clip import write_clip

    from impasto.nets import clip
    from impasto.weights.compatibility import (
        DEFAULT_CONTROLNETS,
        DEFAULT_IP_ADAPTERS,
        DEFAULT_MODELS,
        DEFAULT_MOTION_ADAPTERS,
    )
    from impasto.weights.hub import PINNED_REVISIONS

    root = tmp_path_factory.mktemp("hub")
    adapters = Path(tiny["adapter-sdxl"]).parents[1]
    places = {DEFAULT_IP_ADAPTERS["sdxl"].partition(":")[0]: adapters}
    places |= {name: tiny[kind] for kind, name in DEFAULT_MODELS.items()}
    places |= {name: tiny[f"control-{kind}"] for (kind, _), name in DEFAULT_CONTROLNETS.items()}
    places |= {name: tiny[f"motion-{kind}"] for kind, name in DEFAULT_MOTION_ADAPTERS.items()}
    places[clip.DEFAULT_MODEL] = write_clip(tmp_path_factory.mktemp("clip"))
    revisions = {**PINNED_REVISIONS, **clip.PINNED_REVISIONS}
    for name, place in places.items():
        repository = root / f"models--{name.replace('/', '--')}"
        commit = revisions.get(name, "0123456789abcdef0123456789abcdef01234567")
        shutil.copytree(place, repository / "snapshots" / commit)
        if name not in revisions:
            (repository / "refs").mkdir()
            (repository / "refs/main").write_text(commit)
    return root


@pytest.fixture
def folder(cache, tiny, tmp_path, monkeypatch):
    """The folder at hand, with all that the docs name."""
    from huggingface_hub import constants
    from tiny_diffusion import write_lora
    from tiny_models import picture

    from impasto.engines.diffusion import pipelines

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("photo.jpg", "style.jpg", "painting.jpg", "brand/a.png",
                              "brand/b.png")):  # fmt: skip
        Path(name).parent.mkdir(exist_ok=True)
        pixels = (picture(48, 64, i).pixels * 255).astype("uint8")
        Image.fromarray(pixels).save(name)
    clips.clip(tmp_path / "clip.mp4", clips.frames(5))
    shutil.copytree(tiny["sdxl"], "models/sdxl")
    shutil.copytree(Path(tiny["adapter-sdxl"]).parent, "models", dirs_exist_ok=True)
    for name in ("brand", "grain"):
        write_lora(f"{name}.safetensors", "sdxl", ("down_blocks_1", "up_blocks_0"))
    yield tmp_path
    pipelines.unload_pipelines()  # of a folder that is gone


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_a_command_runs_as_it_is_written(impasto, folder, page, line):
    words = shlex.split(line)[1:]
    done = impasto(*words, *FEWER.get(words[0], ()))
    assert done.code == 0, done.err
    if "-o" in words:
        assert (folder / words[words.index("-o") + 1]).is_file()


def test_the_python_of_sdxl_runs_as_it_is_written(folder):
    [code] = [text for language, text in blocks("methods/sdxl.md") if language == "python"]
    exec(compile(code, "sdxl.md", "exec"), {})
    assert (folder / "out.png").is_file()


def test_the_python_of_loras_runs_as_it_is_written(folder):
    from tiny_diffusion import pipeline

    [code] = [text for language, text in blocks("lora.md") if language == "python"]
    exec(compile(code, "lora.md", "exec"), {"pipeline": pipeline("sdxl")})
