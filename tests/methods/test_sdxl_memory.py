"""The method sdxl on tiny pipelines: memory, precision, and what stays loaded."""

import numpy as np
import pytest
import torch
from tiny_paint import CONTENT, HOUSE, ONE, OTHER, painted, pixels, settings

import impasto
from impasto.core.errors import KnobError, ResourceError

pytest.importorskip("diffusers")


def test_the_model_stays_loaded_for_the_next_request(tiny):
    from impasto.engines.diffusion import pipelines

    painted(tiny, prompt=HOUSE)
    first = list(pipelines._LOADED.values())
    painted(tiny, CONTENT, (OTHER,), prompt="a dog", ip_adapter_scale=0.3)
    assert list(pipelines._LOADED.values()) == first


def test_adapter_and_controls_are_changed_and_the_model_stays(tiny):
    from impasto.engines.diffusion import pipelines

    def several():
        control = {"controls": ("canny",), "control_models": (tiny["control-sdxl"],)}
        yield pixels(tiny, CONTENT, (), prompt=HOUSE)
        yield pixels(tiny, CONTENT, prompt=HOUSE)
        yield pixels(tiny, CONTENT, prompt=HOUSE, **control)
        yield pixels(tiny, CONTENT, (), prompt=HOUSE, **control)
        yield pixels(tiny, CONTENT, (), prompt=HOUSE)

    pipelines.unload_pipelines()
    kept, made = [], []
    for each in several():
        kept += pipelines._LOADED.values()
        made.append(each)
    assert len(set(kept)) == 1
    assert np.array_equal(made[0], made[-1])
    for each, wanted in zip(several(), made, strict=True):
        pipelines.unload_pipelines()
        assert np.array_equal(each, wanted)


def test_the_kept_model_is_not_counted_twice(tiny, monkeypatch):
    from impasto.engines.diffusion import memory, pipelines

    # A process of 1 GB, to which the model comes when it is loaded.
    monkeypatch.setattr(memory, "resident_bytes", lambda: 10**9 + pipelines.held_bytes("cpu"))

    def peak():
        request = impasto.request(CONTENT, ONE, **settings(tiny, prompt=HOUSE))
        return impasto.plan(request).forecast.peak_bytes

    painted(tiny, CONTENT, prompt=HOUSE)
    assert pipelines.held_bytes("cpu") > 10**5
    loaded = peak()
    pipelines.unload_pipelines()
    assert pipelines.held_bytes("cpu") == 0
    assert peak() == loaded


def test_threads_paint_one_after_the_other(tiny):
    from concurrent.futures import ThreadPoolExecutor

    jobs = [
        {"prompt": "a house"},
        {"prompt": "a dog", "styles": ()},
        {"ip_adapter_scale": 0.2, "seed": 4},
    ]
    alone = [pixels(tiny, **job) for job in jobs]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda job: pixels(tiny, **job), jobs * 2))
    for found, wanted in zip(together, alone * 2, strict=True):
        assert np.array_equal(found, wanted)


def test_half_precision_that_gives_no_numbers_in_the_decoder_is_done_again_in_full(
    tiny, monkeypatch
):
    from impasto.engines.diffusion import pipelines

    usual = pixels(tiny, prompt=HOUSE)
    (loaded,) = pipelines._LOADED.values()
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
    from impasto.engines.diffusion import pipelines

    painted(tiny, prompt=HOUSE)
    (loaded,) = pipelines._LOADED.values()
    monkeypatch.setattr(
        loaded.unet, "forward", lambda x, *_, **__: (torch.full_like(x, float("nan")),)
    )
    with pytest.raises(ResourceError, match="no numbers in fp32: use --precision"):
        painted(tiny, prompt=HOUSE)


def failing(monkeypatch, times):
    """Have the sampling run out of memory so many times; what step each try had."""
    from impasto.engines.diffusion import run as diffusion_run

    real, steps = diffusion_run.sample, []

    def sample(loaded, job, told, state=None):
        steps.append(loaded.spec.memory_mode)
        if len(steps) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(loaded, job, told, state)

    monkeypatch.setattr(diffusion_run, "sample", sample)
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

    from impasto.engines.diffusion import pipelines

    real, calls = StableDiffusionXLPipeline.from_pretrained, []

    def loaded(*args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise error
        return real(*args, **more)

    pipelines.unload_pipelines()
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
    with pytest.raises(ResourceError, match="do not fit into the memory of cpu: use --render-size"):
        painted(tiny, prompt=HOUSE, memory_mode=memory)
    assert len(steps) == tried


def test_other_errors_stay_what_they_are(tiny, monkeypatch):
    from impasto.engines.diffusion import run as diffusion_run

    def wrong(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(diffusion_run, "sample", wrong)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        painted(tiny, prompt=HOUSE)


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
@pytest.mark.parametrize("way", ["offload", "sequential"])
def test_parts_that_are_offloaded_paint_the_same_picture(tiny, tmp_path, monkeypatch, kind, way):
    """On a processor as well as on a GPU, if nothing forbids it there."""
    import accelerate
    from tiny_diffusion import write_lora

    from impasto.engines.diffusion import memory

    real = accelerate.cpu_offload
    # diffusers asks for the device "cpu:0", which accelerate does not know to be this one.
    monkeypatch.setattr(
        accelerate, "cpu_offload", lambda net, _, **how: real(net, torch.device("cpu"), **how)
    )
    monkeypatch.setattr(
        memory, "available_modes", lambda device: tuple(memory.MEMORY_MODES.values())
    )
    control = {"controls": ("canny",), "control_models": (tiny[f"control-{kind}"],)}
    lora = {"lora": (str(write_lora(tmp_path / "brand.safetensors", kind)),)}
    jobs = [("48x32", (), {}), (CONTENT, (ONE,), {}), (CONTENT, (ONE,), control),
            ("48x32", (), lora), (CONTENT, (), control), (CONTENT, (), {})]  # fmt: skip

    def paint(way):
        for content, styles, more in jobs:
            yield pixels(tiny, content, styles, kind, prompt=HOUSE, memory_mode=way, **more)

    for found, wanted in zip(paint(way), list(paint("tiled")), strict=True):
        assert np.array_equal(found, wanted)
