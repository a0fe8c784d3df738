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
    exact,
    gaussian,
    gram_loss,
    gram_matrix,
    guided_gaussians,
    guided_gram_matrices,
    matrix_sqrt,
    wasserstein_loss,
)
from impasto.nets.vgg import VGG
from impasto.ops.regional_transforms import at_layer, enough, inside

StyleLoss = Literal["gram", "wasserstein"]
Measure = tuple[Tensor, ...]


@dataclass(frozen=True)
class StyleTarget:
    """What one layer's style is compared with: a Gram matrix, or a Gaussian with Σ^½."""

    gram: Tensor | None = None
    gaussian: Gaussian | None = None
    root: Tensor | None = None

    @classmethod
    def of(cls, kind: StyleLoss, parts: Sequence[tuple[float, Measure]]) -> StyleTarget:
        """The blend of what :func:`measure` gave for some pictures, each with its share."""
        weighted = [[share * value for value in found] for share, found in parts]
        blend = [torch.stack(values).sum(0) for values in zip(*weighted, strict=True)]
        if kind == "gram":
            return cls(gram=blend[0])
        mean, covariance = blend
        return cls(gaussian=Gaussian(mean, covariance), root=matrix_sqrt(exact(covariance)))

    def loss(self, found: Measure) -> Tensor:
        """The style loss of what :func:`measure` gave for a picture, against this: a scalar."""
        if self.gram is not None:
            return gram_loss(found[0], self.gram)
        assert self.gaussian is not None
        assert self.root is not None
        return wasserstein_loss(Gaussian(*found), self.gaussian, self.root)


def measure(kind: StyleLoss, features: Tensor, weights: Tensor | None = None) -> list[Measure]:
    """What is compared of a feature map (1, C, H, W): its Gram matrix, or mean and covariance.

    With weights (R, H, W), that of each of the R regions; without, of the whole.
    """
    if weights is None:
        return [(gram_matrix(features),) if kind == "gram" else gaussian(features)]
    if kind == "gram":
        return [(gram,) for gram in guided_gram_matrices(features, weights)]
    return list(guided_gaussians(features, weights))


class Look(NamedTuple):
    """A picture that a style's target is taken from.

    Attributes:
        share: in the target.
        picture: (1, 3, H, W) in 0..1.
        mask: (1, 1, H, W): what is looked at; None for all.
        inner: leave out the mask's outermost positions, and count enough of them; see
            :func:`impasto.ops.regional_transforms.inside` and
            :func:`~impasto.ops.regional_transforms.enough`.
            Without, it is measured as a part of the picture is, by which it may be compared with
            itself.
    """

    share: float
    picture: Tensor
    mask: Tensor | None = None
    inner: bool = False


class Part(NamedTuple):
    """A part of the picture whose style is compared with that of some looks.

    Attributes:
        looks: their shares add up to 1.
        mask: (1, 1, H, W) of the picture; None for all.
    """

    looks: Sequence[Look]
    mask: Tensor | None = None


def weigh(layers: Sequence[str], weights: Sequence[float], what: str) -> dict[str, float]:
    """Layer → weight.

    Args:
        layers: names of layers.
        weights: one number for each.
        what: what the layers are called in a message.

    Raises:
        KnobError: a layer named twice, or another number of weights.
    """
    if len(set(layers)) < len(layers):
        raise KnobError(f"{what} names a layer twice: {', '.join(layers)}.")
    if len(weights) != len(layers):
        raise KnobError(
            f"{len(weights)} weights for the {len(layers)} {what} ({', '.join(layers)}): "
            "give one each."
        )
    return dict(zip(layers, weights, strict=True))


class PerceptualLoss:
    """L = α Σ v_l L_content,l + β Σ w_l E_l (Gatys et al. 2016, eq. 7), with its terms.

    Args:
        encoder: the network whose features are compared.
        content: content layer → its weight v_l.
        style: style layer → its weight w_l.
        kind: "gram" or "wasserstein"; see :mod:`impasto.losses.style`.

    The targets are measured by the encoder as it is, in its own precision: what bfloat16 rounds
    away, it then rounds away on both sides of the comparison.
    """

    def __init__(
        self,
        encoder: VGG,
        content: Mapping[str, float],
        style: Mapping[str, float],
        kind: StyleLoss,
    ) -> None:
        self.encoder = encoder
        self.content = dict(content)
        self.style = dict(style)
        self.kind: StyleLoss = kind
        self.content_targets: dict[str, Tensor] = {}
        self.style_targets: dict[str, list[StyleTarget]] = {}
        self.masks: list[Tensor | None] = []
        self.areas: list[float] = []
        self._weights: dict[str, Tensor] = {}

    @torch.no_grad()
    def set_content(self, picture: Tensor) -> None:
        """Take the content targets from a picture (1, 3, H, W) in 0..1."""
        self.content_targets = self.encoder(picture, list(self.content)) if self.content else {}

    def set_style(self, parts: Sequence[tuple[float, Tensor]]) -> None:
        """Take the style targets from pictures (1, 3, h, w) in 0..1, each with its share."""
        self.set_parts([Part([Look(share, picture) for share, picture in parts])])

    @torch.no_grad()
    def set_parts(self, parts: Sequence[Part]) -> None:
        """Take the targets of each part of the picture; parts with masks all have one.

        The style loss is Σ_r a_r Σ_l w_l E_l,r: guided Gram matrices (Gatys et al. 2017, eq. 5 to
        7) with λ_r the share of the area a_r, so that β keeps its meaning: a step moves a pixel as
        far as without regions, however small the region. A part without any area is left out.
        """
        parts = [p for p in parts if p.mask is None or p.mask.any()]
        self.masks = [part.mask for part in parts]
        self.areas = [1.0 if m is None else float(m.mean()) for m in self.masks]
        looks = [look for part in parts for look in part.looks if look.share > 0]
        found: dict[tuple[int, int], dict[str, Measure]] = {}
        # One picture after the other: their feature maps are large.
        for picture in {id(look.picture): look.picture for look in looks}.values():
            features = self.encoder(picture, list(self.style))
            for look in looks:
                key = id(picture), id(look.mask)
                if look.picture is picture and key not in found:
                    found[key] = {n: _look_at(self.kind, f, look) for n, f in features.items()}
        self.style_targets = {
            layer: [
                StyleTarget.of(self.kind, [
                    (look.share, found[id(look.picture), id(look.mask)][layer])
                    for look in part.looks if look.share > 0
                ])
                for part in parts
            ]
            for layer in self.style
        }  # fmt: skip
        self._weights = {}

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """The terms "content" and "style" for a picture (1, 3, H, W) in 0..1, before α and β."""
        features = self.encoder(picture, [*self.content, *self.style])
        content = [
            weight * content_loss(features[layer], self.content_targets[layer])
            for layer, weight in self.content.items()
        ]
        style = [
            weight * area * target.loss(found)
            for layer, weight in self.style.items()
            for area, target, found in zip(
                self.areas,
                self.style_targets[layer],
                measure(self.kind, features[layer], self._guides(layer, features[layer])),
                strict=True,
            )
        ]
        nothing = picture.new_zeros(())
        return {"content": sum(content, nothing), "style": sum(style, nothing)}

    def _guides(self, layer: str, features: Tensor) -> Tensor | None:
        """The masks of the parts (R, h, w) at a layer; None if the picture is one part."""
        masks = [mask for mask in self.masks if mask is not None]
        if not masks:
            return None
        if layer not in self._weights:
            self._weights[layer] = _guides(torch.cat(masks, 1), features)
        return self._weights[layer]


def _look_at(kind: StyleLoss, features: Tensor, look: Look) -> Measure:
    if look.mask is None:
        return measure(kind, features)[0]
    if not look.inner:
        return measure(kind, features, _guides(look.mask, features))[0]
    return measure(kind, features, enough(inside(at_layer(look.mask, features)))[0])[0]


def _guides(masks: Tensor, features: Tensor) -> Tensor:
    """Masks (1, R, H, W) as weights (R, h, w) of the positions of features (1, C, h, w)."""
    guides = at_layer(masks, features)[0]
    # A part that lies in a last odd row, which is not pooled: it has no features.
    return guides.where(guides.sum((1, 2), keepdim=True) > 0, 1)
