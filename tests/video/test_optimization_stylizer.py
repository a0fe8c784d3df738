"""The brush of methods that optimize: what a frame starts from and holds on to."""

import numpy as np
import pytest
from moving import crossing, panning, texture
from tiny_models import picture

from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.metrics.temporal import TemporalError
from impasto.ops.flow_estimation import DIS
from impasto.pipeline import make_request
from impasto.video import optimization_stylizer
from impasto.video.optimization_stylizer import OptimizationStylizer

pytest.importorskip("cv2")
PLAN = Plan(ExecutionSettings(48, 64, "cpu", "fp32"), Forecast(0, 0), 0)


@pytest.fixture
def brush(narrow):
    """stability → a brush of few steps on a narrow random encoder."""

    def make(stability, flow=True, steps=12):
        request = make_request(
            texture(48, 64), picture(48, 64, 3), method="gatys", weights=str(narrow),
            steps=steps, init="noise", min_size=0,
            style_layers=["conv1_1", "conv2_1"], content_layers=["conv2_1"],
        )  # fmt: skip
        return OptimizationStylizer(
            request, PLAN, stability=stability, flow=DIS() if flow else None
        )

    return make


def film(frames):
    return panning(frames, right=1, height=48, width=64)


def test_frames_hold_on_to_those_before_them(brush):
    errors = []
    for stability in (0, 1):
        painter, gauge = brush(stability), TemporalError(DIS())
        for frame in film(4):
            gauge.update(frame, painter(frame))
        errors.append(gauge.compute()["warping_1"])
    assert errors[1] < 0.7 * errors[0]


def test_a_frame_starts_from_the_painting_before_it_brought_to_its_place(brush, monkeypatch):
    seen = []
    painter = brush(1, steps=2)
    painted = [painter(film(2)[0])]
    real = type(painter._request.method).stylize
    monkeypatch.setattr(
        type(painter._request.method), "stylize",
        lambda self, request, *rest: seen.append((self, request)) or real(self, request, *rest),
    )  # fmt: skip
    painter(film(2)[1])
    (method, request), before = seen[0], painted[0]
    assert method.steps == 1
    memory = request.temporal_constraint
    inside = np.s_[8:-8, 8:-8]
    brought = np.roll(before, 1, axis=1)
    assert memory.confidence[inside].mean() > 0.9
    known = memory.confidence[inside] > 0.999
    assert np.abs(memory.target - brought)[inside][known].mean() < 0.05
    assert np.allclose(memory.initial_image[inside][known], memory.target[inside][known], atol=1e-3)


def test_what_was_hidden_is_taken_from_older_frames(brush):
    """A square passes: the ground that it uncovers was last seen some frames ago."""
    frames = crossing(5, right=16, height=96, width=128)
    painter = brush(1)
    painter._size = (96, 128)
    for i, frame in enumerate(frames[:-1]):
        painter._past.appendleft((frame, np.full_like(frame, 0.1 * i)))
    last = painter._temporal_constraint(frames[-1])
    # At column 68 was the square in frame 3 and ground in frames 0 and 1.
    here = np.s_[40:56, 66:72]
    assert last.confidence[here].mean() > 0.9
    assert last.target[here].mean() < 0.15
    assert last.target[80:, 20:100].mean() == pytest.approx(0.3, abs=0.02)


def test_goes_on_to_the_same_frames(brush):
    frames = film(4)
    whole, first, second = brush(1, steps=4), brush(1, steps=4), brush(1, steps=4)
    wanted = [whole(f) for f in frames]
    for frame in frames[:2]:
        first(frame)
    second.load_state_dict({name: value.numpy() for name, value in first.state_dict().items()})
    assert np.array_equal([second(f) for f in frames[2:]], wanted[2:])
    assert whole.digests


def test_without_flow_a_frame_starts_from_the_one_before_as_it_is(brush):
    painter = brush(1, flow=False, steps=1)
    before = painter(film(1)[0])
    memory = painter._temporal_constraint(film(2)[1])
    assert np.array_equal(memory.initial_image, before)
    assert not memory.confidence.any()


def test_a_new_shot_starts_anew(brush):
    painter, alone = brush(1, steps=4), brush(0, steps=4)
    frames = film(3)
    painter(frames[0])
    painter.start_shot()
    assert np.array_equal(painter(frames[2]), alone(frames[2]))
    assert alone.state_dict() == {}


def test_memory_of_frames_does_not_grow(brush):
    painter = brush(1, steps=1)
    for frame in film(8):
        painter(frame)
    assert len(painter._past) == max(optimization_stylizer.REFERENCE_FRAMES)
