"""Times and amounts of memory as they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core import units, words
from impasto.core.errors import KnobError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("5", 5),
        (5, 5),
        (0.25, 0.25),
        ("200ms", 0.2),
        ("2m", 120),
        ("2 min", 120),
        ("1h", 3600),
        ("1m 30s", 90),
        ("1H30M", 5400),
        (".5s", 0.5),
    ],
)
def test_a_time_is_so_many_seconds(text, seconds):
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [("4G", 4e9), ("4GB", 4e9), ("500m", 5e8), ("1.5 g", 1.5e9), (1024, 1024), ("100k", 1e5)],
)
def test_an_amount_is_so_many_bytes(text, count):
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize(
    "text", ["", "soon", "5x", "-5s", "0s", "5 5", "1.2.3", "s", "nan", "inf", "1m30", True, -1]
)
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(KnobError, match=r'deadline = .* as "5s"'):
        units.parse_duration(text)


@pytest.mark.parametrize("text", ["lots", "4 5G", "0", "4P", None, float("nan")])
def test_what_is_no_amount_is_refused_with_an_example(text):
    with pytest.raises(KnobError, match=r'memory = .* as "500M"'):
        units.parse_bytes(text)


@given(st.integers(60, 5 * 3600))
def test_a_time_in_words_is_read_back_to_the_minute(seconds):
    said = words.format_duration(seconds)
    assert units.parse_duration(said) == pytest.approx(seconds, abs=60)


def test_below_a_second_a_time_is_said_in_milliseconds():
    said = [words.format_short_duration(seconds) for seconds in (0.085, 0.9994, 0.9996, 1.0)]
    assert said == ["85 ms", "999 ms", "1 s", "1 s"]
