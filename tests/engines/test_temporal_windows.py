"""Sliding windows: closed forms of the blend, and waves along a film."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import KnobError
from impasto.engines.diffusion.temporal_windows import (
    WindowedSampler,
    check_window,
    place_window,
    window_weights,
)

SIZES = st.tuples(st.integers(2, 9), st.integers(1, 4)).filter(lambda s: s[1] <= s[0] // 2)


def starts(length, window, overlap, shift=0):
    """First and last of every window of a film."""
    found, start = [], 0
    while start >= 0:
        first, end, start = place_window(
            start, window, window - overlap, shift, lambda n: n < length
        )
        found.append((first, end))
    return found


@given(st.integers(1, 60), SIZES, st.booleans())
def test_windows_cover_a_film_and_overlap(length, sizes, shifted):
    window, overlap = sizes
    found = starts(length, window, overlap, (window - overlap) // 2 if shifted else 0)
    assert (found[0][0], found[-1][1]) == (0, length)
    for (a, b), (c, d) in pairwise(found):
        assert a < c <= b - overlap
        assert d > b
    assert all(b - a == min(window, length) for a, b in found)


def test_the_weights_of_two_windows_sum_to_1():
    up, down = window_weights(16, 4)[:4], window_weights(16, 4)[-4:]
    assert up == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5])
    assert [a + b for a, b in zip(up, down, strict=True)] == pytest.approx([1] * 4)
    assert window_weights(16, 4)[4:12] == [1] * 8


def waved(length, window, overlap, steps, predict, **more):
    wave = WindowedSampler(
        window, overlap, steps,
        has_frame=lambda n: n < length,
        initial_latents=lambda f: torch.full((1, 1, 1), float(f), dtype=torch.float64),
        predict_noise=predict,
        denoise_step=lambda step, first, guess, latents: latents + guess,
        **more,
    )  # fmt: skip
    return wave


def at_once(length, window, overlap, steps, predict):
    """The same, written down plainly: every step for the whole film."""
    x = torch.arange(length, dtype=torch.float64).view(-1, 1, 1, 1)
    stride = window - overlap
    for step in range(steps):
        guess, whole = torch.zeros_like(x), torch.zeros_like(x)
        for a, b in starts(length, window, overlap, step % 2 * (stride // 2)):
            weights = torch.tensor(window_weights(b - a, overlap), dtype=x.dtype).view(-1, 1, 1, 1)
            guess[a:b] += weights * predict(step, a, x[a:b])
            whole[a:b] += weights
        x = x + guess / whole
    return x


def blurring(step, first, seen):
    """Every frame looks at all others of its window."""
    return torch.sin(seen.cumsum(0) + step) - 0.3 * (seen - seen.mean())


@given(st.integers(1, 70), SIZES, st.integers(1, 5))
def test_waves_are_all_frames_at_once(length, sizes, steps):
    wave = waved(length, *sizes, steps, blurring)
    found = torch.stack([wave(frame) for frame in range(length)])
    torch.testing.assert_close(found, at_once(length, *sizes, steps, blurring))


def test_a_film_joins_without_a_jump():
    window, overlap = 16, 4

    def constant(step, first, seen):  # every window wants another thing altogether
        return torch.full_like(seen, float(first)) - seen

    wave = waved(64, window, overlap, 1, constant)
    found = torch.stack([wave(frame) for frame in range(64)]).flatten()
    steps = found.diff()
    assert float(steps.abs().max()) == pytest.approx((window - overlap) / (overlap + 1))
    ramp_up = [12 * i / 5 for i in range(6)]  # from what the first wants to the second's, evenly
    assert found[11:17].tolist() == pytest.approx(ramp_up)


def test_the_memory_does_not_grow_with_the_film():
    def most(length):
        wave, held = waved(length, 6, 2, 5, blurring), []
        for frame in range(length):
            wave(frame)
            held.append(sum(map(len, wave._latents_by_step)) + sum(map(len, wave._predictions)))
        return max(held)

    assert most(400) == most(100) < 80


def test_frames_are_read_no_further_than_they_count():
    read = []
    wave = waved(1000, 6, 2, 3, blurring)
    wave._has_frame = lambda n: read.append(n) or n < 1000
    wave(0)
    assert max(read) <= 3 * 10 + 6


@pytest.mark.parametrize("at", [1, 9, 20])
def test_a_wave_goes_on_from_its_state(at, tmp_path):
    whole, first, second = (waved(40, 6, 2, 4, blurring) for _ in range(3))
    wanted = [whole(frame) for frame in range(40)]
    for frame in range(at):
        first(frame)
    torch.save(first.state(), tmp_path / "state")
    second.restore(torch.load(tmp_path / "state", weights_only=True), "cpu")
    assert second.frames_requested == first.frames_requested >= at
    assert all(torch.equal(second(frame), wanted[frame]) for frame in range(at, 40))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((40, 4, 32), "at most 32"), ((16, 9, 32), "share 1 to 8"), ((16, 0, 32), "share 1 to 8")],
)
def test_windows_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(KnobError, match=message):
        check_window(*sizes)
