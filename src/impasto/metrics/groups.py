"""Gauges: each measures some of the metrics with one network, and looks at a view only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses.sliced_wasserstein import directions, project, quantiles
from impasto.losses.style import gram_matrix
from impasto.metrics.inputs import View
from impasto.metrics.noise import noise_sigma
from impasto.metrics.structural_similarity import gradient_correlation, luminance, ssim
from impasto.nets.lpips import LPIPS
from impasto.nets.squeezenet import SqueezeNet
from impasto.nets.vgg import VGG
from impasto.weights import store

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
"""Of VGG-19, as in Gatys et al. 2016."""
OWN_STYLE_LAYERS = ("conv1", "fire3", "fire5", "fire7", "fire9")
"""Of SqueezeNet: the last before each pooling, and two of those after the last."""
OWN_CONTENT_LAYERS = ("fire5", "fire7", "fire9")
DIRECTIONS = 32
"""Along which features are projected, in every layer."""
QUANTILES = 512
"""By which a distribution is kept: its distances are within 1 % of the exact ones."""
NOTHING = 1e-3
"""A relative distance this small between content and style is none to compare others with."""

Layers = Mapping[str, Tensor]
"""Layer → features, or a statistic of them."""
Statistics = Mapping[str, Layers]
"""Metric → layer → statistic."""


@dataclass(frozen=True)
class Wanted:
    """What a judge is asked for.

    Attributes:
        metrics: the names.
        text: for ``clip_text``.
        clip: name or folder of a CLIP; "" is the usual one.
        fetch: whether a CLIP that is not here may be fetched.
    """

    metrics: frozenset[str]
    text: str = ""
    clip: str = ""
    fetch: bool = False


@dataclass(frozen=True)
class Reading:
    """What a gauge read off a result; a value that has no meaning here is left out, with a note."""

    values: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Measure = Callable[[Tensor], Reading]
"""Takes a result (1, 3, H, W) of the view's size."""


class Gauge(Protocol):
    """Made with what it needs loaded, it looks at a view and measures any number of results.

    It raises WeightsError or MissingExtraError where it is made, if something is not here.
    """

    metrics: ClassVar[tuple[str, ...]]

    def __init__(self, wanted: Wanted) -> None: ...

    def __call__(self, view: View) -> Measure: ...


class PixelGauge:
    """What needs no network."""

    metrics: ClassVar[tuple[str, ...]] = ("ssim", "edges", "noise")

    def __init__(self, wanted: Wanted) -> None:
        pass

    def __call__(self, view: View) -> Measure:
        content = luminance(view.content)

        def measure(result: Tensor) -> Reading:
            found = luminance(result)
            return Reading(
                {
                    "ssim": float(ssim(found, content)),
                    "edges": float(gradient_correlation(found, content)),
                    "noise": 255 * float(noise_sigma(found)),
                }
            )

        return measure


class PerceptualGauge:
    """How different from the content it looks."""

    metrics: ClassVar[tuple[str, ...]] = ("lpips",)

    def __init__(self, wanted: Wanted) -> None:
        self.network = LPIPS(store.load_network("lpips"))

    def __call__(self, view: View) -> Measure:
        return lambda result: Reading({"lpips": float(self.network(result, view.content))})


class VGGGauge:
    """Style on the network of Gatys et al., with which most methods are made."""

    metrics: ClassVar[tuple[str, ...]] = ("gram", "swd")

    def __init__(self, wanted: Wanted) -> None:
        self.encoder = VGG(store.load("oxford"))
        kinds = {"gram": gram_matrix, "swd": spread}
        self.kinds = {name: kind for name, kind in kinds.items() if name in wanted.metrics}

    def __call__(self, view: View) -> Measure:
        manner = Manner([self._look(s) for s in view.styles], view.shares, self._look(view.content))
        return lambda result: manner(self._look(result))

    def _look(self, picture: Tensor) -> Statistics:
        features = self.encoder(picture, STYLE_LAYERS)
        return {name: by_layer(kind, features) for name, kind in self.kinds.items()}


class OwnGauge:
    """Style and content on the judge's own network, which no method optimises."""

    metrics: ClassVar[tuple[str, ...]] = ("content_error", "style_error")

    def __init__(self, wanted: Wanted) -> None:
        self.network = SqueezeNet(store.load_network("squeezenet"))

    def __call__(self, view: View) -> Measure:
        content = self._look(view.content)
        styles = [self._style(self._look(style)) for style in view.styles]
        manner = Manner(styles, view.shares, self._style(content))
        strangers = [
            F.interpolate(style, view.content.shape[2:], mode="bilinear", antialias=True)
            for style in view.styles
        ]
        unlike = sum(
            share * unlikeness(self._look(stranger), content)
            for share, stranger in zip(view.shares, strangers, strict=True)
        )

        def measure(result: Tensor) -> Reading:
            features = self._look(result)
            if unlike < NOTHING**2:
                kept = Reading(notes=(_SAME.format("content_error"),))
            else:
                kept = Reading({"content_error": unlikeness(features, content) / unlike})
            return together(kept, manner(self._style(features)))

        return measure

    def _look(self, picture: Tensor) -> Layers:
        found: Layers = self.network(picture, OWN_STYLE_LAYERS)
        return found

    def _style(self, features: Layers) -> Statistics:
        return {"style_error": by_layer(gram_matrix, features)}


class Manner:
    """The styles' statistics, and how near to them results come.

    Args:
        styles: the statistics of each; those of a blend are their weighted mean.
        shares: of each style.
        content: the statistics of the unstyled content.
    """

    def __init__(
        self, styles: Sequence[Statistics], shares: Sequence[float], content: Statistics
    ) -> None:
        self.style = {
            name: {
                layer: torch.stack(
                    [
                        share * style[name][layer]
                        for share, style in zip(shares, styles, strict=True)
                    ]
                ).sum(0)
                for layer in layers
            }
            for name, layers in content.items()
        }
        self.unstyled = {name: self._errors(name, found) for name, found in content.items()}

    def __call__(self, found: Statistics) -> Reading:
        """Roots of the squared distances to the style, relative to the unstyled content's."""
        return together(*(self._read(name, layers) for name, layers in found.items()))

    def _read(self, name: str, found: Layers) -> Reading:
        errors, unstyled = self._errors(name, found), self.unstyled[name]
        whole = sum(unstyled.values())
        if whole < len(unstyled) * NOTHING**2:
            return Reading(notes=(_SAME.format(name),))
        layers = {
            layer: (errors[layer] / before) ** 0.5
            for layer, before in unstyled.items()
            if before >= NOTHING**2
        }
        return Reading({name: (sum(errors.values()) / whole) ** 0.5}, {name: layers})

    def _errors(self, name: str, found: Layers) -> dict[str, float]:
        """Layer → |S - T|² / |T|² of a statistic S and the style's T, where that is not 0."""
        return {
            layer: float((found[layer] - style).square().sum() / style.square().sum())
            for layer, style in self.style[name].items()
            if style.any()
        }


def by_layer(kind: Callable[[Tensor], Tensor], features: Layers) -> Layers:
    """A statistic of the features of every layer."""
    return {layer: kind(each) for layer, each in features.items()}


def spread(features: Tensor) -> Tensor:
    """How features (1, C, H, W) are distributed along directions: (directions, quantiles)."""
    along = directions(features.shape[1], DIRECTIONS, seed=0)
    return quantiles(project(features, along), QUANTILES)


def unlikeness(a: Layers, b: Layers) -> float:
    """The mean over layers of the squared distance of feature vectors, each of length 1."""
    terms = [
        float((F.normalize(a[layer]) - F.normalize(b[layer])).square().sum(1).mean())
        for layer in OWN_CONTENT_LAYERS
    ]
    return sum(terms) / len(terms)


def together(*readings: Reading) -> Reading:
    """All of them as one."""
    return Reading(
        {name: value for each in readings for name, value in each.values.items()},
        {name: layers for each in readings for name, layers in each.layers.items()},
        tuple(note for each in readings for note in each.notes),
    )


_SAME = "{}: content and style hardly differ in it, so it says nothing here."
GAUGES: tuple[type[Gauge], ...] = (PixelGauge, PerceptualGauge, OwnGauge, VGGGauge)
