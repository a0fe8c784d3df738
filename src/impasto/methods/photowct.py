"""PhotoWCT: a photograph takes another's light and colors, and stays a photograph.

Li, Liu, Li, Yang & Kautz, "A Closed-form Solution to Photorealistic Image Stylization", ECCV 2018.
The first step is WCT with one change: where the encoder pooled, the decoder unpools, by the places
at which the encoder found its maxima, so that edges stay where they were (section 3.1). The second
step smooths what came out along the photograph's own edges (section 3.2, eq. 5).

What is ours: the encoder is the compact one; and the smoothing at size is the guided filter with
the photograph as its guide, of which the closed form differs little (the authors' own short cut).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.core.card import MethodCard
from impasto.core.errors import KnobError
from impasto.core.knobs import knob, strength_knob, style_size_knob
from impasto.core.request import Request
from impasto.engines.feedforward.base import (
    DeviceSpec,
    FeedForwardMethod,
    style_inputs,
    style_pixel_counts,
)
from impasto.engines.feedforward.tiling import TILE_SIDE_PX
from impasto.losses.matting import LocalAffineModels, closed_form_smoothing
from impasto.nets.decoder import POOLED_LAYERS, Decoder, max_pool_indices
from impasto.nets.vgg import VGG
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
from impasto.weights.vgg_layers import block_index

LEVEL_LAYERS = ("conv4_1", "conv3_1", "conv2_1", "conv1_1")
FILTER_RADIUS_PX = 32
"""Of the guided filter's windows, in pixels."""
FILTER_EPSILON = 1e-3
"""Of the guided filter: variances of colors above it are edges."""
COARSENING_FACTOR = 4
"""How many times coarser the guided filter's models are fitted (He & Sun 2015)."""
SLOW_SIDE_PX = 384
"""Long side in pixels over which the closed form takes more than some ten seconds."""


@dataclass(frozen=True)
class PhotoWCT(FeedForwardMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "photowct"
    card: ClassVar[MethodCard] = MethodCard(
        title="Light and colors of another photograph, at once",
        good_for="A photograph that stays one: another time of day, season or weather.",
        not_for="Brushstrokes: for a painting's manner take adain, wct or gatys.",
        paper="Li, Liu, Li, Yang, Kautz: A Closed-form Solution to Photorealistic Image "
        "Stylization, ECCV 2018",
        license="code and weights Apache-2.0",
        weights=("photowct",),
        supports=("several styles", "strength", "masks", "tiles", "photo"),
    )

    strength: float = strength_knob()
    smoothing: str = knob(
        "guided", "along the photograph's edges: guided filter, exact (slow, small pictures), none",
        choices=("guided", "exact", "none"),
    )  # fmt: skip
    transform: str = knob(
        "wct", "the map: wct, or transport, which moves the features least",
        choices=("wct", "transport"),
    )  # fmt: skip
    style_size: int = style_size_knob()

    def build_model(self, request: Request, device_spec: DeviceSpec) -> PhotoWCTModel:
        """Encoder and decoders, with the styles' statistics taken."""
        if self.smoothing == "exact" and request.long_side > TILE_SIDE_PX:
            raise KnobError(
                f"--smoothing exact takes a whole picture at once, {TILE_SIDE_PX} px at most: "
                f"say --size "
                f"{TILE_SIDE_PX} or less, or --smoothing guided."
            )
        painter = PhotoWCTModel(self.weights_name(request), device_spec, self)
        seen = style_inputs(request, self.style_size)
        painter.set_styles(seen.images, *seen.weights)
        return painter

    def style_pixel_counts(self, request: Request) -> list[int]:
        """They pass the encoder at ``style_size``."""
        return style_pixel_counts(request, self.style_size)

    def warnings(self, request: Request) -> tuple[str, ...]:
        told = super().warnings(request)
        if self.smoothing == "exact" and request.long_side > SLOW_SIDE_PX:
            told += (
                f"--smoothing exact solves for every pixel at once: over {SLOW_SIDE_PX} px it "
                f"takes "
                "minutes, where guided takes a second.",
            )
        return told


class PhotoWCTModel:
    """Encoder, unpooling decoders and smoothing.

    See :class:`impasto.engines.feedforward.tiling.TiledModel`.

    Args:
        weights: a model of the kind "photowct", by name or path.
        device_spec: device and precision.
        method: of the method.

    Raises:
        WeightsError: weights that cannot be used.
    """

    digests: Mapping[str, str]
    align = 16
    halo = 192

    def __init__(self, weights: str, device_spec: DeviceSpec, method: PhotoWCT) -> None:
        model, encoder = store.load_decoder(weights, "photowct")
        self.digests = {model.name: model.sha256, encoder.name: encoder.sha256}
        self.device_spec, self.method = device_spec, method
        self.encoder = VGG(encoder, map_features=False)
        device_spec.move(self.encoder)
        channels: list[int] = model.about["channels"]
        self.decoders: dict[str, Decoder] = {}
        for level in range(len(channels), 0, -1):
            decoder = Decoder(channels[level - 1], channels[:level])
            model.load_into(decoder, f"levels.{level - 1}.")
            device_spec.move(decoder)
            self.decoders[f"conv{level}_1"] = decoder

    def set_styles(self, styles: Sequence[Tensor], *style_weights: StyleWeights) -> None:
        """Take the statistics of style pictures, for each part of the content with their shares.

        See :class:`impasto.ops.regional_transforms.StyleInputs`.
        """
        self.style_weights = style_weights
        self.styles: dict[str, list[Statistics]] = {name: [] for name in LEVEL_LAYERS}
        for style in styles:
            picture, mask = split_masks(self.device_spec(pad(style, self.align)))
            for name, features in self.encoder(picture, LEVEL_LAYERS).items():
                self.styles[name].append(style_statistics(features, mask))

    def statistics(self, padded: Tensor) -> list[RegionalTransform]:
        """What is done at each level, found from a whole picture."""
        changes: list[RegionalTransform] = []
        picture, masks = split_masks(padded)
        for name in LEVEL_LAYERS:
            features = self._features(picture, name)
            changes.append(self._level_transform(name, features[name], masks))
            picture = self._decode(features, name, changes[-1], masks)
        return changes

    def __call__(
        self, padded: Tensor, statistics: Sequence[RegionalTransform] | None = None
    ) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose changes are known.

        With regions, its further channels are the weights of the parts.
        """
        photo, masks = split_masks(padded)
        painted = photo
        for index, name in enumerate(LEVEL_LAYERS):
            seen = self._features(painted, name)
            change = (
                statistics[index] if statistics else self._level_transform(name, seen[name], masks)
            )
            painted = self._decode(seen, name, change, masks)
        return torch.lerp(photo, self._smooth(painted, photo), self.method.strength)

    def _features(self, image: Tensor, name: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.encoder(image, [name, *_pooled_layers_before(name)])
        return found

    def _level_transform(
        self, name: str, features: Tensor, masks: Tensor | None
    ) -> RegionalTransform:
        content = region_statistics(features, masks)
        make = partial(wct, variant=cast(WCTVariant, self.method.transform))
        return regional_transform(content, self.styles[name], self.style_weights, make, 1.0)

    def _decode(
        self,
        features: Mapping[str, Tensor],
        name: str,
        change: RegionalTransform,
        masks: Tensor | None,
    ) -> Tensor:
        moved = change.apply(features[name], masks)
        painted: Tensor = self.decoders[name](moved, max_pool_indices(features, block_index(name)))
        return painted.float()

    def _smooth(self, painted: Tensor, photo: Tensor) -> Tensor:
        if self.method.smoothing == "guided":
            return fast_guided_filter(painted, photo)
        if self.method.smoothing == "exact":
            return closed_form_smoothing(painted, photo, tolerance=1e-2).float()
        return painted


def fast_guided_filter(stylized: Tensor, photo: Tensor) -> Tensor:
    """A painting (1, 3, H, W) smoothed along a photograph's edges, sides multiples of 4.

    He & Sun, "Fast Guided Filter", 2015: the local models are fitted on a coarser grid, and put
    to the photograph at its full size.
    """
    small, guide = (F.avg_pool2d(x.float(), COARSENING_FACTOR) for x in (stylized, photo))
    radius = min(FILTER_RADIUS_PX // COARSENING_FACTOR, (min(small.shape[2:]) - 1) // 2)
    models = LocalAffineModels(guide, radius, FILTER_EPSILON)
    slopes, offsets = models.mean_coefficients(small)
    size = photo.shape[2:]
    fine = F.interpolate(slopes.flatten(1, 2).float(), size, mode="bilinear")
    fine = fine.view(1, 3, 3, *size)
    shift = F.interpolate(offsets.float(), size, mode="bilinear")
    return (fine * photo[:, None]).sum(2) + shift


def _pooled_layers_before(name: str) -> list[str]:
    return list(POOLED_LAYERS[len(POOLED_LAYERS) + 1 - block_index(name) :])
