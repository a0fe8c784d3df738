"""Training: what teaches the compact encoder, the decoders, the fast networks and LoRAs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name

if TYPE_CHECKING:
    from impasto.train.task import TrainingTask

TASKS: dict[str, str] = {
    "compact": "impasto.train.distillation:DistillationTask",
    "adain": "impasto.train.decoders:AdaINDecoderTask",
    "wct": "impasto.train.decoders:WCTDecoderTask",
    "photowct": "impasto.train.decoders:PhotoWCTDecoderTask",
    "fast": "impasto.train.transform_net:TransformNetTask",
    "lora": "impasto.train.lora.task:LoraTask",
}


def get_task(name: str) -> type[TrainingTask]:
    """The lesson of that name; its module is imported on the first call.

    Raises:
        KnobError: no such lesson; the message names the nearest.
    """
    if name not in TASKS:
        near = closest_name(name, TASKS)
        hint = f"Did you mean {near}?" if near else f"There is {', '.join(TASKS)}."
        raise KnobError(f"There is nothing to train called {name!r}. {hint}")
    module, _, attribute = TASKS[name].partition(":")
    return cast("type[TrainingTask]", getattr(importlib.import_module(module), attribute))
