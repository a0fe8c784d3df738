"""What CLIP says of a painting: its likeness to the style, to a text, and what leaked into it.

A leak is a thing that only the style shows and that comes along with its manner. Which things a
picture shows is asked of CLIP with a list of words (:mod:`impasto.metrics.object_names`): of the
words
that fit the style best, those that fit it most better than they fit the content. Then by how much
more these fit the painting than the content is compared with the same for the style's picture: 0
is no more than in the content, 1 as much as in the style. From both the mean over the words that
neither picture shows is taken off, for a painting as such fits every word for a thing a little
better or worse than a photograph.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from impasto.metrics.groups import MetricConfig, MetricFn, MetricValues
from impasto.metrics.inputs import EvaluationInputs
from impasto.metrics.object_names import OBJECTS
from impasto.nets.clip import Clip
from impasto.ops.convert import as_pixels

PROMPT_TEMPLATES = ("a photo of a {}", "a painting of a {}", "a picture of a {}")
"""Words are asked for in each, and the vectors averaged (Radford et al. 2021, section 3.1.4)."""
WATCHED_OBJECT_COUNT = 3
"""How many things of the style are watched."""
TOP_OBJECT_COUNT = 20
"""How many of the words that fit a picture best may be what it shows."""
MIN_COSINE_GAIN = 0.005
"""A difference of cosines that is none."""


class ClipMetrics:
    """Everything that is asked of CLIP."""

    metrics: ClassVar[tuple[str, ...]] = ("clip_style", "clip_text", "leak")

    def __init__(self, config: MetricConfig) -> None:
        self.clip = Clip(config.clip, fetch=config.fetch)
        self.text_embedding = self.clip.embed_texts([config.text])[0] if config.text else None
        self.object_embeddings = embed_objects(self.clip) if "leak" in config.metrics else None

    def __call__(self, inputs: EvaluationInputs) -> MetricFn:
        content = self._embed(inputs.content)
        styles = torch.stack([self._embed(style) for style in inputs.styles])
        shares = styles.new_tensor(inputs.style_weights)
        watched = (
            []
            if self.object_embeddings is None
            else [StyleObjects(self.object_embeddings, content, s) for s in styles]
        )
        names = sorted({name for each in watched for name in each.names})
        note = f"leak: of the style's things, {', '.join(names)} were looked for."

        def measure(result: Tensor) -> MetricValues:
            found = self._embed(result)
            values, notes = {"clip_style": float(shares @ (styles @ found))}, []
            if self.text_embedding is not None:
                values["clip_text"] = float(self.text_embedding @ found)
            if watched and min(each.style_gain for each in watched) < MIN_COSINE_GAIN:
                notes.append("leak: the style shows nothing that the content does not.")
            elif watched:
                leaks = [each.leak(found) for each in watched]
                values["leak"] = sum(
                    s * v for s, v in zip(inputs.style_weights, leaks, strict=True)
                )
                notes.append(note)
            return MetricValues(values, notes=tuple(notes))

        return measure

    def _embed(self, picture: Tensor) -> Tensor:
        return self.clip.embed_images([as_pixels(picture)])[0]


def embed_objects(clip: Clip) -> Tensor:
    """A unit vector for each of OBJECTS: (words, D)."""
    each = torch.stack(
        [clip.embed_texts([t.format(word) for word in OBJECTS]) for t in PROMPT_TEMPLATES]
    )
    mean = each.mean(0)
    lengths: Tensor = mean.norm(dim=1, keepdim=True)
    return mean / lengths


class StyleObjects:
    """What only the style shows, in words, and how much of it there is in other pictures.

    Args:
        embeddings: unit vectors (words, D), one for each of OBJECTS.
        content: where the content lies, (D,).
        style: where the style's picture lies, (D,).
    """

    def __init__(self, embeddings: Tensor, content: Tensor, style: Tensor) -> None:
        self.embeddings, self.content = embeddings, content
        in_style, in_content = (
            torch.topk(embeddings @ each, TOP_OBJECT_COUNT).indices for each in (style, content)
        )
        gain = embeddings @ (style - content)
        self.object_indices = in_style[torch.topk(gain[in_style], WATCHED_OBJECT_COUNT).indices]
        every = torch.arange(len(embeddings))
        self.neutral_indices = every[~torch.isin(every, torch.cat([in_style, in_content]))]
        self.style_gain = self._gain(style)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(OBJECTS[int(k)] for k in self.object_indices)

    def leak(self, picture: Tensor) -> float:
        """0: no more of these things than in the content; 1: as much as in the style."""
        return self._gain(picture) / self.style_gain

    def _gain(self, picture: Tensor) -> float:
        gain = self.embeddings @ (picture - self.content)
        return float(gain[self.object_indices].mean() - gain[self.neutral_indices].mean())
