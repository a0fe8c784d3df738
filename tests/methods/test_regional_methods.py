"""Regions in the methods of one pass: nothing leaks, tiles agree, and a whole region is none."""

from functools import partial

import numpy as np
import pytest
import torch
from tiny_models import picture

from impasto.core.knobs import knobs_from_dict
from impasto.core.picture import Picture
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ignore_progress
from impasto.core.request import Region, Request
from impasto.engines.feedforward import base
from impasto.engines.feedforward.base import DeviceSpec
from impasto.engines.feedforward.tiling import run_tiled
from impasto.methods import adain, get_method, wct
from impasto.ops.convert import as_tensor
from impasto.ops.padding import pad
from impasto.pictures import DiskArray, disk_array

METHODS = ["adain", "wct", "photowct"]
PLACE = DeviceSpec("cpu", "fp32")
ONE, OTHER = picture(48, 64, 1), picture(33, 90, 2)


def ramp(height, width, at=0.5, wide=0.1):
    """0 at the left, 1 at the right, and a soft edge."""
    x = np.linspace(0, 1, width, dtype=np.float32)
    return np.tile(((x - at) / wide + 0.5).clip(0, 1), (height, 1))


def request_of(models, method, regions, *, content=None, styles=(ONE, OTHER), knobs=None, **more):
    content = content or picture(40, 56)
    kind = knobs_from_dict(get_method(method), knobs or {})
    return Request(content, styles, kind, weights=models[method], regions=tuple(regions), **more)


def painted(request, precision="fp32"):
    setting = ExecutionSettings(request.content.height, request.content.width, "cpu", precision)
    found = request.method.stylize(request, Plan(setting, Forecast(0, 0), 0), ignore_progress)
    return np.asarray(found.pixels)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rest", ["style", "keep"])
def test_one_region_that_covers_all_is_no_region(models, method, rest):
    whole = Region("all", np.ones((40, 56), np.float32), 0)
    found = painted(request_of(models, method, [whole], background=rest))
    wanted = painted(request_of(models, method, [], styles=(ONE,)))
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_each_region_takes_its_own_style_and_the_rest_the_first(models, method):
    content = picture(64, 192)
    one, other = (painted(request_of(models, method, [], content=content, styles=(s,)))
                  for s in (ONE, OTHER))  # fmt: skip
    right = Region("right", ramp(64, 192, wide=0.02), 1)
    found = painted(request_of(models, method, [right], content=content))
    alone = [np.abs(found - w).mean(axis=(0, 2)) for w in (one, other)]
    assert alone[0][:64].mean() < alone[1][:64].mean()
    assert alone[1][-64:].mean() < alone[0][-64:].mean()


@pytest.mark.parametrize("method", ["adain", "wct"])  # photowct measures what it has painted
def test_far_from_a_region_its_style_does_not_matter(models, method):
    content = picture(40, 320)
    right = Region("right", ramp(40, 320, wide=0.02), 1)
    # Of WCT one level: its next would measure what the decoder has spread across the edge.
    knobs = {"levels": ("conv3_1",)} if method == "wct" else {}
    found = [
        painted(request_of(models, method, [right], content=content, styles=(ONE, s), knobs=knobs))
        for s in (OTHER, picture(50, 50, 7))
    ]
    np.testing.assert_allclose(found[0][:, :64], found[1][:, :64], atol=1e-5)
    assert np.abs(found[0] - found[1])[:, -64:].max() > 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rest", ["style", "keep"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_strength_0_gives_the_content_back_in_every_region(models, method, rest, precision):
    regions = [Region("r", ramp(40, 56), 1)]
    asked = request_of(models, method, regions, background=rest, knobs={"strength": 0.0})
    np.testing.assert_allclose(painted(asked, precision), asked.content.pixels, atol=3e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mask", ["empty", "one pixel"])
@pytest.mark.parametrize("side", ["content", "style"])
def test_empty_and_tiny_regions_are_painted_too(models, method, mask, side):
    shape = (40, 56) if side == "content" else (48, 64)
    few = np.zeros(shape, np.float32)
    few[:1, : int(mask != "empty")] = 1
    region = Region("r", few, 0) if side == "content" else Region("r", ramp(40, 56), 0, few)
    found = painted(request_of(models, method, [region]))
    assert np.isfinite(found).all()


def painter_of(models, method, request):
    with torch.inference_mode():
        made = (
            adain.AdaINModel(models["adain"], PLACE) if method == "adain"
            else wct.WCTModel(models["wct"], PLACE, dict.fromkeys(wct.LEVEL_LAYERS, 0.6))
        )  # fmt: skip
        seen = base.style_inputs(request, 512)
        made.set_styles(seen.images, *seen.weights)
    return made


class Known:
    """A painter that always has the same statistics."""

    def __init__(self, painter, thumbnail):
        self.painter, self.align, self.halo = painter, painter.align, painter.halo
        self.known = painter.statistics(pad(as_tensor(thumbnail), self.align))

    def statistics(self, frame):
        return self.known

    def __call__(self, frame, statistics=None):
        return self.painter(frame, self.known)


@pytest.mark.parametrize(("method", "size"), [("adain", (40, 700)), ("adain", (260, 270)),
                                              ("wct", (33, 510))])  # fmt: skip
@torch.inference_mode()
def test_with_the_same_statistics_no_seam_is_to_be_seen(models, method, size):
    regions = [Region("a", ramp(*size, 0.3), 1), Region("b", ramp(*size, 0.7), 0, ramp(48, 64))]
    asked = request_of(models, method, regions, content=picture(*size))
    source = base._append_region_weights(asked, asked.content.pixels)
    painter = Known(painter_of(models, method, asked), source)
    whole, tiled, count = np.zeros((*size, 3), np.float32), np.zeros((*size, 3), np.float32), []
    run_tiled(source, source, whole, painter, PLACE, lambda *_: None, tile_side=10**6)
    run_tiled(
        source, source, tiled, painter, PLACE, lambda tile, of: count.append(of), tile_side=128
    )
    assert len(count) == count[0] > 3
    assert np.ptp(whole) > 0.1
    assert np.abs(whole - tiled).max() <= 1 / 255


@pytest.mark.parametrize("method", METHODS)
def test_tiles_with_a_thumbnails_statistics_are_as_the_whole(models, method, monkeypatch):
    content = picture(48, 320)
    asked = request_of(models, method, [Region("r", ramp(48, 320), 1)], content=content)
    whole = painted(asked)
    monkeypatch.setattr(base, "run_tiled", partial(base.run_tiled, tile_side=64))
    assert np.abs(painted(asked) - whole).max() <= 1 / 255


def test_what_lies_on_disk_is_painted_as_what_lies_in_memory(models, monkeypatch):
    content = picture(60, 80)
    regions = [Region("r", ramp(60, 80), 1)]
    whole = painted(request_of(models, "adain", regions, content=content, feather=5))
    monkeypatch.setattr(disk_array, "MAX_IN_MEMORY_MEGAPIXELS", 0.001)
    kept = DiskArray((60, 80, 3), 16)
    kept[:, :] = content.pixels
    on_disk = Picture(kept, bits=16)
    found = painted(request_of(models, "adain", regions, content=on_disk, feather=5))
    assert np.abs(found - whole).max() < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_precisions_are_compared_and_the_cost_is_forecast(models, method):
    content = picture(300, 400)
    asked = request_of(models, method, [Region("r", ramp(300, 400), 1)], content=content)
    assert asked.method.precision_agreement(asked, "cpu", "bf16") > 0.9
    setting = ExecutionSettings(4096, 4096, "cpu", "fp32")
    plain = request_of(models, method, [], content=content)
    more, less = (r.method.forecast(r, setting).peak_bytes for r in (asked, plain))
    assert more > less


def test_the_method_warns_of_what_is_too_small(models):
    few = np.zeros((40, 56), np.float32)
    few[:10, :10] = 1
    for method, knobs, told in (
        ("adain", {}, 1), ("wct", {}, 1), ("wct", {"levels": ("conv1_1",)}, 0),
    ):  # fmt: skip
        asked = request_of(models, method, [Region("few", few, 1)], knobs=knobs)
        assert len(asked.method.warnings(asked)) == told
