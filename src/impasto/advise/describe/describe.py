"""A style in words for a prompt: by a vision-language model, by CLIP, or measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from impasto.advise.describe.pixel_tags import PixelMeasurements, measure_style
from impasto.advise.describe.vocabulary import WORD_GROUPS
from impasto.advise.llm import MAX_IMAGE_SIDE_PX, LanguageModel, connect
from impasto.core.errors import (
    ImpastoError,
    KnobError,
    LanguageModelError,
    MissingExtraError,
    WeightsError,
)
from impasto.core.picture import Picture, Pixels
from impasto.pictures import as_picture, fit_long_side

BACKENDS = {
    "model": "a vision-language model is asked",
    "clip": "CLIP chooses from a vocabulary",
    "measure": "the pixels are measured",
}
"""Way → what is done; the best first."""

DEFAULT_MAX_WORDS = 8
"""How many words there are at most, unless another number is asked for."""

MAX_WORDS_LIMIT = 40

_CATEGORY_ORDER = (
    "medium",
    "movement",
    "technique",
    "palette",
    "colors",
    "light",
    "texture",
    "mood",
)


@dataclass(frozen=True)
class Description:
    """A style in words.

    Attributes:
        name: of the picture.
        words: style words, and no depicted things.
        backend: how they were found: "model", "clip" or "measured".
        provenance: the same as a sentence.
        notes: why a better way was not taken, and what else is to be known; a sentence each.
        measurements: what was measured, by name: palette, lightness, coherence of the strokes …
    """

    name: str
    words: tuple[str, ...]
    backend: str
    provenance: str
    notes: tuple[str, ...]
    measurements: dict[str, Any]

    @property
    def phrase(self) -> str:
        """The words as one line for a prompt."""
        return ", ".join(self.words)


def describe(
    style: object,
    *,
    backend: str = "auto",
    model: str = "",
    model_url: str = "",
    clip: str = "",
    max_words: int = DEFAULT_MAX_WORDS,
) -> Description:
    """Say a style in words: how it is made, never what it shows.

    Args:
        style: a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W).
        backend: "model", "clip", "measure", or "auto": the first of them that is at hand.
        model: of a language model that sees pictures; see :func:`impasto.advise.llm.connect`.
        model_url: where it is.
        clip: a CLIP of the hub, or a folder; "" is the default one, which "auto" takes only if it
            is on this machine already.
        max_words: how many there are at most, 1 to 40.

    Raises:
        ImpastoError: a picture that cannot be used, or a way that was asked for by name and cannot
            be taken.
    """
    return Describer(
        backend=backend, model=model, model_url=model_url, clip=clip, max_words=max_words
    )(style)


class Describer:
    """Describes one style after the other; its arguments are those of :func:`describe`.

    What is loaded is kept, and what has failed once is not tried again.
    """

    def __init__(
        self,
        *,
        backend: str = "auto",
        model: str = "",
        model_url: str = "",
        clip: str = "",
        max_words: int = DEFAULT_MAX_WORDS,
    ) -> None:
        if backend not in ("auto", *BACKENDS):
            raise KnobError(f"by = {backend!r}: one of auto, {', '.join(BACKENDS)}.")
        if not isinstance(max_words, int) or not 1 <= max_words <= MAX_WORDS_LIMIT:
            raise KnobError(
                f"words = {max_words!r} does not fit: it must be 1 to {MAX_WORDS_LIMIT}."
            )
        self._backend, self._max_words = backend, max_words
        self._model_name, self._model_url, self._clip_name = model, model_url, clip
        self._failures: dict[str, ImpastoError] = {}
        self._model: LanguageModel | None = None
        self._style_tagger: Callable[[Pixels], list[tuple[str, str]]] | None = None

    def __call__(self, style: object) -> Description:
        """Describe a style.

        Raises:
            ImpastoError: as :func:`describe`.
        """
        picture = as_picture(style, "style")
        measured = measure_style(picture)
        notes = []
        for name, way in (("model", self._describe_with_model), ("clip", self._describe_with_clip)):
            if self._backend not in ("auto", name):
                continue
            try:
                found, how, remarks = self._run_backend(name, way, picture, measured)
            except (LanguageModelError, MissingExtraError, WeightsError) as error:
                if self._backend == name:
                    raise
                notes.append(str(error))
                continue
            words = _select_words(found, self._max_words)
            return _make_description(picture, words, name, how, (*notes, *remarks), measured)
        if measured.strokes is None:
            notes.append("It is too small to measure its strokes.")
        kinds = measured.words[: self._max_words]
        return _make_description(
            picture, kinds, "measured", "measured from the pixels", notes, measured
        )

    def _run_backend(
        self, name: str, backend: _BackendFn, picture: Picture, measurements: PixelMeasurements
    ) -> _BackendResult:
        """Take a way, unless it has failed before; a failure is kept."""
        if name in self._failures:
            raise self._failures[name]
        try:
            found, how, remarks = backend(picture, measurements)
        except (LanguageModelError, MissingExtraError, WeightsError) as error:
            self._failures[name] = error
            raise
        if not found:
            raise LanguageModelError(f"No style word was {how}.")
        return found, how, remarks

    def _describe_with_model(
        self, picture: Picture, measurements: PixelMeasurements
    ) -> _BackendResult:
        self._model = self._model or connect(self._model_name, self._model_url)
        if self._model is None:
            raise LanguageModelError(
                "No vision-language model is configured: name one with --model, "
                "or in IMPASTO_MODEL."
            )
        from impasto.advise.describe.vlm import query_style_words

        told = ", ".join(word for _, word in measurements.words)
        found, notes = query_style_words(self._model, _model_input(picture), told)
        return found, f"said by {self._model}", tuple(notes)

    def _describe_with_clip(
        self, picture: Picture, measurements: PixelMeasurements
    ) -> _BackendResult:
        if self._style_tagger is None:
            from impasto.advise.describe.clip_tags import StyleTagger
            from impasto.nets.clip import Clip

            fetch = self._backend == "clip" or bool(self._clip_name)
            self._style_tagger = StyleTagger(Clip(self._clip_name, fetch=fetch))
        found = self._style_tagger(_model_input(picture))
        count = sum(len(group.words) for group in WORD_GROUPS.values())
        how = f"chosen by CLIP from {count} words, the colors measured"
        colors = [(kind, word) for kind, word in measurements.words if kind == "colors"]
        return [*found, *colors] if found else [], how, ()


_BackendResult = tuple[list[tuple[str, str]], str, tuple[str, ...]]
_BackendFn = Callable[[Picture, PixelMeasurements], _BackendResult]


def _make_description(
    picture: Picture,
    words: Sequence[tuple[str, str]],
    backend: str,
    provenance: str,
    notes: Sequence[str],
    measurements: PixelMeasurements,
) -> Description:
    said = tuple(word for _, word in words)
    return Description(
        picture.name, said, backend, provenance, tuple(notes), measurements.to_dict()
    )


def _model_input(picture: Picture) -> Pixels:
    """The picture as it is looked at: on white, and no larger than ``MAX_IMAGE_SIDE_PX``."""
    from impasto.metrics.inputs import resize_on_white  # which takes a second: not to measure alone

    side = min(MAX_IMAGE_SIDE_PX, picture.long_side)
    return resize_on_white(picture, *fit_long_side(picture.height, picture.width, side))


def _select_words(tagged_words: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """So many words: first one of each kind, then the second ones; in the order of the kinds."""
    ranks: dict[str, int] = {}
    ranked = []
    for kind, word in tagged_words:
        ranks[kind] = ranks.get(kind, -1) + 1
        ranked.append((ranks[kind], _CATEGORY_ORDER.index(kind), kind, word))
    first = sorted(ranked, key=lambda each: each[:2])[:count]
    return [(kind, word) for _, _, kind, word in sorted(first, key=lambda each: (each[1], each[0]))]
