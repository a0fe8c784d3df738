"""The measures, on films whose steadiness is known."""

import numpy as np
import pytest
import torch
from moving import crossing, panning, texture

from impasto.metrics.temporal import TEMPORAL_METRICS, TemporalError
from impasto.ops.flow_estimation import DIS

pytest.importorskip("cv2")


class Known:
    """The flow of a pan of two pixels a frame; frames are known by sight."""

    name = "known"

    def __init__(self, film, right=2):
        self.film, self.right = film, right

    def __call__(self, first, second):
        i, j = ([np.array_equal(f, e) for f in self.film].index(True) for e in (first, second))
        flow = torch.zeros(1, 2, *first.shape[:2])
        flow[:, 0] = self.right * (j - i)
        return flow


def measured(film, painted, flow=None, **how):
    gauge = TemporalError(flow or Known(film), **how)
    for frame, other in zip(film, painted, strict=True):
        gauge.update(frame, other)
    return gauge.compute()


def test_a_painting_that_moves_with_the_film_is_steady():
    film = panning(12)
    found = measured(film, [1 - 0.5 * f for f in film])
    assert list(found) == list(TEMPORAL_METRICS)
    for name in ("warping_1", "warping_5", "drift", "film"):
        assert found[name] == pytest.approx(0, abs=1e-4)


def test_grain_is_measured_as_it_is():
    """Independent noise of deviation s in both frames differs by s sqrt 2."""
    film = panning(12)
    random = np.random.default_rng(0)
    noisy = [np.float32(0.5 + 0.1 * random.standard_normal(f.shape)) for f in film]
    found = measured(film, noisy)
    for name in ("warping_1", "warping_5", "drift"):
        assert found[name] == pytest.approx(0.1 * 2**0.5, rel=0.03)


def test_a_pattern_that_stays_where_the_screen_is_swims():
    film = panning(12)
    still = [texture(96, 128, seed=5)] * 12
    found = measured(film, still)
    assert 0.02 < found["warping_1"] < found["warping_5"]


def test_only_what_both_frames_show_is_compared():
    """Behind a square that moves on, the painting may change as it likes."""
    film = crossing(6)
    painted = []
    for i, frame in enumerate(film):
        each = np.array(frame)
        if i:
            each[32:64, 12 + 4 * i : 16 + 4 * i] = 1 - each[32:64, 12 + 4 * i : 16 + 4 * i]
        painted.append(each)
    # Only what was uncovered is painted otherwise: at a distance of 1 it is not compared.
    plain, found = (measured(film, p, DIS())["warping_1"] for p in (film, painted))
    uncovered = np.sqrt(np.mean([np.square(p - f).mean() for p, f in zip(painted[1:], film[1:],
                                                                       strict=True)]))  # fmt: skip
    assert found < plain + 0.5 * uncovered


def test_a_change_of_the_light_that_the_film_has_is_no_error():
    film = panning(8)
    flashing = [f * (0.6 if i % 2 else 1.0) for i, f in enumerate(film)]
    film_and_known = Known(flashing)
    painted = [0.2 + 0.5 * f for f in flashing]
    assert measured(flashing, painted, film_and_known)["warping_1"] < 0.01


def test_a_change_of_the_light_that_only_the_painting_has_is_one():
    film = panning(8)
    flickering = [f * (0.8 if i % 2 else 1.0) for i, f in enumerate(film)]
    assert measured(film, flickering)["warping_1"] > 0.05


def test_nothing_is_compared_across_a_cut():
    one, other = panning(3), [np.ascontiguousarray(1 - f) for f in panning(3)]
    gauge = TemporalError(DIS())
    for film in (one, other):
        gauge.start_shot()
        for frame in film:
            gauge.update(frame, frame)
    found = gauge.compute()
    assert found["warping_1"] < 0.03
    assert "warping_5" not in found
    assert "drift" not in found


def test_one_frame_has_no_measures():
    assert measured(panning(1), panning(1)) == {}


def test_true_flow_forward_is_used():
    film = panning(6, right=3)

    def truth(first, last):
        assert first < last
        flow = torch.zeros(1, 2, 96, 128)
        flow[:, 0] = 3 * (last - first)
        return flow

    found = measured(film, film, Known(film, right=3), truth=truth)
    assert found["warping_1"] == pytest.approx(0, abs=1e-4)
    assert found["warping_5"] == pytest.approx(0, abs=1e-4)


def test_frames_are_compared_in_small_if_asked():
    film = panning(4, right=4, height=192, width=256)
    found = measured(film, film, DIS(), size=128)
    assert found["warping_1"] < 0.03


def test_rarely_is_as_often_but_of_fewer_frames():
    film = panning(31)
    random = np.random.default_rng(0)
    noisy = [np.float32(0.5 + 0.1 * random.standard_normal(f.shape)) for f in film]
    flow = Known(film)
    seen = []

    def looking(first, second):
        seen.append(1)
        return flow(first, second)

    rarely = measured(film, noisy, looking, every=6)
    assert list(rarely) == list(TEMPORAL_METRICS)
    assert rarely["warping_5"] == pytest.approx(0.1 * 2**0.5, rel=0.05)
    assert len(seen) == 2 * (5 + 5 + 1)  # at 6, 12, … 30, at each distance, and one drift
