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
from impasto.train.lora.aspect_buckets import read_on_white
from impasto.train.lora.dataset import prepend_trigger
from impasto.train.lora.early_stopping import EarlyStopping, ValidationScore
from impasto.train.lora.frozen_base import FrozenDiffusionModel
from impasto.train.lora.network import LoraNetwork

DEFAULT_SAMPLE_PROMPTS = (
    "a sailing boat on a lake",
    "a street with houses",
    "a portrait of a woman",
    "a cat on a chair",
)
"""Prompts that are shown unless others are given."""
MAX_STYLE_IMAGES = 32
"""So many training pictures stand for the style."""


class LoraValidator:
    """Paints the same prompts again and again, and watches for the best state.

    Args:
        base: with the LoRA in it.
        network: the LoRA.
        config: the knobs, of :class:`impasto.train.lora.task.LoraTrainConfig`.

    Attributes:
        prompts: with the trigger before them.
        disabled_reason: why there is no early stop, or "".
    """

    def __init__(self, base: FrozenDiffusionModel, network: LoraNetwork, config: Any) -> None:
        self.base, self.network, self.config = base, network, config
        self.plain_prompts = [
            text.strip() for text in config.sample_prompts.split("|") if text.strip()
        ]
        self.prompts = [prepend_trigger(config.trigger, text) for text in self.plain_prompts]
        self.early_stopping, self._best_tensors = EarlyStopping(), dict[str, Tensor]()
        self._base_images: Tensor | None = None
        self.disabled_reason, self._clip = "", None
        if config.early_stop and self.plain_prompts:
            self._clip, self.disabled_reason = _load_clip(config.clip)
        self.interval_steps = math.ceil(config.steps / config.evaluations)

    def prepare(self, files: Sequence[Path]) -> None:
        """Look at the training pictures, and at what the base paints."""
        if self._clip is None or self.early_stopping.scores:
            return
        chosen = [files[k] for k in np.linspace(0, len(files) - 1, MAX_STYLE_IMAGES).astype(int)]
        each = [self._clip.embed_images([read_on_white(file)]) for file in dict.fromkeys(chosen)]
        mean = torch.cat(each).mean(0)
        self._style_embed = mean / mean.norm()
        self._prompt_embeds = self._clip.embed_texts(self.plain_prompts)
        self.early_stopping.add(self._evaluate(0))

    def should_evaluate(self, step: int) -> bool:
        """Whether it is time to look."""
        return self._clip is not None and (
            step % self.interval_steps == 0 or step == self.config.steps
        )

    def should_stop(self, step: int) -> bool:
        """Look at the LoRA as it is; whether it has been better for a while."""
        if self.early_stopping.add(self._evaluate(step)):
            self._best_tensors = self.network.kohya_state_dict()
        return self.early_stopping.should_stop

    def best_tensors(self) -> dict[str, Tensor]:
        """The best state that was seen; empty if there was none."""
        return self._best_tensors

    def metadata(self) -> dict[str, Any]:
        """What the file tells of the looks."""
        if len(self.early_stopping.scores) < 2:
            return {}
        best = self.early_stopping.best
        told = {"taken from step": best.step} if best else {"faithful": False}
        return {"looks": self.early_stopping.as_dicts(), **told}

    def state_dict(self) -> dict[str, Any]:
        return {"looks": self.early_stopping.as_dicts(), "best": self._best_tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if looks := state.get("looks"):
            self.early_stopping = EarlyStopping([ValidationScore(**look) for look in looks])
            self._best_tensors = dict(state["best"])

    def grid(self) -> Tensor:
        """The base's pictures on top, below the LoRA's, (3, H, W) in 0..1 on the processor."""
        if self._base_images is None:
            with self.network.disable_lora():
                self._base_images = self._sample_images()
        rows = [torch.cat(list(row), dim=2) for row in (self._base_images, self._sample_images())]
        return torch.cat(rows, dim=1)

    def _sample_images(self) -> Tensor:
        """Pictures (N, 3, side, side) of the prompts."""
        side = self.config.crop_size // self.base.size_multiple * self.base.size_multiple
        prompts = self.prompts or [self.config.trigger]
        latents = [
            self.base.sample(
                text,
                (side, side),
                number,
                self.config.sample_steps,
                self.config.train_text_encoders,
            )
            for number, text in enumerate(prompts)
        ]
        return self.base.decode(torch.stack(latents)).cpu()

    def _evaluate(self, step: int) -> ValidationScore:
        pictures = [np.asarray(one.permute(1, 2, 0)) for one in self._sample_images()]
        shown = self._clip.embed_images(pictures) if self._clip else torch.zeros(1)
        style = float((shown @ self._style_embed).mean())
        return ValidationScore(step, style, float((shown * self._prompt_embeds).sum(1).mean()))


def _load_clip(name: str) -> tuple[Any, str]:
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
