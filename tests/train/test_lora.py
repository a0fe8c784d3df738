"""A style LoRA on tiny bases: it learns, resumes to the bit, and every tool can read it."""

import json

import pytest
import safetensors
import torch
from PIL import Image

from impasto.core.errors import ImpastoError, InputError, WeightsError
from impasto.engines.diffusion.lora import LoraConfig, LoraStack
from impasto.train.fit import train
from impasto.train.lora.aspect_buckets import read_on_white, resize_and_crop
from impasto.train.lora.task import LoraTask, LoraTrainConfig
from impasto.train.task import Rank
from impasto.weights.lora import read_lora_header, read_matrices

pytest.importorskip("diffusers")

KINDS = ("sd15", "sdxl")


def write(loop, tmp_path, name="brand.safetensors"):
    taught = train(loop, tmp_path / name, "mine", lambda _: None)
    return tmp_path / name, taught


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def tensors(file):
    with safetensors.safe_open(file, framework="pt") as stream:
        return {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118


def loaded(tiny, kind):
    import diffusers

    names = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}
    pipe = getattr(diffusers, names[kind]).from_pretrained(tiny[kind], local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def paint(pipe):
    random = torch.Generator().manual_seed(0)
    return pipe(
        "a red bus", num_inference_steps=2, height=32, width=32, generator=random, output_type="pt"
    ).images[0]


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_diffusers_paints_the_same_with_its_file(lora_of, tiny, tmp_path, kind):
    def error(loop, network):
        with torch.no_grad():
            found = [
                loop.task._denoising_loss(network, loop.task.style_latents.batch(k))
                for k in range(4)
            ]
        return float(torch.stack(found).mean())

    loop = lora_of(
        kind, steps=8, learning_rate=6e-2, train_text_encoders=True, rank=4, blocks=("mid", "up")
    )
    before = error(loop, loop.task.network)
    taught = loop.run(lambda _: None)
    assert taught.finished
    assert error(loop, loop.task.network) < 0.99 * before
    file, _ = write(loop, tmp_path)
    pipe = loaded(tiny, kind)
    plain = paint(pipe)
    loras = LoraStack(pipe, [LoraConfig(file)])
    mine = paint(pipe)
    loras.remove()
    assert torch.equal(paint(pipe), plain)
    assert (mine - plain).abs().max() > 1e-3
    pipe.load_lora_weights(str(file.parent), weight_name=file.name)
    theirs = paint(pipe)
    assert (mine - theirs).abs().max() < 1e-4 < (theirs - plain).abs().max()
    prefixes = {"_".join(key.split("_")[:2]) for key in tensors(file)}
    assert prefixes == {
        "lora_unet",
        *(("lora_te1", "lora_te2") if kind == "sdxl" else ("lora_te",)),
    }


@pytest.mark.parametrize(
    "more", [{}, {"train_text_encoders": True, "kind": "sdxl", "batch_size": 1}]
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(lora_of, more):
    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    unbroken = lora_of(**more)
    unbroken.run(lambda _: None)
    broken = lora_of(output="other.safetensors", **more)
    assert not broken.run(stop).finished
    resumed = lora_of(output="other.safetensors", resume=True, **more)
    assert resumed.step == 2
    resumed.run(lambda _: None)
    assert same(unbroken.model_tensors()[0], resumed.model_tensors()[0])


def test_other_captions_are_another_run(lora_of, monkeypatch):
    lora_of().save()
    monkeypatch.setattr("impasto.train.lora.task.read_captions", lambda album: {})
    with pytest.raises(InputError, match="captions differ"):
        lora_of(resume=True)


def test_before_it_is_taught_the_base_is_as_it_was(lora_of, tiny):
    loop = lora_of("sdxl")
    base = loop.task.base
    with loop.task.network.disable_lora():
        silent = base.sample("a boat", (32, 32), 1, 2, False)
    assert torch.equal(silent, base.sample("a boat", (32, 32), 1, 2, False))


def test_checkpointing_computes_twice_and_changes_no_bit_of_the_gradient(lora_of):
    found, calls = [], []
    for flag in (True, False):
        lesson = lora_of(gradient_checkpointing=flag).task
        for module in lesson.base.unet.modules():
            if real := getattr(module, "_gradient_checkpointing_func", None):
                module._gradient_checkpointing_func = lambda *args, real=real, flag=flag: (
                    calls.append(flag),
                    real(*args),
                )[1]
        lesson.loss(lesson.network, 0, Rank())["style"].backward()
        found.append([m.grad.clone() for m in lesson.network.matrices.values()])
    assert set(calls) == {True}
    assert len(calls) > 20
    assert any(grad.abs().max() > 0 for grad in found[0])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_latents_captions_and_sizes_are_those_of_the_files(lora_of, pictures):
    lesson = lora_of(trigger="zq", caption_dropout=0.0).task
    kept = lesson.style_latents.items
    assert [k.time_ids[4:] for k in kept][:2] == [(32, 32), (32, 32)]
    assert kept[0].caption == "zq, a boat and a tree"
    assert kept[3].caption == "zq"
    assert kept[2].time_ids[:2] == (40, 64)
    base = lesson.base
    for each in kept:
        assert each.mean.shape == (4, each.time_ids[4] // 2, each.time_ids[5] // 2)
    pixels, _ = resize_and_crop(read_on_white(pictures / "2.png"), kept[2].time_ids[4:])
    given = torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1
    with torch.no_grad():
        found = base.vae.encode(given).latent_dist.mean[0] * base.vae.config.scaling_factor
    torch.testing.assert_close(kept[2].mean, found)
    turn = lesson.style_latents.batch(3)
    again = lesson.style_latents.batch(3)
    assert torch.equal(turn.noise, again.noise)
    assert torch.equal(turn.latents, again.latents)
    assert not torch.equal(turn.noise, lesson.style_latents.batch(4).noise)


def test_captions_are_left_out_now_and_then(lora_of):
    data = lora_of(caption_dropout=0.5).task.style_latents
    said = [caption for turn in range(40) for caption in data.batch(turn).captions]
    empty = sum(text == "" for text in said) / len(said)
    assert 0.5 < empty < 0.9  # two of five have none


def test_the_steps_of_the_noise_are_spread_evenly(lora_of):
    data = lora_of().task.style_latents
    steps = torch.cat([data.batch(turn).timesteps for turn in range(60)])
    counts = torch.histc(steps.float(), bins=10, min=0, max=1000) / len(steps)
    assert counts.min() >= 0.07
    assert counts.max() <= 0.13


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"num_prior_images": 2}, "give a --trigger"),
        ({"blocks": ("up.blok_1",)}, "Did you mean up.block_1?"),
        ({"crop_size": 8}, "at least 16 px"),
        ({"model": "no/such-model"}, "no/such-model"),
        ({"clip": "/no/clip", "early_stop": True}, "no CLIP"),
    ],
)
def test_what_cannot_be_is_refused(lora_of, more, says):
    with pytest.raises(ImpastoError) as error:
        lora_of(**more)
    assert says in str(error.value)


def test_only_the_named_blocks_learn(lora_of, tmp_path):
    file, _ = write(lora_of("sdxl", blocks=("up.block_0",), steps=2), tmp_path)
    names = {name for _, name in read_matrices(read_lora_header(file))}
    assert all(
        name.startswith(("output_blocks_0", "output_blocks_1", "output_blocks_2")) for name in names
    )


def test_the_file_says_what_it_is(lora_of, tmp_path):
    file, taught = write(lora_of(trigger="zq", steps=2), tmp_path)
    assert taught.finished
    header = read_lora_header(file)
    told = json.loads(header.metadata["impasto"])
    assert header.base == "sd15"
    assert told["about"]["trigger"] == "zq"
    assert told["card"]["command"].startswith("impasto train lora --pictures brand")
    assert str(tmp_path) not in json.dumps(told)
    assert header.metadata["ss_network_module"] == "networks.lora"
    assert header.metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert all(t.dtype == torch.float16 for t in tensors(file).values())


def test_it_starts_from_another_and_refuses_one_that_is_unlike(lora_of, tmp_path):
    file, _ = write(lora_of(steps=3), tmp_path)
    loop = lora_of(init_from=str(file), output="next.safetensors")
    mine = {key: t.half() for key, t in loop.task.network.kohya_state_dict().items()}
    assert same(mine, tensors(file))
    with pytest.raises(WeightsError, match="same --rank"):
        lora_of(init_from=str(file), rank=3)
    file.unlink()  # it has been read
    again, _ = write(loop, tmp_path, "next.safetensors")
    assert "started from" in json.loads(read_lora_header(again).metadata["impasto"])["card"]


def test_captions_that_are_no_text_are_refused(lora_of, pictures, tmp_path, tiny):
    folder = tmp_path / "more"
    folder.mkdir()
    Image.new("RGB", (40, 40)).save(folder / "a.png")
    (folder / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="is no text in UTF-8"):
        LoraTask(LoraTrainConfig(model=tiny["sd15"]), [str(folder)], [], "")


def test_bf16_learns_too(lora_of):
    loop = lora_of(precision="bf16")
    assert loop.task.base.unet.dtype == torch.bfloat16
    assert loop.run(lambda _: None).finished
    assert all(m.dtype == torch.float32 for m in loop.task.network.matrices.values())


def test_v_prediction_has_its_own_target(lora_of, tiny, tmp_path):
    import shutil

    folder = tmp_path / "v"
    shutil.copytree(tiny["sd15"], folder)
    file = folder / "scheduler" / "scheduler_config.json"
    told = {**json.loads(file.read_text()), "prediction_type": "v_prediction"}
    file.write_text(json.dumps(told))
    lesson = lora_of(model=str(folder)).task
    turn = lesson.style_latents.batch(0)
    a = lesson.alphas_cumprod[turn.timesteps].view(-1, 1, 1, 1)
    wanted = a.sqrt() * turn.noise - (1 - a).sqrt() * turn.latents
    perfect = lambda noisy, steps, texts, ids: wanted  # noqa: E731
    assert float(lesson._denoising_loss(perfect, turn)) < 1e-10
