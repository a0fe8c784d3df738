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

from impasto.core.card import Card
from impasto.core.knobs import strength_knob, style_size_knob
from impasto.core.request import Request
from impasto.engines.feedforward.base import FeedForward, Place, areas_of, looks
from impasto.nets.decoder import Decoder
from impasto.nets.vgg import VGG
from impasto.ops.feature_transforms import adain
from impasto.ops.padding import framed
from impasto.ops.regional_transforms import (
    Parts,
    Regional,
    Shares,
    regional,
    split,
    statistics_of_parts,
    statistics_of_style,
)
from impasto.weights import store

LAYER = "conv4_1"
ALIKE = 0.25
"""How far apart statistics are, in deviations, when the lost detail comes back by 1 / e."""
FAINT = 0.05
"""Detail that comes back by less than this is left out, and half of the decoder's time saved."""


@dataclass(frozen=True)
class AdaIN(FeedForward):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "adain"
    card: ClassVar[Card] = Card(
        title="Any style at once, by matching means and deviations of features",
        good_for="Any style picture while you look, on a laptop; previews, batches, large prints.",
        not_for="The finest strokes: those take an optimiser (gatys).",
        paper="Huang, Belongie: Arbitrary Style Transfer in Real-Time with Adaptive Instance "
        "Normalization, ICCV 2017",
        licence="code and weights Apache-2.0",
        weights=("adain",),
        supports=("several styles", "strength", "tiles", "masks"),
        figures=(
            ("512 x 512 px, style cached, 2 cores with AMX", "42 ms, the paper's network 1.1 s"),
        ),
    )

    strength: float = strength_knob()
    style_size: int = style_size_knob()

    def painter(self, request: Request, place: Place) -> Painter:
        """Encoder and decoder, with the styles' statistics taken."""
        painter = Painter(self.weights(request), place, self.strength)
        seen = looks(request, self.style_size)
        painter.look_at(seen.pictures, *seen.shares)
        return painter

    def style_areas(self, request: Request) -> list[int]:
        """They pass the encoder at ``style_size``."""
        return areas_of(request, self.style_size)


class Painter:
    """Encoder, AdaIN and decoder; see :class:`impasto.engines.feedforward.tiling.Painter`.

    Args:
        weights: a model of the kind "adain", by name or path.
        place: device and precision.
        strength: α of eq. 14.

    Raises:
        WeightsError: weights that cannot be used.
    """

    files: Mapping[str, str]
    align = 8
    halo = 96

    def __init__(self, weights: str, place: Place, strength: float = 1.0) -> None:
        model, encoder = store.load_decoder(weights, "adain")
        self.files = {model.name: model.sha256, encoder.name: encoder.sha256}
        self.place, self.strength = place, strength
        self.encoder = VGG(encoder, mapped=False)
        self.decoder = Decoder(model.about["channels"], model.about["widths"])
        model.fill(self.decoder)
        for network in (self.encoder, self.decoder):
            place.network(network)

    def look_at(self, styles: Sequence[Tensor], *shares: Shares) -> None:
        """Take the statistics of style pictures, for each part of the content with their shares.

        They are framed as contents are: a picture in its own style is then the picture itself.
        See :class:`impasto.ops.regional_transforms.Looks`.
        """
        self.styles = []
        for style in styles:
            picture, mask = split(self.place(framed(style, self.align)))
            self.styles.append(statistics_of_style(self._seen(picture), mask, diagonal=True))
        self.shares = shares

    def statistics(self, frame: Tensor) -> Parts:
        """Means and variances of a framed picture's features, in each of its parts."""
        picture, masks = split(frame)
        return statistics_of_parts(self._seen(picture), masks, diagonal=True)

    def __call__(self, frame: Tensor, statistics: Parts | None = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose statistics are known.

        With regions, its further channels are the weights of the parts.
        """
        picture, masks = split(frame)
        seen = self._seen(picture)
        change = self.change(statistics or statistics_of_parts(seen, masks, diagonal=True))
        painted: Tensor = self.decoder(change.apply(seen, masks)).float()
        most, kept = change.kept(ALIKE, masks)
        if most > FAINT:
            painted = painted + kept * (picture - self.decoder(seen))
        return painted

    def change(self, content: Parts) -> Regional:
        """What is done to the features: eq. 8 for each style, blended, and eq. 14."""
        return regional(content, self.styles, self.shares, adain, self.strength)

    def _seen(self, frame: Tensor) -> Tensor:
        features: Tensor = self.encoder(frame, [LAYER])[LAYER]
        return features
