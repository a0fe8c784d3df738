"""Requests are checked where they are made."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import ImpastoError, InputError, KnobError
from impasto.core.picture import Picture
from impasto.core.request import Request
from impasto.methods.gatys import Gatys
from impasto.pipeline import make_request

PICTURE = Picture(np.zeros((4, 6, 3), np.float32))


def request(styles=1, **settings):
    return Request(PICTURE, (PICTURE,) * styles, Gatys(), **settings)


@pytest.mark.parametrize("size", [0, -1, 30_001, 64.0, 64.5, "64", True, math.nan])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(KnobError, match=r"^size = .*1 to 30000 pixels"):
        request(size=size)


@pytest.mark.parametrize("size", [None, 1, 30_000])
def test_the_extreme_sizes_are_taken(size):
    assert request(size=size).size == size


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70, 1.5, "1", True, None])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(KnobError, match=r"^seed = "):
        request(seed=seed)


def test_a_request_without_style_is_refused():
    with pytest.raises(InputError, match="at least one"):
        request(styles=0)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ((1.0,), "1 style weights for 2 style pictures"),
        ((1.0, 1.0, 1.0), "3 style weights for 2"),
        ((0.0, 0.0), "not all 0"),
        ((1.0, -0.1), "at least 0"),
        ((1.0, math.nan), "at least 0"),
        ((1.0, math.inf), "at least 0"),
    ],
)
def test_style_weights_that_share_nothing_out_are_refused(weights, says):
    with pytest.raises(KnobError, match=says):
        request(styles=2, style_weights=weights)


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(KnobError, match="one of auto, fp32, bf16"):
        request(precision="fp16")


def test_without_weights_the_shares_are_equal():
    assert request(styles=4).normalized_style_weights == (0.25,) * 4


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5).filter(lambda w: sum(w) > 1e-6))
def test_shares_keep_the_proportions_and_sum_to_one(weights):
    shares = request(styles=len(weights), style_weights=tuple(weights)).normalized_style_weights
    assert math.isclose(sum(shares), 1, rel_tol=1e-9)
    for share, weight in zip(shares, weights, strict=True):
        assert math.isclose(share * sum(weights), weight, rel_tol=1e-9, abs_tol=1e-300)


@pytest.mark.parametrize(
    "settings",
    [
        {"style_weights": "ab"},
        {"style_weights": 3.0},
        {"style_weights": [None]},
        {"steps": 0},
        {"stpes": 3},
        {"method": "gatis"},
        {"seed": "x"},
        {"size": "64"},
    ],
)
def test_a_callers_mistake_is_an_impasto_error(settings):
    pixels = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(ImpastoError):
        make_request(pixels, pixels, **settings)


@pytest.mark.parametrize("thing", [None, 3, np.zeros((2, 2, 7)), "no-such-file.png"])
def test_a_picture_that_is_none_is_an_input_error(thing):
    pixels = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(InputError):
        make_request(thing, pixels)
    with pytest.raises(InputError):
        make_request(pixels, [pixels, thing])


def test_one_style_and_a_list_of_one_are_the_same():
    pixels = np.zeros((4, 4, 3), np.float32)
    single, listed = make_request(pixels, pixels), make_request(pixels, [pixels])
    assert [s.sha256 for s in single.styles] == [s.sha256 for s in listed.styles]
