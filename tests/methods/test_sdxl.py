"""The method sdxl on tiny pipelines: what it paints. Real classes of diffusers, no hub."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import picture
from tiny_paint import CONTENT, CONTENTS, HOUSE, ONE, OTHER, painted, pixels, settings

import impasto
from impasto.core.errors import KnobError
from impasto.core.request import Region

pytest.importorskip("diffusers")


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_scale_0_equals_no_adapter(tiny, kind):
    none = pixels(tiny, styles=(), kind=kind, prompt=HOUSE)
    assert np.array_equal(pixels(tiny, kind=kind, prompt=HOUSE, ip_adapter_scale=0.0), none)
    assert np.abs(pixels(tiny, kind=kind, prompt=HOUSE) - none).mean() > 1e-3


def test_an_adapter_that_is_loaded_and_set_to_0_is_none_either(tiny):
    from impasto.engines.diffusion import pipelines
    from impasto.engines.diffusion.ip_adapter import set_ip_adapter_scale

    none = pixels(tiny, styles=(), prompt=HOUSE)
    painted(tiny, prompt=HOUSE)
    (loaded,) = pipelines._LOADED.values()
    assert set(set_ip_adapter_scale(loaded.unet, 0.0).values()) == {0.0}
    found = loaded.get_pipeline(False)(
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
    from impasto.engines.diffusion import pipelines

    monkeypatch.setattr(pipelines, "load_pipeline", None)
    assert np.array_equal(pixels(tiny, CONTENT, strength=0.0), CONTENT.pixels)


def test_a_seed_is_a_picture(tiny):
    one, same, other = (pixels(tiny, CONTENT, seed=s) for s in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_negative_style_changes_the_picture(tiny):
    plain, other = (pixels(tiny, prompt=HOUSE, negative_prompt=n) for n in ("", "red"))
    assert not np.array_equal(plain, other)


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
@pytest.mark.parametrize("scheduler", ["model", "lcm", "lightning"])
def test_a_single_step_from_a_picture_is_enough(tiny, kind, scheduler):
    found = pixels(tiny, CONTENT, kind=kind, steps=1, scheduler=scheduler, structure=0.9)
    assert np.isfinite(found).all()


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
    assert any("burns the colors" in w for w in loud.recipe.warnings)
    assert any("more than a distilled model needs" in w for w in loud.recipe.warnings)


def test_every_step_tells_and_shows_the_picture_so_far(tiny):
    ticks = []

    def watch(tick):
        ticks.append((tick.step, tick.steps, tick.fraction, tick.image().shape))

    painted(tiny, prompt=HOUSE, steps=4, callback=watch)
    assert ticks == [(i, 4, i / 4, (32, 48, 3)) for i in range(1, 5)]


def test_ctrl_c_keeps_the_picture_so_far(tiny):
    def watch(tick):
        if tick.step == 2:
            raise KeyboardInterrupt

    result = painted(tiny, prompt=HOUSE, steps=5, callback=watch)
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
    from impasto.pipeline import make_plan

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
        return request.method.stylize(request, plan, watch, state)

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
        return pixels(
            tiny, styles=(ONE, OTHER), style_weights=weights, prompt=HOUSE, ip_adapter_scale=1.5
        )

    first, last, near = of((1, 0)), of((0, 1)), of((9, 1))
    alone = pixels(tiny, prompt=HOUSE, ip_adapter_scale=1.5)
    np.testing.assert_allclose(first, alone, atol=1e-4)
    assert np.abs(near - first).mean() < np.abs(last - first).mean()


def test_regions_take_their_own_style(tiny):
    mask = np.zeros((40, 56), np.float32)
    mask[:, :28] = 1
    left = Region("left", mask, 1)
    made = impasto.request(
        CONTENT, [ONE, OTHER], **settings(tiny, structure=0.0, ip_adapter_scale=2.0)
    )
    split = dataclasses.replace(made, regions=(left,))
    from impasto.methods.sdxl import style_weight_maps
    from impasto.pipeline.plan import make_plan
    from impasto.pipeline.stylize import run_request

    counts = style_weight_maps(split, 40, 56)
    assert counts.shape == (2, 40, 56)
    assert torch.equal(counts[1, :, :28], torch.ones(40, 28))
    assert torch.equal(counts[0, :, 28:], torch.ones(40, 28))
    result = run_request(split, make_plan(split))
    assert not np.array_equal(
        result.pixels, pixels(tiny, CONTENT, structure=0.0, ip_adapter_scale=2.0)
    )
    whole = dataclasses.replace(made, regions=(Region("all", np.ones((40, 56), np.float32), 0),))
    one = run_request(whole, make_plan(whole))
    np.testing.assert_allclose(
        one.pixels, pixels(tiny, CONTENT, structure=0.0, ip_adapter_scale=2.0), atol=1e-4
    )


def test_colors_are_kept_as_with_other_methods(tiny):
    result = painted(tiny, CONTENT, keep_color="luminance")
    assert result.recipe.options["keep_color"] == "luminance"
    with pytest.raises(KnobError, match="no colors to keep"):
        painted(tiny, "48x32", keep_color="luminance", prompt=HOUSE)


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


def test_what_the_style_shows_can_be_subtracted(tiny):
    plain, other, nothing = (
        pixels(tiny, prompt=HOUSE, **more)
        for more in (
            {},
            {"subtract_text": "a cat"},
            {"subtract_text": "a cat", "subtract_scale": 0.0},
        )
    )
    assert not np.allclose(plain, other, atol=1e-4)
    np.testing.assert_allclose(plain, nothing, atol=1e-5)


def test_a_lora_is_worn_for_one_request_and_leaves_nothing_behind(tiny, tmp_path):
    from tiny_diffusion import write_lora

    file = write_lora(tmp_path / "brand.safetensors", "sdxl")
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
