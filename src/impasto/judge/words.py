"""What CLIP says of a painting: its likeness to the style, to a text, and what leaked into it.

A leak is a thing that only the style shows and that comes along with its manner. Which things a
picture shows is asked of CLIP with a list of words (:mod:`impasto.judge.objects`): the style's
are those that it fits best and that are not among what the content fits best. The leak is by how
much more the painting fits them than the content does, less the same for all words that neither
shows: for as a painting, it fits every word for a thing a little less or more than a photograph.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from impasto.judge.gauges import Measure, Reading, Wanted
from impasto.judge.objects import OBJECTS
from impasto.judge.view import View
from impasto.nets.clip import Clip
from impasto.nets.tiles import as_pixels

TEMPLATES = ("a photo of a {}", "a painting of a {}", "a picture of a {}")
"""Words are asked for in each, and the vectors averaged (Radford et al. 2021, section 3.1.4)."""
THINGS = 3
"""How many things of the style are watched."""
SHOWN = 20
"""How many of the words that fit a picture best may be what it shows."""


class ClipGauge:
    """Everything that is asked of CLIP."""

    metrics: ClassVar[tuple[str, ...]] = ("clip_style", "clip_text", "leak")

    def __init__(self, wanted: Wanted) -> None:
        self.clip = Clip(wanted.clip, fetch=wanted.fetch)
        self.text = self.clip.texts([wanted.text])[0] if wanted.text else None
        self.words = vocabulary(self.clip) if "leak" in wanted.metrics else None

    def __call__(self, view: View) -> Measure:
        content = self._look(view.content)
        styles = torch.stack([self._look(style) for style in view.styles])
        shares = styles.new_tensor(view.shares)
        watched = [] if self.words is None else [things(self.words, content, s) for s in styles]
        named = sorted({OBJECTS[int(k)] for shown, _ in watched for k in shown})
        note = f"leak: of the style's things, {', '.join(named)} were looked for."

        def measure(result: Tensor) -> Reading:
            found = self._look(result)
            values = {"clip_style": float(shares @ (styles @ found))}
            if self.text is not None:
                values["clip_text"] = float(self.text @ found)
            if self.words is not None:
                gain = self.words @ (found - content)
                leaks = [float(gain[shown].mean() - gain[other].mean()) for shown, other in watched]
                values["leak"] = sum(s * v for s, v in zip(view.shares, leaks, strict=True))
            return Reading(values, notes=(note,) * bool(named))

        return measure

    def _look(self, picture: Tensor) -> Tensor:
        return self.clip.pictures([as_pixels(picture)])[0]


def vocabulary(clip: Clip) -> Tensor:
    """A unit vector for each of OBJECTS: (words, D)."""
    each = torch.stack([clip.texts([t.format(word) for word in OBJECTS]) for t in TEMPLATES])
    mean = each.mean(0)
    lengths: Tensor = mean.norm(dim=1, keepdim=True)
    return mean / lengths


def things(words: Tensor, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Which words are things that only the style shows, and which neither picture shows.

    Args:
        words: unit vectors (words, D).
        content: of the content picture, (D,).
        style: of the style picture, (D,).
    """
    in_content = torch.topk(words @ content, SHOWN).indices
    ranking = torch.argsort(words @ style, descending=True, stable=True)
    of_style = ranking[:SHOWN]
    only_style = ranking[~torch.isin(ranking, in_content)][:THINGS]
    other = ranking[~torch.isin(ranking, torch.cat([in_content, of_style]))]
    return only_style, other
