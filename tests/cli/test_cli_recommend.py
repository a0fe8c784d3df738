"""``impasto recommend``, and ``--method auto``."""

import shlex
from pathlib import Path

import pytest

import impasto as package
from impasto.core import devices

STYLES = Path(__file__).resolve().parents[2] / "examples" / "styles"


@pytest.fixture(autouse=True)
def _here(quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: False)


def test_the_command_it_prints_runs_as_printed(impasto, photo, style, tmp_path):
    done = impasto("recommend", photo, style, "--for", "preview")
    assert done.code == 0
    command = shlex.split(done.out.splitlines()[-1])
    assert command[0] == "impasto"
    assert impasto(*command[1:], "-q").code == 0
    assert package.load_recipe(tmp_path / "photo-adain.png").method == "adain"


def test_it_says_the_answer_the_reasons_and_what_is_out(impasto, photo, style):
    out = impasto("recommend", photo, style, "--for", "preview").out
    assert out.startswith("adain, for a look while you choose.\n")
    for title in ("Forecast for this machine", "Why:", "Ruled out:", "Run:"):
        assert title in out
    assert "  fast        It has not learnt style.png" in out


def test_json_is_one_line_with_all_of_it(impasto, photo, style):
    found = impasto("recommend", photo, style, "--for", "text", "--json").json
    assert found["method"] == "gatys"
    assert found["fits"] is False
    assert found["command"][:2] == ["impasto", "stylize"]
    assert "sdxl" in [each["method"] for each in found["excluded"]]


def test_where_nothing_keeps_the_limits_it_exits_with_3(impasto, photo, style):
    done = impasto("recommend", photo, style, "--deadline", "1ms")
    assert done.code == 3
    assert "Run:" not in done.out
    assert "the deadline is 1 ms" in done.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--for", "vidoe"), "did you mean video"),
        (("--deadline", "soon"), "deadline = 'soon' does not fit: it must be seconds, or a text"),
        (("--memory", "much"), "memory = 'much' does not fit"),
        (("--size", "0"), "size = 0 does not fit"),
        (("--license", "free"), "any"),
    ],
)
def test_a_wrong_flag_is_told_in_a_sentence(impasto, photo, style, flags, said):
    done = impasto("recommend", photo, style, *flags)
    assert done.code == 2
    assert said in done.err


def test_a_missing_content_is_named(impasto, style):
    done = impasto("recommend", "gone.jpg", style)
    assert done.code == 2
    assert "gone.jpg" in done.err


def test_the_device_that_was_asked_for_is_in_the_command(impasto, photo, style):
    flags = ("--device", "cpu", "--precision", "fp32", "--for", "preview")
    command = impasto("recommend", photo, style, *flags, "--json").json["command"]
    assert command[-4:] == ["--device", "cpu", "--precision", "fp32"]


def test_help_lists_what_a_painting_can_be_for(impasto):
    out = impasto("recommend", "--help").out
    for name in ("picture", "preview", "live", "batch", "print", "video", "photo", "brand"):
        assert name in out


def test_a_picture_whose_name_begins_with_a_dash_is_no_flag(impasto, photo, style, tmp_path):
    (tmp_path / "-photo.jpg").write_bytes(Path(photo).read_bytes())
    args = ("recommend", "--for", "preview", "--json", "--", "-photo.jpg", style)
    command = impasto(*args).json["command"]
    assert impasto(*command[1:], "--size", "40").code == 0


def test_a_long_name_is_apart_from_what_is_said_of_it(impasto, photo, style):
    out = impasto("recommend", photo, style, "--for", "video").out
    assert "\n  animatediff  Its weights, stable-diffusion-v1-5" in out


def test_plan_says_what_auto_takes_and_why(impasto, photo, style):
    done = impasto("plan", photo, style, "--method", "auto", "--strength", "0.5")
    assert done.code == 0
    assert "--method auto takes gatys: gatys comes nearest to a style" in done.err
    assert "method     gatys" in done.out


def test_stylize_paints_by_what_auto_takes(impasto, photo, tmp_path):
    done = impasto("stylize", photo, "scream", "-o", "out.png", "--method=auto", "--size", "40")
    assert done.code == 0
    assert "--method auto takes fast" in done.err
    assert package.load_recipe(tmp_path / "out.png").method == "fast"


def test_a_learnt_style_given_as_a_file_is_planned_with_auto(impasto, photo):
    found = impasto("plan", photo, STYLES / "scream.jpg", "--method", "auto", "--json").json
    assert found["method"] == "gatys"


def test_auto_tells_whose_flag_it_does_not_take(impasto, photo, style):
    done = impasto("plan", photo, style, "--method", "auto", "--steps", "3")
    assert done.code == 2
    assert "--steps is not for every method" in done.err
    assert "say --method gatys" in done.err


def test_auto_does_not_take_weights(impasto, photo, style):
    done = impasto("plan", photo, style, "--method", "auto", "--weights", "oxford")
    assert done.code == 2
    assert "belong to one method" in done.err


def test_the_help_of_auto_has_the_flags_that_all_methods_share(impasto):
    out = impasto("stylize", "--help", "--method", "auto").out
    assert "--strength" in out
    assert "--structure" not in out
