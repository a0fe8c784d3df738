"""Automatic regions: things and not their edges, paired with what is like them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import linear_sum_assignment

from impasto.core.picture import Picture
from impasto.pictures.labels import read_label_map
from impasto.pipeline import segmentation
from impasto.pipeline.region_options import _LabelImage
from impasto.pipeline.segmentation import MIN_AREA_FRACTION, kmeans, match_clusters, segment_pair


def scene(height, width, colors, noises, seed=0):
    """Bands from top to bottom, each of a color and as rough as asked."""
    random = np.random.default_rng(seed)
    pixels = np.empty((height, width, 3), np.float32)
    edges = np.linspace(0, height, len(colors) + 1).astype(int)
    for (top, bottom), color, noise in zip(itertools.pairwise(edges), colors, noises, strict=True):
        pixels[top:bottom] = color
        pixels[top:bottom] += noise * random.standard_normal((bottom - top, width, 1))
    return Picture(pixels.clip(0, 1), name=f"scene {seed}")


SKY, LEAVES, SAND = (0.55, 0.75, 0.95), (0.1, 0.35, 0.1), (0.8, 0.7, 0.5)


def test_bands_are_found_and_paired_with_their_likes():
    content = scene(160, 200, (SKY, LEAVES, SAND), (0.0, 0.25, 0.03))
    style = scene(200, 150, (LEAVES, SAND, SKY), (0.25, 0.03, 0.0), 1)
    own, theirs = segment_pair(content, style, 3)
    assert len(own.colors) == len(theirs.colors) == 3
    places = {"sky": (20, 180), "leaves": (80, 30), "sand": (140, 100)}
    for name, (here, there) in places.items():
        colors = [x.colors[x.indices[row, 70]] for x, row in ((own, here), (theirs, there))]
        assert colors[0] == colors[1], name
    for labels, ends in ((own, (53, 106)), (theirs, (66, 133))):
        straight = labels.indices[[ends[0] - 16, ends[0] + 16, ends[1] - 16, ends[1] + 16]]
        assert (straight == straight[:, :1]).all()


def test_the_same_pictures_give_the_same_labels():
    content, style = scene(90, 70, (SKY, SAND), (0.02, 0.1)), scene(60, 80, (SAND, SKY), (0.1, 0))
    one, two = (segment_pair(content, style, 2) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert a.colors == b.colors
        assert np.array_equal(a.indices, b.indices)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (8, 8), (600, 30)])
def test_odd_sizes_have_labels_too(size):
    content = scene(*size, (SKY,), (0.1,))
    own, theirs = segment_pair(content, scene(50, 50, (SKY, LEAVES), (0.1, 0.2)), 3)
    assert own.indices.shape == size
    assert own.indices.max() < len(own.colors)
    assert theirs.indices.shape == (50, 50)


def test_a_picture_of_one_color_is_divided_somehow():
    flat = Picture(np.full((40, 60, 3), 0.5, np.float32))
    own, _ = segment_pair(flat, scene(50, 50, (SKY, LEAVES), (0.1, 0.2)), 4)
    assert 1 <= len(own.colors) <= 4


def test_labels_are_in_the_order_of_a_label_picture_read_from_a_file():
    pair = segment_pair(
        scene(90, 120, (SKY, LEAVES, SAND), (0.0, 0.25, 0.03)),
        scene(60, 80, (SAND, SKY), (0.1, 0.0)), 3,
    )  # fmt: skip
    for labels in pair:
        masks = [labels.mask(color) for color in labels.colors]
        again = read_label_map(np.asarray(_LabelImage(masks, labels.colors)), "again")
        assert again.colors == labels.colors
        assert np.array_equal(again.indices, labels.indices)
        assert min(labels.fractions) >= MIN_AREA_FRACTION


def test_a_thin_band_between_two_fields_is_no_region(monkeypatch):
    pixels = np.zeros((160, 160, 3), np.float32)
    pixels[:, :80] = SKY
    pixels[:, 80:] = LEAVES
    pixels[:, 76:84] = (1.0, 0.0, 0.0)
    content = Picture(pixels)
    own, _ = segment_pair(content, content, 2)
    left, right = own.indices[80, 20], own.indices[80, 140]
    assert left != right
    assert len(own.colors) == 2


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 999))
def test_pairs_are_scipys(n, m, seed):
    random = np.random.default_rng(seed)
    one, other = random.random((n, 3)), random.random((m, 3))
    cost = np.square(one[:, None] - other).sum(2)
    rows, columns = linear_sum_assignment(cost)
    found = match_clusters(one, other)
    assert len(found) == min(n, m)
    assert sum(cost[i, j] for i, j in found.items()) == pytest.approx(cost[rows, columns].sum())


def test_clusters_find_well_separated_groups():
    random = np.random.default_rng(0)
    middles = np.array([[0.0, 0], [9, 0], [0, 9], [9, 9]])
    rows = np.concatenate([middle + random.standard_normal((50, 2)) * 0.3 for middle in middles])
    found = kmeans(rows, 4)
    wanted = np.array([rows[i : i + 50].mean(0) for i in range(0, 200, 50)])
    order = [int(np.square(found - w).sum(1).argmin()) for w in wanted]
    np.testing.assert_allclose(found[order], wanted, atol=1e-9)


def test_fewer_different_rows_are_fewer_clusters():
    assert len(kmeans(np.zeros((20, 3)), 4)) == 1
    assert len(kmeans(np.repeat(np.eye(2), 5, axis=0), 4)) == 2


def test_a_large_picture_is_divided_as_its_small_copy(monkeypatch):
    monkeypatch.setattr(segmentation, "INPUT_SIDE_PX", 64)
    image = Image.fromarray(np.uint8(255 * scene(64, 64, (SKY, LEAVES), (0.0, 0.2)).pixels))
    large = Picture(np.asarray(image.resize((256, 256)), np.float32) / 255)
    small = Picture(np.asarray(image, np.float32) / 255)
    one, other = (segment_pair(p, small, 2)[0] for p in (large, small))
    assert (one.indices[2::4, 2::4] == other.indices).mean() > 0.97
