"""WCT: whitening and coloring, from the deepest layer to the first, without any training.

Li, Fang, Yang, Wang, Lu & Yang, "Universal Style Transfer via Feature Transforms", NeurIPS 2017.
At every level from conv5_1 to conv1_1 the picture so far is encoded, its features are given the
style's covariance by a map in closed form (section 3.2), and a decoder that was only taught to
invert the encoder makes a picture of them, which is the next level's content (section 3.3).

What is ours: the encoder is the compact one; the maps are safe for few positions and channels
without variance (:mod:`impasto.ops.feature_transforms`), and those of large pictures are a
thumbnail's,
so that tiles can be painted one by one; and what a decoder loses of its picture is given back to
the degree to which the level changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

from torch import Tensor

from impasto.core.card import MethodCard
from impasto.core.errors import KnobError
from impasto.core.knobs import SearchRange, knob, strength_knob, style_size_knob
from impasto.core.request import Request
from impasto.engines.feedforward.base import (
    DeviceSpec,
    FeedForwardMethod,
    style_inputs,
    style_pixel_counts,
)
from impasto.nets.decoder import INVERSION_WIDTHS, Decoder
from impasto.nets.vgg import VGG, resolve_layers
from impasto.ops.feature_transforms import Statistics, WCTVariant, wct
from impasto.ops.padding import pad
from impasto.ops.regional_transforms import (
    RegionalTransform,
    StyleWeights,
    region_statistics,
    regional_transform,
    split_masks,
    style_statistics,
)
from impasto.weights import store
from impasto.weights.model_files import TrainedModel
from impasto.weights.vgg_layers import block_index

LEVEL_LAYERS = ("conv5_1", "conv4_1", "conv3_1", "conv2_1", "conv1_1")
DEFAULT_LEVEL_STRENGTH = 0.6
"""Of every level, unless asked otherwise."""
RESIDUAL_DISTANCE_SCALE = 0.25
"""How far a level's map must move its features, in deviations, for its decoder's loss to come
back by 1 / e only."""
MIN_RESIDUAL_WEIGHT = 0.05
"""What comes back by less than this is left out, and half of the decoder's time saved."""


@dataclass(frozen=True)
class WCT(FeedForwardMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "wct"
    card: ClassVar[MethodCard] = MethodCard(
        title="Any style at once, by whitening and coloring features on four levels",
        good_for="Any style picture at once, bolder in color and texture than adain.",
        not_for="Faces, lettering and straight lines, which it bends.",
        paper="Li, Fang, Yang, Wang, Lu, Yang: Universal Style Transfer via Feature Transforms, "
        "NeurIPS 2017",
        license="code and weights Apache-2.0",
        weights=("wct",),
        supports=("several styles", "strength", "tiles", "masks"),
        figures=(("512 x 512 px, style cached, 2 cores with AMX", "107 ms"),),
    )

    strength: float = strength_knob()
    levels: tuple[str, ...] = knob(LEVEL_LAYERS[1:], "layers that are transformed, in this order")
    level_strengths: tuple[float, ...] = knob(
        (),
        f"a strength for each level, 0 to 1; empty: {DEFAULT_LEVEL_STRENGTH:g} for all",
        low=0,
        high=1,
        search=SearchRange(values=((), (1.0,) * 4, (0.3, 0.6, 1.0, 1.0), (1.0, 0.6, 0.3, 0.3))),
    )
    transform: str = knob(
        "wct", "the map: wct, or transport, which moves the features least",
        choices=("wct", "transport"), search=SearchRange(values=("wct", "transport")),
    )  # fmt: skip
    style_size: int = style_size_knob()

    def build_model(self, request: Request, device_spec: DeviceSpec) -> WCTModel:
        """Encoder and decoders, with the styles' statistics taken."""
        painter = WCTModel(
            self.weights_name(request),
            device_spec,
            self.strengths_by_level(),
            cast(WCTVariant, self.transform),
        )
        seen = style_inputs(request, self.style_size)
        painter.set_styles(seen.images, *seen.weights)
        return painter

    def style_pixel_counts(self, request: Request) -> list[int]:
        """They pass the encoder at ``style_size``."""
        return style_pixel_counts(request, self.style_size)

    def stride(self) -> int:
        """Of the deepest level."""
        return int(2 ** (max(block_index(name) for name in self.strengths_by_level()) - 1))

    def strengths_by_level(self) -> dict[str, float]:
        """Level → its strength, in the order in which they are painted.

        Raises:
            KnobError: an unknown level, none, one twice, or another number of strengths.
        """
        levels = resolve_layers("vgg19", self.levels)
        unknown = [name for name in levels if name not in LEVEL_LAYERS]
        if unknown or not levels or len(set(levels)) < len(levels):
            raise KnobError(
                f"levels = {', '.join(self.levels) or 'nothing'}: give some of "
                f"{', '.join(LEVEL_LAYERS)}, each once."
            )
        given = self.level_strengths or (DEFAULT_LEVEL_STRENGTH,) * len(levels)
        if len(given) != len(levels):
            raise KnobError(
                f"{len(given)} level_strengths for {len(levels)} levels: give one each, or none."
            )
        return {n: s * self.strength for n, s in zip(levels, given, strict=True)}


class WCTModel:
    """Encoder and decoders, level by level.

    See :class:`impasto.engines.feedforward.tiling.TiledModel`.

    Args:
        weights: a model of the kind "wct", by name or path.
        device_spec: device and precision.
        strengths: level → strength.
        variant: of the map.

    Raises:
        WeightsError: weights that cannot be used.
    """

    digests: Mapping[str, str]
    align = 16
    halo = 192

    def __init__(
        self,
        weights: str,
        device_spec: DeviceSpec,
        strengths: Mapping[str, float],
        variant: WCTVariant = "wct",
    ) -> None:
        model, encoder = store.load_decoder(weights, "wct")
        self.digests = {model.name: model.sha256, encoder.name: encoder.sha256}
        self.device_spec, self.strengths, self.variant = device_spec, dict(strengths), variant
        self.encoder = VGG(encoder, map_features=False)
        device_spec.move(self.encoder)
        self.decoders = {name: _load_decoder(model, name) for name in strengths}
        for decoder in self.decoders.values():
            device_spec.move(decoder)

    def set_styles(self, styles: Sequence[Tensor], *style_weights: StyleWeights) -> None:
        """Take the statistics of style pictures, for each part of the content with their shares.

        They are framed as contents are: a picture in its own style is then the picture itself.
        See :class:`impasto.ops.regional_transforms.StyleInputs`.
        """
        self.style_weights = style_weights
        self.styles: dict[str, list[Statistics]] = {name: [] for name in self.strengths}
        for style in styles:
            picture, mask = split_masks(self.device_spec(pad(style, self.align)))
            for name, features in self.encoder(picture, list(self.strengths)).items():
                self.styles[name].append(style_statistics(features, mask))

    def statistics(self, padded: Tensor) -> list[RegionalTransform]:
        """What is done at each level, found from a whole picture."""
        changes: list[RegionalTransform] = []
        picture, masks = split_masks(padded)
        for name in self.strengths:
            features = self._features(picture, name)
            changes.append(self._level_transform(name, features, masks))
            picture = self._decode(picture, features, name, changes[-1], masks)
        return changes

    def __call__(
        self, padded: Tensor, statistics: Sequence[RegionalTransform] | None = None
    ) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose changes are known.

        With regions, its further channels are the weights of the parts.
        """
        picture, masks = split_masks(padded)
        for index, name in enumerate(self.strengths):
            features = self._features(picture, name)
            change = (
                statistics[index] if statistics else self._level_transform(name, features, masks)
            )
            picture = self._decode(picture, features, name, change, masks)
        return picture

    def _features(self, image: Tensor, name: str) -> Tensor:
        features: Tensor = self.encoder(image, [name])[name]
        return features

    def _level_transform(
        self, name: str, features: Tensor, masks: Tensor | None
    ) -> RegionalTransform:
        content = region_statistics(features, masks)
        make = partial(wct, variant=self.variant)
        return regional_transform(
            content, self.styles[name], self.style_weights, make, self.strengths[name]
        )

    def _decode(
        self,
        picture: Tensor,
        features: Tensor,
        name: str,
        change: RegionalTransform,
        masks: Tensor | None,
    ) -> Tensor:
        decoder = self.decoders[name]
        painted: Tensor = decoder(change.apply(features, masks)).float()
        most, kept = change.residual_weights(RESIDUAL_DISTANCE_SCALE, masks)
        if most > MIN_RESIDUAL_WEIGHT:
            painted = painted + kept * (picture - decoder(features))
        return painted


def _load_decoder(model: TrainedModel, name: str) -> Decoder:
    level = block_index(name)
    decoder = Decoder(model.about["channels"][level - 1], INVERSION_WIDTHS[:level])
    model.load_into(decoder, f"levels.{level - 1}.")
    return decoder
