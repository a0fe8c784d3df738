"""Content and style together, from one pass of the encoder that all terms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from impasto.core.errors import KnobError
from impasto.losses.content import content_loss
from impasto.losses.style import (
    Gaussian,
    feature_gaussian,
    gram_loss,
    gram_matrix,
    guided_gaussians,
    guided_gram_matrices,
    matrix_sqrt,
    to_float64,
    wasserstein_loss,
)
from impasto.nets.vgg import VGG
from impasto.ops.regional_transforms import ensure_min_positions, erode_mask, masks_at_layer

StyleLossName = Literal["gram", "wasserstein"]
StyleSummary = tuple[Tensor, ...]


@dataclass(frozen=True)
class StyleTarget:
    """What one layer's style is compared with: a Gram matrix, or a Gaussian with Σ^½."""

    gram: Tensor | None = None
    gaussian: Gaussian | None = None
    covariance_root: Tensor | None = None

    @classmethod
    def from_summaries(
        cls, style_loss: StyleLossName, weighted_summaries: Sequence[tuple[float, StyleSummary]]
    ) -> StyleTarget:
        """The blend of what :func:`style_summaries` gave for some pictures, each with its share."""
        weighted = [[share * value for value in found] for share, found in weighted_summaries]
        blend = [torch.stack(values).sum(0) for values in zip(*weighted, strict=True)]
        if style_loss == "gram":
            return cls(gram=blend[0])
        mean, covariance = blend
        return cls(
            gaussian=Gaussian(mean, covariance), covariance_root=matrix_sqrt(to_float64(covariance))
        )

    def loss(self, summary: StyleSummary) -> Tensor:
        """The style loss of what :func:`style_summaries` gave for a picture, against this.

        A scalar.
        """
        if self.gram is not None:
            return gram_loss(summary[0], self.gram)
        assert self.gaussian is not None
        assert self.covariance_root is not None
        return wasserstein_loss(Gaussian(*summary), self.gaussian, self.covariance_root)


def style_summaries(
    style_loss: StyleLossName, features: Tensor, weights: Tensor | None = None
) -> list[StyleSummary]:
    """What is compared of a feature map (1, C, H, W): its Gram matrix, or mean and covariance.

    With weights (R, H, W), that of each of the R regions; without, of the whole.
    """
    if weights is None:
        return [(gram_matrix(features),) if style_loss == "gram" else feature_gaussian(features)]
    if style_loss == "gram":
        return [(gram,) for gram in guided_gram_matrices(features, weights)]
    return list(guided_gaussians(features, weights))


class StyleSource(NamedTuple):
    """A picture that a style's target is taken from.

    Attributes:
        weight: in the target.
        image: (1, 3, H, W) in 0..1.
        mask: (1, 1, H, W): what is looked at; None for all.
        eroded: leave out the mask's outermost positions, and count enough of them; see
            :func:`impasto.ops.regional_transforms.erode_mask` and
            :func:`~impasto.ops.regional_transforms.ensure_min_positions`.
            Without, it is measured as a part of the picture is, by which it may be compared with
            itself.
    """

    weight: float
    image: Tensor
    mask: Tensor | None = None
    eroded: bool = False


class StyleRegion(NamedTuple):
    """A part of the picture whose style is compared with that of some looks.

    Attributes:
        sources: their shares add up to 1.
        mask: (1, 1, H, W) of the picture; None for all.
    """

    sources: Sequence[StyleSource]
    mask: Tensor | None = None


def layer_weights(layers: Sequence[str], weights: Sequence[float], label: str) -> dict[str, float]:
    """Layer → weight.

    Args:
        layers: names of layers.
        weights: one number for each.
        label: what the layers are called in a message.

    Raises:
        KnobError: a layer named twice, or another number of weights.
    """
    if len(set(layers)) < len(layers):
        raise KnobError(f"{label} names a layer twice: {', '.join(layers)}.")
    if len(weights) != len(layers):
        raise KnobError(
            f"{len(weights)} weights for the {len(layers)} {label} ({', '.join(layers)}): "
            "give one each."
        )
    return dict(zip(layers, weights, strict=True))


class PerceptualLoss:
    """L = α Σ v_l L_content,l + β Σ w_l E_l (Gatys et al. 2016, eq. 7), with its terms.

    Args:
        encoder: the network whose features are compared.
        content_weights: content layer → its weight v_l.
        style_weights: style layer → its weight w_l.
        style_loss: "gram" or "wasserstein"; see :mod:`impasto.losses.style`.

    The targets are measured by the encoder as it is, in its own precision: what bfloat16 rounds
    away, it then rounds away on both sides of the comparison.
    """

    def __init__(
        self,
        encoder: VGG,
        content_weights: Mapping[str, float],
        style_weights: Mapping[str, float],
        style_loss: StyleLossName,
    ) -> None:
        self.encoder = encoder
        self.content_weights = dict(content_weights)
        self.style_weights = dict(style_weights)
        self.style_loss: StyleLossName = style_loss
        self.content_targets: dict[str, Tensor] = {}
        self.style_targets: dict[str, list[StyleTarget]] = {}
        self.masks: list[Tensor | None] = []
        self.area_fractions: list[float] = []
        self._region_weights_by_layer: dict[str, Tensor] = {}

    @torch.no_grad()
    def set_content(self, image: Tensor) -> None:
        """Take the content targets from a picture (1, 3, H, W) in 0..1."""
        self.content_targets = (
            self.encoder(image, list(self.content_weights)) if self.content_weights else {}
        )

    def set_style(self, weighted_images: Sequence[tuple[float, Tensor]]) -> None:
        """Take the style targets from pictures (1, 3, h, w) in 0..1, each with its share."""
        self.set_style_regions(
            [StyleRegion([StyleSource(share, picture) for share, picture in weighted_images])]
        )

    @torch.no_grad()
    def set_style_regions(self, regions: Sequence[StyleRegion]) -> None:
        """Take the targets of each part of the picture; parts with masks all have one.

        The style loss is Σ_r a_r Σ_l w_l E_l,r: guided Gram matrices (Gatys et al. 2017, eq. 5 to
        7) with λ_r the share of the area a_r, so that β keeps its meaning: a step moves a pixel as
        far as without regions, however small the region. A part without any area is left out.
        """
        regions = [p for p in regions if p.mask is None or p.mask.any()]
        self.masks = [part.mask for part in regions]
        self.area_fractions = [1.0 if m is None else float(m.mean()) for m in self.masks]
        looks = [look for part in regions for look in part.sources if look.weight > 0]
        found: dict[tuple[int, int], dict[str, StyleSummary]] = {}
        # One picture after the other: their feature maps are large.
        for picture in {id(look.image): look.image for look in looks}.values():
            features = self.encoder(picture, list(self.style_weights))
            for look in looks:
                key = id(picture), id(look.mask)
                if look.image is picture and key not in found:
                    found[key] = {
                        n: _summarize_source(self.style_loss, f, look) for n, f in features.items()
                    }
        self.style_targets = {
            layer: [
                StyleTarget.from_summaries(self.style_loss, [
                    (look.weight, found[id(look.image), id(look.mask)][layer])
                    for look in part.sources if look.weight > 0
                ])
                for part in regions
            ]
            for layer in self.style_weights
        }  # fmt: skip
        self._region_weights_by_layer = {}

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """The terms "content" and "style" for a picture (1, 3, H, W) in 0..1, before α and β."""
        features = self.encoder(image, [*self.content_weights, *self.style_weights])
        content = [
            weight * content_loss(features[layer], self.content_targets[layer])
            for layer, weight in self.content_weights.items()
        ]
        style = [
            weight * area * target.loss(found)
            for layer, weight in self.style_weights.items()
            for area, target, found in zip(
                self.area_fractions,
                self.style_targets[layer],
                style_summaries(
                    self.style_loss,
                    features[layer],
                    self._region_weights_at(layer, features[layer]),
                ),
                strict=True,
            )
        ]
        nothing = image.new_zeros(())
        return {"content": sum(content, nothing), "style": sum(style, nothing)}

    def _region_weights_at(self, layer: str, features: Tensor) -> Tensor | None:
        """The masks of the parts (R, h, w) at a layer; None if the picture is one part."""
        masks = [mask for mask in self.masks if mask is not None]
        if not masks:
            return None
        if layer not in self._region_weights_by_layer:
            self._region_weights_by_layer[layer] = _region_weights(torch.cat(masks, 1), features)
        return self._region_weights_by_layer[layer]


def _summarize_source(
    style_loss: StyleLossName, features: Tensor, source: StyleSource
) -> StyleSummary:
    if source.mask is None:
        return style_summaries(style_loss, features)[0]
    if not source.eroded:
        return style_summaries(style_loss, features, _region_weights(source.mask, features))[0]
    return style_summaries(
        style_loss,
        features,
        ensure_min_positions(erode_mask(masks_at_layer(source.mask, features)))[0],
    )[0]


def _region_weights(masks: Tensor, features: Tensor) -> Tensor:
    """Masks (1, R, H, W) as weights (R, h, w) of the positions of features (1, C, h, w)."""
    guides = masks_at_layer(masks, features)[0]
    # A part that lies in a last odd row, which is not pooled: it has no features.
    return guides.where(guides.sum((1, 2), keepdim=True) > 0, 1)
