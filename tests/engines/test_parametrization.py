"""The canvas: what a change at each level does to the picture, and how gradients come back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.engines.optimization.parametrization import (
    FINEST_MAP_LEVEL,
    LEVEL_GAIN,
    OFFSET_SCALE,
    LaplacianPyramid,
    LocalColorPyramid,
    pad_to_min_side,
    upsample,
)

sizes = st.integers(1, 40)


def picture(height, width, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=dtype)


@given(sizes, sizes, st.integers(1, 12))
def test_without_changes_the_picture_is_the_ground_bit_for_bit(height, width, levels):
    ground = picture(height, width)
    assert torch.equal(LaplacianPyramid(ground, levels)(), ground)


@given(sizes, sizes, st.integers(1, 12))
def test_levels_halve_down_to_one_pixel_and_no_size_comes_twice(height, width, levels):
    found = [
        tuple(c.shape[-2:]) for c in LaplacianPyramid(picture(height, width), levels).coefficients
    ]
    assert found[0] == (height, width)
    assert len(set(found)) == len(found) <= levels
    for (h, w), (finer_h, finer_w) in zip(found[1:], found, strict=False):
        assert (h, w) == (max(1, finer_h // 2), max(1, finer_w // 2))
    assert len(found) == levels or found[-1] == (1, 1)


@given(sizes, sizes, st.integers(1, 8))
def test_a_constant_at_any_level_is_a_wash_over_the_whole_picture(height, width, levels):
    canvas = LaplacianPyramid(picture(height, width), levels)
    for level, change in enumerate(canvas.coefficients):
        change.data.fill_(1.0)
        wash = (canvas() - canvas.base_image).detach()
        torch.testing.assert_close(wash, torch.full_like(wash, LEVEL_GAIN**level))
        change.data.zero_()


def test_one_level_is_plain_pixels():
    canvas = LaplacianPyramid(picture(5, 7), 1)
    canvas.coefficients[0].data = picture(5, 7, seed=1)
    assert torch.equal(canvas(), picture(5, 7) + picture(5, 7, seed=1))


def test_a_change_at_one_pixel_stays_near_it():
    canvas = LaplacianPyramid(torch.zeros(1, 3, 64, 64), 4)
    canvas.coefficients[2].data[0, 1, 8, 8] = 1.0  # of 16 x 16: pixels 32 to 35 of the picture
    rows, columns = canvas().detach()[0, 1].nonzero().T
    assert canvas().detach()[0, [0, 2]].abs().max() == 0
    assert min(rows.min(), columns.min()) >= 32 - 8
    assert max(rows.max(), columns.max()) <= 35 + 8


@given(sizes, sizes, st.integers(1, 7))
def test_gradients_come_back_by_the_adjoint(height, width, levels):
    canvas = LaplacianPyramid(picture(height, width, torch.float64), levels)
    generator = torch.Generator().manual_seed(1)
    for change in canvas.coefficients:
        change.data = torch.randn(change.shape, generator=generator, dtype=torch.float64)
    way = picture(height, width, torch.float64, seed=2)
    painted = canvas()
    slopes = torch.autograd.grad(painted, list(canvas.coefficients), way)
    there = ((painted - canvas.base_image) * way).sum()
    back = sum((s * c).sum() for s, c in zip(slopes, canvas.coefficients, strict=True))
    torch.testing.assert_close(there, back)


def test_only_the_changes_are_learnt():
    canvas = LaplacianPyramid(picture(4, 4), 2)
    canvas().sum().backward()
    assert canvas.base_image.grad is None
    assert all(c.grad is not None for c in canvas.coefficients)


def test_upsampling_a_ramp_gives_the_ramp_between_its_ends():
    ramp = torch.arange(4.0).view(1, 1, 1, 4)
    found = upsample(ramp, torch.empty(1, 1, 1, 8))[0, 0, 0]
    wanted = [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]  # pixel centers, ends held
    assert found.tolist() == wanted


@given(sizes, sizes, sizes)
def test_extending_repeats_the_edge_and_keeps_what_is_there(height, width, least):
    x = picture(height, width)
    found = pad_to_min_side(x, least)
    assert found.shape[-2:] == (max(height, least), max(width, least))
    assert torch.equal(found[..., :height, :width], x)
    rows = torch.arange(found.shape[-2]).clamp(max=height - 1)
    columns = torch.arange(found.shape[-1]).clamp(max=width - 1)
    assert torch.equal(found, x[..., rows, :][..., columns])


@given(sizes, sizes)
def test_without_maps_a_canvas_of_colors_is_the_ground_bit_for_bit(height, width):
    ground = picture(height, width)
    assert torch.equal(LocalColorPyramid(ground, 3, picture(height, width, seed=1))(), ground)


@pytest.mark.parametrize("level", [0, 1, -1])
def test_a_map_that_is_the_same_everywhere_mixes_the_photographs_colors(level):
    photo = picture(40, 70, torch.float64, seed=1)
    canvas = LocalColorPyramid(torch.zeros_like(photo), 3, photo)
    maps = canvas.coefficients[canvas.pixel_level_count :]
    assert maps[0].shape[2:] == (40 >> FINEST_MAP_LEVEL, 70 >> FINEST_MAP_LEVEL)
    assert maps[-1].shape[2:] == (1, 1)
    a, b = torch.rand(3, 3, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    maps[level].data[:] = torch.cat([a, b[:, None]], 1).view(1, 12, 1, 1)
    centered = photo - photo.mean((2, 3), keepdim=True)
    wanted = torch.einsum("ji,nihw->njhw", a, centered) + OFFSET_SCALE * b.view(3, 1, 1)
    torch.testing.assert_close(canvas().detach(), wanted)
