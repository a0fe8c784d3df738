"""Recipes go through JSON unchanged; what is no recipe is refused in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import InputError
from impasto.core.recipe import FORMAT_VERSION, InputFile, Recipe

names = st.text(max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | floats | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
mappings = st.dictionaries(names, plain, max_size=4)
texts = st.dictionaries(names, names, max_size=3)
recipes = st.builds(
    Recipe,
    method=names,
    knobs=mappings,
    inputs=st.lists(st.builds(InputFile, names, names, names), max_size=3).map(tuple),
    options=mappings,
    setting=mappings,
    files=texts,
    versions=texts,
    losses=st.dictionaries(names, floats, max_size=3),
    steps=st.integers(0, 10**6),
    seconds=floats,
    peak_bytes=st.integers(0, 2**60),
    finished=st.booleans(),
    notes=st.lists(names, max_size=3).map(tuple),
    warnings=st.lists(names, max_size=3).map(tuple),
)


@given(recipes, st.sampled_from([None, 2]))
def test_a_recipe_comes_back_from_json_as_it_was(recipe, indent):
    assert Recipe.from_json(recipe.to_json(indent)) == recipe


def some():
    return Recipe(
        "gatys", {}, (InputFile("content", "a.jpg", "00"),), {}, {}, {}, {}, {}, 1, 1.0, 1
    )


def changed(**fields):
    return json.dumps({**json.loads(some().to_json()), **fields})


def without(name):
    data = json.loads(some().to_json())
    del data[name]
    return json.dumps(data)


def test_the_text_stays_readable():
    recipe = Recipe("gatys", {"naïve": "β"}, (), {}, {}, {}, {}, {}, 1, 1.0, 1)
    assert '"naïve": "β"' in recipe.to_json()


def test_a_later_format_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"^x\.png: .*later Impasto; update"):
        Recipe.from_json(changed(format=FORMAT_VERSION + 1), "x.png")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "3",
        "[]",
        "{}",
        '"text"',
        "[" * 3,
        without("method"),
        without("inputs"),
        without("format"),
        changed(format="1"),
        changed(inputs=[{"role": "content"}]),
        changed(inputs=None),
        changed(knobs=[1]),
        changed(setting=None),
        changed(files="x"),
        changed(notes=3),
        changed(surprise=1),
    ],
)
def test_what_is_no_recipe_is_refused(text):
    with pytest.raises(InputError, match=r"^x\.png: this is not an Impasto recipe"):
        Recipe.from_json(text, "x.png")


@given(st.text())
def test_no_text_ends_in_anything_but_a_recipe_or_an_input_error(text):
    with pytest.raises(InputError):
        Recipe.from_json(text)
