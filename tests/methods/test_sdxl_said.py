"""The method sdxl on tiny pipelines: what is refused, and what is said."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_paint import CONTENT, HOUSE, ONE, painted, pixels, settings

import impasto
from impasto.core.errors import ImpastoError, InputError, KnobError
from impasto.core.request import Region

pytest.importorskip("diffusers")


def test_the_plan_says_parts_license_size_and_how_it_is_fitted(tiny):
    request = impasto.request(CONTENT, ONE, **settings(tiny, prompt=HOUSE))
    plan = impasto.plan(request)
    said = " ".join(plan.notes)
    assert "SDXL of another width" in said
    assert "license not stated" in said
    assert "It paints at 40 x 24 px, as the model knows it" in said
    assert "stays on the device" in said
    assert (plan.setting.height, plan.setting.width) == (40, 56)
    assert plan.forecast.peak_bytes > 0


def test_a_license_that_forbids_commercial_use_must_be_accepted(tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny["sdxl"], folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A model\n")
    with pytest.raises(KnobError, match=r"cc-by-nc-4.0: .* Say --accept-license"):
        painted(tiny, prompt=HOUSE, model=str(folder))
    assert painted(tiny, prompt=HOUSE, model=str(folder), accept_license=True)


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
        ({"memory_mode": "offload"}, "is for a GPU"),
        ({"subtract_text": "a cat", "kind": "sd15"}, "one space: with SDXL"),
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
        (CONTENT, {"content_leak": False, "clip": "no/such"}, "no/such"),
        (CONTENT, {"subtract_text": "a cat", "kind": "sd15"}, "one space: with SDXL"),
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
        ((), {"content_leak": False}, "--no-content-leak"),
        ((), {"subtract_text": "a cat"}, "--subtract-text"),
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
    with pytest.raises(InputError, match="16 to 30000 pixels"):
        impasto.request("99999x99999", ONE, **settings(tiny, prompt=HOUSE))


def test_of_a_size_nothing_can_be_kept(tiny):
    region = Region(np.ones((8, 8), np.float32), 0, "mask.png")
    asked = impasto.request("48x32", ONE, **settings(tiny, prompt=HOUSE))
    with pytest.raises(KnobError, match="nothing that --background could keep"):
        dataclasses.replace(asked, regions=(region,), background="keep")


@pytest.mark.parametrize("part", ["encoder", "depth"])
def test_the_license_of_every_part_counts(tiny, tmp_path, part):
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


def test_scale_1_warns_unless_blocks_are_chosen(tiny):
    def said(**more):
        made = impasto.request(
            "48x32", ONE, **settings(tiny, prompt=HOUSE, ip_adapter_scale=1.0, **more)
        )
        return [w for w in made.method.warnings(made) if "IP-Adapter scale" in w]

    assert said()
    assert not said(preset="style")


def test_no_leak_lowers_the_scale_until_nothing_leaks(tiny, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    from impasto.engines.diffusion import run

    found = iter([0.9, 0.6, 0.1])
    monkeypatch.setattr(run.ContentLeakMetric, "__call__", lambda *_: next(found))
    clip = str(write_clip(tmp_path))
    result = painted(tiny, prompt=HOUSE, content_leak=False, clip=clip, ip_adapter_scale=1.0)
    assert result.recipe.losses == {"leak": 0.1, "scale": pytest.approx(0.49)}
    assert any("lowered from 1 to 0.49" in w for w in result.recipe.warnings)
    assert np.allclose(result.pixels, pixels(tiny, prompt=HOUSE, ip_adapter_scale=0.49), atol=1e-4)


def test_a_leak_that_stays_is_said(tiny, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    from impasto.engines.diffusion import run

    monkeypatch.setattr(run.ContentLeakMetric, "__call__", lambda *_: 0.8)
    clip = str(write_clip(tmp_path))
    result = painted(tiny, prompt=HOUSE, content_leak=False, clip=clip)
    assert any("80% of the style's things" in w for w in result.recipe.warnings)


def test_a_leak_is_measured_where_clip_is_here_and_lowers_nothing(tiny, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    from impasto.engines.diffusion import run

    plain = painted(tiny, prompt=HOUSE)
    assert "leak" not in plain.recipe.losses
    monkeypatch.setattr(run.ContentLeakMetric, "__call__", lambda *_: 0.8)
    looked = painted(tiny, prompt=HOUSE, clip=str(write_clip(tmp_path)))
    assert looked.recipe.losses == {"leak": 0.8, "scale": 0.7}
    assert any("try --no-content-leak" in w for w in looked.recipe.warnings)
    assert np.array_equal(looked.pixels, plain.pixels)


def test_without_the_extra_the_line_that_installs_it_is_said(tiny, monkeypatch):
    from impasto.core.errors import MissingExtraError
    from impasto.engines.diffusion import components

    monkeypatch.setattr(components, "REQUIRED_PACKAGES", ("diffusers", "not_installed_anywhere"))
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[diffusion\]"'):
        painted(tiny, prompt=HOUSE)
