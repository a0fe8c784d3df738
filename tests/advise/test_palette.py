import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.advise.describe.palette import (
    COLOR_FAMILIES,
    MIN_CHROMA,
    NEUTRAL_FAMILIES,
    measure_palette,
    nearest_color_name,
    oklab_to_srgb,
    srgb_to_oklab,
)

NAMED = {
    name: (family, value)
    for family, names in COLOR_FAMILIES.items()
    for name, value in names.items()
}


def rgb(name):
    return np.array(tuple(bytes.fromhex(NAMED[name][1])), np.float32) / 255


def striped(**shares):
    """A picture of named colors in bands, each as many of 100 rows as it is told."""
    rows = [np.full((count, 60, 3), rgb(name.replace("_", " "))) for name, count in shares.items()]
    return np.concatenate(rows).astype(np.float32)


@pytest.mark.parametrize(
    ("color", "lightness", "chroma", "hue"),
    [
        ((1, 0, 0), 0.62796, 0.25768, 29.234),
        ((0, 1, 0), 0.86644, 0.29483, 142.495),
        ((0, 0, 1), 0.45201, 0.31321, 264.052),
        ((1, 1, 0), 0.96798, 0.21101, 109.769),
        ((0, 0.50196, 0), 0.51975, 0.17686, 142.495),
    ],
)
def test_oklab_is_that_of_css_color_4(color, lightness, chroma, hue):
    light, a, b = srgb_to_oklab(np.array(color))
    assert light == pytest.approx(lightness, abs=1e-4)
    assert np.hypot(a, b) == pytest.approx(chroma, abs=1e-4)
    assert np.degrees(np.arctan2(b, a)) % 360 == pytest.approx(hue, abs=0.01)


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_srgb_takes_oklab_back(color):
    assert np.allclose(oklab_to_srgb(srgb_to_oklab(np.array(color))), color, atol=1e-4)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_color_has_its_own_name(name):
    assert nearest_color_name(srgb_to_oklab(rgb(name))) == (NAMED[name][0], name)


def test_whites_grays_and_blacks_have_no_chroma_and_the_others_have_some():
    for name, (family, _) in NAMED.items():
        _, a, b = srgb_to_oklab(rgb(name))
        assert (np.hypot(a, b) < MIN_CHROMA) == (family in NEUTRAL_FAMILIES), name


def test_known_colors_are_found_with_their_shares():
    found = measure_palette(striped(cobalt=50, ochre=30, viridian=20))
    assert {c.name: round(c.area_fraction, 2) for c in found.colors} == {
        "cobalt": 0.5,
        "ochre": 0.3,
        "viridian": 0.2,
    }
    (first, *_) = found.colors
    assert (first.name, first.rgb) == ("cobalt", "#" + COLOR_FAMILIES["blue"]["cobalt"])
    assert [c.name for c in found.main_colors] == ["cobalt", "ochre", "viridian"]


def test_a_strong_color_counts_more_than_a_large_pale_one():
    found = measure_palette(striped(pale_gray=75, scarlet=25))
    assert [c.name for c in found.main_colors] == ["scarlet", "pale gray"]


def test_shades_of_one_color_get_one_name():
    found = measure_palette(striped(cobalt=40, ultramarine=30, midnight_blue=30))
    assert len(found.colors) == 1
    assert found.colors[0].area_fraction == 1


@pytest.mark.parametrize(
    ("name", "warm"), [("scarlet", 1), ("ochre", 1), ("cobalt", 0), ("viridian", 0)]
)
def test_reds_and_yellows_are_warm_and_blues_and_greens_are_not(name, warm):
    assert measure_palette(striped(**{name: 10})).warm_fraction == warm


def test_one_hue_is_told_from_opposite_ones():
    assert measure_palette(striped(terracotta=50, rust=50)).hue_concentration > 0.98
    opposite = np.array([[[0.62, 0.06, 0.03], [0.62, -0.06, -0.03]]])
    assert measure_palette(oklab_to_srgb(opposite).astype(np.float32)).hue_concentration < 0.01


def test_lightness_and_contrast_of_a_wedge_of_grays():
    light = np.linspace(0.1, 0.9, 801)
    wedge = oklab_to_srgb(np.stack([light, light * 0, light * 0], -1))[None].astype(np.float32)
    found = measure_palette(wedge)
    assert found.lightness == pytest.approx(0.5, abs=1e-3)
    assert found.contrast == pytest.approx(0.72, abs=1e-3)
    assert found.chroma < 1e-4


def test_what_is_transparent_does_not_count():
    pixels = striped(cobalt=50, scarlet=50)
    opaque = np.zeros((100, 60), bool)
    opaque[:50] = True
    assert [c.name for c in measure_palette(pixels, opaque).colors] == ["cobalt"]


def test_the_same_picture_has_the_same_palette():
    pixels = np.random.default_rng(0).random((40, 50, 3), dtype=np.float32)
    assert measure_palette(pixels) == measure_palette(pixels.copy())
