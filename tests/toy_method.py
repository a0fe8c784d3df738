"""A method whose forecast is a closed form, and how to register it under any name."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from impasto import methods
from impasto.core.card import MethodCard
from impasto.core.knobs import knob
from impasto.core.plan import Forecast
from impasto.core.request import MethodOutput

MICROSECONDS = 2.0
"""Of the toy, for each pixel and step."""
BYTES = 1000
"""Of the toy, for each pixel."""


@dataclass(frozen=True)
class Toy:
    """A method that takes so long and so much as it says."""

    name: ClassVar[str] = "toy"
    card: ClassVar[MethodCard] = MethodCard(
        title="A toy", good_for="Tests.", not_for="Else.", paper="", license="free", weights=()
    )
    strength: float = knob(1.0, "how much of the style", low=0, high=1)
    steps: int = knob(300, "how long", low=1, high=1000)

    def forecast(self, request, setting):
        pixels = setting.height * setting.width
        return Forecast(1.0 + MICROSECONDS * 1e-6 * self.steps * pixels, BYTES * pixels)

    def precision_agreement(self, request, device, precision):
        return 1.0

    def warnings(self, request):
        return ()

    def stylize(self, request, plan, watch, state=None):
        shape = (plan.setting.height, plan.setting.width, 3)
        return MethodOutput(np.zeros(shape, np.float32), {}, self.steps, True, {}, {})


def register(monkeypatch, name, **card):
    """Make the toy a method of that name, for the length of a test."""
    kind = type("Toy", (Toy,), {"name": name, "card": replace(Toy.card, **card)})
    module = types.ModuleType(f"toy_{name}")
    module.Toy = kind
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(methods._METHODS, name, f"{module.__name__}:Toy")
    return kind
