"""Gauges: each measures some of the metrics with one network, and looks at a view only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from impasto.judge.view import View
from impasto.losses.structure import gradient_correlation, luminance, ssim
from impasto.losses.style import gram_matrix
from impasto.nets.vgg import VGG
from impasto.weights import store

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
"""Of VGG-19, as in Gatys et al. 2016."""
NOTHING = 1e-3
"""A relative distance this small between content and style is none to compare others with."""


@dataclass(frozen=True)
class Reading:
    """What a gauge read off a result; a value that has no meaning here is left out, with a note."""

    values: Mapping[str, float]
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Measure = Callable[[Tensor], Reading]
"""Takes a result (1, 3, H, W) of the view's size."""


class Gauge(Protocol):
    """Made with what it needs loaded, it looks at a view and measures any number of results."""

    metrics: ClassVar[tuple[str, ...]]

    def __call__(self, view: View) -> Measure: ...


class PixelGauge:
    """What needs no network."""

    metrics = ("ssim", "edges")

    def __call__(self, view: View) -> Measure:
        content = luminance(view.content)

        def measure(result: Tensor) -> Reading:
            found = luminance(result)
            return Reading(
                {
                    "ssim": float(ssim(found, content)),
                    "edges": float(gradient_correlation(found, content)),
                }
            )

        return measure


class VGGGauge:
    """Style on the network of Gatys et al., which most methods are made with."""

    metrics = ("gram",)

    def __init__(self) -> None:
        self.encoder = VGG(store.load("oxford"))

    def __call__(self, view: View) -> Measure:
        parts = [self._grams(style) for style in view.styles]
        style = {
            layer: torch.stack([s * p[layer] for s, p in zip(view.shares, parts, strict=True)]).sum(
                0
            )
            for layer in STYLE_LAYERS
        }
        unstyled = gram_errors(self._grams(view.content), style)

        def measure(result: Tensor) -> Reading:
            return relative("gram", gram_errors(self._grams(result), style), unstyled)

        return measure

    def _grams(self, picture: Tensor) -> dict[str, Tensor]:
        found = self.encoder(picture, STYLE_LAYERS)
        return {name: gram_matrix(features) for name, features in found.items()}


def gram_errors(found: Mapping[str, Tensor], style: Mapping[str, Tensor]) -> dict[str, float]:
    """Layer → |G - A|² / |A|²."""
    return {
        layer: float((found[layer] - a).square().sum() / a.square().sum())
        for layer, a in style.items()
    }


def relative(name: str, found: Mapping[str, float], unstyled: Mapping[str, float]) -> Reading:
    """Squared distances to the style by layer, as roots relative to the unstyled content's."""
    whole, least = sum(unstyled.values()), len(unstyled) * NOTHING**2
    if whole < least:
        return Reading({}, {}, (f"{name}: content and style do not differ in it.",))
    layers = {
        layer: (found[layer] / value) ** 0.5
        for layer, value in unstyled.items()
        if value >= NOTHING**2
    }
    return Reading({name: (sum(found.values()) / whole) ** 0.5}, {name: layers})
