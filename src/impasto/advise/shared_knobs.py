"""What is the same in every method, and so can be set before one is chosen."""

from __future__ import annotations

import dataclasses
import functools

from impasto import methods
from impasto.core.knobs import Knob, get_knobs

AUTO_METHOD = "auto"
"""The name that stands for whichever method is recommended."""


@functools.cache
def shared_knobs() -> type:
    """A dataclass of the knobs that all methods have, with the same type and range."""
    every = [
        {k.name: k for k in get_knobs(methods.get_method(name))} for name in methods.method_names()
    ]
    first, *others = every
    alike = [k for name, k in first.items() if all(_is_same_knob(k, o.get(name)) for o in others)]
    fields = [
        (k.name, k.type, dataclasses.field(default=k.default, metadata={"knob": _knob_metadata(k)}))
        for k in alike
    ]
    return dataclasses.make_dataclass("Auto", fields, frozen=True)


def _is_same_knob(knob: Knob, other: Knob | None) -> bool:
    return other is not None and dataclasses.replace(other, doc=knob.doc) == knob


def _knob_metadata(knob: Knob) -> dict[str, object]:
    return {name: getattr(knob, name) for name in ("doc", "low", "high", "unit", "choices")}
