"""Deep Photo Style Transfer with the real weights on small pictures."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import plan_of, setting_of

import impasto
from impasto.core.knobs import knobs_from_dict
from impasto.core.plan import ExecutionSettings
from impasto.core.request import Region
from impasto.engines.optimization.run import OptimizationRun
from impasto.engines.region_weights import keep_background
from impasto.losses.matting import LocalAffineModels
from impasto.methods import deep_photo
from impasto.methods.deep_photo import LAPLACIAN_EPSILON, PHOTOREALIZM_SCALE, DeepPhoto
from impasto.methods.gatys import Gatys

SHALLOW = {"style_layers": ("conv1_1", "conv2_1"), "content_layers": ("conv2_1",)}


@pytest.fixture(autouse=True)
def _little(monkeypatch):
    monkeypatch.setattr(deep_photo, "_PROBE_SIDE_PX", 16)


@pytest.fixture
def asked(request_of):
    """A request for the method; settings and knobs alike."""

    def make(method=DeepPhoto, regions=(), background="style", styles=None, **settings):
        own = ("content", "shares", "size", "seed", "weights")
        given = {k: v for k, v in settings.items() if k in own}
        knobs = {k: v for k, v in settings.items() if k not in own}
        request = request_of(**given, **({"styles": styles} if styles else {}))
        return dataclasses.replace(
            request,
            method=knobs_from_dict(method, knobs),
            regions=tuple(regions),
            background=background,
        )

    return make


def painted(request, watch=lambda tick: None, state=None):
    return request.method.stylize(request, plan_of(request), watch, state)


def sitting_of(request):
    return OptimizationRun(request.method, request, setting_of(request))


def unexplained(pixels, photo, radius=1):
    """Share of the variance within windows that no mix of the photograph's colors explains."""
    picture, guide = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None].double()
                      for x in (pixels, photo))  # fmt: skip
    models = LocalAffineModels(guide, radius, 1e-4)
    left = (picture * models.apply_laplacian(picture)).sum()
    flat = LocalAffineModels(torch.zeros_like(guide), radius, 1e9)
    return float(left / (picture * flat.apply_laplacian(picture)).sum())


def half(picture, *, right=True):
    mask = np.zeros((picture.height, picture.width), np.float32)
    middle = picture.width // 2
    mask[:, middle:] = right
    mask[:, :middle] = not right
    return mask


# ----------------------------------------------------------------------------- what is minimized


def test_the_loss_is_gatys_and_the_unexplained_part_of_the_change(asked):
    request = asked(photorealism=0.3, **SHALLOW)
    sitting = sitting_of(request)
    photo = sitting.content_at(0)
    picture = photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    found = sitting.objective(0)(picture)
    plain = sitting_of(asked(Gatys, **SHALLOW)).objective(0)(picture)
    change = (picture - photo).double()
    laplacian = LocalAffineModels(photo, 1, LAPLACIAN_EPSILON).apply_laplacian(change)
    beta = Gatys().effective_beta()
    wanted = (
        0.3 * PHOTOREALIZM_SCALE * beta * 255**2 * (change * laplacian).sum() / photo[0, 0].numel()
    )
    assert float(found["photo"]) == pytest.approx(float(wanted), rel=1e-4)
    assert float(found["total"]) == pytest.approx(float(plain["total"] + wanted), rel=1e-4)


def test_without_photorealism_it_is_gatys(asked):
    deep, plain = (painted(asked(m, steps=4, min_size=24, **SHALLOW, **more))
                   for m, more in ((DeepPhoto, {"photorealism": 0.0}), (Gatys, {})))  # fmt: skip
    assert np.array_equal(deep.pixels, plain.pixels)
    assert deep.losses == plain.losses


def test_the_price_means_the_same_at_every_size(asked, content):
    prices = []
    for size in (96, 48):
        sitting = sitting_of(asked(size=size, **SHALLOW))
        photo = sitting.content_at(0)
        x = torch.linspace(0, 6, photo.shape[3]).sin().expand_as(photo)
        prices.append(float(sitting.objective(0)(photo + 0.1 * x)["photo"] * size**2))
    # The sine's slope within a window halves when the size doubles.
    assert prices[0] == pytest.approx(prices[1], rel=0.7)


# ------------------------------------------------------------------------------ what comes of it


def test_the_result_is_locally_a_mix_of_the_photographs_colors(asked, content):
    plain = painted(asked(Gatys, steps=15)).pixels
    deep = painted(asked(steps=15, post_filter=False)).pixels
    assert unexplained(deep, content.pixels) < 0.3 * unexplained(plain, content.pixels)


def test_edges_stay_where_the_photograph_has_them(asked, content):
    def edges(pixels):
        gray = pixels.mean(2)
        return np.hypot(*np.gradient(gray)).ravel()

    scores = [
        np.corrcoef(edges(painted(asked(m, steps=15)).pixels), edges(content.pixels))[0, 1]
        for m in (Gatys, DeepPhoto)
    ]
    assert scores[1] > scores[0]


def test_the_styles_colors_come(asked, content, other_style):
    found = painted(asked(steps=40, styles=(other_style,), **SHALLOW)).pixels

    def away(pixels):
        return np.abs(pixels.mean((0, 1)) - other_style.pixels.mean((0, 1))).sum()

    assert away(found) < 0.5 * away(content.pixels)


def test_a_region_takes_its_own_style(asked, content):
    red, green = (
        dataclasses.replace(content, pixels=content.pixels * np.float32(tint), name=name)
        for name, tint in (("red", (1, 0.3, 0.3)), ("green", (0.3, 1, 0.3)))
    )
    regions = [Region("left", half(content, right=False), 0), Region("right", half(content), 1)]
    found = painted(asked(steps=20, styles=(red, green), regions=regions, structure=0.2)).pixels
    redness = (found[..., 0] - found[..., 1]) / found.mean()
    middle = content.width // 2
    assert redness[:, : middle - 2].mean() > redness[:, middle + 2 :].mean() + 0.3


def test_a_rest_that_is_kept_is_not_touched(asked, content):
    request = asked(steps=4, regions=[Region("r", half(content), 0)], background="keep")
    found = keep_background(painted(request).pixels, request)
    middle = content.width // 2
    assert np.array_equal(found[:, :middle], content.pixels[:, :middle])
    assert np.abs(found[:, middle:] - content.pixels[:, middle:]).max() > 0.01


@pytest.mark.parametrize("post_filter", [True, False])
def test_strength_0_gives_the_content_back(asked, content, post_filter):
    request = asked(steps=3, strength=0.0, post_filter=post_filter, size=40, min_size=20)
    again = asked(Gatys, steps=3, strength=0.0, size=40, min_size=20)
    np.testing.assert_allclose(painted(request).pixels, painted(again).pixels, atol=1e-3)


def test_the_filter_takes_away_what_the_photograph_does_not_explain(asked, content):
    rough, smooth = (painted(asked(steps=8, photorealism=0.01, post_filter=f)).pixels
                     for f in (False, True))  # fmt: skip
    photo = content.pixels
    assert unexplained(smooth, photo) < 0.7 * unexplained(rough, photo)


@pytest.mark.parametrize("shape", [(1, 1), (3, 60)])
def test_contents_of_any_shape_keep_it(asked, content, shape):
    small = dataclasses.replace(content, pixels=content.pixels[: shape[0], : shape[1]])
    found = painted(asked(content=small, steps=2, min_size=16, **SHALLOW)).pixels
    assert found.shape == (*small.pixels.shape[:2], 3)
    assert np.isfinite(found).all()


# -------------------------------------------------------------------------- stopping and planning


def test_stopping_and_going_on_gives_what_one_run_gives(asked):
    request = asked(steps=4, size=48, min_size=24, **SHALLOW)
    whole = painted(request)

    def stop(tick):
        if tick.step == 6:
            raise KeyboardInterrupt

    part = painted(request, stop)
    assert not part.finished
    assert np.array_equal(painted(request, state=part.state).pixels, whole.pixels)


def test_what_is_stopped_at_a_coarse_scale_has_the_full_size(asked):
    def stop(tick):
        raise KeyboardInterrupt

    request = asked(steps=4, size=48, min_size=24, **SHALLOW)
    assert painted(request, stop).pixels.shape[1] == 48


def test_the_forecast_counts_what_gatys_does_not_need(asked, monkeypatch):
    monkeypatch.setattr(deep_photo, "step_seconds_per_pixel", lambda device: 1e-3)
    setting = ExecutionSettings(480, 480, "cpu", "fp32")
    deep, plain = (
        request.method.forecast(request, setting)
        for request in (asked(steps=10), asked(steps=10, photorealism=0.0))
    )
    assert deep.seconds - plain.seconds > 0.9 * 10 * 480**2 * 1e-3
    assert deep.peak_bytes > plain.peak_bytes


def test_the_precisions_are_compared(asked):
    assert asked().method.precision_agreement(asked(), "cpu", "bf16") > 0.9


def test_it_goes_through_plan_run_and_recipe(content, style):
    knobs = {"method": "deep-photo", "steps": 2, "device": "cpu", "precision": "fp32"}
    result = impasto.stylize(content.pixels, style.pixels, **knobs)
    assert result.recipe.method == "deep-photo"
    assert result.recipe.knobs["photorealism"] == 1.0
    assert result.recipe.losses["photo"] > 0
