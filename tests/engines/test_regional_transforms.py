"""Maps by region: each part takes its own style's statistics, and nothing else does."""

import numpy as np
import pytest
import torch
from tiny_models import pixels

from impasto.core.picture import Picture
from impasto.core.request import Region, Request
from impasto.engines.feedforward.base import style_inputs
from impasto.engines.region_weights import region_weights, small_region_warnings
from impasto.methods.adain import AdaIN
from impasto.ops import feature_transforms
from impasto.ops.feature_transforms import Affine, Statistics, adain, wct
from impasto.ops.regional_transforms import (
    MIN_POSITIONS,
    RegionalTransform,
    ensure_min_positions,
    erode_mask,
    masks_at_layer,
    region_statistics,
    regional_transform,
    style_statistics,
)


def features(seed=0, height=16, width=20, channels=5):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    rows = torch.randn(height * width, channels, generator=generator, dtype=torch.float64)
    return (rows @ mixing + seed).T.reshape(1, channels, height, width)


def halves(height=16, width=20):
    """Left and right of a picture, and a rest without a position."""
    masks = torch.zeros(1, 3, height, width)
    masks[:, 0, :, : width // 2] = masks[:, 1, :, width // 2 :] = 1
    return masks


LEFT, RIGHT = (..., slice(None, 10)), (..., slice(10, None))
SHARES = ((1.0, 0.0), (0.0, 1.0), (1.0, 0.0))


@pytest.mark.parametrize("make", [adain, wct])
def test_each_region_takes_the_statistics_of_its_own_style(make, monkeypatch):
    monkeypatch.setattr("impasto.ops.regional_transforms.CHUNK_ROWS", 37)
    content, masks = features(), halves()
    styles = [Statistics.from_features(features(seed)) for seed in (1, 2)]
    change = regional_transform(region_statistics(content, masks), styles, SHARES, make, 1.0)
    moved = change.apply(content, masks)
    for where, style in ((LEFT, styles[0]), (RIGHT, styles[1])):
        found = Statistics.from_features(moved[where])
        torch.testing.assert_close(found.mean, style.mean)
        torch.testing.assert_close(found.variance, style.variance, rtol=0.1, atol=0)


@pytest.mark.parametrize("make", [adain, wct])
def test_it_is_what_the_cut_outs_would_become_alone(make):
    content, masks = features(), halves()
    styles = [Statistics.from_features(features(seed)) for seed in (1, 2)]
    moved = regional_transform(region_statistics(content, masks), styles, SHARES, make, 0.7).apply(
        content, masks
    )
    for where, style in ((LEFT, styles[0]), (RIGHT, styles[1])):
        part = content[where]
        alone = make(Statistics.from_features(part), style).lerp_from_identity(0.7).apply(part)
        torch.testing.assert_close(moved[where], alone)


def test_the_style_is_looked_at_through_its_mask():
    style = features(3)
    mask = torch.zeros(1, 1, 16, 20)
    mask[..., 4:15, 5:18] = 1
    found = style_statistics(style, mask)
    wanted = Statistics.from_features(style[..., 5:14, 6:17])  # without the outermost positions
    assert torch.equal(found.covariance, wanted.covariance)


def test_soft_masks_blend_the_maps():
    content = features()
    masks = torch.rand(1, 2, 16, 20, generator=torch.Generator().manual_seed(3)).double()
    masks = masks / masks.sum(1, keepdim=True)
    maps = tuple(Affine(torch.full((5,), a).double(), torch.full((5,), a)) for a in (2.0, -3.0))
    moved = RegionalTransform(maps, (0.0, 0.0)).apply(content, masks)
    factor = 2 * masks[:, :1] - 3 * masks[:, 1:]
    torch.testing.assert_close(moved, factor * content + factor, rtol=1e-5, atol=1e-5)


def test_without_masks_it_is_the_plain_map_bit_for_bit():
    content, style = features(), Statistics.from_features(features(1))
    plain = wct(Statistics.from_features(content), style)
    change = regional_transform(region_statistics(content, None), [style], ((1.0,),), wct, 1.0)
    assert torch.equal(change.apply(content), plain.apply(content))
    assert change.distances == (plain.distance(Statistics.from_features(content)),)


def test_a_region_that_covers_all_is_no_region():
    content, style = features(), Statistics.from_features(features(1))
    masks = torch.cat([torch.ones(1, 1, 16, 20), torch.zeros(1, 1, 16, 20)], 1)
    plain = adain(Statistics.from_features(content), style).apply(content)
    change = regional_transform(
        region_statistics(content, masks), [style], ((1.0,),) * 2, adain, 1.0
    )
    torch.testing.assert_close(change.apply(content, masks), plain)


@pytest.mark.parametrize("count", [0, 1, 5, 15])
def test_few_positions_lean_on_all_of_the_picture(count):
    f = features()
    mask = torch.zeros(1, 1, 16, 20)
    mask.view(-1)[:count] = 1
    weights = ensure_min_positions(mask)
    assert weights.sum().item() == pytest.approx(MIN_POSITIONS)
    whole = Statistics.from_features(f)
    rest = Statistics(MIN_POSITIONS - count, whole.mean, whole.covariance)
    wanted = (
        feature_transforms.merge_statistics([Statistics.from_features(f, mask), rest])
        if count
        else whole
    )
    torch.testing.assert_close(Statistics.from_features(f, weights).covariance, wanted.covariance)


def test_many_positions_lean_on_nothing():
    mask = torch.zeros(1, 1, 16, 20)
    mask[..., :4] = 1
    assert torch.equal(ensure_min_positions(mask), mask)


def test_a_thin_mask_of_a_style_is_not_eroded_away():
    mask = torch.zeros(1, 1, 16, 20)
    mask[..., 3:5] = 1
    assert torch.equal(erode_mask(mask), mask)
    mask[..., 3:10] = 1
    assert erode_mask(mask).sum() == 5 * 16


@pytest.mark.parametrize("size", [(64, 48), (67, 45), (9, 31)])
def test_masks_come_to_a_layer_as_the_mean_of_what_it_pools(size):
    masks = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    layer = torch.empty(1, 3, size[0] // 8, size[1] // 8)
    found = masks_at_layer(masks, layer)
    assert found.shape == (1, 2, *layer.shape[2:])
    torch.testing.assert_close(found[0, 0, 0, 0], masks[0, 0, :8, :8].mean())


def test_an_empty_part_has_no_statistics_and_does_nothing():
    content, masks = features(), halves()
    found = region_statistics(content, masks)
    assert [p is None for p in found] == [False, False, True]


def request(*regions, **settings):
    content, styles = Picture(pixels(40, 60)), (Picture(pixels(30, 50, 1)), Picture(pixels(9, 8)))
    return Request(content, styles, AdaIN(), regions=regions, **settings)


def mask(height=40, width=60):
    half = np.zeros((height, width), np.float32)
    half[:, width // 2 :] = 1
    return half


def test_styles_are_shown_to_the_parts_that_want_them():
    part = mask(30, 50)
    asked = request(
        Region("a", mask(), 0, part), Region("b", mask(), 0, part), Region("c", mask(), 1)
    )
    seen = style_inputs(asked, 512)
    assert [tuple(p.shape) for p in seen.images] == [(1, 4, 30, 50), (1, 3, 9, 8), (1, 3, 30, 50)]
    assert seen.weights == ((1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    np.testing.assert_array_equal(seen.images[0][0, 3], part)


def test_the_rest_takes_the_styles_that_no_region_names():
    assert style_inputs(request(Region("a", mask(), 0)), 512).weights == ((1, 0), (0, 1))
    kept = style_inputs(request(Region("a", mask(), 1), background="keep"), 512)
    assert (len(kept.images), kept.weights) == (1, ((1,), ()))
    assert style_inputs(request(style_weights=(3, 1)), 512).weights == ((0.75, 0.25),)


def test_empty_and_tiny_regions_are_told():
    tiny = np.zeros((40, 60), np.float32)
    tiny[:4, :4] = 1
    asked = request(
        Region("none", 0 * tiny, 0), Region("tiny", tiny, 0), Region("fine", mask(), 1, mask(9, 8)),
        Region("gone", mask(), 1, np.zeros((9, 8), np.float32)),
    )  # fmt: skip
    said = small_region_warnings(asked, 8)
    assert [s.split(" is ")[0].split(" has ")[0] for s in said] == [
        "The region none", "The region tiny", "The region fine", "The region gone"
    ]  # fmt: skip
    assert "about 16 px in the content" in said[1]
    assert "few to know its features by" in said[2]
    assert "all of that style is looked at" in said[3]


def test_the_parts_of_a_request_are_what_the_networks_see():
    asked = request(Region("a", mask(), 0), feather=6)
    found = region_weights(asked, 20, 30)
    assert found.shape == (20, 30, 2)
    np.testing.assert_allclose(found.sum(2), 1, atol=1e-5)
