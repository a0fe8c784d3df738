"""CLIP against the library that it is loaded with, and what happens when it is not there."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import SIDE, write_clip

from impasto.core.errors import MissingExtraError, WeightsError
from impasto.nets import clip as module
from impasto.nets.clip import Clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder):
    return Clip(str(folder))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def picture(height, width, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    big = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(big, np.float32) / 255


def unit(vectors):
    return vectors / vectors.norm(dim=-1, keepdim=True)


def by_the_library(folder, pixels):
    """Where a picture lies by the library's own preparation, which cuts out the middle."""
    from transformers import CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    size = {"height": SIDE, "width": SIDE}
    prepare = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size)
    image = Image.fromarray((pixels * 255).round().astype(np.uint8))
    seen = prepare(images=[image], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        found = CLIPModel.from_pretrained(folder).get_image_features(pixel_values=seen)
    return unit(getattr(found, "pooler_output", found))[0]


@pytest.mark.parametrize("side", [20, 32, 90, 128])
def test_a_square_picture_lies_where_the_library_puts_it(clip, folder, side):
    pixels = picture(side, side)
    found = clip.embed_images([pixels])[0]
    torch.testing.assert_close(found, by_the_library(folder, pixels), atol=1e-5, rtol=0)


def test_a_large_picture_is_made_smaller_in_two_steps_with_little_difference(clip, folder):
    pixels = picture(400, 400)
    assert float(clip.embed_images([pixels])[0] @ by_the_library(folder, pixels)) > 0.999


@pytest.mark.parametrize(("height", "width"), [(32, 64), (96, 32)])
def test_of_a_longer_picture_the_squares_are_averaged(clip, height, width):
    pixels = picture(height, width)
    squares = [
        pixels[top : top + 32, left : left + 32]
        for top in range(0, height, 32)
        for left in range(0, width, 32)
    ]
    wanted = unit(clip.embed_images(squares).mean(0))
    torch.testing.assert_close(clip.embed_images([pixels])[0], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (40, 41), (32, 3200)])
def test_both_ends_of_a_picture_are_seen(clip, height, width):
    pixels = picture(height, width)
    changed = pixels.copy()
    if height > width:
        changed[-width // 2 :] = 1 - changed[-width // 2 :]
    else:
        changed[:, -height // 2 :] = 1 - changed[:, -height // 2 :]
    before, after = clip.embed_images([pixels, changed])
    assert float(before @ after) < 0.9999


def test_texts_lie_where_the_library_puts_them(clip, folder):
    from transformers import CLIPModel, CLIPTokenizer

    texts = ["a starry night", "cat"]
    given = CLIPTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        found = CLIPModel.from_pretrained(folder).get_text_features(**given)
    wanted = unit(getattr(found, "pooler_output", found))
    torch.testing.assert_close(clip.embed_texts(texts), wanted, atol=1e-5, rtol=0)


def test_a_text_of_any_length_is_read(clip):
    assert clip.embed_texts(["star" * 500]).shape == (1, 12)


def test_vectors_have_length_one_and_do_not_depend_on_their_company(clip):
    pixels = [picture(40, 50, seed) for seed in range(3)]
    together = clip.embed_images(pixels)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(together[1], clip.embed_images(pixels[1:2])[0], atol=1e-5, rtol=0)
    texts = clip.embed_texts(["cat", "a longer text"])
    torch.testing.assert_close(texts[0], clip.embed_texts(["cat"])[0], atol=1e-5, rtol=0)


def test_a_models_own_mean_and_deviation_are_used(clip, folder, tmp_path):
    own = write_clip(tmp_path, {"image_mean": [0.0] * 3, "image_std": [1.0] * 3})
    mean, std = (np.array(v, np.float32) for v in (module.IMAGE_MEAN, module.IMAGE_STD))
    pixels = np.full((32, 32, 3), 0.5, np.float32) * std + mean
    pixels = (pixels.clip(0, 1) * 255).round() / 255  # what the other one sees, undone
    twin = Clip(str(own)).embed_images([((pixels - mean) / std).clip(0, 1)])[0]
    assert float(twin @ clip.embed_images([pixels])[0]) > 0.999


def test_a_model_in_the_cache_is_found_without_a_network(cache, folder, monkeypatch):
    import shutil

    revision = module.PINNED_REVISIONS[module.DEFAULT_MODEL]
    shelf = cache / "models--openai--clip-vit-base-patch32" / "snapshots" / revision
    shelf.parent.mkdir(parents=True)
    shutil.copytree(folder, shelf)
    monkeypatch.delenv("IMPASTO_CLIP", raising=False)
    assert Clip(fetch=False).name == module.DEFAULT_MODEL
    (shelf / "model.safetensors").unlink()  # only half of it was fetched
    with pytest.raises(WeightsError, match="not on this machine"):
        Clip(fetch=False)


def test_the_environment_names_the_usual_one(folder, monkeypatch):
    monkeypatch.setenv("IMPASTO_CLIP", str(folder))
    assert Clip().name == str(folder)


@pytest.mark.parametrize("fetch", [True, False])
def test_what_is_neither_here_nor_to_be_fetched_is_told(cache, fetch):
    with pytest.raises(WeightsError, match=r"openai/clip-vit-base-patch32 is not on this machine"):
        Clip(module.DEFAULT_MODEL, fetch=fetch)


def test_a_hub_out_of_reach_is_asked_once_and_not_for_minutes(cache, monkeypatch):
    import huggingface_hub

    real = huggingface_hub.snapshot_download

    def unreachable(*_, **__):
        raise ConnectionError("no route")

    def only_offline(*args, local_files_only=False, **more):
        assert local_files_only  # else it would try again and again
        return real(*args, local_files_only=True, **more)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", only_offline)
    with pytest.raises(WeightsError, match=r"out of reach.*hf download some/model --revision main"):
        Clip("some/model")


def test_a_name_can_carry_its_revision(cache):
    with pytest.raises(WeightsError, match="hf download some/model --revision abc"):
        Clip("some/model@abc")


@pytest.mark.parametrize("name", ["clip", "./nowhere/at-all", "a/b/c"])
def test_what_is_neither_a_folder_nor_a_name_of_the_hub_is_refused(name):
    with pytest.raises(WeightsError, match=f"There is no CLIP {name}"):
        Clip(name)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json"):
        Clip(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="'bert'"):
        Clip(str(tmp_path))


def test_damaged_weights_are_refused_in_one_sentence(folder, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="cannot be used as a CLIP") as caught:
        Clip(str(copy))
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_line_that_installs_it_is_told(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "transformers" else real(name)
    )
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[clip\]"'):
        Clip()


def test_loading_says_nothing(folder, capfd):
    Clip(str(folder))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_torchvision_that_does_not_fit_torch_is_named(folder, tmp_path):
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms')")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from impasto.core.errors import MissingExtraError
from impasto.nets.clip import Clip
try:
    Clip({str(folder)!r})
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Remove torchvision" in done.stdout
