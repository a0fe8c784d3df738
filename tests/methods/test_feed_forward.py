"""What the methods of one pass have in common."""

from functools import partial

import numpy as np
import pytest
from feed_forward import painted, pixels_of
from tiny_models import STYLES, picture

import impasto
from impasto.core.errors import WeightsError
from impasto.core.picture import Picture
from impasto.core.plan import ExecutionSettings
from impasto.engines.feedforward import base
from impasto.pictures import disk_array
from impasto.pipeline import make_request

METHODS = ["adain", "wct", "fast", "photowct"]
ONE, OTHER = picture(48, 64, 1), picture(33, 90, 2)
SHOWN = {"adain": (ONE, OTHER), "wct": (ONE, OTHER), "fast": STYLES[:2],
         "photowct": (ONE, OTHER)}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (33, 65)])
def test_odd_sizes(models, method, size):
    found = painted(models, method, picture(*size), SHOWN[method][0])
    assert found.pixels.shape == (*size, 3)
    assert np.isfinite(found.pixels).all()
    assert found.finished


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_strength_0_gives_the_content_back(models, method, precision):
    content = picture(40, 56)
    found = pixels_of(models, method, content, SHOWN[method][0], strength=0.0, precision=precision)
    np.testing.assert_allclose(found, content.pixels, atol=1e-5)


@pytest.mark.parametrize("method", ["adain", "fast"])
def test_more_strength_is_further_from_the_content(models, method):
    content = picture(64, 64)
    apart = [
        np.square(pixels_of(models, method, content, SHOWN[method][0], strength=s) - content.pixels)
        for s in (0.0, 0.25, 0.5, 1.0)
    ]
    means = [a.mean() for a in apart]
    assert means == sorted(means)
    assert means[-1] > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_one_style_twice_is_one_style(models, method):
    content, style = picture(40, 56), SHOWN[method][0]
    once = pixels_of(models, method, content, style)
    twice = pixels_of(models, method, content, [style, style], style_weights=(1, 3))
    np.testing.assert_allclose(twice, once, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_weights_decide_between_styles_of_different_sizes(models, method):
    content, styles = picture(40, 56), list(SHOWN[method])
    first, second = (pixels_of(models, method, content, s) for s in styles)
    assert np.abs(first - second).max() > 0.01
    for weights, wanted in (((1, 0), first), ((0, 1), second)):
        found = pixels_of(models, method, content, styles, style_weights=weights)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    mixed = pixels_of(models, method, content, styles, style_weights=(1, 1))
    assert min(np.abs(mixed - first).max(), np.abs(mixed - second).max()) > 0.001


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_content_of_one_color(models, method, value):
    content = np.full((40, 40, 3), value, np.float32)
    assert np.isfinite(pixels_of(models, method, content, SHOWN[method][0])).all()


@pytest.mark.parametrize("method", ["adain", "wct", "photowct"])
@pytest.mark.parametrize("style", [np.full((30, 40, 3), 0.3, np.float32), picture(8, 8).pixels,
                                   picture(1, 1).pixels])  # fmt: skip
def test_styles_with_little_in_them(models, method, style):
    assert np.isfinite(pixels_of(models, method, picture(40, 40), style)).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_request_gives_the_same_pixels(models, method):
    one, two = (pixels_of(models, method, picture(40, 56), SHOWN[method][0]) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("method", METHODS)
def test_it_says_which_weights_it_used(models, method):
    files = painted(models, method, picture(20, 20), SHOWN[method][0]).files
    wanted = {"my-fast.safetensors"} if method == "fast" else {
        f"my-{method}.safetensors", "my-compact.safetensors"
    }  # fmt: skip
    assert files.keys() == wanted
    assert all(len(sha256) == 64 for sha256 in files.values())


@pytest.mark.parametrize("method", METHODS)
def test_precisions_are_compared_and_the_cost_is_forecast(models, method):
    request = make_request(picture(40, 56), SHOWN[method][0], method=method, weights=models[method])
    assert request.method.precision_agreement(request, "cpu", "bf16") > 0.9
    small, large = (
        request.method.forecast(request, ExecutionSettings(side, side, "cpu", "fp32"))
        for side in (256, 4096)
    )
    assert large.seconds > small.seconds > 0
    assert large.peak_bytes > small.peak_bytes


@pytest.mark.parametrize("method", ["adain", "wct"])
def test_large_styles_are_forecast_too(models, method):
    content, style = picture(40, 56), picture(600, 800)
    small, large = (
        make_request(content, style, method=method, weights=models[method], style_size=size)
        for size in (64, 4096)
    )
    costs = [r.method.forecast(r, ExecutionSettings(40, 56, "cpu", "fp32")) for r in (small, large)]
    assert costs[1].peak_bytes - costs[0].peak_bytes > 100 * 600 * 800
    assert costs[1].seconds > costs[0].seconds


def test_at_strength_0_the_precisions_agree(models):
    request = make_request(
        picture(40, 56), STYLES[0], method="fast", weights=models["fast"], strength=0
    )
    assert request.method.precision_agreement(request, "cpu", "bf16") == 1


def test_ctrl_c_keeps_what_was_painted_and_leaves_the_rest(models, monkeypatch):
    monkeypatch.setattr(base, "run_tiled", partial(base.run_tiled, tile_side=64))
    content, style, ticks = picture(40, 300), STYLES[0], []
    whole = painted(models, "fast", content, style, watch=ticks.append)
    assert (whole.finished, whole.steps) == (True, len(ticks)) and len(ticks) > 3  # noqa: PT018

    def stop(tick):
        if tick.step == 2:
            raise KeyboardInterrupt

    part = painted(models, "fast", content, style, watch=stop)
    assert (part.finished, part.steps) == (False, 2)
    edge = 2 * 60
    assert np.array_equal(part.pixels[:, :edge], whole.pixels[:, :edge])
    assert np.array_equal(part.pixels[:, edge:], content.pixels[:, edge:])


def test_a_watch_sees_the_painting_grow(models, monkeypatch):
    monkeypatch.setattr(base, "run_tiled", partial(base.run_tiled, tile_side=64))
    content, seen = picture(40, 300), []
    painted(models, "fast", content, STYLES[0], watch=lambda tick: seen.append(tick.image()))
    assert np.array_equal(seen[0][:, 200:], content.pixels[:, 200:])
    assert not np.array_equal(seen[-1][:, 200:], content.pixels[:, 200:])


def test_a_content_on_disk_is_painted_as_one_in_memory(models, tmp_path, monkeypatch):
    path = tmp_path / "content.png"
    impasto.stylize(picture(60, 80), STYLES[0], method="fast", weights=models["fast"]).save(path)
    settings = {"method": "adain", "weights": models["adain"], "precision": "fp32"}
    expected = np.asarray(impasto.stylize(path, ONE, **settings).pixels)
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.001)
    result = impasto.stylize(path, ONE, **settings)
    assert isinstance(impasto.read(path).pixels, disk_array.DiskArray)
    assert isinstance(result.pixels, disk_array.DiskArray)
    assert np.abs(np.asarray(result.pixels) - expected).max() <= 1 / 255


def test_a_small_content_that_is_enlarged_lies_on_disk(models, monkeypatch):
    content = Picture(picture(30, 40).pixels, alpha=picture(30, 40).pixels[:, :, 0], name="content")
    settings = {"method": "fast", "weights": models["fast"], "precision": "fp32", "size": 80}
    expected = impasto.stylize(content, STYLES[0], **settings)
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.002)
    result = impasto.stylize(content, STYLES[0], **settings)
    for found, wanted in ((result.pixels, expected.pixels), (result.alpha, expected.alpha)):
        assert isinstance(found, disk_array.DiskArray)
        assert np.abs(np.asarray(found) - wanted).max() <= 1 / 255


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("fast", "adain", "holds a decoder for AdaIN; wanted is a fast network"),
        ("adain", "fast", "holds a fast network; wanted is a decoder for AdaIN"),
        ("wct", "compact", "holds a compact encoder; wanted is a set of decoders for WCT"),
    ],
)
def test_weights_of_another_kind_are_named(models, method, given, says):
    with pytest.raises(WeightsError, match=says):
        painted({method: models[given]}, method, picture(20, 20), SHOWN[method][0])


def test_an_encoder_of_the_catalog_is_no_painter():
    with pytest.raises(WeightsError, match="oxford is an encoder; wanted is a decoder for AdaIN"):
        painted({"adain": "oxford"}, "adain", picture(20, 20), ONE)


def test_weights_that_are_missing():
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors: no such weights file"):
        painted({"wct": "nowhere.safetensors"}, "wct", picture(20, 20), ONE)
