"""The method sdxl on tiny pipelines: where models come from, and recipes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_paint import CONTENT, HOUSE, ONE, painted, pixels, settings

import impasto
from impasto.core.errors import InputError

pytest.importorskip("diffusers")


def test_a_local_folder_that_is_copied_gives_the_same_picture(tiny, tmp_path):
    copy = tmp_path / "copied"
    shutil.copytree(tiny["sdxl"], copy)
    one, other = painted(tiny, prompt=HOUSE), painted(tiny, prompt=HOUSE, model=str(copy))
    assert np.array_equal(one.pixels, other.pixels)
    sums = [sorted(r.recipe.files.values()) for r in (one, other)]
    assert sums[0] == sums[1]


def test_a_pipeline_that_is_loaded_and_saved_again_gives_the_same_picture(tiny, tmp_path):
    from diffusers import StableDiffusionXLPipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(tiny["sdxl"], add_watermarker=False)
    pipe.save_pretrained(tmp_path / "again")
    again = pixels(tiny, prompt=HOUSE, model=str(tmp_path / "again"))
    assert np.array_equal(again, pixels(tiny, prompt=HOUSE))


def test_the_recipe_has_the_sha256_of_every_file_that_is_loaded(tiny):
    import hashlib

    files = painted(tiny, prompt=HOUSE).recipe.files
    unet = Path(tiny["sdxl"]) / "unet/diffusion_pytorch_model.safetensors"
    name = "sdxl/unet/diffusion_pytorch_model.safetensors"
    assert files[name] == hashlib.sha256(unet.read_bytes()).hexdigest()
    parts = {Path(name).parent.name for name in files if name.endswith(".safetensors")}
    encoders = {"text_encoder", "text_encoder_2", "image_encoder"}
    assert parts == {"unet", "vae", "sdxl_models", *encoders}


@pytest.mark.parametrize("content", ["48x32", "photo.png"])
def test_a_recipe_paints_the_same_picture_again(tiny, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    for name, each in (("photo.png", CONTENT), ("style.png", ONE)):
        impasto.stylize(each, method="sdxl", prompt=HOUSE, strength=0.0).save(tmp_path / name)
    result = impasto.stylize(content, "style.png", **settings(tiny, prompt=HOUSE))
    result.save("out.png")
    assert np.array_equal(impasto.rerun("out.png").pixels, result.pixels)


def test_a_unet_that_has_learnt_guidance_is_asked_once(tiny, tmp_path):
    import diffusers

    folder = tmp_path / "lcm"
    shutil.copytree(tiny["sdxl"], folder)
    config = json.loads((folder / "unet/config.json").read_text())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet = diffusers.UNet2DConditionModel.from_config(config | {"time_cond_proj_dim": 8})
    unet.save_pretrained(folder / "unet")
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipe.scheduler = diffusers.LCMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        HOUSE, height=32, width=32, num_inference_steps=4, guidance_scale=3.0, output_type="np",
        generator=torch.Generator("cpu").manual_seed(0),
    ).images[0]  # fmt: skip
    given = {"model": str(folder), "scheduler": "lcm", "steps": 4, "guidance": 3.0}
    ours = pixels(tiny, "32x32", styles=(), prompt=HOUSE, **given)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_an_empty_prompt_is_what_the_model_was_taught_with(tiny, tmp_path):
    from diffusers import StableDiffusionXLPipeline

    folder = tmp_path / "words"
    shutil.copytree(tiny["sdxl"], folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["force_zeros_for_empty_prompt"] = False
    (folder / "model_index.json").write_text(json.dumps(index))
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        HOUSE, height=32, width=32, num_inference_steps=3, guidance_scale=5.0, output_type="np",
        generator=torch.Generator("cpu").manual_seed(0),
    ).images[0]  # fmt: skip
    ours = pixels(tiny, "32x32", styles=(), prompt=HOUSE, model=str(folder))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_folder_of_half_precision_paints_in_full_precision_too(tiny, tmp_path):
    from diffusers import StableDiffusionXLPipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(
        tiny["sdxl"], torch_dtype=torch.float16, add_watermarker=False
    )
    pipe.save_pretrained(tmp_path / "half", variant="fp16")
    found = pixels(tiny, styles=(), prompt=HOUSE, model=str(tmp_path / "half"))
    np.testing.assert_allclose(found, pixels(tiny, styles=(), prompt=HOUSE), atol=0.02)


def test_a_model_may_lie_within_a_folder(tiny):
    folder = Path(tiny["sdxl"])
    found = painted(tiny, styles=(), prompt=HOUSE, model=f"{folder.parent}:{folder.name}")
    assert np.array_equal(found.pixels, pixels(tiny, styles=(), prompt=HOUSE))


def test_a_recipe_is_not_repeated_with_other_weights(tiny, tmp_path, monkeypatch):
    import safetensors.torch

    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny["sdxl"], "model")
    result = painted(tiny, styles=(), prompt=HOUSE, model="model")
    result.save("out.png")
    assert np.array_equal(impasto.rerun("out.png").pixels, result.pixels)
    file = Path("model/unet/diffusion_pytorch_model.safetensors")
    tensors = safetensors.torch.load_file(file)
    safetensors.torch.save_file({k: 1.5 * v for k, v in tensors.items()}, file)
    other = painted(tiny, styles=(), prompt=HOUSE, model="model")  # and not by what is kept
    assert other.recipe.files != result.recipe.files
    assert not np.array_equal(other.pixels, result.pixels)
    with pytest.raises(InputError, match=r"unet/diffusion_pytorch_model.safetensors are oth"):
        impasto.rerun("out.png")


def test_settings_go_through_the_recipes_json(tiny):
    result = painted(tiny, prompt=HOUSE, blocks="up.block_0=0:1:0")
    assert json.loads(result.recipe.to_json())["knobs"]["blocks"] == "up.block_0=0:1:0"
