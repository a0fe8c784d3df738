"""Which result belongs to which content and style."""

import pytest

from impasto.core.errors import InputError
from impasto.evaluation.pairing import (
    NamedImages,
    collect_images,
    format_names,
    list_pictures,
    match_result,
)

CONTENTS = NamedImages(dict.fromkeys(["canal", "canal-night", "lake"], "a"), is_single=False)
STYLES = NamedImages(dict.fromkeys(["scream", "starry-night", "night"], "b"), is_single=False)
ONE_CONTENT = NamedImages({"canal": "a"}, is_single=True)
ONE_STYLE = NamedImages({"scream": "b"}, is_single=True)


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("canal-scream", ("canal", "scream")),
        ("canal_scream", ("canal", "scream")),
        ("Canal.Starry-Night", ("canal", "starry-night")),
        ("lake-starry-night-wct", ("lake", "starry-night")),
        ("canal-night-scream", ("canal-night", "scream")),
        ("canal-night", ("canal", "night")),  # canal-night with no style left is none
        ("canal-nightmare", None),
        ("canals-scream", None),
        ("canal", None),
        ("scream-canal", None),
        ("tower-scream", None),
    ],
)
def test_a_result_is_named_after_its_content_and_style(name, pair):
    assert match_result(name, CONTENTS, STYLES) == pair


@pytest.mark.parametrize(
    ("name", "content"),
    [("lake", "lake"), ("lake-adain", "lake"), ("canal-night", "canal-night"), ("tower", None)],
)
def test_with_one_style_the_contents_name_is_enough(name, content):
    assert match_result(name, CONTENTS, ONE_STYLE) == (content and (content, "scream"))


@pytest.mark.parametrize(
    ("name", "style"),
    [("scream", "scream"), ("canal-scream", "scream"), ("starry-night-2", "starry-night"),
     ("canal", None)],
)  # fmt: skip
def test_with_one_content_the_styles_name_is_enough(name, style):
    assert match_result(name, ONE_CONTENT, STYLES) == (style and ("canal", style))


def test_a_single_content_and_style_apply_to_any_name():
    assert match_result("whatever", ONE_CONTENT, ONE_STYLE) == ("canal", "scream")


def test_pairs_of_the_same_name_need_no_more_than_that():
    contents, styles = (
        NamedImages(dict.fromkeys(["001", "002"], x), is_single=False) for x in "ab"
    )
    assert match_result("002", contents, styles) == ("002", "002")


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "A.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub.png").mkdir()
    return tmp_path


def test_of_a_folder_the_pictures_are_taken(folder):
    assert [path.name for path in list_pictures(folder)] == ["A.JPG", "b.png"]
    found = collect_images(folder, "content")
    assert sorted(found.images) == ["a", "b"]
    assert not found.is_single


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no pictures"):
        collect_images(tmp_path, "content")


def test_two_contents_of_one_name_are_refused(folder):
    (folder / "b.webp").write_bytes(b"")
    with pytest.raises(InputError, match=r"b\.png and .*b\.webp have the same name.*the style"):
        collect_images(folder, "style")


def test_a_file_applies_to_all(folder):
    assert collect_images(folder / "b.png", "content") == NamedImages(
        {"b": folder / "b.png"}, is_single=True
    )


def test_long_lists_are_cut_short():
    assert format_names("abc") == "a, b, c"
    assert format_names("abcdefgh") == "a, b, c, d, e, f and 2 more"
