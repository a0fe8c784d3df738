"""Gauges: each measures some of the metrics with one network, and looks at a view only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses.sliced_wasserstein import quantiles, random_directions, sorted_projections
from impasto.losses.style import gram_matrix
from impasto.metrics.inputs import EvaluationInputs
from impasto.metrics.noise import noise_sigma
from impasto.metrics.structural_similarity import gradient_correlation, luminance, ssim
from impasto.nets.lpips import LPIPS
from impasto.nets.squeezenet import SqueezeNet
from impasto.nets.vgg import VGG
from impasto.weights import store

VGG_STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
"""Of VGG-19, as in Gatys et al. 2016."""
SQUEEZENET_STYLE_LAYERS = ("conv1", "fire3", "fire5", "fire7", "fire9")
"""Of SqueezeNet: the last before each pooling, and two of those after the last."""
SQUEEZENET_CONTENT_LAYERS = ("fire5", "fire7", "fire9")
DIRECTION_COUNT = 32
"""Along which features are projected, in every layer."""
QUANTILE_COUNT = 512
"""By which a distribution is kept: its distances are within 1 % of the exact ones."""
MIN_RELATIVE_DISTANCE = 1e-3
"""A relative distance this small between content and style is none to compare others with."""

LayerTensors = Mapping[str, Tensor]
"""Layer → features, or a statistic of them."""
MetricStatistics = Mapping[str, LayerTensors]
"""Metric → layer → statistic."""


@dataclass(frozen=True)
class MetricConfig:
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
class MetricValues:
    """What a metric group read off a result.

    A value that has no meaning here is left out, with a note.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


MetricFn = Callable[[Tensor], MetricValues]
"""Takes a result (1, 3, H, W) of the view's size."""


class MetricGroup(Protocol):
    """Made with what it needs loaded, it looks at a view and measures any number of results.

    It raises WeightsError or MissingExtraError where it is made, if something is not here.
    """

    metrics: ClassVar[tuple[str, ...]]

    def __init__(self, config: MetricConfig) -> None: ...

    def __call__(self, inputs: EvaluationInputs) -> MetricFn: ...


class PixelMetrics:
    """What needs no network."""

    metrics: ClassVar[tuple[str, ...]] = ("ssim", "edges", "noise")

    def __init__(self, config: MetricConfig) -> None:
        pass

    def __call__(self, inputs: EvaluationInputs) -> MetricFn:
        content = luminance(inputs.content)

        def measure(result: Tensor) -> MetricValues:
            found = luminance(result)
            return MetricValues(
                {
                    "ssim": float(ssim(found, content)),
                    "edges": float(gradient_correlation(found, content)),
                    "noise": 255 * float(noise_sigma(found)),
                }
            )

        return measure


class LPIPSMetrics:
    """How different from the content it looks."""

    metrics: ClassVar[tuple[str, ...]] = ("lpips",)

    def __init__(self, config: MetricConfig) -> None:
        self.network = LPIPS(store.load_metric_network("lpips"))

    def __call__(self, inputs: EvaluationInputs) -> MetricFn:
        return lambda result: MetricValues({"lpips": float(self.network(result, inputs.content))})


class VGGMetrics:
    """Style on the network of Gatys et al., with which most methods are made."""

    metrics: ClassVar[tuple[str, ...]] = ("gram", "swd")

    def __init__(self, config: MetricConfig) -> None:
        self.encoder = VGG(store.load_encoder("oxford"))
        kinds = {"gram": gram_matrix, "swd": projected_quantiles}
        self.statistic_fns = {name: kind for name, kind in kinds.items() if name in config.metrics}

    def __call__(self, inputs: EvaluationInputs) -> MetricFn:
        manner = StyleStatistics(
            [self._statistics(s) for s in inputs.styles],
            inputs.style_weights,
            self._statistics(inputs.content),
        )
        return lambda result: manner(self._statistics(result))

    def _statistics(self, picture: Tensor) -> MetricStatistics:
        features = self.encoder(picture, VGG_STYLE_LAYERS)
        return {name: apply_per_layer(kind, features) for name, kind in self.statistic_fns.items()}


class SqueezeNetMetrics:
    """Style and content on the metrics' own network, which no method optimizes."""

    metrics: ClassVar[tuple[str, ...]] = ("content_error", "style_error")

    def __init__(self, config: MetricConfig) -> None:
        self.network = SqueezeNet(store.load_metric_network("squeezenet"))

    def __call__(self, inputs: EvaluationInputs) -> MetricFn:
        content = self._features(inputs.content)
        styles = [self._gram_statistics(self._features(style)) for style in inputs.styles]
        manner = StyleStatistics(styles, inputs.style_weights, self._gram_statistics(content))
        strangers = [
            F.interpolate(style, inputs.content.shape[2:], mode="bilinear", antialias=True)
            for style in inputs.styles
        ]
        unlike = sum(
            share * content_distance(self._features(stranger), content)
            for share, stranger in zip(inputs.style_weights, strangers, strict=True)
        )

        def measure(result: Tensor) -> MetricValues:
            features = self._features(result)
            if unlike < MIN_RELATIVE_DISTANCE**2:
                kept = MetricValues(notes=(_NO_DIFFERENCE_NOTE.format("content_error"),))
            else:
                kept = MetricValues({"content_error": content_distance(features, content) / unlike})
            return merge_values(kept, manner(self._gram_statistics(features)))

        return measure

    def _features(self, picture: Tensor) -> LayerTensors:
        found: LayerTensors = self.network(picture, SQUEEZENET_STYLE_LAYERS)
        return found

    def _gram_statistics(self, features: LayerTensors) -> MetricStatistics:
        return {"style_error": apply_per_layer(gram_matrix, features)}


class StyleStatistics:
    """The styles' statistics, and how near to them results come.

    Args:
        styles: the statistics of each; those of a blend are their weighted mean.
        weights: of each style.
        content: the statistics of the unstyled content.
    """

    def __init__(
        self,
        styles: Sequence[MetricStatistics],
        weights: Sequence[float],
        content: MetricStatistics,
    ) -> None:
        self.target = {
            name: {
                layer: torch.stack(
                    [
                        share * style[name][layer]
                        for share, style in zip(weights, styles, strict=True)
                    ]
                ).sum(0)
                for layer in layers
            }
            for name, layers in content.items()
        }
        self.content_errors = {name: self._errors(name, found) for name, found in content.items()}

    def __call__(self, statistics: MetricStatistics) -> MetricValues:
        """Roots of the squared distances to the style, relative to the unstyled content's."""
        return merge_values(
            *(self._relative_error(name, layers) for name, layers in statistics.items())
        )

    def _relative_error(self, name: str, statistics: LayerTensors) -> MetricValues:
        errors, unstyled = self._errors(name, statistics), self.content_errors[name]
        whole = sum(unstyled.values())
        if whole < len(unstyled) * MIN_RELATIVE_DISTANCE**2:
            return MetricValues(notes=(_NO_DIFFERENCE_NOTE.format(name),))
        layers = {
            layer: (errors[layer] / before) ** 0.5
            for layer, before in unstyled.items()
            if before >= MIN_RELATIVE_DISTANCE**2
        }
        return MetricValues({name: (sum(errors.values()) / whole) ** 0.5}, {name: layers})

    def _errors(self, name: str, statistics: LayerTensors) -> dict[str, float]:
        """Layer → |S - T|² / |T|² of a statistic S and the style's T, where that is not 0."""
        return {
            layer: float((statistics[layer] - style).square().sum() / style.square().sum())
            for layer, style in self.target[name].items()
            if style.any()
        }


def apply_per_layer(statistic: Callable[[Tensor], Tensor], features: LayerTensors) -> LayerTensors:
    """A statistic of the features of every layer."""
    return {layer: statistic(each) for layer, each in features.items()}


def projected_quantiles(features: Tensor) -> Tensor:
    """How features (1, C, H, W) are distributed along directions: (directions, quantiles)."""
    along = random_directions(features.shape[1], DIRECTION_COUNT, seed=0)
    return quantiles(sorted_projections(features, along), QUANTILE_COUNT)


def content_distance(a: LayerTensors, b: LayerTensors) -> float:
    """The mean over layers of the squared distance of feature vectors, each of length 1."""
    terms = [
        float((F.normalize(a[layer]) - F.normalize(b[layer])).square().sum(1).mean())
        for layer in SQUEEZENET_CONTENT_LAYERS
    ]
    return sum(terms) / len(terms)


def merge_values(*values: MetricValues) -> MetricValues:
    """All of them as one."""
    return MetricValues(
        {name: value for each in values for name, value in each.values.items()},
        {name: layers for each in values for name, layers in each.layers.items()},
        tuple(note for each in values for note in each.notes),
    )


_NO_DIFFERENCE_NOTE = "{}: content and style hardly differ in it, so it says nothing here."
METRIC_GROUPS: tuple[type[MetricGroup], ...] = (
    PixelMetrics,
    LPIPSMetrics,
    SqueezeNetMetrics,
    VGGMetrics,
)
