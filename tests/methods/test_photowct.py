"""PhotoWCT: the photograph's edges stay, and the colors become the other's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from feed_forward import pixels_of
from tiny_models import picture

from impasto.core.errors import KnobError
from impasto.engines.feedforward.base import DeviceSpec
from impasto.losses.matting import LocalAffineModels
from impasto.methods.photowct import (
    COARSENING_FACTOR,
    FILTER_EPSILON,
    FILTER_RADIUS_PX,
    fast_guided_filter,
)
from impasto.pictures import resize
from impasto.pipeline import make_request


def waves(phase=0.0):
    y, x = torch.meshgrid(torch.linspace(0, 6, 96), torch.linspace(0, 9, 128), indexing="ij")
    shifted = x + phase
    return torch.stack([shifted.sin(), y.cos(), (shifted + y).sin()])[None] * 0.4 + 0.5


def test_a_mix_of_the_photographs_colors_is_left_as_it_is():
    photo = waves()
    mix = torch.stack([0.5 * photo[:, 0] + 0.2, 0.3 * photo[:, 1] + 0.4 * photo[:, 2],
                       photo.mean(1)], 1)  # fmt: skip
    assert (fast_guided_filter(mix, photo) - mix).abs().mean() < 0.01


def test_what_the_photograph_does_not_explain_is_smoothed_away():
    photo = torch.full((1, 3, 64, 96), 0.3)
    photo[..., 48:] = 0.7
    noise = 0.1 * torch.randn(1, 3, 64, 96)
    smooth = fast_guided_filter(photo + noise, photo)
    assert (smooth - photo).abs().mean() < 0.1 * noise.abs().mean()


def test_on_smooth_pictures_it_is_nearly_the_guided_filter_at_full_size():
    photo, painted = waves(), waves(2.0).flip(1)
    full = LocalAffineModels(
        photo, FILTER_RADIUS_PX + COARSENING_FACTOR // 2, FILTER_EPSILON
    ).smooth(painted)
    assert (fast_guided_filter(painted, photo) - full).abs().mean() < 0.02


@pytest.mark.parametrize("smoothing", ["guided", "exact", "none"])
def test_every_smoothing_paints(models, smoothing):
    found = pixels_of(models, "photowct", picture(40, 56), picture(33, 50, 2), smoothing=smoothing)
    assert found.shape == (40, 56, 3)
    assert np.isfinite(found).all()


def gradients(pixels):
    gray = np.asarray(pixels, np.float64).mean(-1)
    return np.hypot(*np.gradient(gray)).ravel()


def kept(photo, painting):
    return np.corrcoef(gradients(photo), gradients(painting))[0, 1]


@pytest.fixture(scope="module")
def painted_by():
    """Method → a photograph in the light of another, with the weights that come along."""
    import impasto

    photos = Path(__file__).parents[2] / "examples" / "photos"
    content, style = (
        resize(np.asarray(impasto.read(photos / f"{name}.jpg").pixels), 160, 240)
        for name in ("canal", "harbour-night")
    )
    found = {m: impasto.stylize(content, style, method=m).pixels for m in ("photowct", "wct")}
    return content, style, found


def test_more_of_the_photographs_edges_stay_than_with_wct(painted_by):
    content, _, found = painted_by
    assert kept(content, found["photowct"]) > kept(content, found["wct"]) + 0.1


def test_the_colors_become_the_other_photographs(painted_by):
    content, style, found = painted_by
    apart = [
        np.abs(a.mean((0, 1)) - style.mean((0, 1))).max() for a in (content, found["photowct"])
    ]
    assert apart[1] < 0.4 * apart[0]


def test_the_closed_form_says_what_it_costs_and_refuses_what_it_would_cut():
    def asked(size):
        return make_request(
            picture(48, 64), picture(64, 64), method="photowct", smoothing="exact", size=size
        )

    assert "takes minutes" in " ".join(asked(512).method.warnings(asked(512)))
    assert not asked(256).method.warnings(asked(256))
    with pytest.raises(KnobError, match="--smoothing guided"):
        asked(2048).method.build_model(asked(2048), DeviceSpec("cpu", "fp32"))
