"""Content loss and the prices on pixels, against closed forms and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from impasto.losses.content import content_loss
from impasto.losses.total_variation import out_of_gamut, total_variation


def picture(height=4, width=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=dtype)


def test_the_content_loss_is_half_the_mean_square():
    a, b = picture(), picture(seed=1)
    wanted = 0.5 * ((a.numpy() - b.numpy()) ** 2).mean()
    assert float(content_loss(a, b)) == pytest.approx(wanted, rel=1e-12)
    assert content_loss(a, a) == 0


@pytest.mark.parametrize(
    ("dtype", "out"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
def test_the_content_loss_is_summed_in_float32_at_least(dtype, out):
    # 3 · 64² differences of 1: bfloat16 could not even count them.
    a, b = torch.zeros(1, 3, 64, 64, dtype=dtype), torch.ones(1, 3, 64, 64, dtype=dtype)
    loss = content_loss(a, b)
    assert loss.dtype == out
    assert loss == 0.5


def test_the_content_losss_gradient_is_right():
    assert gradcheck(content_loss, (picture().requires_grad_(), picture(seed=1)))


@given(st.integers(1, 6), st.integers(1, 6), st.floats(-1, 2))
def test_a_constant_picture_has_no_variation(height, width, value):
    assert total_variation(torch.full((1, 3, height, width), value)) == 0


def test_the_variation_of_a_ramp_is_its_slope_squared():
    across = torch.arange(7.0).expand(1, 3, 5, 7) * 0.25
    assert float(total_variation(across)) == pytest.approx(0.0625)
    both = across + torch.arange(5.0).view(5, 1) * 0.5
    assert float(total_variation(both)) == pytest.approx(0.0625 + 0.25)


def test_the_variation_is_numpys():
    x = picture(6, 7)
    a = x.numpy()
    wanted = (np.diff(a, axis=3) ** 2).mean() + (np.diff(a, axis=2) ** 2).mean()
    assert float(total_variation(x)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("height", "width"), [(4, 5), (1, 5), (4, 1), (1, 1)])
def test_the_variations_gradient_is_right(height, width):
    x = picture(height, width).requires_grad_()
    assert gradcheck(total_variation, x)


def test_a_single_row_varies_along_itself_only():
    row = torch.tensor([0.0, 1.0, 1.0]).view(1, 1, 1, 3)
    assert float(total_variation(row)) == pytest.approx(0.5)
    assert float(total_variation(row.mT)) == pytest.approx(0.5)


def test_a_single_pixel_has_no_variation():
    assert total_variation(torch.ones(1, 3, 1, 1)) == 0


def test_colors_within_the_gamut_cost_nothing():
    x = picture().requires_grad_()
    loss = out_of_gamut(x)
    loss.backward()
    assert loss == 0
    assert x.grad.abs().max() == 0
    assert out_of_gamut(torch.tensor([0.0, 1.0])) == 0


@given(st.floats(0.001, 10))
def test_colors_outside_cost_the_square_of_how_far(excess):
    one = torch.tensor([-excess, 0.5, 1 + excess, 1.0], dtype=torch.float64)
    assert float(out_of_gamut(one)) == pytest.approx(2 * excess**2 / 4)


def test_the_gradient_outside_the_gamut_is_right():
    assert gradcheck(out_of_gamut, ((picture() * 4 - 1.5).requires_grad_(),))
