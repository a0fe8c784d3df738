"""The commands of docs/methods/sdxl.md, on a tiny pipeline."""

import pytest

pytest.importorskip("diffusers")


@pytest.fixture
def parts(tiny):
    return ("--method", "sdxl", "--model", tiny["sdxl"], "--ip-adapter", tiny["adapter-sdxl"],
            "--steps", "2", "--device", "cpu", "--precision", "fp32")  # fmt: skip


def test_a_picture_from_words_and_the_same_again(impasto, style, tmp_path, parts):
    out = tmp_path / "out.png"
    done = impasto("stylize", "48x32", style, "-o", out, "--prompt", "a house", "--json", *parts)
    assert done.code == 0, done.err
    assert (done.json["recipe"]["inputs"][0]["name"], out.is_file()) == ("48x32", True)
    assert impasto("rerun", out, "-o", tmp_path / "again.png").code == 0
    assert (tmp_path / "again.png").is_file()


def test_the_style_is_written_into_the_prompt(impasto, photo, style, tmp_path, parts):
    words = ("--prompt", "a house", "--prompt-from-style")
    done = impasto("stylize", photo, style, "-o", tmp_path / "o.png", "--json", *words, *parts)
    assert done.code == 0, done.err
    prompt = done.json["recipe"]["knobs"]["prompt"]
    assert prompt.startswith("a house, ")
    phrase = impasto("describe", style, "--json").json["phrase"]
    assert prompt.endswith(phrase)


def test_a_method_that_reads_no_prompt_says_so(impasto, photo, style):
    done = impasto("stylize", photo, style, "-o", "o.png", "--prompt-from-style")
    assert done.code == 2
    assert "gatys reads none: say --method sdxl" in done.err


def test_the_plan_names_parts_and_licenses(impasto, photo, style, parts):
    done = impasto("plan", photo, style, "--prompt", "a house", *parts)
    assert done.code == 0, done.err
    assert "license not stated" in done.out
    assert "It paints at" in done.out


def test_an_adapter_of_the_other_kind_is_a_clear_error(impasto, photo, style, tiny, parts):
    words = (*parts, "--ip-adapter", tiny["adapter-sd15"])
    done = impasto("stylize", photo, style, "-o", "o.png", *words)
    assert done.code == 2
    assert "The IP-Adapter" in done.err
    assert "Traceback" not in done.err


def test_what_is_no_size_is_a_missing_picture_for_other_methods(impasto, style):
    done = impasto("stylize", "48x32", style, "-o", "o.png")
    assert done.code == 2
    assert "48x32 is only a size, and gatys paints over a picture" in done.err


def test_a_prompt_may_be_longer_than_the_name_of_a_file(impasto, style, tmp_path, parts):
    words = "a quiet harbour " * 30
    done = impasto("stylize", "48x32", style, "-o", tmp_path / "o.png", "--prompt", words, *parts)
    assert done.code == 0, done.err
    assert "chunks" in done.err


def test_tune_takes_the_methods_model_beside_its_own(
    impasto, style, photo, tmp_path, monkeypatch, tiny
):
    monkeypatch.chdir(tmp_path)
    flags = ("--method", "sdxl", "--sdxl-model", tiny["sdxl"], "--ip-adapter", tiny["adapter-sdxl"],
             "--prompt", "a house", "--device", "cpu", "--precision", "fp32", "--trials", "2",
             "--budget", "60s")  # fmt: skip
    done = impasto("tune", photo, style, *flags)
    assert done.code == 0, done.err
    assert f"--model {tiny['sdxl']}" in done.out
