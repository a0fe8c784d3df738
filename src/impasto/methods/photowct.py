"""PhotoWCT: a photograph takes another's light and colours, and stays a photograph.

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

from impasto.core.card import Card
from impasto.core.errors import KnobError
from impasto.core.knobs import knob, strength_knob, style_size_knob
from impasto.core.request import Request
from impasto.engines.feedforward.base import FeedForward, Place, areas_of, looks
from impasto.engines.feedforward.tiling import CORE
from impasto.losses.matting import LocalModels, closed_form
from impasto.nets.decoder import POOLED, Decoder, switches
from impasto.nets.vgg import VGG
from impasto.ops.feature_transforms import Kind, Statistics, wct
from impasto.ops.padding import framed
from impasto.ops.regional_transforms import (
    Regional,
    Shares,
    regional,
    split,
    statistics_of_parts,
    statistics_of_style,
)
from impasto.weights import store
from impasto.weights.vgg_layers import block_of

LEVELS = ("conv4_1", "conv3_1", "conv2_1", "conv1_1")
RADIUS = 32
"""Of the guided filter's windows, in pixels."""
EPSILON = 1e-3
"""Of the guided filter: variances of colours above it are edges."""
COARSER = 4
"""How many times coarser the guided filter's models are fitted (He & Sun 2015)."""
SLOW = 384
"""Long side in pixels over which the closed form takes more than some ten seconds."""


@dataclass(frozen=True)
class PhotoWCT(FeedForward):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "photowct"
    card: ClassVar[Card] = Card(
        title="Light and colours of another photograph, at once",
        good_for="A photograph that stays one: another time of day, season or weather.",
        not_for="Brushstrokes: for a painting's manner take adain, wct or gatys.",
        paper="Li, Liu, Li, Yang, Kautz: A Closed-form Solution to Photorealistic Image "
        "Stylization, ECCV 2018",
        licence="code and weights Apache-2.0",
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

    def painter(self, request: Request, place: Place) -> Painter:
        """Encoder and decoders, with the styles' statistics taken."""
        if self.smoothing == "exact" and request.long_side > CORE:
            raise KnobError(
                f"--smoothing exact takes a whole picture at once, {CORE} px at most: say --size "
                f"{CORE} or less, or --smoothing guided."
            )
        painter = Painter(self.weights(request), place, self)
        seen = looks(request, self.style_size)
        painter.look_at(seen.pictures, *seen.shares)
        return painter

    def style_areas(self, request: Request) -> list[int]:
        """They pass the encoder at ``style_size``."""
        return areas_of(request, self.style_size)

    def warnings(self, request: Request) -> tuple[str, ...]:
        told = super().warnings(request)
        if self.smoothing == "exact" and request.long_side > SLOW:
            told += (
                f"--smoothing exact solves for every pixel at once: over {SLOW} px it takes "
                "minutes, where guided takes a second.",
            )
        return told


class Painter:
    """Encoder, unpooling decoders and smoothing.

    See :class:`impasto.engines.feedforward.tiling.Painter`.

    Args:
        weights: a model of the kind "photowct", by name or path.
        place: device and precision.
        knobs: of the method.

    Raises:
        WeightsError: weights that cannot be used.
    """

    files: Mapping[str, str]
    align = 16
    halo = 192

    def __init__(self, weights: str, place: Place, knobs: PhotoWCT) -> None:
        model, encoder = store.load_decoder(weights, "photowct")
        self.files = {model.name: model.sha256, encoder.name: encoder.sha256}
        self.place, self.knobs = place, knobs
        self.encoder = VGG(encoder, mapped=False)
        place.network(self.encoder)
        channels: list[int] = model.about["channels"]
        self.decoders: dict[str, Decoder] = {}
        for level in range(len(channels), 0, -1):
            decoder = Decoder(channels[level - 1], channels[:level])
            model.fill(decoder, f"levels.{level - 1}.")
            place.network(decoder)
            self.decoders[f"conv{level}_1"] = decoder

    def look_at(self, styles: Sequence[Tensor], *shares: Shares) -> None:
        """Take the statistics of style pictures, for each part of the content with their shares.

        See :class:`impasto.ops.regional_transforms.Looks`.
        """
        self.shares = shares
        self.styles: dict[str, list[Statistics]] = {name: [] for name in LEVELS}
        for style in styles:
            picture, mask = split(self.place(framed(style, self.align)))
            for name, features in self.encoder(picture, LEVELS).items():
                self.styles[name].append(statistics_of_style(features, mask))

    def statistics(self, frame: Tensor) -> list[Regional]:
        """What is done at each level, found from a whole picture."""
        changes: list[Regional] = []
        picture, masks = split(frame)
        for name in LEVELS:
            features = self._seen(picture, name)
            changes.append(self._change(name, features[name], masks))
            picture = self._painted(features, name, changes[-1], masks)
        return changes

    def __call__(self, frame: Tensor, statistics: Sequence[Regional] | None = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose changes are known.

        With regions, its further channels are the weights of the parts.
        """
        photo, masks = split(frame)
        painted = photo
        for index, name in enumerate(LEVELS):
            seen = self._seen(painted, name)
            change = statistics[index] if statistics else self._change(name, seen[name], masks)
            painted = self._painted(seen, name, change, masks)
        return torch.lerp(photo, self._smoothed(painted, photo), self.knobs.strength)

    def _seen(self, picture: Tensor, name: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.encoder(picture, [name, *_pooled_before(name)])
        return found

    def _change(self, name: str, features: Tensor, masks: Tensor | None) -> Regional:
        content = statistics_of_parts(features, masks)
        make = partial(wct, kind=cast(Kind, self.knobs.transform))
        return regional(content, self.styles[name], self.shares, make, 1.0)

    def _painted(
        self, features: Mapping[str, Tensor], name: str, change: Regional, masks: Tensor | None
    ) -> Tensor:
        moved = change.apply(features[name], masks)
        painted: Tensor = self.decoders[name](moved, switches(features, block_of(name)))
        return painted.float()

    def _smoothed(self, painted: Tensor, photo: Tensor) -> Tensor:
        if self.knobs.smoothing == "guided":
            return guided(painted, photo)
        if self.knobs.smoothing == "exact":
            return closed_form(painted, photo, tolerance=1e-2).float()
        return painted


def guided(painted: Tensor, photo: Tensor) -> Tensor:
    """A painting (1, 3, H, W) smoothed along a photograph's edges, sides multiples of 4.

    He & Sun, "Fast Guided Filter", 2015: the local models are fitted on a coarser grid, and put
    to the photograph at its full size.
    """
    small, guide = (F.avg_pool2d(x.float(), COARSER) for x in (painted, photo))
    radius = min(RADIUS // COARSER, (min(small.shape[2:]) - 1) // 2)
    models = LocalModels(guide, radius, EPSILON)
    slopes, offsets = models.means(small)
    size = photo.shape[2:]
    fine = F.interpolate(slopes.flatten(1, 2).float(), size, mode="bilinear")
    fine = fine.view(1, 3, 3, *size)
    shift = F.interpolate(offsets.float(), size, mode="bilinear")
    return (fine * photo[:, None]).sum(2) + shift


def _pooled_before(name: str) -> list[str]:
    return list(POOLED[len(POOLED) + 1 - block_of(name) :])
