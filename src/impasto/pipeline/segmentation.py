"""Regions without a click: two pictures, each in a few parts, and which part is like which.

The features of a compact encoder, the colors and the height in the picture of every 8 x 8 pixels
are clustered by k-means. More clusters than wanted are begun with; thin ones, which are edges and
no things, are given up, and what is alike is joined. The parts of both pictures are paired so that
the distances of their features, each seen from its own picture's mean, have the least sum. At last
the parts' edges are drawn to those of the picture by a guided filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.picture import Picture, Pixels
from impasto.losses.matting import LocalAffineModels
from impasto.nets.vgg import VGG, move_network
from impasto.ops.color import rgb_to_oklab
from impasto.ops.convert import as_tensor
from impasto.ops.padding import PADDING_PX, pad
from impasto.pictures.disk_array import row_chunks
from impasto.pictures.labels import Color, LabelMap
from impasto.pictures.masks import ResizedMask
from impasto.pictures.resize import thumbnail
from impasto.weights import store

ENCODER_NAME = "compact"
FEATURE_LAYERS = ("conv3_1", "conv4_1")
INPUT_SIDE_PX = 512
"""Long side in pixels at which pictures are seen."""
CELL_SIZE_PX = 8
"""Pixels between two positions of conv4_1."""
COLOR_WEIGHT, HEIGHT_WEIGHT = 0.5, 0.35
"""What colors and the height in the picture weigh, each layer being 1. Chosen by eye on four
photographs and six paintings (docs/regions.md)."""
EXTRA_CLUSTERS = 3
"""Clusters begun with, beyond those wanted."""
MIN_INNER_FRACTION = 0.35
"""A cluster of which less is left without its outermost cells is an edge."""
MIN_AREA_FRACTION = 0.005
"""Parts of a smaller share of a picture are given up: a label picture would lose them."""
FILTER_RADIUS_PX, FILTER_EPSILON = 8, 1e-3
"""Of the guided filter: pixels, and the variance above which colors are edges."""
KMEANS_STARTS, KMEANS_MAX_STEPS = 8, 50
"""Of k-means: starts, and steps at most."""
LABEL_COLORS: tuple[Color, ...] = (
    (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 0),
    (0, 255, 255), (255, 0, 255), (255, 255, 255), (0, 0, 0),
)  # fmt: skip
"""Of the labels, as Luan et al. 2017 use them; in the content's, by size."""

FeatureRows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A picture in parts.

    Attributes:
        probabilities: (n, h, w): how likely each part is, on a small copy of the picture.
        centers: (n, features): of each part.
    """

    probabilities: Pixels
    centers: FeatureRows


def segment_pair(content: Picture, style: Picture, num_regions: int) -> tuple[LabelMap, LabelMap]:
    """Label pictures of a content and a style, in which alike parts have the same color.

    Args:
        content: any picture.
        style: another.
        num_regions: of parts, 2 to 8; a picture may have fewer.

    Returns:
        The labels of both at their own sizes. The same pictures give the same labels.
    """
    encoder = VGG(store.load_encoder(ENCODER_NAME), map_features=False)
    move_network(encoder, "cpu", "fp32")
    (own, numbers), (theirs, others) = (
        _segment_picture(p, num_regions, encoder) for p in (content, style)
    )
    by_size = np.argsort(-np.bincount(numbers.reshape(-1), minlength=len(own)), kind="stable")
    colors = {int(part): LABEL_COLORS[place] for place, part in enumerate(by_size)}
    pairs = match_clusters(own, theirs)
    free = iter(LABEL_COLORS[len(own) :])
    matched = {pairs[part]: color for part, color in colors.items() if part in pairs}
    shown = {part: matched.get(part) or next(free) for part in range(len(theirs))}
    return (
        _make_labels(numbers, [colors[i] for i in range(len(own))], "the content's regions"),
        _make_labels(others, [shown[i] for i in range(len(theirs))], "the style's regions"),
    )


def encoder_digests() -> dict[str, str]:
    """The weights that decide, name → sha256."""
    loaded = store.load_encoder(ENCODER_NAME)
    return {loaded.name: loaded.sha256}


def _segment_picture(
    picture: Picture, count: int, encoder: VGG
) -> tuple[FeatureRows, NDArray[np.uint8]]:
    """The centers of a picture's parts, and the part of every pixel."""
    found = segment_image(thumbnail(picture.pixels, INPUT_SIDE_PX), count, encoder)
    while True:
        numbers = _label_map(found.probabilities, picture.height, picture.width)
        shares = np.bincount(numbers.reshape(-1), minlength=len(found.centers)) / numbers.size
        stay = shares >= MIN_AREA_FRACTION
        if stay.all():
            return found.centers, numbers
        found = Segmentation(found.probabilities[stay], found.centers[stay])


def segment_image(image: Pixels, num_regions: int, encoder: VGG) -> Segmentation:
    """The parts of a small picture (h, w, 3)."""
    features = _cell_features(image, encoder)
    rows = features.reshape(len(features), -1).T
    centers = _merge_clusters(
        rows, kmeans(rows, num_regions + EXTRA_CLUSTERS), features.shape[1:], num_regions
    )
    apart = _squared_distances(rows, centers)
    nearest = apart.min(axis=1, keepdims=True)
    likely = np.exp((nearest - apart) / max(float(np.median(nearest)), 1e-12))
    likely /= likely.sum(axis=1, keepdims=True)
    cells = torch.from_numpy(likely.T.reshape(len(centers), *features.shape[1:]))[None]
    return Segmentation(_upsample_along_edges(cells, image), centers)


def _cell_features(image: Pixels, encoder: VGG) -> FeatureRows:
    """What is clustered: (features, cells down, cells across), each kind of its own weight."""
    height, width = image.shape[:2]
    frame = pad(as_tensor(image), CELL_SIZE_PX)
    with torch.inference_mode():
        found = encoder(frame, FEATURE_LAYERS)
    grid = found[FEATURE_LAYERS[-1]].shape[2:]
    parts = []
    for layer in FEATURE_LAYERS:
        cells = F.adaptive_avg_pool2d(found[layer].float(), (grid[0], grid[1]))
        parts.append(_normalize_cells(F.normalize(cells, dim=1)))
    colors = torch.from_numpy(np.moveaxis(rgb_to_oklab(image), 2, 0).astype(np.float32))[None]
    beyond = (
        PADDING_PX,
        frame.shape[3] - width - PADDING_PX,
        PADDING_PX,
        frame.shape[2] - height - PADDING_PX,
    )
    parts.append(
        COLOR_WEIGHT
        * _normalize_cells(F.avg_pool2d(F.pad(colors, beyond, mode="replicate"), CELL_SIZE_PX))
    )
    down = torch.linspace(-1, 1, grid[0]).view(1, 1, -1, 1).expand(1, 1, *grid)
    parts.append(HEIGHT_WEIGHT * 3**0.5 * down)
    edge = PADDING_PX // CELL_SIZE_PX
    inner = torch.cat(parts, 1)[0, :, edge:, edge:][
        :, : -(-height // CELL_SIZE_PX), : -(-width // CELL_SIZE_PX)
    ]
    features: FeatureRows = inner.double().numpy()
    return features


def _normalize_cells(cells: Tensor) -> Tensor:
    """Cells (1, C, h, w) without their mean, and with the variance 1 in all."""
    cells = cells - cells.mean((2, 3), keepdim=True)
    return cells / cells.square().sum(1).mean().sqrt().clamp_min(1e-6)


def kmeans(rows: FeatureRows, num_clusters: int) -> FeatureRows:
    """The centers (count, features) of rows (M, features) by k-means, the best of some starts.

    Starts are those of Arthur & Vassilvitskii, "k-means++", 2007. There are fewer clusters than
    asked for where there are fewer different rows.
    """
    random = np.random.default_rng(0)
    best, least = rows[:1], np.inf
    for _ in range(KMEANS_STARTS):
        centers = rows[random.integers(len(rows), size=1)]
        while len(centers) < num_clusters:
            apart = _squared_distances(rows, centers).min(axis=1)
            if apart.sum() <= 1e-9 * len(rows):
                break
            chosen = random.choice(len(rows), p=apart / apart.sum())
            centers = np.concatenate([centers, rows[chosen : chosen + 1]])
        centers = _kmeans_steps(rows, centers, KMEANS_MAX_STEPS)
        error = _squared_distances(rows, centers).min(axis=1).sum()
        if error < least:
            best, least = centers, error
    return best


def _kmeans_steps(rows: FeatureRows, centers: FeatureRows, max_steps: int) -> FeatureRows:
    """Centers after some steps of k-means."""
    for _ in range(max_steps):
        nearest = _squared_distances(rows, centers).argmin(axis=1)
        moved = [
            rows[nearest == i].mean(axis=0) if (nearest == i).any() else center
            for i, center in enumerate(centers)
        ]
        if np.allclose(moved, centers):
            break
        centers = np.stack(moved)
    return centers


def _squared_distances(rows: FeatureRows, centers: FeatureRows) -> FeatureRows:
    """Squared distances (M, n)."""
    return np.stack([np.square(rows - center).sum(axis=1) for center in centers], axis=1)


def _merge_clusters(
    rows: FeatureRows, centers: FeatureRows, grid: Sequence[int], num_clusters: int
) -> FeatureRows:
    """Centers, given up where thin and joined where alike, until there are ``num_clusters``."""
    while len(centers) > num_clusters:
        numbers = _squared_distances(rows, centers).argmin(axis=1).reshape(tuple(grid))
        areas = np.array([np.count_nonzero(numbers == i) for i in range(len(centers))], float)
        inner = [np.count_nonzero(_erode(numbers == i)) for i in range(len(centers))]
        left = inner / np.maximum(areas, 1)
        if left.min() < MIN_INNER_FRACTION:
            centers = np.delete(centers, int(left.argmin()), axis=0)
        else:
            # The pair by whose joining the squared error grows least (Ward 1963).
            sums = areas[:, None] + areas
            cost = _squared_distances(centers, centers) * areas[:, None] * areas / sums
            np.fill_diagonal(cost, np.inf)
            one, other = np.unravel_index(cost.argmin(), cost.shape)
            mean = areas[one] * centers[one] + areas[other] * centers[other]
            centers[one] = mean / sums[one, other]
            centers = np.delete(centers, other, axis=0)
        centers = _kmeans_steps(rows, centers, 10)
    return centers


def _erode(mask: NDArray[Any]) -> NDArray[Any]:
    """A mask without its outermost cells; the edge of the picture is no edge of it."""
    height, width = mask.shape
    wide = np.pad(mask, 1, mode="edge")
    shifted = [wide[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    found: NDArray[Any] = np.logical_and.reduce(shifted)
    return found


def _upsample_along_edges(cells: Tensor, image: Pixels) -> Pixels:
    """Likelihoods of cells (1, n, h, w) for every pixel of a small picture, along its edges."""
    height, width = image.shape[:2]
    wide = F.interpolate(cells, scale_factor=CELL_SIZE_PX, mode="bilinear", align_corners=False)
    wide = wide[:, :, :height, :width]
    radius = min(FILTER_RADIUS_PX, (min(height, width) - 1) // 2)
    if radius:
        wide = LocalAffineModels(as_tensor(image), radius, FILTER_EPSILON).smooth(wide)
    found: Pixels = wide[0].float().clamp(0, 1).numpy()
    return found


def _label_map(probabilities: Pixels, height: int, width: int) -> NDArray[np.uint8]:
    """The likeliest part of every pixel of a picture of any size."""
    sized = [ResizedMask(part, height, width) for part in probabilities]
    numbers = np.empty((height, width), np.uint8)
    for top, bottom in row_chunks(height, width):
        window = np.stack([part[top:bottom, 0:width] for part in sized])
        numbers[top:bottom] = window.argmax(axis=0)
    return numbers


def match_clusters(one: FeatureRows, other: FeatureRows) -> dict[int, int]:
    """Pairs of centers (n, features) and (m, features) with the least sum of squared distances.

    As many as there are of the fewer; found exactly, by going over the sets of those taken.
    """
    if len(one) > len(other):
        return {i: j for j, i in match_clusters(other, one).items()}
    cost = _squared_distances(one, other)
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for row in cost:
        after: dict[int, tuple[float, tuple[int, ...]]] = {}
        for taken, (total, chosen) in best.items():
            for j, price in enumerate(row):
                key = taken | 1 << j
                if taken >> j & 1 or (key in after and after[key][0] <= total + price):
                    continue
                after[key] = total + float(price), (*chosen, j)
        best = after
    _, chosen = min(best.values())
    return dict(enumerate(chosen))


def _make_labels(numbers: NDArray[np.uint8], colors: Sequence[Color], name: str) -> LabelMap:
    """Labels in the order of their sizes, as they would be read from a file."""
    sizes = np.bincount(numbers.reshape(-1), minlength=len(colors))
    order = np.argsort(-sizes, kind="stable")
    place = np.empty(len(colors), np.uint8)
    place[order] = np.arange(len(colors))
    shares = tuple((sizes[order] / numbers.size).tolist())
    return LabelMap(place[numbers], tuple(colors[i] for i in order), shares, name, "")
