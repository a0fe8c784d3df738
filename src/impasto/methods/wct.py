"""WCT: whitening and colouring, from the deepest layer to the first, without any training.

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

from impasto.core.card import Card
from impasto.core.errors import KnobError
from impasto.core.knobs import Search, knob, strength_knob, style_size_knob
from impasto.core.request import Request
from impasto.engines.feedforward.base import FeedForward, Place, areas_of, looks
from impasto.nets.decoder import INVERTING, Decoder
from impasto.nets.vgg import VGG, resolve_layers
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
from impasto.weights.model_files import Model
from impasto.weights.vgg_layers import block_of

LEVELS = ("conv5_1", "conv4_1", "conv3_1", "conv2_1", "conv1_1")
STRENGTH = 0.6
"""Of every level, unless asked otherwise."""
ALIKE = 0.25
"""How far a level's map must move its features, in deviations, for its decoder's loss to come
back by 1 / e only."""
FAINT = 0.05
"""What comes back by less than this is left out, and half of the decoder's time saved."""


@dataclass(frozen=True)
class WCT(FeedForward):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "wct"
    card: ClassVar[Card] = Card(
        title="Any style at once, by whitening and colouring features on four levels",
        good_for="Any style picture at once, bolder in colour and texture than adain.",
        not_for="Faces, lettering and straight lines, which it bends.",
        paper="Li, Fang, Yang, Wang, Lu, Yang: Universal Style Transfer via Feature Transforms, "
        "NeurIPS 2017",
        licence="code and weights Apache-2.0",
        weights=("wct",),
        supports=("several styles", "strength", "tiles", "masks"),
        figures=(("512 x 512 px, style cached, 2 cores with AMX", "107 ms"),),
    )

    strength: float = strength_knob()
    levels: tuple[str, ...] = knob(LEVELS[1:], "layers that are transformed, in this order")
    level_strengths: tuple[float, ...] = knob(
        (), f"a strength for each level, 0 to 1; empty: {STRENGTH:g} for all", low=0, high=1,
        search=Search(values=((), (1.0,) * 4, (0.3, 0.6, 1.0, 1.0), (1.0, 0.6, 0.3, 0.3))),
    )  # fmt: skip
    transform: str = knob(
        "wct", "the map: wct, or transport, which moves the features least",
        choices=("wct", "transport"), search=Search(values=("wct", "transport")),
    )  # fmt: skip
    style_size: int = style_size_knob()

    def painter(self, request: Request, place: Place) -> Painter:
        """Encoder and decoders, with the styles' statistics taken."""
        painter = Painter(
            self.weights(request), place, self.strengths(), cast(Kind, self.transform)
        )
        seen = looks(request, self.style_size)
        painter.look_at(seen.pictures, *seen.shares)
        return painter

    def style_areas(self, request: Request) -> list[int]:
        """They pass the encoder at ``style_size``."""
        return areas_of(request, self.style_size)

    def stride(self) -> int:
        """Of the deepest level."""
        return int(2 ** (max(block_of(name) for name in self.strengths()) - 1))

    def strengths(self) -> dict[str, float]:
        """Level → its strength, in the order in which they are painted.

        Raises:
            KnobError: an unknown level, none, one twice, or another number of strengths.
        """
        levels = resolve_layers("vgg19", self.levels)
        unknown = [name for name in levels if name not in LEVELS]
        if unknown or not levels or len(set(levels)) < len(levels):
            raise KnobError(
                f"levels = {', '.join(self.levels) or 'nothing'}: give some of "
                f"{', '.join(LEVELS)}, each once."
            )
        given = self.level_strengths or (STRENGTH,) * len(levels)
        if len(given) != len(levels):
            raise KnobError(
                f"{len(given)} level_strengths for {len(levels)} levels: give one each, or none."
            )
        return {n: s * self.strength for n, s in zip(levels, given, strict=True)}


class Painter:
    """Encoder and decoders, level by level.

    See :class:`impasto.engines.feedforward.tiling.Painter`.

    Args:
        weights: a model of the kind "wct", by name or path.
        place: device and precision.
        strengths: level → strength.
        kind: of the map.

    Raises:
        WeightsError: weights that cannot be used.
    """

    files: Mapping[str, str]
    align = 16
    halo = 192

    def __init__(
        self, weights: str, place: Place, strengths: Mapping[str, float], kind: Kind = "wct"
    ) -> None:
        model, encoder = store.load_decoder(weights, "wct")
        self.files = {model.name: model.sha256, encoder.name: encoder.sha256}
        self.place, self.strengths, self.kind = place, dict(strengths), kind
        self.encoder = VGG(encoder, mapped=False)
        place.network(self.encoder)
        self.decoders = {name: _decoder(model, name) for name in strengths}
        for decoder in self.decoders.values():
            place.network(decoder)

    def look_at(self, styles: Sequence[Tensor], *shares: Shares) -> None:
        """Take the statistics of style pictures, for each part of the content with their shares.

        They are framed as contents are: a picture in its own style is then the picture itself.
        See :class:`impasto.ops.regional_transforms.Looks`.
        """
        self.shares = shares
        self.styles: dict[str, list[Statistics]] = {name: [] for name in self.strengths}
        for style in styles:
            picture, mask = split(self.place(framed(style, self.align)))
            for name, features in self.encoder(picture, list(self.strengths)).items():
                self.styles[name].append(statistics_of_style(features, mask))

    def statistics(self, frame: Tensor) -> list[Regional]:
        """What is done at each level, found from a whole picture."""
        changes: list[Regional] = []
        picture, masks = split(frame)
        for name in self.strengths:
            features = self._seen(picture, name)
            changes.append(self._change(name, features, masks))
            picture = self._painted(picture, features, name, changes[-1], masks)
        return changes

    def __call__(self, frame: Tensor, statistics: Sequence[Regional] | None = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose changes are known.

        With regions, its further channels are the weights of the parts.
        """
        picture, masks = split(frame)
        for index, name in enumerate(self.strengths):
            features = self._seen(picture, name)
            change = statistics[index] if statistics else self._change(name, features, masks)
            picture = self._painted(picture, features, name, change, masks)
        return picture

    def _seen(self, picture: Tensor, name: str) -> Tensor:
        features: Tensor = self.encoder(picture, [name])[name]
        return features

    def _change(self, name: str, features: Tensor, masks: Tensor | None) -> Regional:
        content = statistics_of_parts(features, masks)
        make = partial(wct, kind=self.kind)
        return regional(content, self.styles[name], self.shares, make, self.strengths[name])

    def _painted(
        self, picture: Tensor, features: Tensor, name: str, change: Regional, masks: Tensor | None
    ) -> Tensor:
        decoder = self.decoders[name]
        painted: Tensor = decoder(change.apply(features, masks)).float()
        most, kept = change.kept(ALIKE, masks)
        if most > FAINT:
            painted = painted + kept * (picture - decoder(features))
        return painted


def _decoder(model: Model, name: str) -> Decoder:
    level = block_of(name)
    decoder = Decoder(model.about["channels"][level - 1], INVERTING[:level])
    model.fill(decoder, f"levels.{level - 1}.")
    return decoder
