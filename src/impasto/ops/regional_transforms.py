"""Feature transforms by region: every part of a picture takes the statistics of its own style.

Statistics are taken from what a mask shows of a picture, of the content as of the style; the maps
made of them are blended at every position by the content's masks at the layer's resolution. So
Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer", CVPR 2017, section 7, guide
feed-forward methods; Li et al., "A Closed-form Solution to Photorealistic Image Stylization", ECCV
2018, section 3.1, do it for whitening and coloring.

The masks of the content travel with it, as further channels of the picture: what is framed, cut
into tiles or made small is so together. Without regions there are none, and one map is all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.ops.feature_transforms import CHUNK_ROWS, Affine, Statistics, blend, flatten_positions

MIN_POSITIONS = 16.0
"""Positions that statistics need at least; what a region lacks, it takes from all of its picture.
With so few, "wct" is all but AdaIN (see ``SHRINKAGE``), which needs no more."""

StyleWeights = Sequence[float]


@dataclass(frozen=True)
class StyleInputs:
    """The style pictures, as the parts of a content want to see them.

    Attributes:
        images: (1, 3, h, w), or (1, 4, h, w): the fourth channel is the mask of what is looked
            at.
        weights: for every part of the content a share of each picture; of a rest that is kept,
        none.
    """

    images: tuple[Tensor, ...]
    weights: tuple[StyleWeights, ...]


def split_masks(padded: Tensor) -> tuple[Tensor, Tensor | None]:
    """The picture (1, 3, H, W) in a frame, and its masks (1, P, H, W) if it has some."""
    return padded[:, :3], padded[:, 3:] if padded.shape[1] > 3 else None


def masks_at_layer(masks: Tensor, features: Tensor) -> Tensor:
    """Masks (1, P, H, W) at the size of features (N, C, h, w): means over what a position pools.

    An encoder that halves drops a last odd row or column, and so does this.
    """
    height, width = features.shape[2:]
    factor = 1 << (masks.shape[2] // height).bit_length() - 1  # a power of two
    return F.avg_pool2d(masks.float(), factor)[:, :, :height, :width]


def erode_mask(mask: Tensor) -> Tensor:
    """A mask (1, 1, h, w) of a style without its outermost positions, if enough are left.

    A position at the edge has seen what lies beyond it. Gatys et al. 2017 erode their guides too.
    Only styles are: of the content, every position has to be guided.
    """
    eroded = -F.max_pool2d(-mask, 3, 1, 1)
    return eroded if eroded.sum() >= MIN_POSITIONS else mask


def ensure_min_positions(weights: Tensor) -> Tensor:
    """Weights (1, 1, h, w) that count :data:`MIN_POSITIONS` positions at least.

    What is missing comes from all positions alike. So the statistics of a region of a few
    positions are shrunk towards those of its picture, and those of an empty one are its picture's.
    """
    missing = MIN_POSITIONS - weights.sum()
    return weights + missing / weights.numel() if missing > 0 else weights


def style_statistics(
    features: Tensor, mask: Tensor | None, *, diagonal: bool = False
) -> Statistics:
    """The statistics of features (1, C, h, w), of what a mask (1, 1, H, W) shows of them."""
    if mask is None:
        return Statistics.from_features(features, diagonal=diagonal)
    return Statistics.from_features(
        features,
        ensure_min_positions(erode_mask(masks_at_layer(mask, features))),
        diagonal=diagonal,
    )


RegionStatistics = tuple[Statistics | None, ...]
"""The statistics of each part of a content; None: it has no position."""


def region_statistics(
    features: Tensor, masks: Tensor | None, *, diagonal: bool = False
) -> RegionStatistics:
    """The statistics of features (1, C, h, w) in each of the parts of masks (1, P, H, W)."""
    if masks is None:
        return (Statistics.from_features(features, diagonal=diagonal),)
    weights = torch.split(masks_at_layer(masks, features), 1, dim=1)
    return tuple(
        Statistics.from_features(features, ensure_min_positions(each), diagonal=diagonal)
        if each.any()
        else None
        for each in weights
    )


@dataclass(frozen=True)
class RegionalTransform:
    """A map of features for each part of a picture, and how far each moves them.

    Attributes:
        maps: one for each part.
        distances: see :meth:`impasto.ops.feature_transforms.Affine.distance`; 0 for an empty part.
    """

    maps: tuple[Affine, ...]
    distances: tuple[float, ...]

    def apply(self, features: Tensor, masks: Tensor | None = None) -> Tensor:
        """The maps at every position of features (1, C, h, w), blended by masks (1, P, H, W).

        Without masks there is one map, and it is applied as it is.
        """
        if masks is None:
            return self.maps[0].apply(features)
        rows, weights = (
            flatten_positions(features),
            flatten_positions(masks_at_layer(masks, features)),
        )
        pairs = zip(torch.split(rows, CHUNK_ROWS), torch.split(weights, CHUNK_ROWS), strict=True)
        moved = torch.cat([self._apply_rows(*pair).to(features.dtype) for pair in pairs])
        n, c, h, w = features.shape
        return moved.view(n, h, w, c).permute(0, 3, 1, 2)

    def _apply_rows(self, rows: Tensor, weights: Tensor) -> Tensor:
        """The same for feature vectors (M, C) and their weights (M, P)."""
        moved = torch.zeros_like(rows, dtype=torch.promote_types(rows.dtype, torch.float32))
        for one, weight in zip(self.maps, weights.T, strict=True):
            where = weight.nonzero()[:, 0]
            moved.index_add_(0, where, weight[where, None] * one.apply_rows(rows[where]))
        return moved

    def residual_weights(
        self, distance_scale: float, masks: Tensor | None
    ) -> tuple[float, float | Tensor]:
        """Of what a decoder loses, how much comes back: exp(-(δ / alike)²) of each part.

        Returns:
            The most of any part, and what holds at each place: one number, or (1, 1, H, W).
        """
        back = torch.tensor(self.distances).div(distance_scale).square().neg().exp()
        if masks is None:
            return float(back[0]), float(back[0])
        shares = (back[:, None, None].to(masks) * masks[0]).sum(0)
        return float(back.max()), shares[None, None]


def regional_transform(
    content: RegionStatistics,
    styles: Sequence[Statistics],
    style_weights: Sequence[StyleWeights],
    make_transform: Callable[[Statistics, Statistics], Affine],
    strength: float,
) -> RegionalTransform:
    """What is done to the features of each part.

    Args:
        content: the statistics of the parts.
        styles: those of the style pictures.
        style_weights: for each part the share of every style, as in :class:`StyleInputs`.
        make_transform: the map from one to the other.
        strength: of all of them, 0 to 1.

    Returns:
        The maps; that of an empty part does nothing. A rest that is kept is never seen, but its
        features are near those that are: it takes the mean of all maps.
    """
    identity = Affine(torch.ones_like(styles[0].mean), torch.zeros_like(styles[0].mean))
    maps: list[Affine] = []
    for part, share in zip(content, style_weights, strict=True):
        if not share:
            there = [m for m, p in zip(maps, content, strict=False) if p is not None]
            maps.append(blend(there, [1.0] * len(there)) if there else identity)
        elif part is None:
            maps.append(identity)
        else:
            several = [make_transform(part, s) for s, w in zip(styles, share, strict=True) if w]
            blended = blend(several, [w for w in share if w])
            maps.append(blended.lerp_from_identity(strength))
    pairs = zip(maps, content, strict=True)
    far = tuple(0.0 if p is None else m.distance(p) for m, p in pairs)
    return RegionalTransform(tuple(maps), far)
