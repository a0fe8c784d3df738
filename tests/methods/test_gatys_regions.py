"""Gatys with regions, by the real network on pictures of a few pixels."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import plan_of, setting_of

from impasto.core.request import Region
from impasto.engines.optimization.run import OptimizationRun
from impasto.engines.region_weights import keep_background

SHALLOW = {"style_layers": ("conv1_1", "conv2_1"), "content_layers": ("conv2_1",)}


def side(picture, *, right=True):
    mask = np.zeros((picture.height, picture.width), np.float32)
    half = picture.width // 2
    mask[:, half:] = right
    mask[:, :half] = not right
    return mask


@pytest.fixture
def asked(request_of, content, style, other_style):
    """A request in which the right half takes the second style."""

    def make(*regions, background="style", feather=0.0, **settings):
        request = request_of(styles=(style, other_style), **{**SHALLOW, **settings})
        regions = regions or (Region("right", side(content), 1),)
        return dataclasses.replace(request, regions=regions, background=background, feather=feather)

    return make


def painted(request, watch=lambda tick: None, state=None):
    return request.method.stylize(request, plan_of(request), watch, state)


def test_one_region_that_covers_all_is_no_region(asked, content, request_of, style):
    whole = Region("all", np.ones((content.height, content.width), np.float32), 0)
    losses = []
    for request in (asked(whole), request_of(styles=(style,), **SHALLOW)):
        sitting = OptimizationRun(request.method, request, setting_of(request))
        picture = (sitting.start_image(0) * 0.9).requires_grad_()
        terms = sitting.objective(0)(picture)
        slope = torch.autograd.grad(terms["total"], picture)[0]
        losses.append([terms["style"].detach(), terms["total"].detach(), slope])
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)


def test_each_side_takes_its_own_style(asked, content, request_of, style, other_style):
    def grams(pixels, columns):
        part = torch.from_numpy(pixels[:, columns].copy()).flatten(0, 1)
        return part.T @ part / len(part)

    found = painted(asked(steps=30, alpha=0.1)).pixels
    sides = (slice(0, content.width // 2), slice(content.width // 2, None))
    for columns, own, other in zip(sides, (style, other_style), (other_style, style), strict=True):
        here = grams(found, columns)
        near, far = ((here - grams(s.pixels, slice(None))).norm() for s in (own, other))
        assert near < far


def test_it_lowers_its_loss_at_every_scale(asked):
    losses = []
    request = asked(steps=4, size=64, min_size=16)
    painting = painted(request, lambda tick: losses.append(tick.values["total"]))
    assert len(losses) == 12
    for first in (0, 4, 8):
        assert losses[first + 3] < losses[first]
    assert painting.losses["total"] < losses[8]


@pytest.mark.parametrize("background", ["style", "keep"])
def test_strength_0_gives_the_content_back_in_every_region(asked, content, background):
    found = painted(asked(strength=0.0, steps=3, background=background, feather=4)).pixels
    np.testing.assert_allclose(found, content.pixels, atol=1e-3)


def test_strength_0_gives_the_content_back_in_a_tiny_region(asked, content):
    few = np.zeros((content.height, content.width), np.float32)
    few[8:12, 10:14] = 1
    found = painted(asked(Region("few", few, 1), strength=0.0, steps=3)).pixels
    np.testing.assert_allclose(found, content.pixels, atol=1e-3)


def test_what_is_kept_is_not_even_touched(asked, content):
    request = asked(steps=4, background="keep")
    found = keep_background(painted(request).pixels, request)
    half = content.width // 2
    assert np.array_equal(found[:, :half], content.pixels[:, :half])
    assert np.abs(found[:, half:] - content.pixels[:, half:]).max() > 0.01


def test_a_soft_edge_of_what_is_kept_is_put_in_once(asked):
    request = asked(steps=4, background="keep", feather=12)
    shown = []
    painting = painted(request, lambda tick: shown.append(tick.image()))
    np.testing.assert_allclose(keep_background(painting.pixels, request), shown[-1], atol=1e-5)


def test_a_region_of_the_style_decides(asked, content, style):
    found = [
        painted(asked(Region("r", side(content), 0, side(style, right=right)), steps=3)).pixels
        for right in (True, False)
    ]
    assert np.abs(found[0] - found[1]).max() > 0.01


@pytest.mark.parametrize("pixels", [0, 1, 9])
def test_empty_and_tiny_regions_are_painted_too(asked, content, style, pixels):
    few = np.zeros((content.height, content.width), np.float32)
    few.flat[:pixels] = 1
    shown = np.zeros((style.height, style.width), np.float32)
    shown.flat[:pixels] = 1
    request = asked(Region("a", few, 0), Region("b", side(content), 1), steps=2)
    assert np.isfinite(painted(request).pixels).all()
    told = [w for w in request.method.warnings(request) if "The region a" in w]
    assert told
    assert not any("taken from all of the content" in w for w in told)  # only of the style
    request = asked(Region("a", side(content), 0, shown), steps=2)
    assert np.isfinite(painted(request).pixels).all()
    told = [w for w in request.method.warnings(request) if "The region a" in w]
    assert any("all of th" in w for w in told)


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein"])
def test_stopping_and_going_on_gives_what_one_run_gives(asked, style_loss):
    request = asked(steps=4, style_loss=style_loss, size=40, min_size=20)
    whole = painted(request)

    def stop(tick):
        if tick.step == 5:
            raise KeyboardInterrupt

    part = painted(request, stop)
    again = painted(request, state=part.state)
    assert not part.finished
    assert np.array_equal(again.pixels, whole.pixels)


def test_the_precisions_are_compared_with_regions_too(asked):
    assert asked().method.precision_agreement(asked(), "cpu", "bf16") > 0.9


def test_the_masks_follow_the_content_to_every_scale(asked):
    request = asked(size=64, min_size=16, feather=6)
    sitting = OptimizationRun(request.method, request, setting_of(request))
    for scale, size in enumerate(sitting.scale_sizes):
        content = sitting._image_tensor(sitting.content, *size)
        masks = torch.cat([part.mask for part in sitting._style_regions(scale, content)])
        assert masks.shape[-2:] == content.shape[-2:]
        torch.testing.assert_close(masks.sum(0), torch.ones_like(masks[0]), atol=1e-5, rtol=0)
