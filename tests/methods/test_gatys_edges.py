"""Gatys at its edges: extreme pictures, scales, mistakes, warnings, and stopping anywhere."""

import io
import math

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import InputError, KnobError
from impasto.core.picture import Picture
from impasto.core.pitfalls import USEFUL_BALANCE_RANGE
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.request import Request
from impasto.engines.optimization import base as optimization_base
from impasto.engines.optimization.parametrization import upsample
from impasto.engines.optimization.run import MIN_SIDE_PX, OptimizationRun
from impasto.methods.gatys import Gatys
from impasto.weights import vgg_layers

#: Two shallow layers: for what does not depend on how the painting looks.
SHALLOW = {"style_layers": ("conv1_1",), "content_layers": ("conv2_1",)}


def picture(height, width, seed=0):
    pixels = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    return Picture(pixels, sha256=f"{height} {width} {seed}")


def flat(height, width, color=(0.2, 0.5, 0.8)):
    return Picture(np.full((height, width, 3), color, np.float32), sha256="flat")


def setting_of(request, precision="fp32"):
    return ExecutionSettings(request.content.height, request.content.width, "cpu", precision)


# ------------------------------------------------------------------------- extreme pictures


@pytest.mark.parametrize(
    ("shape", "knobs"),
    [
        ((1, 1), {}),
        ((1, 200), {}),
        ((200, 3), {}),
        ((31, 33), {}),
        ((1, 1), {"init": "noise"}),
        ((2, 90), {"min_size": 40, "init": "noise"}),
    ],
    ids=str,
)
def test_contents_of_any_shape_keep_it(paint, shape, knobs):
    losses = []
    painting = paint(
        content=picture(*shape), steps=8, watch=lambda t: losses.append(t.values["total"]), **knobs
    )
    assert painting.pixels.shape == (*shape, 3)
    assert all(map(math.isfinite, losses))
    assert painting.losses["total"] < losses[-8]  # where the last scale began


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein"])
@pytest.mark.parametrize(
    ("content", "style"),
    [
        (flat(24, 32), picture(24, 32)),
        (picture(24, 32), flat(24, 32)),
        (flat(24, 32), flat(24, 32, (1.0, 0.0, 0.0))),
        (picture(24, 32), picture(1, 1)),
        (picture(24, 32), picture(1, 90)),
        (flat(24, 32, (0.0, 0.0, 0.0)), flat(24, 32, (1.0, 1.0, 1.0))),
    ],
    ids=["flat content", "flat style", "both flat", "1 px style", "1 row style", "black, white"],
)
def test_pictures_without_variation_are_painted_too(paint, content, style, style_loss):
    losses = []
    painting = paint(
        content=content, styles=(style,), steps=6, style_loss=style_loss,
        watch=lambda t: losses.append(t.values["total"]),
    )  # fmt: skip
    assert np.isfinite(painting.pixels).all()
    assert painting.losses["total"] < losses[0]


def test_a_content_that_is_the_style_stays_as_it_is(paint):
    same = picture(32, 32)
    painting = paint(content=same, styles=(same,), steps=5)
    np.testing.assert_allclose(painting.pixels, same.pixels, atol=1e-3)


# --------------------------------------------------------------------------- sizes and scales


@pytest.mark.parametrize(
    ("size", "min_size", "wanted"),
    [
        ((512, 512), 256, [256, 512]),
        ((1024, 700), 256, [256, 512, 1024]),
        ((511, 300), 256, [511]),
        ((1000, 10), 256, [500, 1000]),
        ((100, 100), 256, [100]),
        ((512, 512), 0, [512]),
        ((512, 512), 512, [512]),
        ((64, 48), 1, [1, 2, 4, 8, 16, 32, 64]),
    ],
)
def test_scales_double_from_the_coarsest_to_the_full_size(size, min_size, wanted):
    scales = Gatys(min_size=min_size).scale_sizes(ExecutionSettings(*size, "cpu", "fp32"))
    assert [max(scale) for scale in scales] == wanted
    assert scales[-1] == size


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 3000))
def test_no_scale_is_below_the_coarsest_nor_out_of_shape(height, width, min_size):
    scales = Gatys(min_size=min_size).scale_sizes(ExecutionSettings(height, width, "cpu", "fp32"))
    assert scales[-1] == (height, width)
    assert max(scales[0]) >= min(min_size, max(height, width))
    assert max(scales[0]) < 2 * min_size + 1 or len(scales) == 1
    for h, w in scales:
        shrink = max(h, w) / max(height, width)
        assert abs(h - height * shrink) <= 1
        assert abs(w - width * shrink) <= 1


@pytest.mark.parametrize(
    ("knobs", "size", "wanted"),
    [
        ({}, 300, (300, 225)),  # unset: the result's
        ({}, 900, (400, 300)),  # never larger than it is
        ({"style_size": 200}, 300, (200, 150)),
        ({"style_scale": 0.5}, 300, (150, 112)),
        ({"style_scale": 1.2}, 300, (360, 270)),
        ({"style_scale": 5.0}, 300, (400, 300)),
        ({"style_size": 200, "style_scale": 0.5}, 300, (100, 75)),
        ({"style_scale": 0.1}, 300, (32, 24)),  # what the deepest layer needs
    ],
)
def test_the_style_has_the_size_that_was_asked_for(knobs, size, wanted):
    request = Request(picture(8, 8), (picture(400, 300),), Gatys(**knobs))
    setting = ExecutionSettings(size, size // 2, "cpu", "fp32")
    (height, width), = Gatys(**knobs).style_sizes(request, setting, 1.0)  # fmt: skip
    assert (height, width) == pytest.approx(wanted, abs=1)
    ((half, _),) = Gatys(**knobs).style_sizes(request, setting, 0.5)
    assert half == pytest.approx(max(MIN_SIDE_PX, wanted[0] / 2), abs=1)


def test_a_change_is_carried_to_the_next_scale_where_it_was(request_of):
    # 64 x 8 px from 32 x 4, which the net sees extended to 32 x 32: only its first 4 columns count.
    request = request_of(content=picture(64, 8), min_size=32, **SHALLOW)
    sitting = OptimizationRun(request.method, request, setting_of(request))
    assert sitting.scale_sizes == [(32, 4), (64, 8)]
    start = sitting.start_image(0)
    assert start.shape == (1, 3, 32, 32)
    change = torch.full_like(start, 9.0)
    change[..., :4] = torch.arange(4.0)
    sitting._start_stage(0, start + change)
    carried = sitting._upscaled_image(1) - sitting.start_image(1)
    wanted = upsample(change[..., :32, :4], torch.empty(1, 3, 64, 8))
    torch.testing.assert_close(carried[..., :8], wanted)


def test_a_leap_in_the_last_step_of_a_scale_is_not_carried_on(request_of, monkeypatch):
    places = []

    def objective(self, index, compact):
        def loss(x):
            places.append((index, x.detach().clone()))
            leap = 1e6 if len(places) == 5 else 1.0  # the look after the fourth and last step
            return {"total": leap * (x - 0.5).square().sum()}

        return loss

    monkeypatch.setattr(OptimizationRun, "objective", objective)
    request = request_of(content=picture(64, 64), min_size=32, steps=4, **SHALLOW)
    sitting = OptimizationRun(request.method, request, setting_of(request))
    sitting.run(lambda tick: None, None)
    good = places[3][1]
    begin = next(x for index, x in places if index == 1)
    wanted = sitting.start_image(1) + upsample(good - sitting.start_image(0), begin)
    torch.testing.assert_close(begin, wanted)


# --------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"style_layers": ("conv9_1",)}, "no layer 'conv9_1'"),
        ({"content_layers": ("conv4_2", "nonsense")}, "no layer 'nonsense'"),
        ({"style_layers": ("conv1_1", "relu1_1")}, "style_layers names a layer twice"),
        ({"content_layers": ("r42", "conv4_2")}, "content_layers names a layer twice"),
        ({"style_layer_weights": (1.0, 2.0)}, "2 weights for the 5 style_layers"),
        ({"content_layer_weights": (1.0, 2.0)}, "2 weights for the 1 content_layers"),
        ({"style_layers": ()}, "layer"),
    ],
)
def test_wrong_layers_are_refused_before_the_work(request_of, knobs, says):
    request = request_of(**knobs)
    plan = Plan(setting_of(request), Forecast(0, 0), 0)
    ticks = []
    with pytest.raises(KnobError, match=says):
        request.method.stylize(request, plan, ticks.append)
    assert ticks == []
    if knobs != {"style_layers": ()}:
        with pytest.raises(KnobError, match=says):
            request.method.forecast(request, setting_of(request))


@pytest.mark.parametrize("init", ["no-such-picture.png", "contents", ""])
def test_a_start_picture_that_is_missing_is_an_input_error(paint, init):
    with pytest.raises(InputError, match="Cannot read"):
        paint(steps=1, init=init)


# --------------------------------------------------------------------------------- warnings


@pytest.fixture(scope="session")
def vgg16(tmp_path_factory):
    """A VGG-16 of random weights in torchvision's layout."""
    generator = torch.Generator().manual_seed(0)
    names = vgg_layers.torchvision_names("vgg16")
    tensors = {
        names[ours]: torch.randn(shape, generator=generator) * (2 / (9 * shape[-3])) ** 0.5
        if len(shape) > 1
        else torch.zeros(shape)
        for ours, shape in vgg_layers.tensor_shapes("vgg16").items()
    }
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    safetensors.torch.save_file(tensors, path)
    return str(path)


def test_other_weights_are_taken_and_their_depths_warned_of(request_of, paint, vgg16):
    (warning,) = request_of(weights=vgg16).method.warnings(request_of(weights=vgg16))
    assert warning.startswith("VGG-16 has the same layer names at other depths")
    assert "conv5_1" in warning
    assert "conv1_1" not in warning
    alike = request_of(weights=vgg16, style_layers=("conv1_1",), content_layers=("conv3_1",))
    assert alike.method.warnings(alike) == ()
    painting = paint(weights=vgg16, steps=2, size=32)
    assert set(painting.files) == {"random.safetensors"}
    with pytest.raises(KnobError, match=r"VGG-16 has no layer 'conv4_4'.*conv4_3"):
        paint(weights=vgg16, steps=2, content_layers=("conv4_4",))


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({}, None),
        ({"structure": 0.0}, None),
        ({"structure": 1.0}, None),
        ({"beta": 0.9 * USEFUL_BALANCE_RANGE[0]}, "below"),
        ({"beta": 1.1 * USEFUL_BALANCE_RANGE[1]}, "above"),
        ({"beta": 0.0}, "below"),
        ({"alpha": 100.0, "beta": 110.0 * USEFUL_BALANCE_RANGE[0]}, None),
        ({"alpha": 100.0, "beta": 90.0 * USEFUL_BALANCE_RANGE[0]}, "below"),
        ({"alpha": 0.0, "beta": 1e9}, None),  # texture alone is wanted
        ({"strength": 0.0, "beta": 0.0}, None),
        ({"beta": 1e9, "style_layer_weights": (1.0,) * 5}, None),  # of another scale
    ],
    ids=str,
)
def test_a_useless_ratio_is_warned_of(request_of, knobs, says):
    request = request_of(**knobs)
    found = [w for w in request.method.warnings(request) if "beta / alpha" in w]
    assert len(found) == (says is not None)
    assert all(says in w for w in found)


@pytest.mark.parametrize(
    ("knobs", "size", "warned"),
    [
        ({}, 4000, False),  # nobody asked for strokes of some size
        ({"style_size": 48}, 30, False),
        ({"style_size": 49}, 30, True),
        ({"style_scale": 2.0}, 24, False),
        ({"style_scale": 2.0}, 25, True),
        ({"style_scale": 0.5}, 4000, False),
    ],
    ids=str,
)
def test_strokes_that_cannot_get_larger_are_warned_of(request_of, knobs, size, warned):
    request = request_of(size=size, **knobs)
    found = request.method.warnings(request)
    assert bool(found) is warned
    assert all("not enlarged" in w for w in found)


# ------------------------------------------------------------------------ stopping, and ticks


def stop_at(step):
    def watch(tick):
        if tick.step == step:
            raise KeyboardInterrupt

    return watch


def on_disk(state):
    file = io.BytesIO()
    torch.save(dict(state), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("where", [2, 4, 6, 8], ids=["coarse", "coarse end", "fine", "fine end"])
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"init": "noise"},
        {"optimizer": "adam", "ema_decay": 0.5},
        {"style_loss": "wasserstein", "ema_decay": 0.9},
    ],
    ids=str,
)
def test_stopped_anywhere_it_goes_on_to_the_same_bits(paint, where, knobs):
    knobs = {"steps": 4, "size": 48, "min_size": 24, **SHALLOW, **knobs}
    whole = paint(**knobs)
    assert whole.finished
    assert whole.steps == 8
    assert whole.state == {}
    part = paint(watch=stop_at(where), **knobs)
    assert not part.finished
    assert part.steps == where
    assert part.pixels.shape == whole.pixels.shape
    assert where == whole.steps or not np.array_equal(part.pixels, whole.pixels)
    rest = paint(state=on_disk(part.state), **knobs)
    assert rest.finished
    assert np.array_equal(rest.pixels, whole.pixels)
    assert rest.losses == whole.losses


def test_ticks_tell_where_it_is(paint):
    seen = []
    paint(steps=3, size=48, min_size=12, watch=lambda t: seen.append((t, t.image())), **SHALLOW)
    ticks = [tick for tick, _ in seen]
    assert [t.step for t in ticks] == list(range(1, 10))
    assert {t.steps for t in ticks} == {9}
    shares = [t.fraction for t in ticks]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    areas = [12 * 8, 24 * 16, 48 * 32]
    assert shares[2] == pytest.approx(areas[0] / sum(areas))
    assert shares[5] == pytest.approx(sum(areas[:2]) / sum(areas))
    assert [p.shape for _, p in seen] == [(8, 12, 3)] * 3 + [(16, 24, 3)] * 3 + [(32, 48, 3)] * 3
    assert all(0 <= p.min() <= p.max() <= 1 for _, p in seen)
    assert all(set(t.values) == {"content", "style", "gamut", "total"} for t in ticks)


# ------------------------------------------------------------------------ forecast, agreement


def test_gradients_agree_with_themselves_and_in_bf16(request_of):
    request = request_of()
    assert request.method.precision_agreement(request, "cpu", "fp32") == pytest.approx(1, abs=1e-6)
    assert 0.9 < request.method.precision_agreement(request, "cpu", "bf16") < 1


def test_the_forecast_grows_with_the_work(request_of, monkeypatch):
    monkeypatch.setattr(optimization_base, "resident_bytes", lambda: 10**8)
    request = request_of(steps=100)

    def forecast(height=256, width=256, precision="fp32", **knobs):
        method = Gatys(**{"steps": 100, **knobs})
        return method.forecast(request, ExecutionSettings(height, width, "cpu", precision))

    base = forecast()
    assert forecast(512, 512, min_size=0).peak_bytes > base.peak_bytes
    held = forecast(1, 1).peak_bytes
    four = forecast(512, 512).peak_bytes - held
    assert four == pytest.approx(4 * (base.peak_bytes - held), rel=0.05)
    assert forecast(precision="bf16", height=2048).peak_bytes < forecast(height=2048).peak_bytes
    assert forecast(lbfgs_history=100).peak_bytes > base.peak_bytes
    work = [forecast(steps=n).seconds - optimization_base.START_SECONDS for n in (100, 403)]
    assert work[1] == pytest.approx(work[0] * (403 + 3) / (100 + 3), rel=1e-6)
    scales = forecast(512, 512).seconds - optimization_base.START_SECONDS
    assert scales == pytest.approx(work[0] * 5, rel=1e-6)  # 256² and 512²


def test_without_a_style_layer_there_is_no_style():
    request = Request(picture(48, 48), (picture(48, 48, 1),), Gatys(style_layers=()))
    with pytest.raises(KnobError, match="style_layers is empty"):
        request.method.forecast(request, setting_of(request))
