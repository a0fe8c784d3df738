"""The brush of methods that paint in one pass: steady, true to the film, and no ghosts."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from moving import crossing, panning, texture
from tiny_models import picture

from impasto.core.errors import InputError, KnobError
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.metrics.temporal import TemporalError
from impasto.ops.flow_estimation import DIS
from impasto.ops.warping import warp
from impasto.pipeline import make_request
from impasto.video import frame_stylizer as brushes
from impasto.video.feedforward_stylizer import FeedForwardStylizer, blend
from impasto.video.optimization_stylizer import OptimizationStylizer
from impasto.video.running_statistics import RunningStatistics

pytest.importorskip("cv2")

make_brush = functools.partial(brushes.make_frame_stylizer, source=pytest.fail)


class Flickers:
    """A painter whose strokes are others in every frame: grain on a picture in other colors."""

    align, halo, digests = 4, 8, {"flickers": "0"}

    def __init__(self, grain=0.1):
        self.random = torch.Generator().manual_seed(0)
        self.grain = grain

    def statistics(self, frame):
        return [(frame.mean((2, 3)), 1.0)]

    def __call__(self, frame, statistics=None):
        noise = torch.randn(frame.shape, generator=self.random)
        return 0.15 + 0.7 * frame + self.grain * F.avg_pool2d(noise, 3, 1, 1)


def plan(height=96, width=128):
    return Plan(ExecutionSettings(height, width, "cpu", "fp32"), Forecast(0, 0), 0)


@pytest.fixture
def brush(models, monkeypatch):
    """stability → a brush whose painter flickers."""
    from impasto.methods.adain import AdaIN

    def make(stability, flow="dis", grain=0.1):
        monkeypatch.setattr(AdaIN, "build_model", lambda *_: Flickers(grain))
        request = make_request(
            texture(96, 128), texture(64, 64), method="adain", weights=models["adain"]
        )
        return make_brush(request, plan(), stability=stability, flow=flow)

    return make


def steadiness(film, painted):
    gauge = TemporalError(DIS())
    for frame, each in zip(film, painted, strict=True):
        gauge.update(frame, each)
    return gauge.compute()


def test_flicker_is_halved_and_more(brush):
    film = panning(8)
    alone, held = ([b(f) for f in film] for b in (brush(0), brush(1)))
    before, after = steadiness(film, alone), steadiness(film, held)
    assert after["warping_1"] < 0.4 * before["warping_1"]
    assert after["warping_5"] < 0.8 * before["warping_5"]
    between = steadiness(film, [b(f) for b in (brush(0.5),) for f in film])
    assert after["warping_1"] < between["warping_1"] < before["warping_1"]


def test_detail_stays_over_many_frames(brush):
    """Nine in ten of the contrast of strokes that are other ones in every frame is kept."""
    film = panning(16, right=1)
    detail = [
        np.mean([np.abs(np.diff(b(f), axis=1)).mean() for f in film][-4:])
        for b in (brush(0), brush(1))
    ]
    assert 0.8 < detail[1] / detail[0] < 1.15


def test_no_ghost_stays_where_a_thing_was(brush):
    film = crossing(8, right=6)
    painter = brush(1, grain=0.0)
    last = [painter(frame) for frame in film][-1]
    wanted = 0.15 + 0.7 * film[-1]
    trail = np.s_[34:62, 18 : 16 + 6 * 7 - 4]
    assert np.abs(last - wanted)[trail].mean() < 0.02


def test_colors_do_not_drift(brush):
    film = [texture(96, 128)] * 40
    painter = brush(1, grain=0.05)
    last = [painter(frame) for frame in film][-1]
    wanted = 0.15 + 0.7 * film[0]
    assert np.abs(last.mean((0, 1)) - wanted.mean((0, 1))).max() < 0.01


def test_a_change_of_the_light_is_followed_at_once(brush):
    film = panning(6)
    film[4] = film[4] * 0.5 + 0.4
    painter = brush(1, grain=0.0)
    painted = [painter(frame) for frame in film]
    assert np.abs(painted[4] - (0.15 + 0.7 * film[4])).mean() < 0.02


def test_a_new_shot_forgets(brush):
    one, other = panning(2), texture(96, 128, seed=9)
    painter = brush(1, grain=0.0)
    for frame in one:
        painter(frame)
    painter.start_shot()
    assert np.allclose(painter(other), 0.15 + 0.7 * other, atol=1e-5)


def test_a_cut_that_nobody_saw_begins_anew(brush):
    painter, alone = brush(1), brush(1)
    for frame in (*panning(3), other := np.float32(texture(96, 128, seed=9) ** 3)):
        painter(frame)
    alone(other)
    known, wanted = (b.state_dict()["statistics.0"] for b in (painter, alone))
    assert torch.allclose(known, wanted)


@pytest.mark.parametrize("method", ["adain", "wct", "fast", "photowct"])
@pytest.mark.parametrize("flow", ["dis", "none"])
def test_goes_on_to_the_same_frames(models, method, flow):
    style = "red-lines" if method == "fast" else picture(48, 40, 3)
    request = make_request(texture(64, 80), style, method=method, weights=models[method])
    film = panning(4, height=64, width=80)

    def make():
        return make_brush(request, plan(64, 80), stability=1, flow=flow)

    whole = make()
    assert isinstance(whole, FeedForwardStylizer)
    assert whole.digests
    wanted = [whole(f) for f in film]
    first = make()
    for frame in film[:2]:
        first(frame)
    state = {name: value.numpy() for name, value in first.state_dict().items()}
    second = make()
    second.load_state_dict(state)
    found = [second(f) for f in film[2:]]
    assert np.array_equal(found, wanted[2:])


@pytest.mark.parametrize("method", ["adain", "wct", "fast"])
def test_stability_0_is_every_frame_by_itself(models, method):
    from impasto.pipeline import stylize

    style = "red-lines" if method == "fast" else picture(48, 40, 3)
    how = {"method": method, "weights": models[method], "precision": "fp32", "keep_color": "yuv"}
    film = panning(2, height=64, width=80)
    brush = make_brush(make_request(film[0], style, **how), plan(64, 80), stability=0, flow="auto")
    for frame in film:
        assert np.allclose(brush(frame), stylize(frame, style, **how).pixels, atol=1e-5)
    assert brush.state_dict() == {}


def test_frames_take_the_size_of_the_plan(brush):
    assert brush(1)(texture(192, 256)).shape == (96, 128, 3)


def test_statistics_are_averaged():
    class Knows:
        align, halo, digests = 4, 8, {}

        def statistics(self, frame):
            return [(frame.mean((2, 3)), 2.0), frame.amax()]

        def __call__(self, frame, statistics=None):
            return statistics

    painter = RunningStatistics(Knows())
    painter.set_momentum(0.25)
    zero, one = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert painter(zero)[1] == 0
    (mean, two), most = painter(one)
    assert mean.flatten().tolist() == [0.25] * 3
    assert (two, most) == (2.0, 0.25)
    other = RunningStatistics(Knows())
    other.set_momentum(0.25)
    other.load_state_dict(painter.state_dict())
    assert other(one)[1] == pytest.approx(0.4375)
    other.load_state_dict({"0": torch.zeros(5)})
    with pytest.raises(InputError, match="another method"):
        other(one)
    painter.start_shot()
    assert painter(one)[1] == 1


def test_a_mixture_has_the_detail_of_the_fresh_one():
    random = torch.Generator().manual_seed(0)

    def strokes():
        return F.avg_pool2d(torch.randn(1, 3, 66, 66, generator=random), 3, 1)

    painted = fresh = strokes()
    everywhere = torch.ones(1, 1, 64, 64)
    for _ in range(30):  # strokes that never meet, off the grid of pixels
        fresh = strokes()
        moved = warp(painted, torch.full((1, 2, 64, 64), 0.4), "bicubic")
        painted = blend(fresh, moved, 0.95 * everywhere)
    assert 0.6 < (painted.std() / fresh.std()).item() < 1.2
    same = blend(fresh, fresh, 0.5 * everywhere)
    assert torch.allclose(same, fresh, atol=1e-3)


def test_settings_that_do_not_fit(models):
    request = make_request(texture(64, 80), picture(48, 40), method="adain",
                           weights=models["adain"])  # fmt: skip
    with pytest.raises(KnobError, match="stability = 2"):
        make_brush(request, plan(64, 80), stability=2, flow="auto")
    with pytest.raises(KnobError, match="flow = 'x'"):
        make_brush(request, plan(64, 80), stability=1, flow="x")
    divided = make_request(
        texture(64, 80), [], method="adain", weights=models["adain"],
        regions=[(np.ones((64, 80), np.float32), picture(48, 40))], background="keep",
    )  # fmt: skip
    with pytest.raises(KnobError, match="no regions"):
        make_brush(divided, plan(64, 80), stability=1, flow="auto")


@pytest.mark.parametrize("stable", [False, True])
def test_a_network_that_is_stable_by_itself_needs_no_flow(models, tmp_path, stable):
    from impasto.weights.model_files import read_model, write_model

    model = read_model(Path(models["fast"]), "fast", "0", "fast")
    file = tmp_path / "own.safetensors"
    with file.open("wb") as out:
        about = {**model.about, "stable": stable}
        write_model(out, "fast", dict(model.tensors), about, dict(model.card))
    request = make_request(texture(64, 80), "red-lines", method="fast", weights=str(file))
    state = {}
    for flow in ("auto", "dis"):
        brush = make_brush(request, plan(64, 80), stability=1, flow=flow)
        brush(texture(64, 80))
        state[flow] = brush.state_dict()
    assert ("painted" in state["auto"]) is not stable
    assert "painted" in state["dis"]


def test_a_method_that_optimizes_has_its_own_brush(quick):
    request = make_request(texture(64, 80), picture(48, 40), method="gatys")
    assert isinstance(
        make_brush(request, plan(64, 80), stability=1, flow="auto"), OptimizationStylizer
    )
