"""What a LoRA learns from: prior pictures, long captions, and a base under a license."""

import shutil

import pytest
import torch
from PIL import Image

from impasto.core.errors import KnobError
from impasto.train.task import Rank

pytest.importorskip("diffusers")


@pytest.mark.parametrize("num_prior_images", ["painted", "folder"])
def test_prior_pictures_hold_the_base(lora_of, pictures, num_prior_images):
    if num_prior_images == "painted":
        lesson = lora_of(trigger="zq", num_prior_images=3, prior_weight=2.0).task
        assert lesson.prior_latents.items[0].caption == "a boat and a tree"
        assert len(lesson.prior_latents.items) == 3
    else:
        lesson = lora_of(styles=[str(pictures)], prior_prompt="a thing").task
        assert len(lesson.prior_latents.items) == 5
    terms = lesson.loss(lesson.network, 0, Rank())
    assert set(terms) == {"style", "prior"}
    assert float(terms["prior"].detach()) > 0


def test_every_prior_picture_is_seen_alike_and_at_many_steps_of_the_noise(lora_of, monkeypatch):
    lesson = lora_of(trigger="zq", num_prior_images=8, prior_prompt="a thing", batch_size=1).task
    turns = []
    monkeypatch.setattr(
        lesson, "_denoising_loss", lambda network, turn: (turns.append(turn), torch.zeros(()))[1]
    )
    for step in range(80):
        lesson.loss(lesson.network, step, Rank())
    for kept in lesson.prior_latents.items:
        steps = [int(t.timesteps[0]) for t in turns if torch.equal(t.latents[0], kept.mean)]
        assert len(steps) == 10
        assert max(steps) - min(steps) > 500


def test_prior_pictures_without_a_caption_need_a_prompt(lora_of, pictures):
    with pytest.raises(KnobError, match="2 of the prior pictures have no caption"):
        lora_of(trigger="zq", styles=[str(pictures)])
    lesson = lora_of(trigger="zq", styles=[str(pictures)], prior_prompt="a thing").task
    assert [kept.caption for kept in lesson.prior_latents.items][2:] == [
        "a boat and c tree",
        *["a thing"] * 2,
    ]


def test_long_captions_are_read_to_the_end(lora_of):
    base = lora_of("sdxl").task.base
    long = "a boat " * 40
    words, whole = base.cached_prompt_embeds([long, "a boat"])
    assert words.shape[1] == 77 * 3  # of 200 letters
    ended = base.cached_prompt_embeds([f"{long} tree"])[0]
    assert not torch.equal(ended[:, 154:], words[:1, 154:])
    again = base.encode_prompts([long, "a boat"])
    torch.testing.assert_close(words, again[0])
    torch.testing.assert_close(whole, again[1])


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_words_are_read_as_by_the_pipeline(lora_of, tiny, kind):
    import diffusers

    from impasto.engines.diffusion.prompts import encode_prompt

    name = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}[kind]
    pipe = getattr(diffusers, name).from_pretrained(tiny[kind], local_files_only=True)
    base = lora_of(kind).task.base
    given = []
    base.predict = lambda noisy, step, words, ids: (given.append(words), noisy)[1]
    for text in ("a boat", "a boat " * 40):
        words = encode_prompt(pipe, text, "")
        base.sample(text, (32, 32), 0, 1, False)
        found, whole = given.pop()
        torch.testing.assert_close(found[:1], words.negative)
        torch.testing.assert_close(found[1:], words.positive)
        if kind == "sdxl":
            torch.testing.assert_close(whole, torch.cat([words.negative_pooled, words.pooled]))
            assert not found[0].any()


def test_a_license_against_commercial_use_has_to_be_accepted(lora_of, tiny, tmp_path):
    folder = tmp_path / "nc"
    shutil.copytree(tiny["sd15"], folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    with pytest.raises(KnobError, match=r"cc-by-nc-4\.0.*--accept-license"):
        lora_of(model=str(folder))
    lesson = lora_of(model=str(folder), accept_license=True).task
    assert "license cc-by-nc-4.0" in lesson.notes[0]
    assert lesson.model_tensors()[1]["base_license"] == "cc-by-nc-4.0"


def test_a_picture_that_only_one_reader_can_read_is_left_out(lora_of, pictures, monkeypatch):
    from impasto.core.errors import InputError
    from impasto.train.lora import aspect_buckets

    real = aspect_buckets.read

    def read(file):
        if file.name == "1.png":
            raise InputError("damaged")
        return real(file)

    monkeypatch.setattr(aspect_buckets, "read", read)
    lesson = lora_of().task
    assert len(lesson.style_latents.items) == len(lesson.dataset) == 4
    assert [file.name for file in lesson.dataset.unreadable] == ["1.png"]


def test_deep_pictures_are_learnt_as_they_look(lora_of, tmp_path):
    import numpy as np

    gray = np.full((48, 48), 8000, np.uint16)
    (tmp_path / "deep").mkdir()
    (tmp_path / "flat").mkdir()
    Image.fromarray(gray).save(tmp_path / "deep" / "a.png")
    Image.fromarray((gray / 257).round().astype(np.uint8)).save(tmp_path / "flat" / "a.png")
    means = [
        lora_of(photos=tmp_path / n).task.style_latents.items[0].mean for n in ("deep", "flat")
    ]
    torch.testing.assert_close(*means, atol=1e-3, rtol=0)
