"""Warnings that need a look at a model's small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from impasto.core.errors import ImpastoError
from impasto.engines.diffusion.components import Kit
from impasto.engines.diffusion.prompts import chunks_of, tokens
from impasto.engines.diffusion.verbosity import hushed
from impasto.weights.hub import Source

FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
         "tokenizer.json")  # fmt: skip
SHORT = 60
"""Letters up to which a prompt is never too long."""


def prompt_warnings(kit: Kit, *texts: str) -> list[str]:
    """What is to be said of prompts that are longer than the model reads at once."""
    told = []
    for text in texts:
        if len(text) > SHORT and (tokenizer := _tokenizer(kit)) is not None:
            count, chunks = len(tokens(tokenizer, text)), len(chunks_of(tokenizer, text))
            if chunks > 1:
                told.append(
                    f"The prompt has {count} tokens, and the model reads "
                    f"{tokenizer.model_max_length - 2} at once: it is read in {chunks} chunks."
                )
    return told


def _small(source: Source, file: str) -> Path | None:
    """A small file, if it is here or to be had."""
    try:
        return source.find(file)
    except ImpastoError:
        return None


def _tokenizer(kit: Kit) -> Any:
    """The model's tokenizer, or None if it is not here."""
    found = [place for file in FILES if (place := _small(kit.base.source, f"tokenizer/{file}"))]
    if not found:
        return None
    with hushed():
        from transformers import CLIPTokenizer

        try:
            return CLIPTokenizer.from_pretrained(found[0].parent, local_files_only=True)
        except Exception:  # it will be said when the model is loaded
            return None
