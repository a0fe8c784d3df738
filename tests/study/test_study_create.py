"""Making a study: what is matched, what is left out, what is copied and what is not."""

import io
import json
import sqlite3

import numpy as np
import pytest
from PIL import Image
from small_study import METHODS, SCENES, folders, methods_of, picture

from impasto.core.errors import InputError, KnobError
from impasto.core.recipe import InputFile, Recipe
from impasto.pictures import read, write
from impasto.study.create import MAX_SIDE_PX, make_study
from impasto.study.folders import match_name


@pytest.fixture
def results(tmp_path):
    return folders(tmp_path / "results")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "a.study"


def pictures_in(path):
    """(scene, method) → the picture as it would be shown."""
    with sqlite3.connect(path) as base:
        data = dict(base.execute("SELECT token, jpeg FROM picture"))
    return {made: Image.open(io.BytesIO(data[token])) for token, made in methods_of(path).items()}


def scenes_in(path):
    with sqlite3.connect(path) as base:
        return {
            name: (content, style)
            for name, content, style in base.execute(
                "SELECT scene.name, c.sha256, s.sha256 FROM scene "
                "LEFT JOIN picture c ON c.id = content LEFT JOIN picture s ON s.id = style"
            )
        }


def test_pictures_of_one_name_are_a_scene(results, target):
    made = make_study(target, results)
    assert made.methods == METHODS
    assert made.scenes == tuple(sorted(SCENES))
    assert made.pairs == 3 * 4
    assert set(methods_of(target).values()) == {(s, m) for s in SCENES for m in METHODS}


def test_the_suffix_does_not_matter(results, target):
    old = results["okapi"] / "canal-wave.png"
    Image.open(old).save(old.with_suffix(".jpg"))
    old.unlink()
    assert "canal-wave" in make_study(target, results).scenes


def test_the_copies_look_like_the_results(results, target):
    make_study(target, results)
    for (scene, method), copy in pictures_in(target).items():
        original = np.asarray(Image.open(results[method] / f"{scene}.png"), dtype=float)
        assert np.abs(np.asarray(copy, dtype=float) - original).mean() < 3


def test_a_study_outlives_its_folders(results, target):
    make_study(target, results)
    for folder in results.values():
        for file in folder.iterdir():
            file.unlink()
    assert len(pictures_in(target)) == 12


def test_no_copy_holds_the_recipe_that_names_the_method(results, target):
    pixels = np.full((16, 24, 3), 0.5, dtype=np.float32)
    for method, folder in results.items():
        write(pixels, folder / "canal-wave.jpg", recipe=json.dumps({"method": method}))
        (folder / "canal-wave.png").unlink()
    make_study(target, results)
    with sqlite3.connect(target) as base:
        copies = b"".join(row[0] for row in base.execute("SELECT jpeg FROM picture"))
    assert b"xpacket" in (results["okapi"] / "canal-wave.jpg").read_bytes()
    assert b"xpacket" not in copies
    assert not any(method.encode() in copies for method in METHODS)


def test_large_pictures_are_shrunk(tmp_path, target):
    for method in ("a", "b"):
        picture(tmp_path / method / "wide.png", 1, size=(2000, 500))
    make_study(target, {m: tmp_path / m for m in "ab"})
    assert {copy.size for copy in pictures_in(target).values()} == {(MAX_SIDE_PX, 400)}


def test_results_of_different_sizes_are_shown_at_the_smallest(tmp_path, target):
    picture(tmp_path / "a" / "x.png", 1, size=(60, 40))
    picture(tmp_path / "b" / "x.png", 2, size=(30, 20))
    made = make_study(target, {m: tmp_path / m for m in "ab"})
    assert {copy.size for copy in pictures_in(target).values()} == {(30, 20)}
    assert any("x (a 60 x 40, b 30 x 20)" in text for text in made.warnings)


def test_results_of_different_shapes_are_told(tmp_path, target):
    picture(tmp_path / "a" / "x.png", 1, size=(60, 40))
    picture(tmp_path / "b" / "x.png", 2, size=(60, 60))
    made = make_study(target, {m: tmp_path / m for m in "ab"})
    assert any("differ in shape" in text and "x (" in text for text in made.warnings)


def test_the_same_picture_of_two_methods_is_told(tmp_path, target):
    for method in ("a", "b"):
        picture(tmp_path / method / "same.png", 1)
        picture(tmp_path / method / "other.png", ord(method))
    made = make_study(target, {m: tmp_path / m for m in "ab"})
    (said,) = [text for text in made.warnings if "to the pixel" in text]
    assert "same" in said
    assert "other" not in said


def test_transparent_results_are_laid_on_white(tmp_path, target):
    for method in ("a", "b"):
        (tmp_path / method).mkdir()
        Image.new("RGBA", (24, 16), (255, 0, 0, 0)).save(tmp_path / method / "clear.png")
    make_study(target, {m: tmp_path / m for m in "ab"})
    assert all(np.asarray(copy).min() > 250 for copy in pictures_in(target).values())


def test_contents_and_styles_are_found_by_the_words_of_the_name(results, target, tmp_path):
    made = make_study(
        target,
        results,
        contents=tmp_path / "results/contents",
        styles=tmp_path / "results/styles",
    )
    found = scenes_in(target)
    assert found["canal-wave"][0] == found["canal-night"][0] != found["tower-wave"][0]
    assert found["canal-wave"][1] == found["tower-wave"][1] != found["canal-night"][1]
    assert made.warnings == ()


@pytest.mark.parametrize(
    ("scene", "names", "at_start", "expected"),
    [
        ("canal-wave", ["canal", "wave", "canal-wave"], True, "canal-wave"),
        ("canal-starry-night", ["night", "starry-night", "starry"], False, "starry-night"),
        ("canal_by_wave", ["canal", "wave"], True, "canal"),
        ("boat-wave", ["boat", "wave"], True, "boat"),
        ("boat-wave", ["boat", "wave"], False, "wave"),
        ("canals-wave", ["canal"], True, None),
        ("subcanal-wave", ["canal"], True, None),
        ("a.b wave", ["a.b", "a"], True, "a.b"),
    ],
)
def test_the_longest_name_in_whole_words_is_meant(scene, names, at_start, expected):
    assert match_name(scene, names, prefer_first=at_start) == expected


def painted(path, content, style):
    """A result whose recipe names these two, as Impasto's own results do."""
    path.parent.mkdir()
    inputs = tuple(
        InputFile(role, str(file), read(file).sha256)
        for role, file in (("content", content), ("style", style))
    )
    recipe = Recipe("adain", {}, inputs, {}, {}, {}, {}, {}, steps=1, seconds=1.0, peak_bytes=1)
    write(read(content).pixels, path, recipe=recipe.to_json())


def test_the_recipes_of_results_say_what_they_were_made_from(tmp_path, target):
    content, style = picture(tmp_path / "canal.png", 1), picture(tmp_path / "wave.png", 2)
    expected = read(content).sha256, read(style).sha256
    for method in "ab":
        painted(tmp_path / method / "result.png", content, style)
    made = make_study(target, {m: tmp_path / m for m in "ab"})
    assert scenes_in(target) == {"result": expected}
    assert not any("is known" in text for text in made.warnings)


def test_a_style_that_has_changed_since_is_not_shown(tmp_path, target):
    content, style = picture(tmp_path / "canal.png", 1), picture(tmp_path / "wave.png", 2)
    for method in "ab":
        painted(tmp_path / method / "result.png", content, style)
    picture(style, 3)
    made = make_study(target, {m: tmp_path / m for m in "ab"})
    assert scenes_in(target) == {"result": (read(content).sha256, None)}
    assert any("No style picture is known for result" in text for text in made.warnings)


def test_without_contents_and_styles_it_says_which_questions_are_left_out(results, target):
    said = " ".join(make_study(target, results).warnings)
    for role in ("content", "style"):
        assert f"No {role} picture is known" in said
        assert f"--{role}s DIR" in said
    assert set(scenes_in(target).values()) == {(None, None)}


def test_what_does_not_match_up_is_listed_and_left_out(results, target):
    (results["quagga"] / "canal-wave.png").unlink()
    (results["quagga"] / "tower-wave.png").unlink()
    picture(results["quagga"] / "extra.png", 5)
    made = make_study(target, results)
    assert made.scenes == ("canal-night", "tower-night")
    said = "\n".join(made.warnings)
    assert "as quagga has no picture of that name: canal-wave, tower-wave." in said
    assert "as zebra has no picture of that name: extra." in said


@pytest.mark.parametrize("count", [0, 1])
def test_one_method_is_no_comparison(results, target, count):
    with pytest.raises(InputError, match="two methods at least"):
        make_study(target, dict(list(results.items())[:count]))
    assert not target.exists()


def test_folders_without_a_common_name_are_refused_with_what_they_have(tmp_path, target):
    picture(tmp_path / "a" / "one.png", 1)
    picture(tmp_path / "b" / "two.png", 2)
    with pytest.raises(InputError, match=r"a has one; b has two.*Name the results"):
        make_study(target, {m: tmp_path / m for m in "ab"})
    assert not target.exists()


def test_a_missing_folder_is_named_with_its_neighbor(results, target, tmp_path):
    with pytest.raises(InputError, match=r"no folder .*okapy.*did you mean .*okapi"):
        make_study(target, {**results, "okapi": tmp_path / "results" / "okapy"})


def test_a_folder_without_pictures_is_refused(results, target, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no pictures"):
        make_study(target, {**results, "empty": tmp_path / "empty"})


def test_one_folder_cannot_be_two_methods(results, target):
    with pytest.raises(InputError, match="zebra and other are the same folder"):
        make_study(target, {**results, "other": results["zebra"] / ".." / "zebra"})


def test_two_files_of_one_name_in_a_folder_are_refused(results, target):
    picture(results["zebra"] / "canal-wave.jpg", 4)
    with pytest.raises(InputError, match=r"canal-wave\.jpg and canal-wave\.png"):
        make_study(target, results)


def test_a_damaged_result_is_named_and_leaves_no_study(results, target):
    (results["okapi"] / "tower-wave.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    with pytest.raises(InputError, match=r"tower-wave\.png"):
        make_study(target, results)
    assert [f.name for f in target.parent.iterdir()] == ["results"]


def test_a_study_that_exists_is_never_replaced(results, target):
    target.write_text("answers")
    with pytest.raises(InputError, match="may hold answers"):
        make_study(target, results)
    assert target.read_text() == "answers"


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 2**32}, {"pairs_each": 0}])
def test_numbers_out_of_range_are_refused(results, target, wrong):
    with pytest.raises(KnobError, match=next(iter(wrong))):
        make_study(target, results, **wrong)


def test_addresses_of_pictures_tell_nothing_and_are_new_in_every_study(results, target, tmp_path):
    make_study(target, results)
    make_study(tmp_path / "b.study", results)
    tokens = {*methods_of(target), *methods_of(tmp_path / "b.study")}
    assert len(tokens) == 24
    assert min(map(len, tokens)) >= 16
