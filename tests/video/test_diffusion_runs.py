"""Films by AnimateDiff from begin to end: memory, weights that change, other work in between."""

import logging
import shutil
import threading
from dataclasses import replace

import clips
import numpy as np
import pytest
import torch
from tiny_diffusion import write_depth, write_motion
from tiny_videos import QUICK, STYLE, animator, film, job, settings, shown

import impasto
from impasto.core.errors import KnobError, WeightsError
from impasto.engines.diffusion import controlnet, memory, pipelines, temporal_windows
from impasto.engines.diffusion.video_shot import ShotSampler
from impasto.pipeline import make_plan, make_request
from impasto.video import diffusion_stylizer

pytest.importorskip("diffusers")
pytest.importorskip("av")

WORDS = {**QUICK, "styles": ()}


@pytest.mark.parametrize("structure", [0.0, 0.5])
def test_frames_are_held_until_their_window_and_no_longer(tiny, tmp_path, monkeypatch, structure):
    held, more = [], diffusion_stylizer._LookAhead.read_until

    def watched(ahead, number):
        found = more(ahead, number)
        held.append(len(ahead._read))
        return found

    monkeypatch.setattr(diffusion_stylizer._LookAhead, "read_until", watched)
    source = clips.clip(tmp_path / "in.mp4", clips.frames(24))
    made = film(tiny, tmp_path / "out.mp4", source, structure=structure, **WORDS)
    assert made.frames == 24
    assert max(held) <= 2 * QUICK["window"]


class KilledError(Exception):
    """Nothing that is caught."""


@pytest.fixture
def moving(tiny, tmp_path):
    """A motion adapter of its own, and what writes another into its folder."""
    folder = tmp_path / "moving"
    shutil.copytree(tiny["motion-sd15"], folder)

    def change():
        with torch.random.fork_rng():
            torch.manual_seed(99)
            write_motion(folder)

    return str(folder), change


def test_a_film_does_not_go_on_with_other_weights(tiny, tmp_path, moving):
    folder, change = moving

    def kill(tick):
        if tick.step == 9:
            raise KilledError

    def made():
        return job(tiny, tmp_path / "out.mp4", seconds=1.5, motion_adapter=folder, **QUICK)

    with pytest.raises(KilledError):
        made().run(callback=kill)
    change()
    said = []
    made().run(resume=True, on_message=said.append)
    assert any("begins from the start" in each and "files" in each for each in said), said


def test_weights_are_read_anew_where_their_files_changed(tiny, tmp_path, moving):
    folder, change = moving
    before = film(tiny, tmp_path / "a.mp4", seconds=0.25, motion_adapter=folder, **WORDS)
    change()
    after = film(tiny, tmp_path / "b.mp4", seconds=0.25, motion_adapter=folder, **WORDS)
    assert before.recipe.files != after.recipe.files
    assert not np.array_equal(shown(before.path), shown(after.path))


def test_weights_that_change_under_a_film_end_it(tiny, tmp_path, moving):
    folder, change = moving

    def other_work(tick):
        change()
        pipelines.unload_pipelines()

    with pytest.raises(WeightsError, match="changed while the film was painted"):
        film(tiny, tmp_path / "a.mp4", motion_adapter=folder, callback=other_work, **WORDS)


def test_a_preview_leaves_a_job_as_it_was(tiny, tmp_path):
    made = job(tiny, tmp_path / "out.mp4", seconds=1.0, **QUICK)
    before = made._identity()
    assert before["files"]
    assert np.array_equal(made.preview([0.5]), made.preview([0.5]))
    assert made._identity() == before
    fresh = film(tiny, tmp_path / "fresh.mp4", seconds=1.0, **WORDS)
    assert np.array_equal(shown(made.run().path), shown(fresh.path))


def test_two_jobs_keep_their_own_scales(tiny, tmp_path):
    one, other = (
        job(tiny, tmp_path / "o.mp4", seconds=0.25, styles=[STYLE], ip_adapter_scale=scale, **QUICK)
        for scale in (0.9, 0.1)
    )
    first, second = one.preview([0.0]), other.preview([0.0])
    assert not np.array_equal(first, second)
    assert np.array_equal(one.preview([0.0]), first)


def test_a_picture_may_be_painted_between_two_frames(tiny, tmp_path):
    def other_work(tick):
        if tick.step == 1:
            paint = threading.Thread(target=lambda: pictures.append(impasto.stylize(
                "32x32", [], method="sdxl", model=tiny["sdxl"], prompt="a", steps=1, device="cpu",
                precision="fp32",
            )))  # fmt: skip
            paint.start()
            paint.join(60)

    pictures = []
    alone = film(tiny, tmp_path / "a.mp4", seconds=1.0, **QUICK)
    among = film(tiny, tmp_path / "b.mp4", seconds=1.0, callback=other_work, **QUICK)
    assert len(pictures) == 1
    assert np.array_equal(shown(alone.path), shown(among.path))


def test_a_job_may_run_twice(tiny, tmp_path):
    made = job(tiny, tmp_path / "out.mp4", seconds=1.0, **QUICK)
    first = shown(made.run().path)
    assert np.array_equal(shown(made.run().path), first)


def test_lora(tiny, tmp_path):
    from tiny_diffusion import write_lora

    write_lora(tmp_path / "brand.safetensors", "sd15")
    lora = {"lora": (str(tmp_path / "brand.safetensors"),)}

    def frames(**more):
        made = film(tiny, tmp_path / "out.mp4", seconds=0.25, **WORDS, **more)
        return shown(made.path), made.recipe.files

    (plain, _), (worn, files) = frames(), frames(**lora)
    assert any("brand.safetensors" in name for name in files)
    assert not np.array_equal(worn, plain)
    assert np.array_equal(frames()[0], plain)
    assert np.array_equal(frames(**lora, lora_weights=(0.0,))[0], plain)


def test_a_film_of_one_frame(tiny, tmp_path):
    assert film(tiny, tmp_path / "out.mp4", seconds=0.05, **WORDS).frames == 1


def test_pictures_keep_their_transparency(tiny, tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    alpha = [np.full((32, 48), 100 + i, np.uint8) for i in range(3)]
    for i, frame in enumerate(clips.frames(3)):
        picture = Image.fromarray(np.dstack([frame, alpha[i]]))
        picture.save(tmp_path / "in" / f"{i:05d}.png")
    impasto.stylize_video(
        str(tmp_path / "in"), [], str(tmp_path / "out" / "%05d.png"), **settings(tiny, **QUICK)
    )
    made = sorted((tmp_path / "out").glob("*.png"))
    assert all(
        np.array_equal(np.asarray(Image.open(path))[..., 3], a)
        for path, a in zip(made, alpha, strict=True)
    )


def test_windows_join_without_a_jump(tiny, monkeypatch):
    """With the same noise for all, neighbors differ at a seam no more than within a window."""

    def apart(count):
        made = animator(tiny, styles=(), steps=3, window=8, overlap=4, guidance=1.0)
        made._generators = lambda first, count, step: [
            torch.Generator("cpu").manual_seed(step) for _ in range(count)
        ]
        shot = ShotSampler(made, 0, lambda n: n < count, lambda n: None, lambda: None)
        return torch.stack([shot(n) for n in range(count)]).diff(dim=0).abs().mean((1, 2, 3))

    within = float(apart(8).max())
    assert float(apart(20)[4:-4].max()) < within
    cut = [1e-9] * 4 + [1.0] * 4  # where the windows are not mixed, it is seen
    monkeypatch.setattr(temporal_windows, "window_weights", lambda *_: cut)
    assert float(apart(20)[4:-4].max()) > within


def test_depth_is_seen_of_every_frame_by_a_model_that_is_loaded_once(tiny, tmp_path):
    source = clips.clip(tmp_path / "in.mp4", clips.frames(4))
    how = {**WORDS, "control_models": (tiny["control-sd15"],)}
    model = write_depth(tmp_path / "dpt")
    before = controlnet._load_depth_model.cache_info()
    deep = film(tiny, tmp_path / "a.mp4", source, controls=("depth",), depth_model=model, **how)
    after = controlnet._load_depth_model.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 3)
    assert any(name.startswith("dpt/model") for name in deep.recipe.files)
    edges = film(tiny, tmp_path / "b.mp4", source, controls=("canny",), **how)
    assert not np.array_equal(shown(deep.path), shown(edges.path))
    with pytest.raises(KnobError, match="--depth-model"):
        film(tiny, tmp_path / "c.mp4", source, controls=("depth",), **how)


def test_the_libraries_say_nothing(tiny, tmp_path, caplog):
    logging.getLogger("diffusers").addHandler(caplog.handler)
    source = clips.clip(tmp_path / "in.mp4", clips.frames(3))
    film(tiny, tmp_path / "out.mp4", source, structure=0.5, **WORDS)
    logging.getLogger("diffusers").removeHandler(caplog.handler)
    assert caplog.text == ""


def plan(tiny, **more):
    return make_plan(make_request("48x32", [], **settings(tiny, **more)))


def test_the_forecast_counts_a_decoded_frame_once_and_the_kept_model_not_at_all(tiny, monkeypatch):
    monkeypatch.setattr(memory, "_matmul_speed", lambda *_: 1e12)
    monkeypatch.setattr(memory, "DISK_BYTES_PER_SECOND", 1e30)
    monkeypatch.setattr(memory, "VAE_OPERATIONS_PER_LATENT", 1e15)  # so that it is all that counts
    one, many = (plan(tiny, steps=steps).forecast.seconds for steps in (1, 20))
    assert one == pytest.approx(many, rel=1e-3)
    request = make_request("48x32", [], **settings(tiny))
    forecast, setting = request.method.forecast, make_plan(request).setting
    monkeypatch.setattr(memory, "resident_bytes", int)
    before = forecast(request, setting).peak_bytes
    monkeypatch.setattr(pipelines, "held_bytes", lambda _: 10**9)
    assert before - forecast(request, setting).peak_bytes == pytest.approx(10**9, abs=5e7)
    large = forecast(request, replace(setting, height=3200, width=4800)).peak_bytes
    assert large > before - 10**9 + 24 * 3200 * 4800 - 5e7
