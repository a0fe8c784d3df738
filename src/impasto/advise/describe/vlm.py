"""Style words from a vision-language model. Needs the extra ``agent``; imported when it is used."""

from __future__ import annotations

from pydantic import BaseModel, Field

from impasto.advise.describe.filters import filter_style_words
from impasto.advise.describe.vocabulary import WORD_GROUPS
from impasto.advise.llm import LanguageModel
from impasto.core.errors import LanguageModelError
from impasto.core.picture import Pixels

STYLE_INSTRUCTIONS = (
    "You name the style of pictures for the prompt of an image generator that will paint something "
    "else in the same manner. Say how the picture is made, never what it shows: no objects, no "
    "figures, no places, no names of artists or works. Each phrase has one to four words, such as "
    "'oil on canvas', 'Post-Impressionism', 'swirling brushstrokes', 'cobalt and ochre'. Leave a "
    "list empty where you are not sure."
)


class StyleAnswer(BaseModel):
    """The manner of the picture, in short phrases."""

    medium: list[str] = Field([], description="what it is made with: 'oil on canvas', 'woodcut'")
    movement: list[str] = Field([], description="school or period: 'Impressionism', 'ukiyo-e'")
    technique: list[str] = Field([], description="how strokes, lines and shapes are laid")
    palette: list[str] = Field([], description="its colors, and how strong they are")
    light: list[str] = Field([], description="its light and contrast")
    texture: list[str] = Field([], description="its surface")
    mood: list[str] = Field([], description="one adjective or two")


class DepictedObjects(BaseModel):
    """Those of the phrases that name something depicted."""

    things: list[str] = Field([], description="copied from the phrases; empty if there are none")


def query_style_words(
    model: LanguageModel, pixels: Pixels, measured_words: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """(kind, word) pairs from a model, perhaps none, and notes on what was dropped.

    Three nets keep depicted things out: the model is told to leave them out, a list of common
    things is looked for in what it says, and it is asked in a second question, without the
    picture, which of the phrases still name a thing.

    Args:
        model: one that sees pictures.
        pixels: float32 (height, width, 3) in 0..1.
        measured_words: words measured from the pixels, which it is told.

    Raises:
        ModelError: it cannot be asked.
    """
    prompt = f"Name the style of this picture. Measured from its pixels: {measured_words}."
    said = model.ask(prompt, StyleAnswer, images=[pixels], instructions=STYLE_INSTRUCTIONS)
    words: dict[str, str] = {}  # word → kind
    count = 0
    for kind in WORD_GROUPS:
        phrases: list[str] = getattr(said, kind)
        count += len(phrases)
        for word in filter_style_words(phrases, are_colors=kind == "palette"):
            words.setdefault(word, kind)
    notes: list[str] = []
    things: set[str] = set()
    try:
        things = _find_objects(model, list(words)) if words else things
    except LanguageModelError as error:
        notes.append(f"Its words were checked by our list of things only. {error}")
    kept = [(kind, word) for word, kind in words.items() if word not in things]
    if len(kept) < count:
        notes.append(f"{count - len(kept)} of its {count} phrases were dropped: no style words.")
    return kept, notes


def _find_objects(model: LanguageModel, phrases: list[str]) -> set[str]:
    prompt = (
        "Which of these phrases name a thing, being or place that a picture can show, instead of "
        "how it is made? A color or a material of art is no such thing.\n- "
    )
    said = model.ask(prompt + "\n- ".join(phrases), DepictedObjects)
    return {thing.strip(" -").lower() for thing in said.things}
