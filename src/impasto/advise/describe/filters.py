"""Keeping to style words: what a model says is dropped if it names a thing, a maker or too much."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from impasto.advise.describe.palette import FAMILIES
from impasto.advise.describe.vocabulary import COLOUR, MAKERS, MORE_OBJECTS, TERMS, WORDS
from impasto.metrics.object_names import OBJECTS

LONGEST = 5
"""Words in a phrase; what is longer is a sentence about the picture."""

_THINGS = {each.lower() for each in OBJECTS} | MORE_OBJECTS
_COLOURS = {name.lower() for names in FAMILIES.values() for name in names}
_ART = {word.lower() for word in WORDS} | {" ".join(term.split()) for term in TERMS}
_PROPER = {word.lower(): word for word in WORDS} | {
    name.lower(): name for names in FAMILIES.values() for name in names
}
_OF_SOMEBODY = re.compile(r"\b(by|after|style of|manner of|inspired|reminiscent|signature)\b")
_TOKEN = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")


def tidy(phrase: str) -> str:
    """A phrase without article, full stop and quotes; lower case where it is no proper name."""
    words = re.sub(r"[\"“”.;:!*#`]", " ", phrase).split()
    if words and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    plain = " ".join(words).strip(" ,-–")
    return _PROPER.get(plain.lower(), plain.lower())


def style_words(phrases: Iterable[str], *, colours: bool = False) -> tuple[str, ...]:
    """The phrases that say how a picture is made and not what it shows, tidied, none twice.

    Args:
        phrases: as a model said them; with commas, there are several in one.
        colours: whether they are colours, so that "rose" is none that grows.
    """
    several = (tidy(part) for phrase in phrases for part in phrase.split(","))
    fine = (p for p in several if p and len(p.split()) <= LONGEST)
    kept = (p for p in fine if not names_thing(p, colours=colours) and not names_maker(p))
    return tuple(dict.fromkeys(kept))


def names_thing(phrase: str, *, colours: bool = False) -> bool:
    """Whether a phrase names something that a picture can show: "starry sky", but not "sky blue".

    What is a term of art or, with ``colours``, a colour, is none, whatever is in its name.
    """
    text = phrase.lower().replace("color", "colour").replace("gray", "grey")
    text = _without(text, _ART, " ")
    if colours:
        text = _without(text, _COLOURS, " blue ")  # any colour: that before it is no thing either
    tokens = _TOKEN.findall(text)
    return any(
        any(_is_thing(part) for part in (token, f"{token} {after}", *token.split("-")))
        for token, after in zip_longest(tokens, tokens[1:], fillvalue="")
        if after not in COLOUR
    )


def names_maker(phrase: str) -> bool:
    """Whether a phrase names a painter, or says whose manner it is."""
    text = phrase.lower()
    heads = [re.split(r"[-'’]", token)[0] for token in _TOKEN.findall(text)]
    return bool(_OF_SOMEBODY.search(text)) or any(
        head == name or (len(name) > 4 and head.startswith(name))
        for head in heads
        for name in MAKERS
    )


def _without(text: str, terms: Iterable[str], instead: str) -> str:
    for term in sorted(terms, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(term)}(?![\w-])", instead, text)
    return text


def _is_thing(word: str) -> bool:
    singles = [word, word.removesuffix("s"), word.removesuffix("es")]
    if word.endswith("ies"):
        singles.append(word[:-3] + "y")
    if word.endswith("ves"):
        singles.append(word[:-3] + "f")
    return any(single in _THINGS for single in singles)
