"""Keeping to style words: what a model says is dropped if it names a thing, a maker or too much."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from impasto.advise.describe.palette import COLOR_FAMILIES
from impasto.advise.describe.vocabulary import (
    ART_TERMS,
    ARTIST_NAMES,
    BASIC_COLORS,
    EXTRA_OBJECTS,
    STYLE_WORDS,
)
from impasto.metrics.object_names import OBJECTS

MAX_PHRASE_WORDS = 5
"""Words in a phrase; what is longer is a sentence about the picture."""

_OBJECT_WORDS = {each.lower() for each in OBJECTS} | EXTRA_OBJECTS
_COLOR_NAMES = {name.lower() for names in COLOR_FAMILIES.values() for name in names}
_STYLE_TERMS = {word.lower() for word in STYLE_WORDS} | {
    " ".join(term.split()) for term in ART_TERMS
}
_CANONICAL_SPELLING = {word.lower(): word for word in STYLE_WORDS} | {
    name.lower(): name for names in COLOR_FAMILIES.values() for name in names
}
_ATTRIBUTION = re.compile(r"\b(by|after|style of|manner of|inspired|reminiscent|signature)\b")
_TOKEN = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


def normalize_phrase(phrase: str) -> str:
    """A phrase without article, full stop and quotes; lower case where it is no proper name."""
    words = re.sub(r"[\"“”.;:!*#`]", " ", phrase).split()
    if words and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    plain = " ".join(words).strip(" ,-–")
    return _CANONICAL_SPELLING.get(plain.lower(), plain.lower())


def filter_style_words(phrases: Iterable[str], *, are_colors: bool = False) -> tuple[str, ...]:
    """The phrases that say how a picture is made and not what it shows, tidied, none twice.

    Args:
        phrases: as a model said them; with commas, there are several in one.
        are_colors: whether they are colors, so that "rose" is none that grows.
    """
    several = (normalize_phrase(part) for phrase in phrases for part in phrase.split(","))
    fine = (p for p in several if p and len(p.split()) <= MAX_PHRASE_WORDS)
    kept = (p for p in fine if not names_object(p, are_colors=are_colors) and not names_artist(p))
    return tuple(dict.fromkeys(kept))


def names_object(phrase: str, *, are_colors: bool = False) -> bool:
    """Whether a phrase names something that a picture can show: "starry sky", but not "sky blue".

    What is a term of art or, with ``are_colors``, a color, is none, whatever is in its name.
    """
    text = phrase.lower().replace("colour", "color").replace("grey", "gray")
    text = _replace_terms(text, _STYLE_TERMS, " ")
    if are_colors:
        text = _replace_terms(
            text, _COLOR_NAMES, " blue "
        )  # any color: that before it is no thing either
    tokens = _TOKEN.findall(text)
    return any(
        any(_is_object(part) for part in (token, f"{token} {after}", *token.split("-")))
        for token, after in zip_longest(tokens, tokens[1:], fillvalue="")
        if after not in BASIC_COLORS
    )


def names_artist(phrase: str) -> bool:
    """Whether a phrase names a painter, or says whose manner it is."""
    text = phrase.lower()
    heads = [re.split(r"[-'’]", token)[0] for token in _TOKEN.findall(text)]
    return bool(_ATTRIBUTION.search(text)) or any(
        head == name or (len(name) > 4 and head.startswith(name))
        for head in heads
        for name in ARTIST_NAMES
    )


def _replace_terms(text: str, terms: Iterable[str], replacement: str) -> str:
    for term in sorted(terms, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(term)}(?![\w-])", replacement, text)
    return text


def _is_object(word: str) -> bool:
    singles = [word, word.removesuffix("s"), word.removesuffix("es")]
    if word.endswith("ies"):
        singles.append(word[:-3] + "y")
    if word.endswith("ves"):
        singles.append(word[:-3] + "f")
    return any(single in _OBJECT_WORDS for single in singles)
