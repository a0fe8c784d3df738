"""Films by AnimateDiff on tiny models: diffusers' own pipelines, windows, resuming, mismatches."""

import json
from pathlib import Path

import clips
import numpy as np
import pytest
import torch
from tiny_videos import HOUSE, QUICK, STYLE, animator, film, job, settings, shown

import impasto
from impasto.cli import run
from impasto.core.errors import ImpastoError, KnobError, WeightsError
from impasto.engines.diffusion.animatediff import MOTION_SCHEDULER_CONFIG, MOTION_SCHEDULERS
from impasto.engines.diffusion.video_shot import ShotSampler

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("av")

FRAMES = 6


def sampled(made, count, frames=None):
    """Their noise and latents of a film that is a single window."""
    frame = (lambda i: frames[i]) if frames is not None else (lambda i: None)
    shot = ShotSampler(made, 0, lambda n: n < count, frame, lambda: None)
    fitted = [None if frames is None else made.resize_frame(frames[i]) for i in range(count)]
    noise = torch.stack([made.initial_latents(i, fitted[i]) for i in range(count)])
    return noise, torch.stack([shot(i) for i in range(count)])


def theirs(tiny, kind, name, scheduler="ddim", adapter=True, **parts):
    """A pipeline of diffusers as its documentation makes one."""
    base = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}[kind]
    extra = {"safety_checker": None} if kind == "sd15" else {"add_watermarker": False}
    loaded = getattr(diffusers, base).from_pretrained(tiny[kind], **extra)
    names = ("vae", "unet", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    title, more = MOTION_SCHEDULERS[scheduler]
    pipe = getattr(diffusers, name)(
        **{n: loaded.components[n] for n in names if n in loaded.components},
        motion_adapter=diffusers.MotionAdapter.from_pretrained(tiny[f"motion-{kind}"]),
        scheduler=getattr(diffusers, title).from_config(
            loaded.scheduler.config, **{**MOTION_SCHEDULER_CONFIG, **more}
        ),
        **parts,
    )
    if kind == "sdxl":  # from_unet2d leaves it random
        pipe.unet.add_embedding.load_state_dict(loaded.unet.add_embedding.state_dict())
    if adapter:
        file = Path(tiny[f"adapter-{kind}"])
        pipe.load_ip_adapter(
            str(file.parent.parent), subfolder=file.parent.name, weight_name=file.name,
            image_encoder_folder=None,
        )  # fmt: skip
        pipe.set_ip_adapter_scale(0.7)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("styles", [(), (STYLE,)])
@pytest.mark.parametrize(
    ("kind", "scheduler"), [("sd15", "ddim"), ("sd15", "euler"), ("sdxl", "ddim")]
)
def test_a_single_window_is_diffusers_own_pipeline(tiny, kind, scheduler, styles):
    made = animator(tiny, styles=styles, kind=kind, scheduler=scheduler)
    noise, ours = sampled(made, FRAMES)
    name = "AnimateDiffPipeline" if kind == "sd15" else "AnimateDiffSDXLPipeline"
    pipe = theirs(tiny, kind, name, scheduler, adapter=bool(styles))
    start = noise / made._scheduler.init_noise_sigma
    given = {}
    if styles:  # of two squares, with a mask for each
        given = {
            "ip_adapter_image_embeds": made._image_embeds,
            "cross_attention_kwargs": made._attention_kwargs,
        }
    found = pipe(
        HOUSE,
        num_frames=FRAMES,
        height=made._config.sampling.height,
        width=made._config.sampling.width,
        num_inference_steps=3,
        guidance_scale=7.5,
        latents=start.permute(1, 0, 2, 3)[None],
        output_type="latent",
        return_dict=False,
        **given,
    )[0]
    torch.testing.assert_close(ours, found[0].permute(1, 0, 2, 3), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("span", [(0.0, 1.0), (0.3, 0.7)])
def test_controls_are_those_of_diffusers_own_pipeline(tiny, span):
    frames = [np.float32(f) / 255 for f in clips.frames(FRAMES, 24, 40)]
    made = animator(
        tiny, content=frames[0], styles=(), controls=("canny",), structure=0.5,
        control_models=(tiny["control-sd15"],), control_start=span[:1], control_end=span[1:],
    )  # fmt: skip
    noise, ours = sampled(made, FRAMES, frames)
    net = diffusers.ControlNetModel.from_pretrained(tiny["control-sd15"])
    name = "AnimateDiffControlNetPipeline"
    pipe = theirs(tiny, "sd15", name, adapter=False, controlnet=net)
    shown = [made.control_images(made.resize_frame(f))[0].float() / 255 for f in frames]
    found = pipe(
        HOUSE,
        num_frames=FRAMES,
        height=made._config.sampling.height,
        width=made._config.sampling.width,
        num_inference_steps=3,
        guidance_scale=7.5,
        latents=noise.permute(1, 0, 2, 3)[None],
        conditioning_frames=[f.permute(1, 2, 0).numpy() for f in shown],
        controlnet_conditioning_scale=0.6,
        control_guidance_start=span[0],
        control_guidance_end=span[1],
        output_type="latent",
        return_dict=False,
    )[0]
    torch.testing.assert_close(ours, found[0].permute(1, 0, 2, 3), atol=1e-4, rtol=1e-4)


def test_a_film_is_turned_into_noise_as_far_as_structure_says(tiny):
    frames = [np.float32(f) / 255 for f in clips.frames(FRAMES, 24, 40)]
    made = animator(tiny, content=frames[0], styles=(), structure=0.5, steps=10)
    assert made.steps == 6  # 0.6 of them, as strength 1 and structure 0.5 say
    noise, ours = sampled(made, FRAMES, frames)
    pipe = theirs(tiny, "sd15", "AnimateDiffVideoToVideoPipeline", adapter=False)
    found = pipe(
        prompt=HOUSE, strength=0.6, num_inference_steps=10,
        height=made._config.sampling.height, width=made._config.sampling.width, guidance_scale=7.5,
        latents=noise.permute(1, 0, 2, 3)[None], output_type="latent", return_dict=False,
    )[0]  # fmt: skip
    torch.testing.assert_close(ours, found[0].permute(1, 0, 2, 3), atol=1e-4, rtol=1e-4)


def test_a_film_from_words(tiny, tmp_path):
    made = film(tiny, tmp_path / "out.mp4", seconds=1.0)
    assert (made.frames, made.fps, made.measures) == (8, 8, {})
    assert made.recipe.finished
    assert any("motion-sd15" in name for name in made.recipe.files)
    again = film(tiny, tmp_path / "again.mp4", seconds=1.0)
    assert np.array_equal(shown(made.path), shown(again.path))
    others = ({}, {"ip_adapter_scale": 0.0}, {"prompt": "a ship"}, {"seed": 1})
    short = [
        shown(film(tiny, tmp_path / "o.mp4", seconds=0.25, steps=2, **other).path)
        for other in others
    ]
    assert not any(np.array_equal(short[0], other) for other in short[1:])


@pytest.mark.parametrize("scheduler", ["euler-a", "lcm"])
def test_noise_on_the_way_is_each_frames_own(tiny, tmp_path, scheduler):
    one, again = (
        film(tiny, tmp_path / name, seconds=1.0, scheduler=scheduler) for name in ("a.mp4", "b.mp4")
    )
    assert np.array_equal(shown(one.path), shown(again.path))


class KilledError(Exception):
    """Nothing that is caught."""


def test_a_killed_run_goes_on_to_the_same_film(tiny, tmp_path):
    random = np.random.default_rng(0)
    scenes = [random.integers(0, 255, (8, 12, 3), np.uint8).repeat(4, 0).repeat(4, 1)
              for _ in range(2)]  # fmt: skip
    source = clips.clip(tmp_path / "in.mp4", [scenes[0]] * 13 + [scenes[1]] * 5, rate=5)
    nets = {"controls": ("tile",), "control_models": (tiny["control-sd15"],)}
    knobs = {**nets, "steps": 2, "guidance": 1.0}
    whole = film(tiny, tmp_path / "whole.mp4", source, **knobs)
    assert (whole.frames, whole.recipe.film["shots"]) == (18, 2)

    def kill(tick):
        if tick.step == 7:
            raise KilledError

    with pytest.raises(KilledError):
        film(tiny, tmp_path / "out.mp4", source, callback=kill, **knobs)
    went = []
    made = film(tiny, tmp_path / "out.mp4", source, resume=True, callback=went.append, **knobs)
    assert min(tick.step for tick in went if tick.step) >= 5
    assert clips.packets(made.path, "video") == clips.packets(whole.path, "video")


def test_a_stop_is_heard_between_windows(tiny, tmp_path):
    ticks = []

    def stop(tick):
        ticks.append(tick)
        if len(ticks) == 2:
            raise KeyboardInterrupt

    made = film(tiny, tmp_path / "out.mp4", callback=stop)
    assert not made.recipe.finished
    assert made.frames == 0
    assert 0 < ticks[0].fraction < ticks[1].fraction < 1


def test_strength_0_gives_the_film_back(tiny, tmp_path):
    source = clips.clip(tmp_path / "in.mp4", clips.frames(4), codec="libx264rgb", layout="rgb24",
                        options={"qp": "0"})  # fmt: skip
    made = film(tiny, tmp_path / "out.mp4", source, strength=0.0)
    assert np.array_equal(shown(made.path), shown(source))


def test_a_preview_is_a_window_of_its_own(tiny):
    made = job(tiny, seconds=4.0, styles=[STYLE], **QUICK)
    frames = made.preview([0.5, 3.0]).shape[0] // 2
    assert np.array_equal(made.preview([0.5, 3.0])[-frames:], made.preview([3.0])[-frames:])


def test_a_motion_adapter_of_another_model_is_refused(tiny, tmp_path):
    def adapter(**config):
        folder = tmp_path / "motion"
        folder.mkdir(exist_ok=True)
        known = json.loads((Path(tiny["motion-sd15"]) / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**known, **config}))
        return str(folder)

    def refused(match, **knobs):
        with pytest.raises(ImpastoError, match=match) as caught:
            animator(tiny, **knobs)
        assert isinstance(caught.value, (WeightsError, KnobError))

    of_15 = adapter(block_out_channels=[320, 640, 1280, 1280], motion_layers_per_block=2)
    refused(
        r"320, 640, 1280, 1280 channels; the model .* has 8, 16, 16\. --motion-adapter "
        r"\S+sdxl-beta fits SDXL\. --model stable-diffusion-v1-5/\S+ fits the adapter",
        kind="sdxl",
        motion_adapter=of_15,
    )
    refused("has blocks of", motion_adapter=adapter(motion_layers_per_block=1))
    refused("wants 9 channels", motion_adapter=adapter(conv_in_channels=9))
    refused("no motion", motion_adapter=tiny["control-sd15"])
    refused("at most 4 frames", motion_adapter=adapter(motion_max_seq_length=4))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"controls": ("canny",)}, "nothing to look at"),
        ({"stability": 0.5}, "finds the motion itself"),
        ({"flow": "dis"}, "finds the motion itself"),
        ({"loop": True}, "only a size"),
        ({"lora_weights": (1.0,)}, "1 values for 0 --lora"),
        ({"preset": "style"}, "names blocks of SDXL"),
        ({"weights": "oxford"}, "by --model"),
        ({"overlap": 4}, "share 1 to 3"),
    ],
)
def test_what_does_not_fit_is_refused(tiny, tmp_path, knobs, message):
    with pytest.raises(KnobError, match=message):
        film(tiny, tmp_path / "out.mp4", **knobs)


def test_a_picture_is_refused(tiny):
    with pytest.raises(KnobError, match="paints films"):
        impasto.stylize("48x32", STYLE, **settings(tiny))


def test_the_command_line_takes_a_style_alone(tiny, tmp_path, capsys):
    from PIL import Image

    style = tmp_path / "style.png"
    Image.fromarray((np.asarray(STYLE.pixels) * 255).astype(np.uint8)).save(style)
    out = tmp_path / "out.mp4"
    knobs = settings(tiny, steps=1)
    flags = [f"--{n.replace('_', '-')}={v}" for n, v in knobs.items()]
    assert run(["video", str(style), "-o", str(out), "--seconds", "0.5", *flags]) == 0
    assert np.stack(clips.decoded(out)).shape == (4, 512, 512, 3)
    assert run(["show", str(out)]) == 0
    assert "animatediff" in capsys.readouterr().out
    assert run(["video", str(style), "-o", str(out)]) == 2
    assert "STYLE" in capsys.readouterr().err
