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

from impasto.metrics.groups import Measure, Reading, Wanted
from impasto.metrics.inputs import View
from impasto.metrics.object_names import OBJECTS
from impasto.nets.clip import Clip
from impasto.ops.convert import as_pixels

TEMPLATES = ("a photo of a {}", "a painting of a {}", "a picture of a {}")
"""Words are asked for in each, and the vectors averaged (Radford et al. 2021, section 3.1.4)."""
THINGS = 3
"""How many things of the style are watched."""
SHOWN = 20
"""How many of the words that fit a picture best may be what it shows."""
NOTHING = 0.005
"""A difference of cosines that is none."""


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
        watched = [] if self.words is None else [Things(self.words, content, s) for s in styles]
        names = sorted({name for each in watched for name in each.names})
        note = f"leak: of the style's things, {', '.join(names)} were looked for."

        def measure(result: Tensor) -> Reading:
            found = self._look(result)
            values, notes = {"clip_style": float(shares @ (styles @ found))}, []
            if self.text is not None:
                values["clip_text"] = float(self.text @ found)
            if watched and min(each.most for each in watched) < NOTHING:
                notes.append("leak: the style shows nothing that the content does not.")
            elif watched:
                leaks = [each.leak(found) for each in watched]
                values["leak"] = sum(s * v for s, v in zip(view.shares, leaks, strict=True))
                notes.append(note)
            return Reading(values, notes=tuple(notes))

        return measure

    def _look(self, picture: Tensor) -> Tensor:
        return self.clip.pictures([as_pixels(picture)])[0]


def vocabulary(clip: Clip) -> Tensor:
    """A unit vector for each of OBJECTS: (words, D)."""
    each = torch.stack([clip.texts([t.format(word) for word in OBJECTS]) for t in TEMPLATES])
    mean = each.mean(0)
    lengths: Tensor = mean.norm(dim=1, keepdim=True)
    return mean / lengths


class Things:
    """What only the style shows, in words, and how much of it there is in other pictures.

    Args:
        words: unit vectors (words, D), one for each of OBJECTS.
        content: where the content lies, (D,).
        style: where the style's picture lies, (D,).
    """

    def __init__(self, words: Tensor, content: Tensor, style: Tensor) -> None:
        self.words, self.content = words, content
        in_style, in_content = (
            torch.topk(words @ each, SHOWN).indices for each in (style, content)
        )
        gain = words @ (style - content)
        self.watched = in_style[torch.topk(gain[in_style], THINGS).indices]
        every = torch.arange(len(words))
        self.others = every[~torch.isin(every, torch.cat([in_style, in_content]))]
        self.most = self._gain(style)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(OBJECTS[int(k)] for k in self.watched)

    def leak(self, picture: Tensor) -> float:
        """0: no more of these things than in the content; 1: as much as in the style."""
        return self._gain(picture) / self.most

    def _gain(self, picture: Tensor) -> float:
        gain = self.words @ (picture - self.content)
        return float(gain[self.watched].mean() - gain[self.others].mean())
