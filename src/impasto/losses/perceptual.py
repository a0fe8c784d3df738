"""Content and style together, from one pass of the encoder that all terms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
    matrix_sqrt,
    wasserstein_loss,
)
from impasto.nets.vgg import VGG

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

    def loss(self, features: Tensor) -> Tensor:
        """The style loss of a feature map (1, C, H, W) against this target: a scalar."""
        if self.gram is not None:
            return gram_loss(gram_matrix(features), self.gram)
        assert self.gaussian is not None
        assert self.root is not None
        return wasserstein_loss(gaussian(features), self.gaussian, self.root)


def measure(kind: StyleLoss, features: Tensor) -> Measure:
    """What is compared of a feature map (1, C, H, W): its Gram matrix, or mean and covariance."""
    return (gram_matrix(features),) if kind == "gram" else gaussian(features)


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
        self.style_targets: dict[str, StyleTarget] = {}

    @torch.no_grad()
    def set_content(self, picture: Tensor) -> None:
        """Take the content targets from a picture (1, 3, H, W) in 0..1."""
        self.content_targets = self.encoder(picture, list(self.content)) if self.content else {}

    @torch.no_grad()
    def set_style(self, parts: Sequence[tuple[float, Tensor]]) -> None:
        """Take the style targets from pictures (1, 3, h, w) in 0..1, each with its share."""
        layers = list(self.style)
        found = [  # of one picture after the other: their feature maps are large
            (share, {name: measure(self.kind, f) for name, f in self.encoder(p, layers).items()})
            for share, p in parts
            if share > 0
        ]
        self.style_targets = {
            layer: StyleTarget.of(self.kind, [(share, f[layer]) for share, f in found])
            for layer in self.style
        }

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """The terms "content" and "style" for a picture (1, 3, H, W) in 0..1, before α and β."""
        features = self.encoder(picture, [*self.content, *self.style])
        content = [
            weight * content_loss(features[layer], self.content_targets[layer])
            for layer, weight in self.content.items()
        ]
        style = [
            weight * self.style_targets[layer].loss(features[layer])
            for layer, weight in self.style.items()
        ]
        nothing = picture.new_zeros(())
        return {"content": sum(content, nothing), "style": sum(style, nothing)}
