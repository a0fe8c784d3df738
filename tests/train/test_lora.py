"""A style LoRA on tiny bases: it learns, resumes to the bit, and every tool can read it."""

import json

import numpy as np
import pytest
import safetensors
import torch
from PIL import Image

from impasto.core.errors import ImpastoError, InputError, WeightsError
from impasto.nets.diffusion.lora import Loras, Use
from impasto.train.lora import LoraCourse, LoraLesson
from impasto.train.teach import prepare, teach
from impasto.weights.lora import read_header, read_pairs

pytest.importorskip("diffusers")

KINDS = ("sd15", "sdxl")
QUICK = {
    "steps": 4, "batch": 2, "rank": 2, "alpha": 2.0, "precision": "fp32", "early_stop": False,
    "samples": "a boat", "sample_steps": 2, "learning_rate": 1e-2,
    "checkpointing": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five pictures of stripes in three shapes, three of them with a caption."""
    folder = tmp_path_factory.mktemp("brand")
    for number, (height, width) in enumerate([(48, 48), (48, 48), (40, 64), (64, 40), (48, 50)]):
        rows = (np.arange(height) // 4 % 2 * 200 + 20 * number).astype(np.uint8)
        Image.fromarray(np.tile(rows[:, None, None], (1, width, 3))).save(folder / f"{number}.png")
        if number < 3:
            (folder / f"{number}.txt").write_text(f"a boat\nand {'abc'[number]} tree")
    return folder


@pytest.fixture
def run_of(pictures, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.train.lora.PRIOR_STEPS", 2)

    def make(kind="sd15", *, output="brand.safetensors", resume=False, start="", styles=(), **more):
        knobs = {**QUICK, "model": tiny[kind], **more}
        return prepare(
            "lora", knobs, photos=[str(pictures)], styles=list(styles), start=start,
            output=tmp_path / output, device="cpu", resume=resume,
        )  # fmt: skip

    return make


def write(loop, tmp_path, name="brand.safetensors"):
    taught = teach(loop, tmp_path / name, "mine", lambda _: None)
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
def test_it_learns_and_diffusers_paints_the_same_with_its_file(run_of, tiny, tmp_path, kind):
    def error(loop, network):
        with torch.no_grad():
            found = [loop.lesson._error(network, loop.lesson.data.turn(k)) for k in range(12)]
        return float(torch.stack(found).mean())

    loop = run_of(kind, steps=24, learning_rate=3e-2, text_encoders=True, rank=4, alpha=2.0)
    before = error(loop, loop.lesson.network)
    taught = loop.run(lambda _: None)
    assert taught.finished
    assert error(loop, loop.lesson.network) < 0.99 * before
    file, _ = write(loop, tmp_path)
    pipe = loaded(tiny, kind)
    plain = paint(pipe)
    loras = Loras(pipe, [Use(file)])
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


@pytest.mark.parametrize("more", [{}, {"text_encoders": True, "kind": "sdxl", "batch": 1}])
def test_a_run_that_was_stopped_ends_with_the_same_bits(run_of, more):
    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    unbroken = run_of(**more)
    unbroken.run(lambda _: None)
    broken = run_of(output="other.safetensors", **more)
    assert not broken.run(stop).finished
    resumed = run_of(output="other.safetensors", resume=True, **more)
    assert resumed.step == 2
    resumed.run(lambda _: None)
    assert same(unbroken.product()[0], resumed.product()[0])


def test_other_captions_are_another_run(run_of, monkeypatch):
    run_of().save()
    monkeypatch.setattr("impasto.train.lora.captions_beside", lambda album: {})
    with pytest.raises(InputError, match="captions differ"):
        run_of(resume=True)


def test_before_it_is_taught_the_base_is_as_it_was(run_of, tiny):
    loop = run_of("sdxl")
    base = loop.lesson.base
    with loop.lesson.network.silent():
        silent = base.sample("a boat", (32, 32), 1, 2, False)
    assert torch.equal(silent, base.sample("a boat", (32, 32), 1, 2, False))


def test_checkpointing_changes_no_bit_of_the_gradient(run_of):
    found = []
    for flag in (True, False):
        lesson = run_of(checkpointing=flag).lesson
        lesson.loss(lesson.network, 0, _share())["style"].backward()
        found.append([m.grad.clone() for m in lesson.network.matrices.values()])
    assert any(grad.abs().max() > 0 for grad in found[0])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def _share():
    from impasto.train.lesson import Share

    return Share()


def test_latents_captions_and_sizes_are_those_of_the_files(run_of, pictures):
    lesson = run_of(trigger="zq", caption_dropout=0.0).lesson
    kept = lesson.data.kept
    assert [k.ids[4:] for k in kept][:2] == [(32, 32), (32, 32)]
    assert kept[0].caption == "zq, a boat and a tree"
    assert kept[3].caption == "zq"
    assert kept[2].ids[:2] == (40, 64)
    base = lesson.base
    for each in kept:
        assert each.mean.shape == (4, each.ids[4] // 2, each.ids[5] // 2)
    from impasto.train.buckets import cut, opened

    pixels, _ = cut(opened(pictures / "2.png"), kept[2].ids[4:])
    given = torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1
    with torch.no_grad():
        seen = base.vae.encode(given).latent_dist.mean[0] * base.vae.config.scaling_factor
    torch.testing.assert_close(kept[2].mean, seen)
    turn = lesson.data.turn(3)
    again = lesson.data.turn(3)
    assert torch.equal(turn.noise, again.noise)
    assert torch.equal(turn.latents, again.latents)
    assert not torch.equal(turn.noise, lesson.data.turn(4).noise)


def test_captions_are_left_out_now_and_then(run_of):
    data = run_of(caption_dropout=0.5).lesson.data
    said = [caption for turn in range(40) for caption in data.turn(turn).captions]
    empty = sum(text == "" for text in said) / len(said)
    assert 0.5 < empty < 0.9  # two of five have none


def test_the_steps_of_the_noise_are_spread_evenly(run_of):
    data = run_of().lesson.data
    steps = torch.cat([data.turn(turn).steps for turn in range(50)])
    counts = torch.histc(steps.float(), bins=10, min=0, max=1000)
    assert counts.min() >= 8
    assert counts.max() <= 12


@pytest.mark.parametrize("prior", ["painted", "folder"])
def test_prior_pictures_hold_the_base(run_of, pictures, prior):
    if prior == "painted":
        lesson = run_of(trigger="zq", prior=3, prior_weight=2.0).lesson
        assert lesson._prior[0].caption == "a boat and a tree"
        assert len(lesson._prior) == 3
    else:
        lesson = run_of(styles=[str(pictures)], prior_prompt="a thing").lesson
        assert len(lesson._prior) == 5
    terms = lesson.loss(lesson.network, 0, _share())
    assert set(terms) == {"style", "prior"}
    assert float(terms["prior"].detach()) > 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"prior": 2}, "give a --trigger"),
        ({"blocks": ("up.blok_1",)}, "Did you mean up.block_1?"),
        ({"side": 8}, "at least 16 px"),
        ({"model": "no/such-model"}, "no/such-model"),
        ({"clip": "/no/clip", "early_stop": True}, "no CLIP"),
    ],
)
def test_what_cannot_be_is_refused(run_of, more, says):
    with pytest.raises(ImpastoError) as error:
        run_of(**more)
    assert says in str(error.value)


def test_only_the_named_blocks_learn(run_of, tmp_path):
    file, _ = write(run_of("sdxl", blocks=("up.block_0",), steps=2), tmp_path)
    names = {name for _, name in read_pairs(read_header(file))}
    assert all(
        name.startswith(("output_blocks_0", "output_blocks_1", "output_blocks_2")) for name in names
    )


def test_the_file_says_what_it_is(run_of, tmp_path):
    file, taught = write(run_of(trigger="zq", steps=2), tmp_path)
    assert taught.finished
    header = read_header(file)
    told = json.loads(header.metadata["impasto"])
    assert header.base == "sd15"
    assert told["about"]["trigger"] == "zq"
    assert told["card"]["command"].startswith("impasto train lora --pictures brand")
    assert str(tmp_path) not in json.dumps(told)
    assert header.metadata["ss_network_module"] == "networks.lora"
    assert header.metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert all(t.dtype == torch.float16 for t in tensors(file).values())


def test_it_starts_from_another_and_refuses_one_that_is_unlike(run_of, tmp_path):
    file, _ = write(run_of(steps=3), tmp_path)
    loop = run_of(start=str(file), output="next.safetensors")
    mine = {key: t.half() for key, t in loop.lesson.network.tensors().items()}
    assert same(mine, tensors(file))
    with pytest.raises(WeightsError, match="same --rank"):
        run_of(start=str(file), rank=3)
    again, _ = write(loop, tmp_path, "next.safetensors")
    assert "started from" in json.loads(read_header(again).metadata["impasto"])["card"]


def test_samples_show_the_base_above(run_of):
    loop = run_of(samples="a boat | a tree")
    loop.run(lambda _: None)
    grid = loop.preview()
    assert grid.shape == (3, 64, 64)
    assert not torch.equal(grid[:, :32], grid[:, 32:])


def test_clip_ends_it_and_the_best_state_is_kept(run_of, tmp_path, monkeypatch):
    from tiny_clip import write_clip

    clip = write_clip(tmp_path / "clip")
    from impasto.train.lora_samples import Samples
    from impasto.train.verdict import Look

    loop = run_of(early_stop=True, clip=str(clip), steps=20, looks=20)
    assert [look.step for look in loop.lesson.samples.verdict.looks] == [0]
    states = {}
    styles = {1: 0.1, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.2}

    def look(self, step):
        states[step] = self.network.tensors()
        return Look(step, styles[step], 1.0)

    monkeypatch.setattr(Samples, "_look", look)
    loop.lesson.samples.verdict.looks[0] = Look(0, 0.0, 1.0)
    taught = loop.run(lambda _: None)
    assert (taught.step, taught.finished) == (5, True)
    assert same(loop.product()[0], states[2])
    assert loop.product()[1]["taken from step"] == 2


def test_looks_survive_a_stop(run_of, tmp_path):
    from tiny_clip import write_clip

    more = {"early_stop": True, "clip": str(write_clip(tmp_path / "clip")), "looks": 4}

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    unbroken = run_of(**more)
    unbroken.run(lambda _: None)
    run_of(output="other.safetensors", **more).run(stop)
    resumed = run_of(output="other.safetensors", resume=True, **more)
    resumed.run(lambda _: None)
    assert resumed.lesson.memory()["looks"] == unbroken.lesson.memory()["looks"]
    assert len(resumed.lesson.memory()["looks"]) == 5
    assert same(unbroken.product()[0], resumed.product()[0])


def test_without_clip_it_is_said(run_of, monkeypatch):
    monkeypatch.delenv("IMPASTO_CLIP", raising=False)
    lesson = run_of(early_stop=True).lesson
    assert "no early stop without CLIP" in lesson.remarks[-1]
    assert "2 of 5 pictures have no caption" in lesson.remarks[1]


def test_captions_that_are_no_text_are_refused(run_of, pictures, tmp_path, tiny):
    folder = tmp_path / "more"
    folder.mkdir()
    Image.new("RGB", (40, 40)).save(folder / "a.png")
    (folder / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="is no text in UTF-8"):
        LoraLesson(LoraCourse(model=tiny["sd15"]), [str(folder)], [], "")


@pytest.fixture
def _fresh_accelerate():
    """What the first run in a process has chosen is forgotten, before and after."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.mark.usefixtures("_fresh_accelerate")
def test_bf16_learns_too(run_of):
    loop = run_of(precision="bf16")
    assert loop.lesson.base.unet.dtype == torch.bfloat16
    assert loop.run(lambda _: None).finished
    assert all(m.dtype == torch.float32 for m in loop.lesson.network.matrices.values())


def test_v_prediction_has_its_own_target(run_of, tiny, tmp_path):
    import shutil

    folder = tmp_path / "v"
    shutil.copytree(tiny["sd15"], folder)
    file = folder / "scheduler" / "scheduler_config.json"
    told = {**json.loads(file.read_text()), "prediction_type": "v_prediction"}
    file.write_text(json.dumps(told))
    lesson = run_of(model=str(folder)).lesson
    turn = lesson.data.turn(0)
    a = lesson.alphas[turn.steps].view(-1, 1, 1, 1)
    wanted = a.sqrt() * turn.noise - (1 - a).sqrt() * turn.latents
    perfect = lambda noisy, steps, texts, ids: wanted  # noqa: E731
    assert float(lesson._error(perfect, turn)) < 1e-10
