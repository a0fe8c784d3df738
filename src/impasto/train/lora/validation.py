"""Sample pictures of a LoRA that is being taught, and what CLIP says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import MissingExtraError, WeightsError
from impasto.train.lora.aspect_buckets import seen
from impasto.train.lora.dataset import with_trigger
from impasto.train.lora.early_stopping import Look, Verdict
from impasto.train.lora.frozen_base import FrozenBase
from impasto.train.lora.network import LoraNetwork

SAMPLES = (
    "a sailing boat on a lake",
    "a street with houses",
    "a portrait of a woman",
    "a cat on a chair",
)
"""Prompts that are shown unless others are given."""
COMPARED = 32
"""So many training pictures stand for the style."""


class Samples:
    """Paints the same prompts again and again, and watches for the best state.

    Args:
        base: with the LoRA in it.
        network: the LoRA.
        course: the knobs, of :class:`impasto.train.lora.task.LoraCourse`.

    Attributes:
        prompts: with the trigger before them.
        remark: why there is no early stop, or "".
    """

    def __init__(self, base: FrozenBase, network: LoraNetwork, course: Any) -> None:
        self.base, self.network, self.course = base, network, course
        self.told = [text.strip() for text in course.samples.split("|") if text.strip()]
        self.prompts = [with_trigger(course.trigger, text) for text in self.told]
        self.verdict, self._best = Verdict(), dict[str, Tensor]()
        self._before: Tensor | None = None
        self.remark, self._clip = "", None
        if course.early_stop and self.told:
            self._clip, self.remark = _clip(course.clip)
        self.every = math.ceil(course.steps / course.looks)

    def prepare(self, pictures: Sequence[Path]) -> None:
        """Look at the training pictures, and at what the base paints."""
        if self._clip is None or self.verdict.looks:
            return
        chosen = [pictures[k] for k in np.linspace(0, len(pictures) - 1, COMPARED).astype(int)]
        each = [self._clip.pictures([seen(file)]) for file in dict.fromkeys(chosen)]
        mean = torch.cat(each).mean(0)
        self._style = mean / mean.norm()
        self._said = self._clip.texts(self.told)
        self.verdict.add(self._look(0))

    def looks(self, step: int) -> bool:
        """Whether it is time to look."""
        return self._clip is not None and (step % self.every == 0 or step == self.course.steps)

    def enough(self, step: int) -> bool:
        """Look at the LoRA as it is; whether it has been better for a while."""
        if self.verdict.add(self._look(step)):
            self._best = self.network.tensors()
        return self.verdict.enough

    def best(self) -> dict[str, Tensor]:
        """The best state that was seen; empty if there was none."""
        return self._best

    def about(self) -> dict[str, Any]:
        """What the file tells of the looks."""
        if len(self.verdict.looks) < 2:
            return {}
        best = self.verdict.best
        told = {"taken from step": best.step} if best else {"faithful": False}
        return {"looks": self.verdict.memory(), **told}

    def memory(self) -> dict[str, Any]:
        return {"looks": self.verdict.memory(), "best": self._best}

    def recall(self, memory: Mapping[str, Any]) -> None:
        if looks := memory.get("looks"):
            self.verdict = Verdict([Look(**look) for look in looks])
            self._best = dict(memory["best"])

    def grid(self) -> Tensor:
        """The base's pictures on top, below the LoRA's, (3, H, W) in 0..1 on the processor."""
        if self._before is None:
            with self.network.silent():
                self._before = self._painted()
        rows = [torch.cat(list(row), dim=2) for row in (self._before, self._painted())]
        return torch.cat(rows, dim=1)

    def _painted(self) -> Tensor:
        """Pictures (N, 3, side, side) of the prompts."""
        side = self.course.side // self.base.step * self.base.step
        prompts = self.prompts or [self.course.trigger]
        latents = [
            self.base.sample(
                text, (side, side), number, self.course.sample_steps, self.course.text_encoders
            )
            for number, text in enumerate(prompts)
        ]
        return self.base.decode(torch.stack(latents)).cpu()

    def _look(self, step: int) -> Look:
        pictures = [np.asarray(one.permute(1, 2, 0)) for one in self._painted()]
        shown = self._clip.pictures(pictures) if self._clip else torch.zeros(1)
        style = float((shown @ self._style).mean())
        return Look(step, style, float((shown * self._said).sum(1).mean()))


def _clip(name: str) -> tuple[Any, str]:
    """A CLIP, or why there is none; one that was named has to be there."""
    from impasto.nets.clip import Clip

    try:
        return Clip(name, fetch=bool(name)), ""
    except (MissingExtraError, WeightsError) as error:
        if name:
            raise
        why = str(error).split(". ")[0].rstrip(".")
        return (
            None,
            f"It is taught to the last step, for there is no early stop without CLIP ({why}).",
        )
