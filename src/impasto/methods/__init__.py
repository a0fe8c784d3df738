"""The methods: one module per published way of doing it. Adding one is one line here."""

from __future__ import annotations

import importlib
from typing import cast

from impasto.core.errors import KnobError
from impasto.core.knobs import nearest
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


def names() -> tuple[str, ...]:
    """The names of all methods."""
    return tuple(_METHODS)


def find(name: str) -> type[Method]:
    """The method of that name; its module is imported on the first call.

    Raises:
        KnobError: no such method; the message names the nearest.
    """
    if name not in _METHODS:
        near = nearest(name, _METHODS)
        hint = f"Did you mean {near}?" if near else f"There is {', '.join(_METHODS)}."
        raise KnobError(f"There is no method {name!r}. {hint}")
    module, _, attribute = _METHODS[name].partition(":")
    return cast(type[Method], getattr(importlib.import_module(module), attribute))
