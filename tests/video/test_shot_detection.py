"""Cuts are found; flashes, fades, pans and changes of the light are none."""

from fractions import Fraction

import moving
import numpy as np
import pytest

from impasto.video.shot_detection import detect_shots
from impasto.video.source import Frame


def cuts(pictures, **settings):
    film = (Frame(np.asarray(p, np.float32), Fraction(i, 25)) for i, p in enumerate(pictures))
    return [i for i, (_, cut) in enumerate(detect_shots(film, **settings)) if cut]


def scene(seed, count):
    """A textured picture that pans slowly."""
    wide = moving.texture(24, 64, seed).repeat(4, axis=0).repeat(4, axis=1)
    return [wide[:, i : i + 128] for i in range(count)]


def test_cuts_are_found_where_they_are():
    film = scene(1, 12) + scene(2, 7) + scene(3, 12)
    assert cuts(film) == [0, 12, 19]


def test_a_cut_to_the_last_frame_is_found():
    assert cuts(scene(1, 6) + scene(2, 1)) == [0, 6]


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_cuts_nothing(length):
    film = scene(1, 16)
    for i in range(length):
        film[8 + i] = np.ones_like(film[0])
    assert cuts(film) == [0]


def test_light_that_goes_on_and_stays_on_cuts_nothing():
    film = scene(1, 16)
    assert cuts([*film[:8], *(0.3 * f for f in film[8:])]) == [0]
    assert cuts([*film[:8], *(0.5 * f + 0.5 for f in film[8:])]) == [0]


def test_a_fade_cuts_nothing():
    one, other = scene(1, 20), scene(2, 20)
    shares = np.linspace(0, 1, 20)
    assert cuts([(1 - s) * a + s * b for s, a, b in zip(shares, one, other, strict=True)]) == [0]


def test_a_fast_pan_cuts_nothing():
    assert cuts(moving.panning(16, right=12)) == [0]


def test_the_same_scene_cuts_nothing_and_grain_is_no_cut():
    random = np.random.default_rng(0)
    film = [f + 0.08 * random.standard_normal(f.shape) for f in scene(1, 12)]
    assert cuts(film) == [0]


def test_black_film_cuts_nothing():
    assert cuts([np.zeros((48, 64, 3))] * 6) == [0]


def test_cuts_can_be_left_alone():
    assert cuts(scene(1, 6) + scene(2, 6), find=False) == [0]


def test_every_frame_comes_through_in_its_order():
    film = [Frame(np.zeros((8, 8, 3), np.float32), Fraction(i, 25)) for i in range(5)]
    assert [frame for frame, _ in detect_shots(iter(film))] == film
