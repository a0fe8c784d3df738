"""Masks: ramps, sizes, sums and windows, and the rest that is kept to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from impasto.core.picture import Picture
from impasto.core.request import Region, Request
from impasto.engines.region_weights import keep_background, region_coverage, region_weights
from impasto.methods.adain import AdaIN
from impasto.pictures import DiskArray, disk_array
from impasto.pictures.masks import (
    ChannelStack,
    FeatheredMask,
    LabelMask,
    RegionWeights,
    ResizedMask,
    coverage_fraction,
)


def step(height=20, width=30, at=13):
    mask = np.zeros((height, width), np.float32)
    mask[:, at:] = 1
    return mask


def random(height=20, width=30, seed=0):
    return np.random.default_rng(seed).random((height, width), dtype=np.float32)


def request(*masks, background="style", feather=0.0, content=None):
    height, width = masks[0].shape
    pixels = np.zeros((height, width, 3), np.float32) if content is None else content
    picture = Picture(pixels)
    regions = tuple(Region(f"r{i}", m, 0) for i, m in enumerate(masks))
    return Request(
        picture, (picture,), AdaIN(), regions=regions, background=background, feather=feather
    )


VIEWS = {
    "label": lambda: LabelMask(np.arange(600).reshape(20, 30) % 3, 1),
    "soft": lambda: FeatheredMask(random(), 9),
    "inwards": lambda: FeatheredMask(random(), 7, inward=True),
    "smaller": lambda: ResizedMask(random(47, 91), 20, 30),
    "larger": lambda: ResizedMask(random(9, 8), 20, 30),
    "parts": lambda: RegionWeights([random(), random(seed=1)]),
    "stack": lambda: ChannelStack(np.dstack([random()] * 3), RegionWeights([random()])),
    "soft, then smaller": lambda: ResizedMask(FeatheredMask(random(47, 91), 12), 20, 30),
}


@pytest.mark.parametrize("name", VIEWS)
@given(st.integers(0, 19), st.integers(0, 29), st.integers(1, 20), st.integers(1, 30))
def test_a_window_is_a_part_of_the_whole(name, top, left, height, width):
    view = VIEWS[name]()
    whole = np.asarray(view)
    assert whole.shape == view.shape
    assert whole.dtype == np.float32
    rows, columns = slice(top, min(top + height, 20)), slice(left, min(left + width, 30))
    np.testing.assert_allclose(view[rows, columns], whole[rows, columns], atol=1e-6)


@pytest.mark.parametrize("feather", [4, 9, 16])
def test_a_soft_edge_is_scipys_box_filter_twice(feather):
    mask = random()
    side = round(feather / 2)
    wanted = mask.astype(np.float64)
    for shift in (0, -1 if side % 2 == 0 else 0):  # even boxes lean to one side, then the other
        wanted = ndimage.uniform_filter(wanted, side, mode="nearest", origin=shift)
    inner = (slice(side, -side),) * 2  # beyond the edges, scipy would repeat the first result
    np.testing.assert_allclose(
        np.asarray(FeatheredMask(mask, feather))[inner], wanted[inner], atol=1e-6
    )


def test_a_ramp_is_smooth_centered_and_as_wide_as_asked():
    row = np.asarray(FeatheredMask(step(), 12))[10]
    assert (np.diff(row) >= 0).all()
    assert row[12] + row[13] == pytest.approx(1)
    assert 9 <= ((row > 0) & (row < 1)).sum() <= 12
    assert np.abs(np.diff(row)).max() < 2 / 12 + 0.01
    assert (row[0], row[-1]) == (0, 1)


@given(st.floats(1, 12), st.integers(0, 99))
def test_an_inward_edge_touches_nothing_outside_and_keeps_what_is_deep_inside(feather, seed):
    shape = ndimage.binary_opening(random(40, 40, seed) > 0.4, iterations=2)
    soft = np.asarray(FeatheredMask(shape.astype(np.float32), feather, inward=True))
    assert (soft[~shape] == 0).all()
    assert (soft <= shape).all()
    deep = ndimage.minimum_filter(shape, 4 * round(feather / 2) + 1, mode="nearest")
    assert (soft[deep] == 1).all()


def test_a_half_transparent_mask_stays_half_transparent():
    flat = np.full((20, 20), 0.5, np.float32)
    for inwards in (False, True):
        assert (np.asarray(FeatheredMask(flat, 8, inward=inwards)) == 0.5).all()


@pytest.mark.parametrize("size", [(7, 11), (20, 30), (31, 30), (100, 3)])
def test_masks_that_add_up_to_one_still_do_at_any_size_and_softness(size):
    mask = (random() > 0.5).astype(np.float32)
    total = sum(np.asarray(ResizedMask(FeatheredMask(m, 6), *size)) for m in (mask, 1 - mask))
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_large_mask_is_resized_in_strips_to_the_same(monkeypatch):
    whole = np.asarray(ResizedMask(random(300, 200), 20, 30))
    monkeypatch.setattr("impasto.pictures.masks.MAX_READ_PIXELS", 5000)
    np.testing.assert_allclose(np.asarray(ResizedMask(random(300, 200), 20, 30)), whole, atol=1e-6)


def test_shrinking_by_a_whole_factor_keeps_the_area():
    mask = step(64, 64, 24)
    np.testing.assert_allclose(np.asarray(ResizedMask(mask, 8, 8)).mean(), mask.mean(), atol=0.01)
    assert coverage_fraction(mask) == mask.mean()


@given(st.integers(1, 4), st.integers(0, 99))
def test_parts_add_up_to_one_and_overlaps_are_shared(count, seed):
    masks = [random(seed=seed + i) for i in range(count)]
    found = np.asarray(RegionWeights(masks))
    total = np.sum(masks, axis=0)
    np.testing.assert_allclose(found.sum(2), 1, atol=3e-6)
    np.testing.assert_allclose(found[..., -1], np.maximum(1 - total, 0), atol=2e-6)
    for index, mask in enumerate(masks):
        np.testing.assert_allclose(found[..., index], mask / np.maximum(total, 1), atol=1e-6)


def test_parts_have_no_rest_where_labels_cover_all():
    labels = np.random.default_rng(0).integers(0, 3, (40, 50))
    found = region_weights(request(*(LabelMask(labels, i) for i in range(3)), feather=5), 37, 23)
    assert found.shape == (37, 23, 4)
    assert (found[..., 3] == 0).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("feather", [0, 6])
def test_what_no_region_covers_is_the_content_to_the_bit(bits, on_disk, feather, monkeypatch):
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.0 if on_disk else 24.0)
    top = 2**bits - 1
    integers = np.random.default_rng(0).integers(0, top + 1, (20, 30, 3))
    content, painted = (integers / top).astype(np.float32), np.full((20, 30, 3), 0.25, np.float32)
    if on_disk:
        raster = DiskArray((20, 30, 3), bits)
        raster[:, :] = painted
        painted = raster
    asked = request(step(), background="keep", feather=feather, content=content)
    found = np.asarray(keep_background(painted, asked))
    assert np.array_equal(np.rint(found[:, :13] * top), integers[:, :13])
    assert np.abs(found[:, 25:] - 0.25).max() <= 1 / top
    assert region_coverage(asked, 20, 30).shape == (20, 30)


def test_a_kept_rest_of_another_size_is_the_resized_content():
    content = np.dstack([random()] * 3)
    found = keep_background(np.zeros((10, 15, 3), np.float32), request(step(), content=content))
    assert found.shape == (10, 15, 3)
    assert found[:, :5].mean() > 0.3
    assert (found[:, 8:] == 0).all()


@pytest.mark.parametrize("inwards", [True, False])
def test_a_feather_far_beyond_the_mask_reads_no_more_than_it_needs(inwards):
    mask = np.zeros((6, 9), np.float32)
    mask[:, 4:] = 1
    far = FeatheredMask(mask, 10_000, inward=inwards)
    assert far.box_side == 9
    np.testing.assert_array_equal(
        np.asarray(far), np.asarray(FeatheredMask(mask, 18, inward=inwards))
    )
