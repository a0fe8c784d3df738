"""Captions of training pictures that say what they show, and nothing of how they are made.

What a caption names, a LoRA need not learn; what it leaves out goes into the LoRA. So style words
are taken out of captions, and where there is none, CLIP says what things it sees.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from impasto.advise.describe.clip_tags import LOGIT_SCALE, Embeddings, ImageTextModel
from impasto.advise.describe.vocabulary import ART_TERMS, ARTIST_NAMES, STYLE_WORDS
from impasto.core.errors import InputError, MissingExtraError, WeightsError
from impasto.metrics.object_names import OBJECTS
from impasto.pictures import read
from impasto.train.dataset import ImageDataset
from impasto.train.lora.dataset import read_captions

PROMPT_TEMPLATES = ("a picture of a {}", "an artwork that shows a {}")
MAX_OBJECTS = 3
"""So many things CLIP names in a picture."""
MIN_OBJECT_PROBABILITY = 0.1
"""The probability that a thing must have among all."""
_MEDIUM_PREFIX = re.compile(
    r"^(?:an? |the )?(?:[\w-]+ ){0,2}?(?:painting|drawing|picture|photo|photograph|illustration|"
    r"sketch|print|poster|image|render|rendering|artwork|engraving) (?:of|with|showing) ",
)
_ARTIST_PATTERN = rf"(?:[\w.-]+ ){{0,3}}?(?:{'|'.join(sorted(ARTIST_NAMES))})"
_STYLE_CLAUSE = re.compile(
    r"\b(?:in (?:the|an?) (?:[\w-]+ ){0,3}?(?:style|manner)|inspired by|painted by (?!an? |the )|"
    rf"(?:painted|drawn|made) by (?:hand|{_ARTIST_PATTERN})|reminiscent of|trending on)\b.*"
)
_ATTRIBUTION = re.compile(rf"\b(?:by|after) {_ARTIST_PATTERN}\b.*")
_ADHERENT_WORDS = {word.removesuffix("sm") + "st" for word in STYLE_WORDS if word.endswith("ism")}
_LOCATION_PATTERN = (
    r"(?: (?:on|in|at|by|under|near|beside|behind|before|over|next to|among)"
    r"(?= (?:an?|the|his|her|its|their|my)\b))"
)
"""What comes after a thing that is somewhere: "a comic book on the table"."""
_STYLE_PHRASE = re.compile(
    r"(?<![\w-])(?P<one>(?:an?|the) )?(?:"
    + "|".join(
        re.escape(" ".join(w.split()).lower())
        for w in sorted({*STYLE_WORDS, *ART_TERMS, *_ADHERENT_WORDS}, key=len, reverse=True)
    )
    + rf")(?:ic)?(?: style)?(?![\w-])(?P<place>{_LOCATION_PATTERN})?"
)
_DANGLING_ARTICLE = re.compile(r"\b(?:an?|the) (?=(?:of|on|in|with|at|by|and|showing)\b)")
_LEADING_PREPOSITION = re.compile(r"^(?:of|with|showing) ")
_FILLER_WORDS = {
    "a",
    "an",
    "the",
    "in",
    "of",
    "on",
    "with",
    "and",
    "style",
    "art",
    "artwork",
    "painting",
}


def strip_style_words(caption: str) -> str:
    """A caption without style words, makers and "a painting of"; lower case, "" if nothing is left.

    "A watercolor painting of a red bus, Impressionism, by Monet" becomes "a red bus".
    """
    text = re.sub(r"color(s|ed|ful|ing|less)?\b", r"color\1", caption.lower())
    text = re.sub(r"\bgrey(s|ish)?\b", r"gray\1", text)
    parts = [_strip_clause(part) for part in re.split(r"[,;.]", text)]
    return ", ".join(dict.fromkeys(part for part in parts if part))


def make_captions(
    folders: Sequence[str], source: str = "auto", clip: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Captions of the pictures in folders.

    Args:
        folders: as for :class:`impasto.train.dataset.ImageDataset`.
        source: "auto": from the .txt files beside the pictures, and from CLIP for the others, if
        it is
            on this machine; "clip": the same, and CLIP has to be there; "files": from the .txt
            files, word for word; "none".
        clip: a CLIP of the hub, or a folder.

    Returns:
        Path → caption, and sentences that the user should be told.

    Raises:
        ImpastoError: a folder or .txt that cannot be used, or no CLIP where it was asked for.
    """
    album = ImageDataset(folders, 64, 0, "pictures")
    files = [str(file) for file in album.files]
    told = read_captions(album) if source != "none" else {}
    captions = dict.fromkeys(files, "") | told
    if source in ("files", "none"):
        return captions, []
    plain = {file: strip_style_words(text) for file, text in told.items()}
    changed = sum(" ".join(told[f].lower().split()) != plain[f] for f in told)
    captions |= plain
    notes = (
        [f"{changed} captions lost style words (--captions files keeps them)."] if changed else []
    )
    lacking = [file for file in files if file not in told]
    if lacking:
        try:
            seen = _caption_with_clip(lacking, clip, fetch=bool(clip) or source == "clip")
        except (MissingExtraError, WeightsError):
            if clip or source == "clip":
                raise
        else:
            captions |= seen
            notes.append(f"CLIP said what {sum(map(bool, seen.values()))} pictures show.")
    return captions, notes


class ObjectTagger:
    """A CLIP with the embedded object names.

    Args:
        clip: a :class:`impasto.nets.clip.Clip`.
    """

    def __init__(self, clip: ImageTextModel) -> None:
        self._clip = clip
        every = [
            np.asarray(clip.embed_texts([template.format(thing) for thing in OBJECTS]))
            for template in PROMPT_TEMPLATES
        ]
        mean = np.mean(every, axis=0)
        self._object_embeddings: Embeddings = np.asarray(
            mean / np.linalg.norm(mean, axis=1, keepdims=True)
        )

    def __call__(self, file: str) -> str:
        """The things that a picture most likely shows, or ""."""
        pixels = np.asarray(read(Path(file)).pixels)
        (seen,) = np.asarray(self._clip.embed_images([pixels]))
        cosines = self._object_embeddings @ seen
        powers = np.exp(LOGIT_SCALE * (cosines - cosines.max()))
        chances = powers / powers.sum()
        first = [
            k for k in np.argsort(-chances)[:MAX_OBJECTS] if chances[k] >= MIN_OBJECT_PROBABILITY
        ]
        return ", ".join(OBJECTS[k] for k in first)


def _caption_with_clip(files: Sequence[str], clip: str, fetch: bool) -> dict[str, str]:
    from impasto.nets.clip import Clip

    namer = ObjectTagger(Clip(clip, fetch=fetch))
    found = {}
    for file in files:
        with contextlib.suppress(InputError):  # it will be left out of the training
            found[file] = namer(file)
    return found


def _strip_clause(clause: str) -> str:
    clause = _ATTRIBUTION.sub("", _STYLE_CLAUSE.sub("", " ".join(clause.split())))
    clause = " ".join(_STYLE_PHRASE.sub(_replace_style_word, clause).split())
    clause = _LEADING_PREPOSITION.sub("", _DANGLING_ARTICLE.sub("", _MEDIUM_PREFIX.sub("", clause)))
    words = clause.split()
    while words and words[-1] in _FILLER_WORDS:
        words.pop()
    return " ".join(words) if set(words) - _FILLER_WORDS else ""


def _replace_style_word(match: re.Match[str]) -> str:
    """What is left of a style word: all of it where it is the thing that is shown."""
    if match["one"] and match["place"]:
        return match[0]
    return f" {match['one'] or ''} {match['place'] or ''} "
