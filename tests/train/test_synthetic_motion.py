"""Pairs of frames by known motion, and what steady painters owe them."""

import dataclasses

import numpy as np
import pytest
import torch

from impasto.ops.warping import warp
from impasto.train import synthetic_motion
from impasto.train.synthetic_motion import FramePair, make_frame_pairs, temporal_difference

SIZE = (6, 3, 48, 64)
ONLY_MOTION = {"RELIT": 0.0, "NOISY": 0.0}


def photographs(seed=0):
    """Smooth pictures that stay off 0 and 1."""
    coarse = torch.rand(6, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return 0.2 + 0.6 * torch.nn.functional.interpolate(coarse, SIZE[2:], mode="bilinear")


def pairs_of(pictures, seed=0):
    return make_frame_pairs(pictures, np.random.default_rng(seed))


@pytest.fixture
def fixed(monkeypatch):
    """Sets what the lot is drawn by."""

    def fix(**values):
        for name, value in values.items():
            monkeypatch.setattr(synthetic_motion, name, value)

    return fix


def mixed_colors(pictures):
    """A painter that moves with what it paints: every pixel's colors, mixed."""
    colors = torch.tensor([[0.2, 0.7, 0.1], [0.9, -0.3, 0.2], [0.0, 0.4, 0.4]])
    return torch.einsum("dc,nchw->ndhw", colors, pictures) + 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_painter_that_moves_with_the_picture_owes_nothing(fixed, seed):
    fixed(**ONLY_MOTION)
    pair = pairs_of(photographs(), seed)
    assert 0.3 < pair.visible.mean() < 1
    lost = temporal_difference(mixed_colors(pair.first), mixed_colors(pair.second), pair)
    assert lost < 1e-9


def test_another_light_may_be_painted_and_any_other_change_is_counted(fixed):
    fixed(NOISY=0.0, RELIT=1.0)
    pair = pairs_of(photographs())
    assert pair.brightness_changed.all()
    first, second = mixed_colors(pair.first), warp(mixed_colors(pair.first), pair.flow, "bicubic")
    lighter = second * torch.tensor([1.2, 0.8, 1.1]).view(3, 1, 1) + 0.1
    assert temporal_difference(first, lighter, pair) < 1e-9
    same_light = dataclasses.replace(pair, brightness_changed=torch.zeros(6, dtype=torch.bool))
    assert temporal_difference(first, second + 0.1, same_light) == pytest.approx(0.01, rel=1e-4)


def test_only_what_both_frames_show_counts(fixed):
    fixed(**ONLY_MOTION)
    pair = pairs_of(photographs())
    second = mixed_colors(pair.second) + 5 * (1 - pair.visible)
    assert temporal_difference(mixed_colors(pair.first), second, pair) < 1e-9


def test_the_best_fit_of_the_light_is_numpys(fixed):
    fixed(RELIT=1.0)
    pair = pairs_of(photographs())
    second = torch.rand(SIZE, generator=torch.Generator().manual_seed(1))
    found = temporal_difference(pair.first, second, pair)
    expected, seen = warp(pair.first, pair.flow, "bicubic"), pair.visible[:, 0].bool()
    left = 0.0
    for n in range(6):
        for c in range(3):
            x, y = (each[n, c][seen[n]].double().numpy() for each in (expected, second))
            left += np.polyfit(x, y, 1, full=True)[1][0]
    assert found == pytest.approx(left / (3 * float(seen.sum())), rel=1e-4)


def test_the_gradient_is_the_loss_s_slope_although_the_fit_is_not_differentiated(fixed):
    fixed(RELIT=1.0)
    pair = pairs_of(photographs())
    second = torch.rand(SIZE, generator=torch.Generator().manual_seed(1))
    first = pair.first.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(temporal_difference(first, second, pair), first)
    step = 0.05 * gradient / gradient.norm()
    with torch.no_grad():
        above, below = (temporal_difference(first + s * step, second, pair) for s in (1, -1))
    assert (above - below) / 2 == pytest.approx(float((gradient * step).sum()), rel=0.01)


def test_the_second_frame_is_the_first_where_the_flow_points(fixed):
    """Ramps tell where a color comes from, to a tenth of a pixel."""
    fixed(**ONLY_MOTION, PATCHED=0.0, STILL=0.0, WHOLE=0.0)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    ramps = torch.stack([x / 63, y / 47, torch.full_like(x, 0.5)]).expand(SIZE)
    pair = pairs_of(ramps)
    places = torch.stack([(x + pair.flow[:, 0]) / 63, (y + pair.flow[:, 1]) / 47], 1)
    inner = (pair.visible > 0) & ((places > 0.05) & (places < 0.95)).all(1, keepdim=True)
    apart = ((pair.second[:, :2] - places) * inner).abs().amax((1, 2, 3))
    assert apart.max() < 0.1 / 63
    assert pair.flow.abs().amax((1, 2, 3)).min() > 0.05


def test_a_patch_hides_and_reveals(fixed):
    fixed(**ONLY_MOTION, PATCHED=1.0, STILL=1.0, WHOLE=1.0, MIN_VISIBLE_FRACTION=1.0)
    black = torch.zeros(SIZE)
    black[1::2] = 1  # each picture's neighbor is of the other color
    pair = pairs_of(black)
    for n in range(6):
        of_patch = 1 - black[n, 0, 0, 0]
        before, now = ((each[n, 0] - of_patch).abs() < 0.5 for each in (pair.first, pair.second))
        moves = pair.flow[n].flatten(1).T.unique(dim=0)
        assert torch.equal(moves, moves.round())
        shown = pair.visible[n, 0] > 0
        revealed = before & ~now
        assert not (shown & revealed).any()
        still = ~before & ~now & shown
        assert (pair.flow[n][:, still] == 0).all()
    assert any(pair.flow[n].any() for n in range(6))


def test_frames_are_pictures_and_the_same_lot_gives_the_same(fixed):
    fixed(NOISY=1.0, RELIT=1.0)
    one, other = pairs_of(photographs(), 3), pairs_of(photographs(), 3)
    for field in dataclasses.fields(FramePair):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name))
    assert one.first.shape == one.second.shape == SIZE
    assert 0 <= one.second.min() <= one.second.max() <= 1
    assert not torch.equal(pairs_of(photographs(), 4).second, one.second)


def test_noise_is_of_the_strength_that_was_drawn(fixed, monkeypatch):
    fixed(NOISY=1.0, RELIT=0.0, PATCHED=0.0, STILL=1.0, WHOLE=1.0, NOISE=0.03)
    pair = pairs_of(torch.full(SIZE, 0.5))
    spread = (pair.second - pair.first).flatten(1).std(1)
    assert (spread <= 0.032).all()
    assert (spread > 0).all()
