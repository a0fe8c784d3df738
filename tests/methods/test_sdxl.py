"""The method sdxl on tiny pipelines: real classes of diffusers, no hub."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import picture

import impasto
from impasto.core.errors import ImpastoError, InputError, KnobError, ResourceError
from impasto.core.request import Region

pytest.importorskip("diffusers")

CONTENT, ONE, OTHER = picture(40, 56), picture(48, 64, 1), picture(33, 90, 2)
CONTENTS = (CONTENT, picture(40, 56, 9))
HOUSE = "a house"


def settings(tiny, kind="sdxl", **more):
    usual = {
        "method": "sdxl",
        "model": tiny[kind],
        "ip_adapter": tiny[f"adapter-{kind}"],
        "device": "cpu",
        "precision": "fp32",
        "steps": 3,
    }
    return {**usual, **more}


def painted(tiny, content="48x32", styles=(ONE,), kind="sdxl", **more):
    return impasto.stylize(content, list(styles), **settings(tiny, kind, **more))


def pixels(*args, **more):
    return np.asarray(painted(*args, **more).pixels)


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_scale_0_equals_no_adapter(tiny, kind):
    none = pixels(tiny, styles=(), kind=kind, prompt=HOUSE)
    assert np.array_equal(pixels(tiny, kind=kind, prompt=HOUSE, scale=0.0), none)
    assert np.abs(pixels(tiny, kind=kind, prompt=HOUSE) - none).mean() > 1e-3


def test_an_adapter_that_is_loaded_and_set_to_0_is_none_either(tiny):
    from impasto.nets.diffusion import pipelines
    from impasto.nets.diffusion.adapter import set_scales

    none = pixels(tiny, styles=(), prompt=HOUSE)
    painted(tiny, prompt=HOUSE)
    (loaded,) = pipelines._KEPT.values()
    assert set(set_scales(loaded.unet, 0.0).values()) == {0.0}
    found = loaded.pipe(False)(
        HOUSE, height=24, width=40, num_inference_steps=3, guidance_scale=5.0,
        ip_adapter_image_embeds=[torch.ones(2, 1, 16)], output_type="np",
        generator=torch.Generator("cpu").manual_seed(0),
    ).images[0]  # fmt: skip
    from impasto.pictures import resize

    np.testing.assert_allclose(resize(found.astype(np.float32), 32, 48), none, atol=1e-4)


def test_text_to_picture_is_what_diffusers_makes_of_the_same_settings(tiny):
    from diffusers import StableDiffusionXLPipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(tiny["sdxl"], add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        HOUSE, height=32, width=32, num_inference_steps=3, guidance_scale=5.0, output_type="np",
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]  # fmt: skip
    ours = pixels(tiny, "32x32", styles=(), prompt=HOUSE, seed=7)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_one_square_reference_is_what_diffusers_makes_of_it(tiny):
    from diffusers import StableDiffusionXLPipeline
    from PIL import Image
    from transformers import CLIPVisionModelWithProjection

    file = Path(tiny["adapter-sdxl"])
    encoder = CLIPVisionModelWithProjection.from_pretrained(file.parent / "image_encoder")
    pipe = StableDiffusionXLPipeline.from_pretrained(
        tiny["sdxl"], add_watermarker=False, image_encoder=encoder
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.load_ip_adapter(str(file.parent), subfolder="", weight_name=file.name)
    pipe.set_ip_adapter_scale(0.7)
    style = picture(32, 32, 5)
    theirs = pipe(
        HOUSE, height=32, width=32, num_inference_steps=3, guidance_scale=5.0, output_type="np",
        ip_adapter_image=Image.fromarray((style.pixels * 255).round().astype(np.uint8)),
        generator=torch.Generator("cpu").manual_seed(0),
    ).images[0]  # fmt: skip
    ours = pixels(tiny, "32x32", styles=(style,), prompt=HOUSE)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_the_more_structure_the_more_of_the_content_counts(tiny, kind):
    def apart(structure):
        made = [pixels(tiny, c, kind=kind, structure=structure, steps=10) for c in CONTENTS]
        assert made[0].shape == (40, 56, 3)
        return np.abs(made[0] - made[1]).mean()

    assert apart(0.0) == 0
    assert apart(0.3) < apart(0.95)


def test_strength_0_gives_the_content_back_and_loads_nothing(tiny, monkeypatch):
    from impasto.nets.diffusion import pipelines

    monkeypatch.setattr(pipelines, "load", None)
    assert np.array_equal(pixels(tiny, CONTENT, strength=0.0), CONTENT.pixels)


def test_a_seed_is_a_picture(tiny):
    one, same, other = (pixels(tiny, CONTENT, seed=s) for s in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_negative_style_changes_the_picture(tiny):
    plain, other = (pixels(tiny, prompt=HOUSE, negative=n) for n in ("", "red"))
    assert not np.array_equal(plain, other)


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


def test_the_model_stays_loaded_for_the_next_request(tiny):
    from impasto.nets.diffusion import pipelines

    painted(tiny, prompt=HOUSE)
    first = list(pipelines._KEPT.values())
    painted(tiny, CONTENT, (OTHER,), prompt="a dog", scale=0.3)
    assert list(pipelines._KEPT.values()) == first


def test_adapter_and_controls_are_changed_and_the_model_stays(tiny):
    from impasto.nets.diffusion import pipelines

    def several():
        control = {"controls": ("canny",), "control_models": (tiny["control-sdxl"],)}
        yield pixels(tiny, CONTENT, (), prompt=HOUSE)
        yield pixels(tiny, CONTENT, prompt=HOUSE)
        yield pixels(tiny, CONTENT, prompt=HOUSE, **control)
        yield pixels(tiny, CONTENT, (), prompt=HOUSE, **control)
        yield pixels(tiny, CONTENT, (), prompt=HOUSE)

    pipelines.drop()
    kept, made = [], []
    for each in several():
        kept += pipelines._KEPT.values()
        made.append(each)
    assert len(set(kept)) == 1
    assert np.array_equal(made[0], made[-1])
    for each, wanted in zip(several(), made, strict=True):
        pipelines.drop()
        assert np.array_equal(each, wanted)


def test_the_kept_model_is_not_counted_twice(tiny, monkeypatch):
    from impasto.nets.diffusion import memory, pipelines

    # A process of 1 GB, to which the model comes when it is loaded.
    monkeypatch.setattr(memory, "resident_bytes", lambda: 10**9 + pipelines.held("cpu"))

    def peak():
        request = impasto.request(CONTENT, ONE, **settings(tiny, prompt=HOUSE))
        return impasto.plan(request).forecast.peak_bytes

    painted(tiny, CONTENT, prompt=HOUSE)
    assert pipelines.held("cpu") > 10**5
    loaded = peak()
    pipelines.drop()
    assert pipelines.held("cpu") == 0
    assert peak() == loaded


def test_threads_paint_one_after_the_other(tiny):
    from concurrent.futures import ThreadPoolExecutor

    jobs = [{"prompt": "a house"}, {"prompt": "a dog", "styles": ()}, {"scale": 0.2, "seed": 4}]
    alone = [pixels(tiny, **job) for job in jobs]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda job: pixels(tiny, **job), jobs * 2))
    for found, wanted in zip(together, alone * 2, strict=True):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
@pytest.mark.parametrize("scheduler", ["model", "lcm", "lightning"])
def test_a_single_step_from_a_picture_is_enough(tiny, kind, scheduler):
    found = pixels(tiny, CONTENT, kind=kind, steps=1, scheduler=scheduler, structure=0.9)
    assert np.isfinite(found).all()


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


@pytest.mark.parametrize(
    "name", ["euler", "euler-a", "dpm++", "dpm++-karras", "ddim", "unipc", "lcm", "lightning"]
)
def test_every_scheduler_paints(tiny, name):
    result = painted(tiny, CONTENT, scheduler=name, steps=4)
    assert np.isfinite(result.pixels).all()
    assert result.pixels.std() > 0.01


def test_a_distilled_model_takes_four_steps_without_guidance(tiny):
    result = painted(tiny, scheduler="lightning", steps=None, prompt=HOUSE)
    assert result.recipe.steps == 4
    loud = painted(tiny, scheduler="lcm", steps=20, guidance=7.0, prompt=HOUSE)
    assert any("burns the colours" in w for w in loud.recipe.warnings)
    assert any("more than a distilled model needs" in w for w in loud.recipe.warnings)


def test_every_step_tells_and_shows_the_picture_so_far(tiny):
    ticks = []

    def watch(tick):
        ticks.append((tick.step, tick.steps, tick.share, tick.picture().shape))

    painted(tiny, prompt=HOUSE, steps=4, watch=watch)
    assert ticks == [(i, 4, i / 4, (32, 48, 3)) for i in range(1, 5)]


def test_ctrl_c_keeps_the_picture_so_far(tiny):
    def watch(tick):
        if tick.step == 2:
            raise KeyboardInterrupt

    result = painted(tiny, prompt=HOUSE, steps=5, watch=watch)
    assert (result.recipe.finished, result.recipe.steps) == (False, 2)
    assert result.pixels.shape == (32, 48, 3)
    assert painted(tiny, prompt=HOUSE, steps=2).recipe.finished


class Stop:
    """Stops a run after so many steps, as Ctrl-C does; ``state`` is the checkpoint of then."""

    def __init__(self, step):
        self.step, self.state, self.seen = step, None, []

    def __call__(self, tick):
        self.seen.append(tick.step)
        if tick.step == self.step:
            self.state = tick.state()
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "knobs",
    [
        *({"scheduler": name, "steps": 6} for name in ("model", "euler-a", "dpm++", "ddim", "unipc",
                                                       "lcm")),
        {"steps": 6, "structure": 0.3, "content": CONTENT},
        {"steps": 6, "controls": ("canny", "tile"), "content": CONTENT},
        {"steps": 6, "kind": "sd15", "pndm": True},
    ],
    ids=lambda knobs: " ".join(str(v) for v in list(knobs.values())[:2]),
)  # fmt: skip
def test_a_run_that_was_stopped_ends_with_the_same_bits(tiny, tmp_path, knobs):
    from impasto.run import make_plan

    kind, content = knobs.pop("kind", "sdxl"), knobs.pop("content", "48x32")
    if knobs.pop("pndm", False):  # the scheduler that SD 1.5 is published with
        shutil.copytree(tiny[kind], tmp_path / "model")
        file = tmp_path / "model/scheduler/scheduler_config.json"
        told = json.loads(file.read_text()) | {"_class_name": "PNDMScheduler"}
        file.write_text(json.dumps(told | {"skip_prk_steps": True}))
        knobs["model"] = str(tmp_path / "model")
    if "controls" in knobs:
        knobs["control_models"] = (tiny[f"control-{kind}"],) * 2
    request = impasto.request(content, ONE, **settings(tiny, kind, prompt=HOUSE, **knobs))
    plan = make_plan(request)

    def paint(watch, state=None):
        return request.method.paint(request, plan, watch, state)

    whole, stop = paint(lambda _: None), Stop(3)
    broken = paint(stop)
    assert not broken.finished
    file = tmp_path / "checkpoint"
    torch.save(dict(broken.state), file)
    after = Stop(0)
    again = paint(after, torch.load(file, weights_only=True))
    assert again.finished
    assert after.seen[0] == 4
    assert np.array_equal(again.pixels, whole.pixels)
    assert again.steps == whole.steps
    assert np.array_equal(paint(lambda _: None).pixels, whole.pixels)  # nothing stayed silent


def test_shares_of_two_styles_lie_between_them(tiny):
    def of(weights):
        return pixels(tiny, styles=(ONE, OTHER), style_weights=weights, prompt=HOUSE, scale=1.5)

    first, last, near = of((1, 0)), of((0, 1)), of((9, 1))
    alone = pixels(tiny, prompt=HOUSE, scale=1.5)
    np.testing.assert_allclose(first, alone, atol=1e-4)
    assert np.abs(near - first).mean() < np.abs(last - first).mean()


def test_regions_take_their_own_style(tiny):
    mask = np.zeros((40, 56), np.float32)
    mask[:, :28] = 1
    left = Region("left", mask, 1)
    made = impasto.request(CONTENT, [ONE, OTHER], **settings(tiny, structure=0.0, scale=2.0))
    split = dataclasses.replace(made, regions=(left,))
    from impasto.methods.sdxl import shares
    from impasto.run.plan import make_plan
    from impasto.run.stylize import perform

    counts = shares(split, 40, 56)
    assert counts.shape == (2, 40, 56)
    assert torch.equal(counts[1, :, :28], torch.ones(40, 28))
    assert torch.equal(counts[0, :, 28:], torch.ones(40, 28))
    result = perform(split, make_plan(split))
    assert not np.array_equal(result.pixels, pixels(tiny, CONTENT, structure=0.0, scale=2.0))
    whole = dataclasses.replace(made, regions=(Region("all", np.ones((40, 56), np.float32), 0),))
    one = perform(whole, make_plan(whole))
    np.testing.assert_allclose(
        one.pixels, pixels(tiny, CONTENT, structure=0.0, scale=2.0), atol=1e-4
    )


def test_colours_are_kept_as_with_other_methods(tiny):
    result = painted(tiny, CONTENT, keep_colour="luminance")
    assert result.recipe.options["keep_colour"] == "luminance"
    with pytest.raises(KnobError, match="no colours to keep"):
        painted(tiny, "48x32", keep_colour="luminance", prompt=HOUSE)


@pytest.mark.parametrize(("kind", "content"), [("sdxl", CONTENT), ("sd15", "56x40")])
def test_controlnets_steer_with_their_scales(tiny, tmp_path, kind, content):
    one = tiny[f"control-{kind}"]
    shown = tmp_path / "canny.png"
    from impasto.pictures import write

    write(np.asarray(CONTENT.pixels), shown)
    both = {
        "kind": kind,
        "prompt": HOUSE,
        "controls": ("canny", "tile"),
        "control_models": (one, one),
        "control_pictures": (str(shown), str(shown)),
    }
    plain = pixels(tiny, content, kind=kind, prompt=HOUSE, structure=0.0)
    off = pixels(tiny, content, control_scales=(0.0, 0.0), structure=0.0, **both)
    np.testing.assert_allclose(off, plain, atol=1e-5)
    on = pixels(tiny, content, control_scales=(1.0, 0.5), structure=0.0, **both)
    assert np.abs(on - plain).mean() > 1e-3
    early = pixels(tiny, content, control_scales=(1.0, 0.5), control_end=(0.4, 0.4), **both)
    assert not np.allclose(on, early, atol=1e-4)


def test_structure_is_the_scale_of_the_controls(tiny):
    one = {"controls": ("tile",), "control_models": (tiny["control-sdxl"],), "prompt": HOUSE}
    none, full, named = (
        pixels(tiny, CONTENT, structure=s, **one, **more)
        for s, more in ((0.0, {}), (1.0, {}), (0.0, {"control_scales": (1.2,)}))
    )
    assert np.array_equal(full, named)
    assert not np.array_equal(none, full)


def test_control_pictures_can_be_looked_at_and_replaced(tiny, tmp_path):
    one = {"controls": ("canny",), "control_models": (tiny["control-sdxl"],), "prompt": HOUSE}
    out = tmp_path / "seen"
    first = pixels(tiny, CONTENT, controls_out=str(out), **one)
    file = out / "1-canny.png"
    again = painted(tiny, CONTENT, control_pictures=(str(file),), **one)
    np.testing.assert_allclose(again.pixels, first, atol=1e-4)
    assert "control canny 1-canny.png" in again.recipe.files
    with pytest.raises(KnobError, match="nothing to look at: give --control-pictures"):
        painted(tiny, "48x32", **one)
    with pytest.raises(KnobError, match="depth needs a depth picture"):
        painted(tiny, CONTENT, **{**one, "controls": ("depth",)})


def test_half_precision_that_gives_no_numbers_in_the_decoder_is_done_again_in_full(
    tiny, monkeypatch
):
    from impasto.nets.diffusion import pipelines

    usual = pixels(tiny, prompt=HOUSE)
    (loaded,) = pipelines._KEPT.values()
    real, calls = loaded.vae.decode, []

    def broken(latents, **more):
        calls.append(latents.dtype)
        (found,) = real(latents, **more)
        return (found * float("nan"),) if len(calls) == 1 else (found,)

    monkeypatch.setattr(loaded.vae, "decode", broken)
    result = painted(tiny, prompt=HOUSE)
    assert np.array_equal(result.pixels, usual)
    assert any("no numbers in half precision" in w for w in result.recipe.warnings)


def test_bf16_paints_too(tiny):
    result = painted(tiny, CONTENT, precision="bf16")
    assert result.recipe.setting["precision"] == "bf16"
    assert np.isfinite(result.pixels).all()
    with pytest.raises(KnobError, match="one of auto, fp32, bf16"):
        impasto.stylize(CONTENT, ONE, method="gatys", precision="fp16")


def test_a_unet_without_numbers_is_said(tiny, monkeypatch):
    from impasto.nets.diffusion import pipelines

    painted(tiny, prompt=HOUSE)
    (loaded,) = pipelines._KEPT.values()
    monkeypatch.setattr(
        loaded.unet, "forward", lambda x, *_, **__: (torch.full_like(x, float("nan")),)
    )
    with pytest.raises(ResourceError, match="no numbers in fp32: use --precision"):
        painted(tiny, prompt=HOUSE)


def failing(monkeypatch, times):
    """Have the sampling run out of memory so many times; what step each try had."""
    from impasto.nets.diffusion import studio

    real, steps = studio.sample, []

    def sample(loaded, job, told, state=None):
        steps.append(loaded.parts.step)
        if len(steps) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(loaded, job, told, state)

    monkeypatch.setattr(studio, "sample", sample)
    return steps


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=lambda error: str(error)[:20],
)
def test_out_of_memory_while_loading_is_a_step_down_too(tiny, monkeypatch, error):
    from diffusers import StableDiffusionXLPipeline

    from impasto.nets.diffusion import pipelines

    real, calls = StableDiffusionXLPipeline.from_pretrained, []

    def loaded(*args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise error
        return real(*args, **more)

    pipelines.drop()
    monkeypatch.setattr(StableDiffusionXLPipeline, "from_pretrained", loaded)
    result = painted(tiny, prompt=HOUSE)
    assert any("Memory ran out" in w for w in result.recipe.warnings)


def test_out_of_memory_is_one_step_down_and_said(tiny, monkeypatch):
    steps = failing(monkeypatch, 1)
    result = painted(tiny, prompt=HOUSE)
    assert steps == ["resident", "tiled"]
    assert any("Memory ran out" in w and "in tiles" in w for w in result.recipe.warnings)


@pytest.mark.parametrize(("memory", "tried"), [("auto", 2), ("tiled", 1)])
def test_out_of_memory_again_is_a_clear_stop(tiny, monkeypatch, memory, tried):
    steps = failing(monkeypatch, 9)
    with pytest.raises(ResourceError, match="do not fit into the memory of cpu: use --paint-size"):
        painted(tiny, prompt=HOUSE, memory=memory)
    assert len(steps) == tried


def test_other_errors_stay_what_they_are(tiny, monkeypatch):
    from impasto.nets.diffusion import studio

    def wrong(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(studio, "sample", wrong)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        painted(tiny, prompt=HOUSE)


def test_the_plan_says_parts_licence_size_and_how_it_is_fitted(tiny):
    request = impasto.request(CONTENT, ONE, **settings(tiny, prompt=HOUSE))
    plan = impasto.plan(request)
    said = " ".join(plan.notes)
    assert "SDXL of another width" in said
    assert "licence not stated" in said
    assert "It paints at 40 x 24 px, as the model knows it" in said
    assert "stays on the device" in said
    assert (plan.setting.height, plan.setting.width) == (40, 56)
    assert plan.forecast.peak_bytes > 0


def test_a_licence_that_forbids_commercial_use_must_be_accepted(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny["sdxl"], folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    with pytest.raises(KnobError, match=r"cc-by-nc-4.0: .* Say --accept-licence"):
        painted(tiny, prompt=HOUSE, model=str(folder))
    assert painted(tiny, prompt=HOUSE, model=str(folder), accept_licence=True)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"preset": "style", "blocks": "mid=1"}, "both say which blocks"),
        ({"blocks": "up.block_7=1"}, r"no block 'up.block_7'.*down.block_1 \(2\)"),
        ({"blocks": "up.block_0=0:1"}, "has 3 attentions, and 2 scales"),
        ({"blocks": "up.block_0=0:0:0"}, "every scale is 0"),
        ({"blocks": "up.block_0"}, "does not fit: write each block once"),
        ({"control_scales": (1.0,)}, "control_scales has 1 values for 0 --controls"),
        ({"lora_weights": (1.0,)}, "lora_weights has 1 values for 0 --lora"),
        ({"weights": "oxford"}, "--model, not by --weights"),
        ({"memory": "offload"}, "is for a GPU"),
        ({"less": "a cat", "kind": "sd15"}, "one space: with SDXL"),
        ({"preset": "style", "kind": "sd15"}, "names blocks of SDXL"),
        ({"steps": 0}, "steps = 0 does not fit"),
    ],
)
def test_bad_settings_are_said_before_the_work(tiny, knobs, message):
    with pytest.raises(ImpastoError, match=message):
        painted(tiny, **{"prompt": HOUSE, **knobs})


@pytest.mark.parametrize(
    ("content", "knobs", "message"),
    [
        (CONTENT, {"controls": ("canny",), "control_pictures": ("no.png",)}, "no file no.png"),
        ("48x32", {"controls": ("canny",)}, "only a size, and canny has nothing to look at"),
        (CONTENT, {"controls": ("depth",)}, "depth needs a depth picture"),
        (CONTENT, {"controls": ("depth",), "depth_model": "no/such"}, "no/such"),
        (CONTENT, {"leak": False, "clip": "no/such"}, "no/such"),
        (CONTENT, {"less": "a cat", "kind": "sd15"}, "one space: with SDXL"),
    ],
)
def test_what_is_missing_is_said_by_the_plan(tiny, monkeypatch, content, knobs, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    kind = knobs.pop("kind", "sdxl")
    if "controls" in knobs:
        fitting = "control-sdxl"
        knobs["control_models"] = (tiny[fitting],)
    with pytest.raises(ImpastoError, match=message):
        impasto.plan(impasto.request(content, ONE, **settings(tiny, kind, **knobs)))


@pytest.mark.parametrize(
    ("styles", "knobs", "flag"),
    [
        ((), {"leak": False}, "--no-leak"),
        ((), {"less": "a cat"}, "--less"),
        ((), {"preset": "style"}, "--preset"),
        ((), {"image_encoder": "some"}, "--image-encoder"),
        ((ONE,), {"controls_out": "folder"}, "--controls-out"),
        ((ONE,), {"depth_model": "some/model"}, "--depth-model"),
    ],
)
def test_a_knob_without_effect_is_said(tiny, styles, knobs, flag):
    asked = settings(tiny, prompt=HOUSE, **knobs)
    warnings = impasto.plan(impasto.request(CONTENT, list(styles), **asked)).warnings
    assert any(w.startswith(f"{flag} has no effect here") for w in warnings)


def test_a_control_that_no_step_sees_is_said(tiny):
    asked = {"controls": ("canny",), "control_models": (tiny["control-sdxl"],), "structure": 1.0}

    def warned(end):
        request = impasto.request(
            CONTENT, ONE, **settings(tiny, prompt=HOUSE, control_end=(end,), steps=4, **asked)
        )
        return any("The control canny has no effect" in w for w in impasto.plan(request).warnings)

    assert warned(0.2)
    assert not warned(0.25)
    none = pixels(tiny, CONTENT, steps=4, control_end=(0.2,), **asked)
    off = pixels(tiny, CONTENT, steps=4, control_scales=(0.0,), **asked)
    assert np.array_equal(none, off)


def test_the_result_counts_in_the_forecast(tiny):
    def peak(size):
        request = impasto.request("64x48", ONE, size=size, **settings(tiny, prompt=HOUSE))
        setting = dataclasses.replace(impasto.plan(request).setting, height=3 * size // 4,
                                      width=size)  # fmt: skip
        return request.method.forecast(request, setting).peak_bytes

    # 12 bytes for each of its pixels at least
    assert peak(4000) - peak(400) > 12 * 3000 * 4000 * 0.9
    with pytest.raises(InputError, match="1 to 30000 pixels"):
        impasto.request("99999x99999", ONE, **settings(tiny, prompt=HOUSE))


def test_of_a_size_nothing_can_be_kept(tiny):
    region = Region(np.ones((8, 8), np.float32), 0, "mask.png")
    asked = impasto.request("48x32", ONE, **settings(tiny, prompt=HOUSE))
    with pytest.raises(KnobError, match="nothing that --rest could keep"):
        dataclasses.replace(asked, regions=(region,), rest="keep")


@pytest.mark.parametrize("part", ["encoder", "depth"])
def test_the_licence_of_every_part_counts(tiny, tmp_path, part):
    folder = tmp_path / "part"
    given = {"controls": ("depth",), "control_models": (tiny["control-sdxl"],)}
    if part == "encoder":
        shutil.copytree(Path(tiny["adapter-sdxl"]).parent / "image_encoder", folder)
        given = {"image_encoder": str(folder)}
    else:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        given["depth_model"] = str(folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    request = impasto.request(CONTENT, ONE, **settings(tiny, prompt=HOUSE, **given))
    with pytest.raises(KnobError, match=r"cc-by-nc-4.0"):
        impasto.plan(request)


def test_without_style_prompt_and_lora_nothing_says_the_manner(tiny):
    with pytest.raises(KnobError, match="Nothing says the manner"):
        painted(tiny, CONTENT, styles=())
    with pytest.raises(InputError, match="No style picture"):
        impasto.stylize(CONTENT, [], method="gatys")


def test_what_the_style_shows_can_be_subtracted(tiny):
    plain, other, nothing = (
        pixels(tiny, prompt=HOUSE, **more)
        for more in ({}, {"less": "a cat"}, {"less": "a cat", "less_scale": 0.0})
    )
    assert not np.allclose(plain, other, atol=1e-4)
    np.testing.assert_allclose(plain, nothing, atol=1e-5)


def test_scale_1_warns_unless_blocks_are_chosen(tiny):
    def said(**more):
        made = impasto.request("48x32", ONE, **settings(tiny, prompt=HOUSE, scale=1.0, **more))
        return [w for w in made.method.warnings(made) if "IP-Adapter scale" in w]

    assert said()
    assert not said(preset="style")


def test_settings_go_through_the_recipes_json(tiny):
    result = painted(tiny, prompt=HOUSE, blocks="up.block_0=0:1:0")
    assert json.loads(result.recipe.to_json())["knobs"]["blocks"] == "up.block_0=0:1:0"


def test_no_leak_lowers_the_scale_until_nothing_leaks(tiny, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    from impasto.nets.diffusion import studio

    found = iter([0.9, 0.6, 0.1])
    monkeypatch.setattr(studio.LeakCheck, "__call__", lambda *_: next(found))
    clip = str(write_clip(tmp_path))
    result = painted(tiny, prompt=HOUSE, leak=False, clip=clip, scale=1.0)
    assert result.recipe.losses == {"leak": 0.1, "scale": pytest.approx(0.49)}
    assert any("lowered from 1 to 0.49" in w for w in result.recipe.warnings)
    assert np.allclose(result.pixels, pixels(tiny, prompt=HOUSE, scale=0.49), atol=1e-4)


def test_a_leak_that_stays_is_said(tiny, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    from impasto.nets.diffusion import studio

    monkeypatch.setattr(studio.LeakCheck, "__call__", lambda *_: 0.8)
    clip = str(write_clip(tmp_path))
    result = painted(tiny, prompt=HOUSE, leak=False, clip=clip)
    assert any("80% of the style's things" in w for w in result.recipe.warnings)


def test_a_leak_is_measured_where_clip_is_here_and_lowers_nothing(tiny, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    from impasto.nets.diffusion import studio

    plain = painted(tiny, prompt=HOUSE)
    assert "leak" not in plain.recipe.losses
    monkeypatch.setattr(studio.LeakCheck, "__call__", lambda *_: 0.8)
    looked = painted(tiny, prompt=HOUSE, clip=str(write_clip(tmp_path)))
    assert looked.recipe.losses == {"leak": 0.8, "scale": 0.7}
    assert any("try --no-leak" in w for w in looked.recipe.warnings)
    assert np.array_equal(looked.pixels, plain.pixels)


def test_a_lora_is_worn_for_one_request_and_leaves_nothing_behind(tiny, tmp_path):
    import safetensors.torch

    stem = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    shapes = {"lora_down.weight": (2, 32), "lora_up.weight": (16, 2)}
    file = tmp_path / "brand.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = {f"{stem}.{name}": 3 * torch.randn(shape) for name, shape in shapes.items()}
    safetensors.torch.save_file(tensors, file)
    plain = pixels(tiny, styles=(), prompt=HOUSE)
    worn = painted(tiny, styles=(), prompt=HOUSE, lora=(str(file),))
    assert not np.allclose(worn.pixels, plain, atol=1e-5)
    assert any("brand.safetensors" in name for name in worn.recipe.files)
    off = pixels(tiny, styles=(), prompt=HOUSE, lora=(str(file),), lora_weights=(0.0,))
    assert np.array_equal(off, plain)
    assert np.array_equal(pixels(tiny, styles=(), prompt=HOUSE), plain)
    blocks = {"lora_blocks": ("down=0.5",)}
    half = pixels(tiny, styles=(), prompt=HOUSE, lora=(str(file),), **blocks)
    same = pixels(tiny, styles=(), prompt=HOUSE, lora=(str(file),), lora_weights=(0.5,))
    np.testing.assert_allclose(half, same, atol=1e-5)
    with pytest.raises(KnobError, match="lora_blocks"):
        painted(tiny, styles=(), prompt=HOUSE, lora=(str(file),), lora_blocks=("down",))


def test_without_the_extra_the_line_that_installs_it_is_said(tiny, monkeypatch):
    from impasto.core.errors import MissingExtraError
    from impasto.nets.diffusion import kit

    monkeypatch.setattr(kit, "PACKAGES", ("diffusers", "not_installed_anywhere"))
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[diffusion\]"'):
        painted(tiny, prompt=HOUSE)
