"""Prompts as a diffusion model reads them; long ones in chunks of as many words as it can read.

CLIP reads 77 tokens, a start and an end among them. What is longer is cut into chunks of 75, each
is read by itself, and the results stand one after the other: cross-attention takes any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PromptEmbeds:
    """A prompt and what is not wanted, as vectors.

    Attributes:
        positive, negative: (1, tokens, width).
        pooled, negative_pooled: (1, width) of SDXL's second encoder; None for others.
        chunks: how many chunks the longer of both has.
    """

    positive: Tensor
    negative: Tensor
    pooled: Tensor | None
    negative_pooled: Tensor | None
    chunks: int


def tokenize(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text, without start and end."""
    found = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
    return [int(token) for token in found.input_ids]


def chunk_tokens(tokenizer: Any, text: str) -> list[list[int]]:
    """A text's tokens in as many chunks as it takes; one for an empty text."""
    found = tokenize(tokenizer, text)
    room = int(tokenizer.model_max_length) - 2
    return [found[i : i + room] for i in range(0, max(len(found), 1), room)]


@torch.no_grad()
def encode_prompt(pipe: Any, prompt: str, negative_prompt: str) -> PromptEmbeds:
    """Encode a prompt and what is not wanted.

    Args:
        pipe: a pipeline of diffusers, SDXL or SD 1.5.
        prompt: of any length; may be empty.
        negative_prompt: the same.
    """
    pairs = [(pipe.tokenizer, pipe.text_encoder)]
    two = getattr(pipe, "text_encoder_2", None) is not None
    if two:
        pairs.append((pipe.tokenizer_2, pipe.text_encoder_2))
    count = max(len(chunk_tokens(t, text)) for t, _ in pairs for text in (prompt, negative_prompt))
    device = pipe._execution_device
    positive, pooled = _encode_text(pairs, prompt, count, device, two)
    zeros = two and not negative_prompt and pipe.config.get("force_zeros_for_empty_prompt", True)
    if zeros:
        assert pooled is not None
        return PromptEmbeds(
            positive, torch.zeros_like(positive), pooled, torch.zeros_like(pooled), count
        )
    unwanted, unwanted_pooled = _encode_text(pairs, negative_prompt, count, device, two)
    return PromptEmbeds(positive, unwanted, pooled, unwanted_pooled, count)


def _encode_text(
    pairs: Sequence[tuple[Any, Any]], text: str, count: int, device: Any, two: bool
) -> tuple[Tensor, Tensor | None]:
    """A text by every encoder, their widths side by side; and the last one's first summary."""
    sides, pooled = [], None
    for tokenizer, encoder in pairs:
        cut = chunk_tokens(tokenizer, text)
        cut += [[]] * (count - len(cut))
        ids = torch.tensor([_add_special_tokens(tokenizer, chunk) for chunk in cut], device=device)
        seen = encoder(ids, output_hidden_states=two)
        vectors = seen.hidden_states[-2] if two else seen.last_hidden_state
        sides.append(vectors.reshape(1, -1, vectors.shape[-1]))
        pooled = seen[0][:1] if two else None
    joined = torch.cat(sides, dim=-1)
    return joined.to(pairs[-1][1].dtype), pooled


def _add_special_tokens(tokenizer: Any, chunk: Sequence[int]) -> list[int]:
    """Start, chunk, end, and padding up to the length that an encoder reads."""
    filled = [tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id]
    pad = tokenizer.pad_token_id
    pad = tokenizer.eos_token_id if pad is None else pad
    return filled + [pad] * (int(tokenizer.model_max_length) - len(filled))
