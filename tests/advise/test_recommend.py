"""Recommending a method for pictures on this machine, and method="auto"."""

import inspect
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import clips
import numpy as np
import pytest
from PIL import Image
from toy_method import register

import impasto
from impasto import methods
from impasto.advise.recommend import auto, licenses
from impasto.advise.recommend.candidates import CandidateFinder
from impasto.advise.recommend.style_features import luminance_contrast, read_style
from impasto.advise.shared_knobs import shared_knobs
from impasto.core import devices
from impasto.core.errors import InputError, KnobError, ResourceError
from impasto.core.knobs import get_knobs
from impasto.methods.fast import FastNetwork
from impasto.pictures import write
from impasto.pipeline import make_request

STYLES = Path(__file__).resolve().parents[2] / "examples" / "styles"


@pytest.fixture(autouse=True)
def _quick(quick, monkeypatch):
    """Everything here is, and no precision is compared with another."""
    monkeypatch.setattr(devices, "has_fast_bf16", lambda device: False)


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photograph in the folder at hand."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).random((40, 56, 3)).astype(np.float32)
    write(pixels, tmp_path / "photo.png")
    return "photo.png"


@pytest.fixture
def painting(tmp_path):
    """A style that no network has learnt."""
    pixels = np.random.default_rng(1).random((50, 50, 3)).astype(np.float32)
    write(pixels, tmp_path / "painting.png")
    return "painting.png"


def rules(answer):
    return [reason.rule for reason in answer.reasons]


def refused(answer):
    return {each.method: each for each in answer.excluded}


def test_one_picture_is_for_gatys(photo, painting):
    answer = impasto.recommend(photo, painting)
    assert answer.best.method == "gatys"
    assert answer.serves_purpose
    assert answer.command.startswith("impasto stylize photo.png painting.png -o photo-gatys.png")
    assert rules(answer)[0] == "picture"


def test_a_network_that_has_not_learnt_the_style_is_ruled_out(photo, painting):
    out = refused(impasto.recommend(photo, painting))["fast"]
    assert (out.limit, out.reason[:32]) == ("learnt", "It has not learnt painting.png: ")


def test_a_deadline_that_nothing_keeps_leaves_nothing_and_says_the_number(photo, painting):
    answer = impasto.recommend(photo, painting, deadline="1ms")
    assert (answer.best, answer.command, answer.arguments) == (None, "", {})
    for method in ("gatys", "adain", "wct"):
        assert refused(answer)[method].limit == "time"
        assert refused(answer)[method].reason.endswith(", and the deadline is 1 ms.")
    assert "No method keeps these limits" in str(answer)


def test_memory_that_nothing_keeps_leaves_nothing_and_says_the_number(photo, painting):
    answer = impasto.recommend(photo, painting, memory="1M")
    assert {refused(answer)[m].limit for m in ("gatys", "adain", "wct")} == {"memory"}
    assert "of memory; 1 MB may be taken" in refused(answer)["gatys"].reason


def test_a_size_that_no_machine_has_memory_for_rules_gatys_out(photo, painting):
    answer = impasto.recommend(photo, painting, size=30_000, deadline="9h", purpose="print")
    assert refused(answer)["gatys"].limit == "memory"
    assert answer.best.method == "adain"
    assert answer.best.command[-2:] == ("--size", "30000")


def test_a_learnt_style_is_known_by_its_looks_under_any_name(tmp_path):
    with Image.open(STYLES / "scream.jpg") as image:
        image.resize((300, 382)).save(tmp_path / "my-favorite.png")
    assert read_style(tmp_path / "my-favorite.png").built_in_names == {"fast": "scream"}


@pytest.mark.parametrize("path", sorted(STYLES.glob("*.jpg")), ids=lambda path: path.stem)
def test_every_learnt_style_is_told_from_the_others(path):
    assert read_style(path).built_in_names == {"fast": path.stem}


def test_a_picture_on_its_side_is_another_style(tmp_path):
    with Image.open(STYLES / "scream.jpg") as image:
        image.rotate(90, expand=True).save(tmp_path / "scream.png")
    assert read_style(tmp_path / "scream.png").built_in_names == {}


def test_the_command_names_the_learnt_style(photo):
    answer = impasto.recommend(photo, STYLES / "scream.jpg", purpose="preview")
    assert answer.best.method == "fast"
    assert shlex.split(answer.command)[2:4] == ["photo.png", "scream"]
    assert answer.arguments == {"styles": ["scream"], "method": "fast"}


def test_a_name_alone_is_for_the_network_that_knows_it(photo):
    answer = impasto.recommend(photo, "scream")
    assert [c.method for c in answer.candidates] == ["fast"]
    assert refused(answer)["gatys"].reason.startswith("scream is a name that only fast knows")


def test_of_several_styles_the_network_must_know_all(photo, painting):
    answer = impasto.recommend(photo, [STYLES / "scream.jpg", painting])
    assert "painting.png" in refused(answer)["fast"].reason
    assert "any-style" in rules(answer)


def test_what_is_neither_a_file_nor_a_style_is_refused_by_name(photo):
    with pytest.raises(InputError, match="no-such-thing"):
        impasto.recommend(photo, "no-such-thing")


def test_no_style_is_refused(photo):
    with pytest.raises(InputError, match="No style"):
        impasto.recommend(photo, [])


def test_no_such_device_is_told_before_anything_else(photo, painting):
    with pytest.raises(ResourceError, match="not to be had"):
        impasto.recommend(photo, painting, device="cuda:77")


def test_a_picture_in_its_own_style_is_told(photo):
    assert "same" in rules(impasto.recommend(photo, photo))


def test_contrast_is_the_deviation_of_luminance():
    # Stripes of black and white: half at 0 and half at 1 have a deviation of 1/2.
    stripes = np.zeros((8, 8, 3), np.float32)
    stripes[::2] = 1
    assert luminance_contrast(stripes) == pytest.approx(0.5)
    assert luminance_contrast(np.full((9, 5, 3), 0.3, np.float32)) == pytest.approx(0, abs=1e-6)


def test_a_photograph_stays_one(photo, painting):
    answer = impasto.recommend(photo, painting, purpose="photo")
    assert answer.serves_purpose
    assert answer.best.method == "photowct"


def test_a_prompt_gets_the_nearest_method_and_hears_what_is_missing(photo, painting):
    answer = impasto.recommend(photo, painting, purpose="text")
    assert not answer.serves_purpose
    assert refused(answer)["sdxl"].limit in ("weights", "extra")
    assert "nearest" in rules(answer)
    assert answer.summary.startswith("Nothing that is here quite suits")


def test_a_film_is_for_the_command_that_paints_films(tmp_path, monkeypatch, painting):
    monkeypatch.chdir(tmp_path)
    clips.clip(tmp_path / "clip.mp4", clips.frames(3))
    learnt, other = (
        impasto.recommend("clip.mp4", style, purpose="video") for style in ("scream", painting)
    )
    assert learnt.command == "impasto video clip.mp4 scream -o clip-fast.mp4 --method fast"
    assert other.command == "impasto video clip.mp4 painting.png -o clip-adain.mp4 --method adain"
    assert learnt.serves_purpose
    assert other.serves_purpose
    assert "gatys" in refused(other)  # minutes a frame
    assert refused(other)["animatediff"].limit in ("weights", "extra")
    film = impasto.stylize_video("clip.mp4", output="out.mp4", **learnt.arguments)
    assert (film.frames, film.recipe.method) == (3, "fast")


def test_a_model_of_whole_clips_takes_part_in_films_where_its_weights_are(
    tmp_path, monkeypatch, painting, tiny
):
    monkeypatch.chdir(tmp_path)
    clips.clip(tmp_path / "clip.mp4", clips.frames(3))
    given = {"model": tiny["sd15"], "motion_adapter": tiny["motion-sd15"]}
    given |= {"ip_adapter": tiny["adapter-sd15"]}
    monkeypatch.setattr(methods, "_METHODS", {})  # the others have no such knobs
    [(found, _)] = CandidateFinder(
        "clip.mp4", painting, purpose="video", knobs=given
    ).iter_methods()
    assert found.method == "animatediff"
    assert found.command[:4] == ("impasto", "video", "clip.mp4", painting)
    assert found.command[found.command.index("--motion-adapter") + 1] == tiny["motion-sd15"]


def test_of_numbered_pictures_the_folder_names_the_film(tmp_path, monkeypatch, painting, photo):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk").mkdir()
    (tmp_path / photo).rename(tmp_path / "walk" / "001.png")
    for content in ("walk", "walk/%03d.png"):
        command = impasto.recommend(content, painting, purpose="video").command
        assert f"{content} painting.png -o walk-adain.mp4" in command


def test_a_frame_stands_for_a_film_that_is_not_there(photo, painting):
    command = impasto.recommend(photo, painting, purpose="video").command
    assert command == "impasto video FILM painting.png -o adain.mp4 --method adain"


def test_a_method_that_serves_needs_no_nearest(photo, painting, monkeypatch):
    register(monkeypatch, "sdxl")
    answer = impasto.recommend(photo, painting, purpose="brand")
    assert (answer.best.method, answer.serves_purpose) == ("sdxl", True)
    assert "nearest" not in rules(answer)


def test_a_method_whose_extra_is_missing_is_ruled_out_with_the_install_line(
    photo, painting, monkeypatch
):
    register(monkeypatch, "sdxl", extra="export")
    there = metadata.version
    gone = {"onnx", "onnxruntime"}

    def version(name):
        if name in gone:
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(licenses.metadata, "version", version)
    out = refused(impasto.recommend(photo, painting, purpose="brand"))["sdxl"]
    assert out.reason == 'It needs an extra: pip install "impasto[export]"'
    gone.clear()
    assert not licenses.is_extra_missing("export")


@pytest.mark.parametrize("license", ["CC BY-NC-SA 4.0", "research, non-commercial"])
def test_a_license_that_forbids_it_rules_out_for_commercial_use(
    photo, painting, monkeypatch, license
):
    register(monkeypatch, "sdxl", license=license)
    free, commercial = (
        impasto.recommend(photo, painting, purpose="brand", license=use)
        for use in ("any", "commercial")
    )
    assert free.best.method == "sdxl"
    assert refused(commercial)["sdxl"].limit == "license"
    assert license in refused(commercial)["sdxl"].reason


def test_for_commercial_use_what_taught_the_weights_is_told(photo, painting):
    answer = impasto.recommend(photo, painting, purpose="preview", license="commercial")
    said = next(r.sentence for r in answer.reasons if r.rule == "license")
    assert "Apache-2.0" in said
    assert "non-commercial research" in said


def test_the_method_that_the_license_rule_favors_has_no_such_doubt():
    assert {name: licenses.has_research_only_data(name) for name in methods.method_names()} == {
        "gatys": False,
        "adain": True,
        "wct": True,
        "fast": True,
        "photowct": True,
        "deep-photo": False,
        "sdxl": False,
    }


def test_a_picture_from_memory_has_a_place_in_the_command(painting, photo):
    pixels = np.zeros((40, 40, 3), np.float32)
    answer = impasto.recommend(pixels, pixels + 0.5, purpose="preview")
    assert answer.command == "impasto stylize CONTENT STYLE -o adain.png --method adain"


def test_the_command_does_not_write_over_a_file(photo, painting, tmp_path):
    (tmp_path / "photo-adain.png").touch()
    answer = impasto.recommend(photo, painting, purpose="preview")
    assert "-o photo-adain-2.png" in answer.command


def test_its_arguments_paint_the_picture(photo, painting):
    answer = impasto.recommend(photo, painting, purpose="preview", size=48)
    result = impasto.stylize(photo, **answer.arguments)
    assert (result.recipe.method, result.image.width) == ("adain", 48)


def test_the_knobs_that_all_methods_share_are_these():
    every = [
        {k.name for k in get_knobs(methods.get_method(name))} for name in methods.method_names()
    ]
    shared = {knob.name for knob in get_knobs(shared_knobs())}
    assert shared == {"strength"}
    assert shared <= set.intersection(*every)


def test_auto_is_gatys_for_one_picture(photo, painting):
    made = impasto.request(photo, painting, method="auto", strength=0.7)
    assert (made.method.name, made.method.strength) == ("gatys", 0.7)
    assert made.size is None  # as without "auto"


def test_auto_keeps_the_settings_that_every_request_has(photo, painting):
    styles = [painting, photo]
    made = impasto.request(
        photo, styles, method="auto", seed=7, size=64, style_weights=[2, 1], precision="fp32"
    )
    assert (made.seed, made.size, made.style_weights, made.precision) == (7, 64, (2, 1), "fp32")


def test_auto_takes_another_method_where_gatys_would_not_fit(photo, painting, monkeypatch):
    monkeypatch.setattr(auto, "CandidateFinder", _impatient)
    choice = auto.choose_method(photo, painting, {})
    assert choice.method == "adain"
    assert choice.reason.startswith("auto takes adain; gatys is out: 6000 px needs")


def _impatient(*args, **settings):
    return CandidateFinder(
        *args, **{**settings, "size": 6000, "memory": 4 * 10**9, "deadline": 1e9}
    )


def test_the_recipe_names_the_method_that_auto_stood_for(photo):
    result = impasto.stylize(photo, "scream", method="auto", size=40)
    assert result.recipe.method == "fast"
    assert FastNetwork.name == "fast"


def test_auto_refuses_a_knob_of_one_method(photo, painting):
    with pytest.raises(KnobError, match=r"every method has can be set \(strength\).*'steps'"):
        impasto.request(photo, painting, method="auto", steps=3)


def test_auto_refuses_a_value_out_of_range(photo, painting):
    with pytest.raises(KnobError, match=r"strength = 2\.0 does not fit"):
        impasto.request(photo, painting, method="auto", strength=2)


def test_auto_refuses_weights_of_one_method(photo, painting):
    with pytest.raises(KnobError, match="belong to one method"):
        impasto.request(photo, painting, method="auto", weights="oxford")


def test_without_auto_nothing_is_changed(photo, painting):
    here, there = (
        make(photo, painting, method="adain", size=48) for make in (impasto.request, make_request)
    )
    assert here.method == there.method
    assert inspect.signature(impasto.request) == inspect.signature(make_request)
    assert impasto.stylize.__doc__.startswith("Restyle a picture")


def test_looking_at_the_rules_loads_nothing_heavy():
    report = (
        "import sys; from impasto.advise import shared_knobs; "
        "from impasto.advise.recommend import rules; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
