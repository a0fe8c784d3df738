"""AdaIN: the content's features take the style's means and deviations, and are decoded.

Huang & Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance Normalization",
ICCV 2017. With an encoder f, a decoder g, content c and style s:

    t = σ(f(s)) (f(c) - μ(f(c))) / σ(f(c)) + μ(f(s))                          (eq. 8, 12)
    T(c, s, α) = g((1 - α) f(c) + α t)                                         (eq. 14)

What is ours: the encoder is the compact one; the statistics of large pictures are those of a
thumbnail, so that tiles can be painted one by one; and what the decoder loses of the content is
given back to the degree to which the statistics agree, so that a picture in its own style, or at
strength 0, is the picture itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from impasto.core.card import MethodCard
from impasto.core.knobs import strength_knob, style_size_knob
from impasto.core.request import Request
from impasto.engines.feedforward.base import (
    DeviceSpec,
    FeedForwardMethod,
    style_inputs,
    style_pixel_counts,
)
from impasto.nets.decoder import Decoder
from impasto.nets.vgg import VGG
from impasto.ops.feature_transforms import adain
from impasto.ops.padding import pad
from impasto.ops.regional_transforms import (
    RegionalTransform,
    RegionStatistics,
    StyleWeights,
    region_statistics,
    regional_transform,
    split_masks,
    style_statistics,
)
from impasto.weights import store

FEATURE_LAYER = "conv4_1"
RESIDUAL_DISTANCE_SCALE = 0.25
"""How far apart statistics are, in deviations, when the lost detail comes back by 1 / e."""
MIN_RESIDUAL_WEIGHT = 0.05
"""Detail that comes back by less than this is left out, and half of the decoder's time saved."""


@dataclass(frozen=True)
class AdaIN(FeedForwardMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "adain"
    card: ClassVar[MethodCard] = MethodCard(
        title="Any style at once, by matching means and deviations of features",
        good_for="Any style picture while you look, on a laptop; previews, batches, large prints.",
        not_for="The finest strokes: those take an optimizer (gatys).",
        paper="Huang, Belongie: Arbitrary Style Transfer in Real-Time with Adaptive Instance "
        "Normalization, ICCV 2017",
        license="code and weights Apache-2.0",
        weights=("adain",),
        supports=("several styles", "strength", "tiles", "masks"),
        figures=(
            ("512 x 512 px, style cached, 2 cores with AMX", "42 ms, the paper's network 1.1 s"),
        ),
    )

    strength: float = strength_knob()
    style_size: int = style_size_knob()

    def build_model(self, request: Request, device_spec: DeviceSpec) -> AdaINModel:
        """Encoder and decoder, with the styles' statistics taken."""
        painter = AdaINModel(self.weights_name(request), device_spec, self.strength)
        seen = style_inputs(request, self.style_size)
        painter.set_styles(seen.images, *seen.weights)
        return painter

    def style_pixel_counts(self, request: Request) -> list[int]:
        """They pass the encoder at ``style_size``."""
        return style_pixel_counts(request, self.style_size)


class AdaINModel:
    """Encoder, AdaIN and decoder; see :class:`impasto.engines.feedforward.tiling.TiledModel`.

    Args:
        weights: a model of the kind "adain", by name or path.
        device_spec: device and precision.
        strength: α of eq. 14.

    Raises:
        WeightsError: weights that cannot be used.
    """

    digests: Mapping[str, str]
    align = 8
    halo = 96

    def __init__(self, weights: str, device_spec: DeviceSpec, strength: float = 1.0) -> None:
        model, encoder = store.load_decoder(weights, "adain")
        self.digests = {model.name: model.sha256, encoder.name: encoder.sha256}
        self.device_spec, self.strength = device_spec, strength
        self.encoder = VGG(encoder, map_features=False)
        self.decoder = Decoder(model.about["channels"], model.about["widths"])
        model.load_into(self.decoder)
        for network in (self.encoder, self.decoder):
            device_spec.move(network)

    def set_styles(self, styles: Sequence[Tensor], *style_weights: StyleWeights) -> None:
        """Take the statistics of style pictures, for each part of the content with their shares.

        They are framed as contents are: a picture in its own style is then the picture itself.
        See :class:`impasto.ops.regional_transforms.StyleInputs`.
        """
        self.styles = []
        for style in styles:
            picture, mask = split_masks(self.device_spec(pad(style, self.align)))
            self.styles.append(style_statistics(self._features(picture), mask, diagonal=True))
        self.style_weights = style_weights

    def statistics(self, padded: Tensor) -> RegionStatistics:
        """Means and variances of a framed picture's features, in each of its parts."""
        picture, masks = split_masks(padded)
        return region_statistics(self._features(picture), masks, diagonal=True)

    def __call__(self, padded: Tensor, statistics: RegionStatistics | None = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose statistics are known.

        With regions, its further channels are the weights of the parts.
        """
        picture, masks = split_masks(padded)
        seen = self._features(picture)
        change = self.feature_transform(statistics or region_statistics(seen, masks, diagonal=True))
        painted: Tensor = self.decoder(change.apply(seen, masks)).float()
        most, kept = change.residual_weights(RESIDUAL_DISTANCE_SCALE, masks)
        if most > MIN_RESIDUAL_WEIGHT:
            painted = painted + kept * (picture - self.decoder(seen))
        return painted

    def feature_transform(self, content: RegionStatistics) -> RegionalTransform:
        """What is done to the features: eq. 8 for each style, blended, and eq. 14."""
        return regional_transform(content, self.styles, self.style_weights, adain, self.strength)

    def _features(self, padded: Tensor) -> Tensor:
        features: Tensor = self.encoder(padded, [FEATURE_LAYER])[FEATURE_LAYER]
        return features
