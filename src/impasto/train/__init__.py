"""Training: what teaches the compact encoder, the decoders, the fast networks and LoRAs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name

if TYPE_CHECKING:
    from impasto.train.task import Lesson

LESSONS: dict[str, str] = {
    "compact": "impasto.train.distillation:Compact",
    "adain": "impasto.train.decoders:AdaIN",
    "wct": "impasto.train.decoders:WCT",
    "photowct": "impasto.train.decoders:PhotoWCT",
    "fast": "impasto.train.transform_net:FastLesson",
    "lora": "impasto.train.lora.task:LoraTask",
}


def find(name: str) -> type[Lesson]:
    """The lesson of that name; its module is imported on the first call.

    Raises:
        KnobError: no such lesson; the message names the nearest.
    """
    if name not in LESSONS:
        near = closest_name(name, LESSONS)
        hint = f"Did you mean {near}?" if near else f"There is {', '.join(LESSONS)}."
        raise KnobError(f"There is nothing to train called {name!r}. {hint}")
    module, _, attribute = LESSONS[name].partition(":")
    return cast("type[Lesson]", getattr(importlib.import_module(module), attribute))
