"""The methods: one module per published way of doing it. Adding one is one line here."""

from __future__ import annotations

import importlib
from typing import cast

from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name
from impasto.core.request import Method

_METHODS = {
    "gatys": "impasto.methods.gatys:Gatys",
    "adain": "impasto.methods.adain:AdaIN",
    "wct": "impasto.methods.wct:WCT",
    "fast": "impasto.methods.fast:FastNetwork",
    "photowct": "impasto.methods.photowct:PhotoWCT",
    "deep-photo": "impasto.methods.deep_photo:DeepPhoto",
    "sdxl": "impasto.methods.sdxl:SDXL",
}
_VIDEO_METHODS = {"animatediff": "impasto.methods.animatediff:AnimateDiff"}


def method_names() -> tuple[str, ...]:
    """The names of all methods that paint pictures."""
    return tuple(_METHODS)


def video_method_names() -> tuple[str, ...]:
    """The names of those that paint films alone."""
    return tuple(_VIDEO_METHODS)


def get_method(name: str) -> type[Method]:
    """The method of that name; its module is imported on the first call.

    Raises:
        KnobError: no such method; the message names the nearest.
    """
    every = _METHODS | _VIDEO_METHODS
    if name not in every:
        near = closest_name(name, every)
        hint = f"Did you mean {near}?" if near else f"There is {', '.join(every)}."
        raise KnobError(f"There is no method {name!r}. {hint}")
    module, _, attribute = every[name].partition(":")
    return cast(type[Method], getattr(importlib.import_module(module), attribute))
