"""Warnings that need a look at a model's small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.engines.diffusion.components import DiffusionComponents
from impasto.engines.diffusion.prompts import chunk_tokens, tokenize
from impasto.engines.diffusion.verbosity import silence_logging
from impasto.weights.hub import ModelSource

TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
         "tokenizer.json")  # fmt: skip
SHORT_PROMPT_CHARS = 60
"""Letters up to which a prompt is never too long."""


def prompt_warnings(components: DiffusionComponents, *texts: str) -> list[str]:
    """What is to be said of prompts that are longer than the model reads at once."""
    told = []
    for text in texts:
        if (
            len(text) > SHORT_PROMPT_CHARS
            and (tokenizer := _load_tokenizer(components)) is not None
        ):
            count, chunks = len(tokenize(tokenizer, text)), len(chunk_tokens(tokenizer, text))
            if chunks > 1:
                told.append(
                    f"The prompt has {count} tokens, and the model reads "
                    f"{tokenizer.model_max_length - 2} at once: it is read in {chunks} chunks."
                )
    return told


def _find_small_file(source: ModelSource, file: str) -> Path | None:
    """A small file, if it is here or to be had."""
    try:
        return source.find_file(file)
    except ImpastoError:
        return None


def _load_tokenizer(components: DiffusionComponents) -> Any:
    """The model's tokenizer, or None if it is not here."""
    found = [
        place
        for file in TOKENIZER_FILES
        if (place := _find_small_file(components.base.source, f"tokenizer/{file}"))
    ]
    if not found:
        return None
    with silence_logging():
        from transformers import CLIPTokenizer

        try:
            return CLIPTokenizer.from_pretrained(found[0].parent, local_files_only=True)
        except Exception:  # it will be said when the model is loaded
            return None
