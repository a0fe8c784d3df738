"""``impasto train lora``, from the words to the file."""

import json
import shutil

import pytest
from PIL import Image
from tiny_clip import write_clip

from impasto.weights.lora import read_lora_header


@pytest.fixture
def line(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CLIP", "/no/clip")
    folder = tmp_path / "brand"
    folder.mkdir()
    for name in "abc":
        Image.new("RGB", (40, 40), "teal").save(folder / f"{name}.png")
    (folder / "a.txt").write_text("a boat, watercolor")
    return (
        *("train", "lora", "--pictures", folder, "-o", tmp_path / "brand.safetensors"),
        *("--model", tiny["sd15"], "--steps", 2, "--rank", 2, "--precision", "fp32"),
        *("--device", "cpu", "--sample-prompts", "a boat", "--sample-steps", 2),
    )


def test_a_lora_is_taught_and_everything_said(impasto, line, tmp_path):
    done = impasto(*line, "--preview", tmp_path / "steps", "--trigger", "zq", "--note", "mine")
    out = tmp_path / "brand.safetensors"
    assert done.code == 0, done.err
    assert done.out == f"{out}\n"
    for said in (
        "Teaching lora from 3 pictures.",
        "1 captions lost style words",
        "2 of 3 pictures have no caption",
        "no early stop without CLIP",
        "2 steps of 1 pictures of 32 px",
        "Taught 2 steps",
    ):
        assert said in done.err
    with Image.open(tmp_path / "steps" / "latest.jpg") as picture:
        assert picture.size == (32, 64)
    told = json.loads(read_lora_header(out).metadata["impasto"])
    assert told["card"]["data"] == "mine"
    assert told["card"]["command"].startswith("impasto train lora --pictures brand --note mine")
    assert str(tmp_path) not in json.dumps(told)
    shown = impasto("weights", "show", out)
    assert shown.code == 0
    assert "style LoRA" in shown.out + shown.err


def test_ctrl_c_and_resume(impasto, line, tmp_path, monkeypatch):
    from impasto.cli import watchers

    with monkeypatch.context() as patch:

        def stop(self, preview, step):
            raise KeyboardInterrupt

        patch.setattr(watchers.TrainPreviewWriter, "add", stop)
        done = impasto(*line, "--preview", tmp_path / "steps", "--preview-every", 1)
    assert done.code == 130
    assert "The same command with --resume goes on." in done.err
    assert impasto(*line, "--trigger", "zq", "--resume").code == 2
    done = impasto(*line, "--resume")
    assert done.code == 0, done.err
    assert "Going on after step 1 of 2." in done.err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--photos", "x"), "There is no flag --photos"),
        (("--num-prior-images", 2), "give a --trigger"),
        (("--captions", "clip"), "no CLIP"),
        (("--blocks", "up.blok_1"), "Did you mean up.block_1?"),
        (("--init-from", "no.safetensors"), "There is no LoRA no.safetensors"),
        (("--optimizer", "adam8bit"), "pip install bitsandbytes"),
        (("--init-from", "brand/a.txt"), "could not be read as a LoRA"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(impasto, line, flags, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = impasto(*line, *flags)
    assert done.code == 2
    assert says in done.err


def test_a_base_that_is_not_for_commerce_has_to_be_accepted(impasto, line, tiny, tmp_path):
    folder = tmp_path / "nc"
    shutil.copytree(tiny["sd15"], folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    done = impasto(*line, "--model", folder)
    assert done.code == 2
    assert "The license of nc is cc-by-nc-4.0" in done.err
    done = impasto(*line, "--model", folder, "--accept-license", "--steps", 1)
    assert done.code == 0, done.err
    assert "license cc-by-nc-4.0" in done.err


def test_prompts_may_be_longer_than_a_file_s_name(impasto, line):
    done = impasto(*line, "--steps", 1, "--sample-prompts", "a boat | " * 30 + "a tree" * 40)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("fidelity", "says"),
    [(0.1, "Each of the 3 states"), (1.0, "Of 4 states that CLIP looked at, that of step 1 was")],
)
def test_an_early_end_is_said_and_which_state_was_taken(
    impasto, line, tmp_path, monkeypatch, fidelity, says
):
    from impasto.train.lora.early_stopping import ValidationScore
    from impasto.train.lora.validation import LoraValidator

    def look(self, step):
        return ValidationScore(step, 1 / (step + 1), fidelity if step else 1.0)

    monkeypatch.setattr(LoraValidator, "_evaluate", look)
    clip = write_clip(tmp_path / "clip")
    done = impasto(*line, "--clip", clip, "--steps", 8, "--evaluations", 8)
    assert done.code == 0, done.err
    assert says in done.err
    assert "of 8, for it was enough," in done.err


def test_without_the_extra_the_line_is_printed(impasto, line, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "diffusers" else real(name, *a),
    )
    done = impasto(*line)
    assert done.code == 2
    assert 'pip install "impasto[diffusion]"' in done.err


def test_help_names_the_flags(impasto):
    done = impasto("train", "lora", "--help")
    assert done.code == 0
    for flag in ("--pictures", "--prior-pictures", "--trigger", "--snr-gamma", "--early-stop"):
        assert flag in done.out
