"""Motion: warping against closed forms, masks and light on motion that is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from impasto.ops.warping import (
    GainOffset,
    compose_flows,
    fit_gain_offset,
    forward_backward_consistent,
    in_bounds,
    motion_boundaries,
    reliability_mask,
    resize_flow,
    warp,
)


def constant(right, down, height=20, width=30):
    return torch.tensor([right, down], dtype=torch.float32).view(1, 2, 1, 1).expand(
        1, 2, height, width
    )  # fmt: skip


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_whole_pixels_are_a_shift(right, down):
    picture = noise(1, 3, 20, 30)
    out = warp(picture, constant(right, down))
    y, x = np.clip(np.arange(20) + down, 0, 19), np.clip(np.arange(30) + right, 0, 29)
    assert torch.allclose(out, picture[:, :, y][:, :, :, x], atol=1e-4)


def test_fractions_are_scipys_linear_interpolation():
    picture, flow = noise(1, 1, 20, 30), 4 * noise(1, 2, 20, 30, seed=1) - 2
    y, x = np.mgrid[:20, :30]
    wanted = ndimage.map_coordinates(
        picture[0, 0].numpy(), [y + flow[0, 1].numpy(), x + flow[0, 0].numpy()],
        order=1, mode="nearest",
    )  # fmt: skip
    assert np.allclose(warp(picture, flow)[0, 0].numpy(), wanted, atol=1e-4)


def test_bicubic_keeps_more_detail_than_bilinear_over_many_frames():
    picture = noise(1, 1, 40, 40)
    apart = {}
    for mode in ("bilinear", "bicubic"):
        moved = picture
        for step in range(8):  # to and fro by half a pixel
            moved = warp(moved, constant(0.5 if step % 2 else -0.5, 0, 40, 40), mode)
        apart[mode] = (moved - picture)[..., 8:-8, 8:-8].square().mean()
    assert apart["bicubic"] < 0.8 * apart["bilinear"]


def test_one_pixel_high_and_wide():
    assert torch.equal(warp(noise(1, 3, 1, 1), constant(3, 2, 1, 1)), noise(1, 3, 1, 1))


def test_flows_are_joined():
    assert torch.allclose(compose_flows(constant(2, 1), constant(-1, 3)), constant(1.0, 4.0))


def test_a_flow_at_twice_the_size_is_twice_as_long():
    assert torch.allclose(resize_flow(constant(2, 1), 40, 60), constant(4.0, 2.0, 40, 60))


def test_what_leaves_the_frame_is_not_within():
    inside = in_bounds(constant(3, -2))[0, 0]
    assert inside[2:, :27].all()
    assert not inside[:2].any()
    assert not inside[:, 27:].any()


def test_a_square_that_moves_hides_and_uncovers():
    """A square 6 px wide goes 4 px to the right over a ground that stands still."""
    ahead, back = torch.zeros(1, 2, 20, 30), torch.zeros(1, 2, 20, 30)
    ahead[0, 0, 5:15, 8:14] = 4
    back[0, 0, 5:15, 12:18] = -4
    known = forward_backward_consistent(back, ahead)[0, 0]  # from the later frame's place
    assert not known[5:15, 8:12].any()  # uncovered: the ground that was behind the square
    assert known[5:15, 12:18].all()  # the square itself
    assert known[:, 18:].all()
    assert known[:5].all()
    edge = motion_boundaries(back)[0, 0]
    assert edge[5:15, 11:13].all()
    assert not edge[7:13, 14:16].any()
    assert reliability_mask(back, ahead)[0, 0, 7:13, 14:16].all()


def test_equation_3_at_its_limit():
    """|w + w'|² = 0.01 (|w|² + |w'|²) + 0.5 is met by w = 10 and w' = -10 + e at one e."""
    e = np.roots([0.99, 0.2, -2.5]).max()  # e² = 0.01 (100 + (10 - e)²) + 0.5
    for factor, is_known in ((0.99, True), (1.01, False)):
        back = constant(float(-10 + factor * e), 0, 4, 40)
        assert (
            forward_backward_consistent(constant(10, 0, 4, 40), back)[0, 0, :, :20].all()
            == is_known
        )


def test_equation_4_at_its_limit():
    """A ramp of slope s: s² = 0.01 |w|² + 0.002 with w about 0."""
    for slope, is_edge in ((0.044, False), (0.046, True)):
        flow = torch.zeros(1, 2, 5, 9)
        flow[0, 0] = slope * torch.arange(-4, 5)
        assert bool(motion_boundaries(flow)[0, 0, 2, 4]) == is_edge


@given(
    st.lists(st.floats(0.6, 1.4), min_size=3, max_size=3),
    st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=3),
)
def test_a_change_of_the_light_is_found_although_a_part_changes(gains, offsets):
    picture = noise(1, 3, 24, 24)
    wanted = (torch.tensor(each).view(1, 3, 1, 1) for each in (gains, offsets))
    gain, offset = wanted
    other = picture * gain + offset
    other[..., :4, :4] = 2.0  # something came into view
    found = fit_gain_offset(picture, other, torch.ones(1, 1, 24, 24))
    assert (found(picture) - other)[..., 4:].abs().max() < 0.12


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_light_of_what_has_no_contrast_or_is_not_seen(value):
    flat = torch.full((1, 3, 8, 8), value)
    assert torch.allclose(
        fit_gain_offset(flat, flat + 0.2, torch.ones(1, 1, 8, 8))(flat), flat + 0.2
    )
    assert torch.equal(fit_gain_offset(flat, flat + 0.2, torch.zeros(1, 1, 8, 8))(flat), flat)


def test_a_change_of_the_light_is_cut_to_another_one():
    def changed(gains, shifts):
        gain, shift = (torch.tensor(each).view(1, -1, 1, 1) for each in (gains, shifts))
        return GainOffset(gain, torch.full_like(gain, 0.5), 0.5 + shift)

    film = changed([0.8, 0.9, 0.95], [-0.1, -0.05, 0.0])
    found = changed([0.5, 0.9, 2.0], [-0.2, -0.1, 0.1]).clamp_to(film)
    assert found.gain.flatten().tolist() == pytest.approx([0.8, 0.9, 1.0])
    assert found.mean_after.flatten().tolist() == pytest.approx([0.4, 0.4, 0.5])
