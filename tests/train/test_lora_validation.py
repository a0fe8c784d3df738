"""Sample pictures of a LoRA that is being taught: shown, looked at by CLIP, and short of memory."""

import pytest
import torch

from impasto.core.errors import ResourceError
from impasto.train.lora.early_stopping import ValidationScore
from impasto.train.lora.validation import LoraValidator

pytest.importorskip("diffusers")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_samples_show_the_base_above(lora_of):
    loop = lora_of(sample_prompts="a boat | a tree")
    loop.run(lambda _: None)
    grid = loop.preview()
    assert grid.shape == (3, 64, 64)
    assert not torch.equal(grid[:, :32], grid[:, 32:])


def test_clip_ends_it_and_the_best_state_is_kept(lora_of, clip, monkeypatch):
    loop = lora_of(early_stop=True, clip=clip, steps=20, evaluations=20)
    assert [look.step for look in loop.task.validator.early_stopping.scores] == [0]
    states = {}
    styles = {1: 0.1, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.2}

    def look(self, step):
        states[step] = self.network.kohya_state_dict()
        return ValidationScore(step, styles[step], 1.0)

    monkeypatch.setattr(LoraValidator, "_evaluate", look)
    loop.task.validator.early_stopping.scores[0] = ValidationScore(0, 0.0, 1.0)
    taught = loop.run(lambda _: None)
    assert (taught.step, taught.finished) == (5, True)
    assert same(loop.model_tensors()[0], states[2])
    assert loop.model_tensors()[1]["taken from step"] == 2


def test_looks_survive_a_stop(lora_of, clip):
    more = {"early_stop": True, "clip": clip, "evaluations": 4}

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    unbroken = lora_of(**more)
    unbroken.run(lambda _: None)
    lora_of(output="other.safetensors", **more).run(stop)
    resumed = lora_of(output="other.safetensors", resume=True, **more)
    resumed.run(lambda _: None)
    assert resumed.task.state_dict()["looks"] == unbroken.task.state_dict()["looks"]
    assert len(resumed.task.state_dict()["looks"]) == 5
    assert same(unbroken.model_tensors()[0], resumed.model_tensors()[0])


def test_without_clip_it_is_said(lora_of, monkeypatch):
    monkeypatch.delenv("IMPASTO_CLIP", raising=False)
    lesson = lora_of(early_stop=True).task
    assert "no early stop without CLIP" in lesson.notes[-1]
    assert "2 of 5 pictures have no caption" in lesson.notes[1]


def test_in_half_precision_the_first_preview_shows_the_lora_too(lora_of):
    loop = lora_of(precision="bf16", learning_rate=0.3)
    loop.run(lambda _: None)
    base, taught = loop.preview().chunk(2, dim=1)
    assert (base - taught).abs().max() > 0.01
    again = loop.preview().chunk(2, dim=1)
    assert torch.equal(base, again[0])
    assert torch.equal(taught, again[1])


def test_if_no_state_is_faithful_the_last_is_taken_and_it_is_said(lora_of, clip, monkeypatch):
    loop = lora_of(early_stop=True, clip=clip, steps=20, evaluations=20)
    monkeypatch.setattr(
        LoraValidator, "_evaluate", lambda self, step: ValidationScore(step, 0.9, 0.1)
    )
    loop.task.validator.early_stopping.scores[0] = ValidationScore(0, 0.0, 1.0)
    taught = loop.run(lambda _: None)
    assert (taught.step, taught.finished) == (3, True)
    said, beware = loop.task.summary()
    assert beware
    assert "Each of the 3 states" in said
    assert loop.model_tensors()[1]["faithful"] is False


@pytest.mark.parametrize(("steps", "evaluations"), [(19, 10), (25, 10), (3, 10)])
def test_it_looks_no_more_often_than_it_is_told_and_at_the_end(lora_of, clip, steps, evaluations):
    samples = lora_of(
        early_stop=True, clip=clip, steps=steps, evaluations=evaluations
    ).task.validator
    at = [step for step in range(1, steps + 1) if samples.should_evaluate(step)]
    assert min(steps, evaluations) / 2 < len(at) <= evaluations
    assert at[-1] == steps


def test_training_pictures_are_looked_at_one_by_one(lora_of, clip, monkeypatch):
    from impasto.nets.clip import Clip

    real, counts = Clip.embed_images, []

    def pictures(self, given):
        counts.append(len(given))
        return real(self, given)

    monkeypatch.setattr(Clip, "embed_images", pictures)
    lora_of(early_stop=True, clip=clip, sample_prompts="a boat | a tree | a cat")
    assert counts == [1] * 5 + [3]  # and the base's samples


def short_of_memory(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_where_a_preview_does_not_fit_what_was_taught_is_kept(lora_of, monkeypatch):
    loop = lora_of()
    monkeypatch.setattr(loop.task.base, "decode", short_of_memory)

    def watch(progress):
        if progress.step == 2:
            progress.preview()

    with pytest.raises(ResourceError, match="smaller --crop-size"):
        loop.run(watch)
    assert lora_of(resume=True).step == 2


def test_where_clip_s_look_does_not_fit_it_is_said(lora_of, clip, monkeypatch):
    loop = lora_of(early_stop=True, clip=clip, evaluations=4)
    monkeypatch.setattr(loop.task.base, "decode", short_of_memory)
    with pytest.raises(ResourceError, match="--no-early-stop"):
        loop.run(lambda _: None)
    assert loop.kept


def test_a_picture_that_does_not_fit_is_decoded_in_tiles(lora_of, monkeypatch):
    base = lora_of().task.base
    monkeypatch.setattr("impasto.train.lora.frozen_base.VAE_TILE_LATENTS", 8)
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    whole, real, sizes = base.decode(latents), base.vae.decoder.forward, []

    def decoder(given, *more):
        sizes.append(max(given.shape[-2:]))
        if sizes[-1] > 8:
            short_of_memory()
        return real(given, *more)

    monkeypatch.setattr(base.vae.decoder, "forward", decoder)
    tiled = base.decode(latents)
    assert sizes[0] == 16
    assert max(sizes[1:]) == 8
    assert tiled.shape == whole.shape
    assert (tiled - whole).abs().mean() < 0.1
