import pytest

from impasto.advise.describe.filters import filter_style_words, names_artist, names_object
from impasto.advise.describe.palette import COLOR_FAMILIES
from impasto.advise.describe.pixel_tags import COLOR_RULES, STROKE_RULES
from impasto.advise.describe.vocabulary import STYLE_WORDS, WORD_GROUPS


@pytest.mark.parametrize(
    "phrase",
    [
        "starry night sky",
        "cypress trees",
        "water lilies",
        "a crescent moon",
        "churches",
        "self-portrait of a man",
        "boats on the sea",
        "falling leaves",
        "rose",
        "village at dusk",
    ],
)
def test_a_depicted_thing_is_dropped(phrase):
    assert filter_style_words([phrase]) == ()


@pytest.mark.parametrize(
    "phrase",
    [
        "swirling brushstrokes",
        "bold outlines",
        "wavy lines",
        "hand-drawn line",
        "high-key lighting",
        "gold leaf",
        "comic book inking",
        "figurative",
        "sunny",
        "sky blue",
        "leaf green and gold",
        "etching on paper",
    ],
)
def test_manner_is_kept(phrase):
    assert filter_style_words([phrase]) == (phrase,)


@pytest.mark.parametrize("phrase", ["rose", "salmon and coral", "sunset orange", "lemon yellow"])
def test_among_colors_a_thing_may_be_a_color(phrase):
    assert filter_style_words([phrase], are_colors=True) == (phrase,)


@pytest.mark.parametrize(
    "phrase",
    [
        "Van Gogh",
        "Monet-like haze",
        "Rembrandtesque",
        "Picasso's line",
        "in the style of somebody",
        "inspired by Japan",
        "by a master",
    ],
)
def test_a_maker_is_dropped(phrase):
    assert filter_style_words([phrase]) == ()


def test_phrases_are_tidied():
    said = ['"Thick Impasto."', "the ART NOUVEAU", "a chalky surface;", "thick impasto", " , "]
    assert filter_style_words(said) == ("thick impasto", "Art Nouveau", "chalky surface")


def test_several_in_one_phrase_are_taken_apart():
    assert filter_style_words(["bold lines, starry sky, muted"]) == ("bold lines", "muted")


def test_a_sentence_is_dropped():
    assert filter_style_words(["the paint is laid on with a broad soft brush"]) == ()


def test_a_thing_within_another_word_is_none():
    assert filter_style_words(["carefully drawn", "seamless", "manual", "dotted"]) == (
        "carefully drawn",
        "seamless",
        "manual",
        "dotted",
    )


def test_our_own_words_name_neither_things_nor_makers():
    ours = [rule.word for rule in STROKE_RULES + COLOR_RULES] + sorted(STYLE_WORDS)
    assert [word for word in ours if names_object(word) or names_artist(word)] == []
    colors = [name for names in COLOR_FAMILIES.values() for name in names]
    assert [name for name in colors if names_object(name, are_colors=True)] == []


def test_the_vocabulary_is_large_and_names_nothing_twice():
    words = [word for group in WORD_GROUPS.values() for word in group.words]
    assert len(words) > 250
    assert len(words) == len(set(words))
    assert all(word == " ".join(word.split()) for word in words)
