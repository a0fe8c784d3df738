"""Gatys on the compact encoder, and its first steps on it."""

import io

import numpy as np
import pytest
import torch

from impasto.core.errors import KnobError
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.engines.optimization import base
from impasto.engines.optimization.run import OptimizationRun
from impasto.losses.perceptual import PerceptualLoss
from impasto.methods.gatys import Gatys
from impasto.nets.vgg import VGG
from impasto.weights import store

SHALLOW = {"style_layers": ("conv1_1",), "content_layers": ("conv2_1",)}


@pytest.fixture
def encoders(quick):
    return VGG(store.load_encoder("oxford")), VGG(store.load_encoder("compact"))


def tensor(picture):
    return torch.from_numpy(np.ascontiguousarray(picture.pixels)).permute(2, 0, 1)[None]


def setting_of(request):
    return ExecutionSettings(request.content.height, request.content.width, "cpu", "fp32")


# ------------------------------------------------------------------------- the encoder itself


def test_layer_weights_count_with_the_full_networks_channels(encoders):
    full, compact = (Gatys().layer_weights(encoder, "style") for encoder in encoders)
    assert full == compact
    assert full["conv1_1"] == 64**-2.0


def test_its_losses_are_about_the_full_encoders(encoders, content, style):
    """So that α, β and structure keep their meaning."""
    knobs = Gatys()
    found = []
    for encoder in encoders:
        weights = (knobs.layer_weights(encoder, role) for role in ("content", "style"))
        loss = PerceptualLoss(encoder, *weights, "gram")
        loss.set_content(tensor(content))
        loss.set_style([(1.0, tensor(style))])
        blurred = torch.nn.functional.avg_pool2d(tensor(content), 3, 1, 1)
        found.append(loss(blurred))
    for name in ("content", "style"):  # measured: 0.21 and 0.63
        assert 1 / 6 < found[1][name] / found[0][name] < 2, name


def test_a_painting_on_it_says_so(paint):
    losses = []
    painting = paint(weights="compact", steps=12, watch=lambda t: losses.append(t.values))
    assert painting.losses["total"] < losses[0]["total"] / 5
    assert painting.files == {"compact": store.load_encoder("compact").sha256}


def test_its_style_is_style_in_the_eyes_of_the_full_encoder_too(paint, encoders, style):
    loss = PerceptualLoss(encoders[0], {}, Gatys().layer_weights(encoders[0], "style"), "gram")
    loss.set_style([(1.0, tensor(style))])
    pictures = [paint(weights="compact", steps=steps) for steps in (1, 30)]
    before, after = (float(loss(tensor(picture))["style"]) for picture in pictures)
    assert after < before / 2  # measured: / 2.6


@pytest.mark.parametrize("role", ["style", "content"])
def test_a_layer_that_it_does_not_have_is_named_with_what_there_is(request_of, role):
    request = request_of(weights="compact", **{f"{role}_layers": ("conv5_2",)})
    says = "VGG-19 compact has conv1_1 to conv5_1, but no layer 'conv5_2'"
    with pytest.raises(KnobError, match=says):
        request.method.forecast(request, setting_of(request))
    with pytest.raises(KnobError, match=says):
        request.method.stylize(request, Plan(setting_of(request), Forecast(0, 0), 0), print)


# ---------------------------------------------------------------------------- the first steps


def test_the_first_steps_are_on_it_and_the_others_on_the_full_one(paint, monkeypatch):
    used = []
    forward = VGG.forward

    def seen(self, x, layers):
        if x.requires_grad:
            used.append((next(iter(self.digests)), tuple(x.shape[2:])))
        return forward(self, x, layers)

    monkeypatch.setattr(VGG, "forward", seen)
    ticks = []
    painting = paint(size=64, min_size=32, steps=2, warmup_steps=3, watch=ticks.append)
    coarse, fine = used[0][1], used[-1][1]
    assert max(coarse) == 32
    assert max(fine) == 64
    wanted = [("compact", coarse)] * 3 + [("oxford", coarse)] * 2 + [("oxford", fine)] * 2
    assert used == wanted
    assert painting.steps == 7
    assert [(t.step, t.steps) for t in ticks] == [(n, 7) for n in range(1, 8)]
    shares = [t.fraction for t in ticks]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert painting.files == {
        name: store.load_encoder(name).sha256 for name in ("oxford", "compact")
    }


def test_the_picture_is_handed_over_as_it_is(request_of):
    request = request_of(warmup_steps=2, steps=1, init="noise")
    sitting = OptimizationRun(request.method, request, setting_of(request))
    pictures = []
    begin = sitting._start_stage

    def seen(index, ground):
        if index == 1:
            pictures.extend((sitting.optimizer.image(), ground))
        begin(index, ground)

    sitting._start_stage = seen
    sitting.run(lambda tick: None, None)
    torch.testing.assert_close(*pictures, atol=1e-6, rtol=0)


def test_warm_steps_start_the_others_nearer_to_their_end(paint):
    totals = {}
    for warm in (0, 20):
        losses = []
        paint(
            warmup_steps=warm, steps=6, watch=lambda t, seen=losses: seen.append(t.values["total"])
        )
        totals[warm] = losses[-6:]
    assert totals[20][0] < totals[0][0] / 1.5
    assert totals[20][-1] < totals[0][-1]


@pytest.mark.parametrize("where", [2, 3, 5], ids=["warm", "warm end", "full"])
@pytest.mark.parametrize(
    "knobs", [{}, {"init": "noise"}, {"optimizer": "adam", "ema_decay": 0.5}], ids=str
)
def test_stopped_while_warm_it_goes_on_to_the_same_bits(paint, where, knobs):
    knobs = {"warmup_steps": 3, "steps": 3, "size": 48, "min_size": 24, **SHALLOW, **knobs}
    whole = paint(**knobs)

    def stop(tick):
        if tick.step == where:
            raise KeyboardInterrupt

    part = paint(watch=stop, **knobs)
    assert (part.finished, part.steps) == (False, where)
    file = io.BytesIO()
    torch.save(dict(part.state), file)
    file.seek(0)
    rest = paint(state=torch.load(file, weights_only=True), **knobs)
    assert rest.finished
    assert rest.steps == whole.steps == 9
    assert np.array_equal(rest.pixels, whole.pixels)
    assert rest.losses == whole.losses
    assert rest.files == part.files == whole.files


def test_strength_0_gives_the_content_back_through_warm_steps(paint, content):
    painting = paint(steps=2, warmup_steps=3, strength=0.0)
    shown = ((each.pixels.clip(0, 1) * 255).round() for each in (painting, content))
    assert np.array_equal(*shown)


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"weights": "compact"}, "like oxford, not compact"),
        ({"style_layers": ("conv5_2",)}, "no layer 'conv5_2'"),
    ],
)
def test_where_it_is_no_stand_in_warm_steps_are_left_out_with_a_warning(
    request_of, paint, knobs, says
):
    request = request_of(warmup_steps=5, **knobs)
    (warning,) = request.method.warnings(request)
    assert warning.startswith("warmup_steps is left out: ")
    assert says in warning
    painting = paint(warmup_steps=5, steps=2, **knobs)
    assert painting.steps == 2
    assert set(painting.files) == {knobs.get("weights", "oxford")}
    cold = request_of(**{**knobs, "warmup_steps": 0})
    assert cold.method.warnings(cold) == ()


def test_the_forecast_counts_warm_steps_at_the_speed_of_the_compact_encoder(
    request_of, monkeypatch
):
    paces = {"oxford": 8.0, "compact": 1.0}
    monkeypatch.setattr(base, "seconds_per_megapixel", lambda weights, *_: paces[weights])
    setting = ExecutionSettings(512, 512, "cpu", "fp32")

    def seconds(**knobs):
        request = request_of(steps=100, **knobs)
        return request.method.forecast(request, setting).seconds

    more = seconds(warmup_steps=50) - seconds(warmup_steps=0)
    assert more == pytest.approx(256**2 / 1e6 * (50 + 3))
