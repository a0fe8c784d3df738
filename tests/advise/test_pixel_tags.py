from pathlib import Path

import numpy as np
import pytest

from impasto.advise.describe.pixel_tags import (
    COLOR_RULES,
    MEASUREMENT_SIDE_PX,
    STROKE_RULES,
    UNBOUNDED,
    measure_style,
)
from impasto.core.errors import InputError
from impasto.pictures import as_picture, read

ROOT = Path(__file__).parents[2]
STYLES = ROOT / "examples" / "styles"
PAGE = ROOT / "docs" / "describe.md"


def words_of(pixels):
    return [word for _, word in measure_style(as_picture(pixels)).words]


def stripes(degrees, low, high):
    y, x = np.mgrid[0:160, 0:160]
    angle = np.radians(degrees)
    wave = 0.5 + 0.5 * np.sin((x * np.sin(angle) + y * np.cos(angle)) * 0.7)
    return (np.array(low) + wave[:, :, None] * (np.array(high) - low)).astype(np.float32)


@pytest.mark.parametrize(
    ("degrees", "word"), [(5, "horizontal"), (45, "diagonal"), (85, "vertical"), (130, "diagonal")]
)
def test_stripes_are_strokes_of_their_direction(degrees, word):
    assert f"{word} strokes" in words_of(stripes(degrees, (0.1, 0.2, 0.5), (0.5, 0.7, 1)))


def test_rings_swirl():
    y, x = np.mgrid[-100:100, -100:100]
    wave = 0.5 + 0.4 * np.sin(np.hypot(x, y) * 0.5)
    assert words_of(np.repeat(wave[:, :, None], 3, 2))[:2] == [
        "swirling strokes",
        "black and white",
    ]


def test_a_zigzag_has_no_direction_of_its_mean():
    y, x = np.mgrid[0:160, 0:160]
    zigzag = 0.5 + 0.4 * np.sin((y + np.abs(x % 40 - 20) * 1.5) * 0.5)
    said = " ".join(words_of(np.repeat(zigzag[:, :, None], 3, 2)))
    assert "strokes" not in said


def test_large_plain_areas_are_flat_and_smooth():
    y, x = np.mgrid[-80:80, -80:80]
    pixels = np.full((160, 160, 3), (0.8, 0.1, 0.1), np.float32)
    pixels[np.hypot(x, y) < 50] = 0.95
    said = words_of(pixels)
    assert {"large flat areas", "smooth surface", "warm palette"} <= set(said)
    assert not any("strokes" in word for word in said)


def test_noise_is_rough_and_dappled():
    pixels = np.random.default_rng(0).random((160, 160, 3), dtype=np.float32)
    assert {"dappled, broken marks", "rough texture"} <= set(words_of(pixels))


def test_dark_and_light_pictures():
    dark = stripes(5, (0, 0, 0.05), (0.1, 0.15, 0.3))
    assert {"dark, low key", "gentle contrast", "cool palette"} <= set(words_of(dark))
    light = stripes(5, (0.9, 0.85, 0.7), (1, 0.95, 0.8))
    assert {"high key", "gentle contrast", "warm palette"} <= set(words_of(light))


@pytest.mark.parametrize(
    ("name", "expected", "absent"),
    [
        ("starry-night", {"swirling strokes", "cobalt and lemon yellow"}, {"smooth surface"}),
        ("doesburg", {"vertical and horizontal lines", "black and white"}, {"warm palette"}),
        ("great-wave", {"large flat areas", "crisp edges"}, {"swirling strokes", "soft edges"}),
        ("rhone", {"horizontal strokes", "dark, low key"}, {"smooth surface", "warm palette"}),
    ],
)
@pytest.mark.skipif(not STYLES.is_dir(), reason="the examples are only in the repository")
def test_words_that_a_person_would_accept(name, expected, absent):
    said = {word for _, word in measure_style(read(STYLES / f"{name}.jpg")).words}
    assert expected <= said
    assert not absent & said


def test_a_large_picture_is_measured_in_small():
    pixels = np.repeat(np.repeat(stripes(45, (0, 0, 0), (1, 1, 0)), 8, 0), 8, 1)
    assert measure_style(as_picture(pixels)).to_dict()["detail_period"] == pytest.approx(
        2 * np.pi / 0.7 / 160, rel=0.1
    )
    assert pixels.shape[0] > MEASUREMENT_SIDE_PX


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (20, 20), (47, 200)])
def test_of_a_tiny_picture_only_the_colors_are_measured(shape):
    found = measure_style(as_picture(np.full((*shape, 3), (0.14, 0.34, 0.66))))
    assert found.strokes is None
    assert found.words[0] == ("colors", "cobalt")


def test_one_color():
    assert words_of(np.full((64, 64, 3), (0.8, 0.13, 0.16)))[:2] == ["large flat areas", "scarlet"]


@pytest.mark.parametrize(("value", "word"), [(0.0, "black"), (0.61, "gray"), (0.98, "white")])
def test_one_gray(value, word):
    assert word in words_of(np.full((64, 64), value))


def test_16_bits_say_what_8_bits_say():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    assert words_of(pixels) == words_of(pixels.astype(np.uint16) * 257)


def test_what_is_transparent_adds_neither_colors_nor_edges():
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[:, :, :3] = np.random.default_rng(0).integers(0, 256, (80, 80, 3))
    pixels[20:60, 20:60] = (36, 86, 168, 255)
    found = measure_style(as_picture(pixels))
    assert [color.name for color in found.palette.colors] == ["cobalt"]
    assert found.strokes.edge_width == 0
    assert found.strokes.flat_fraction > 0.8


def test_a_wholly_transparent_picture_is_refused():
    with pytest.raises(InputError, match="wholly transparent"):
        measure_style(as_picture(np.zeros((60, 60, 4), np.uint8)))


def test_facts_are_plain_numbers():
    import json

    facts = measure_style(as_picture(stripes(5, (0, 0, 0), (1, 1, 0)))).to_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["alignment"] > 0.9
    assert sum(color["area_fraction"] for color in facts["colors"]) == pytest.approx(1, abs=0.01)


def test_every_rule_speaks_of_measures_that_exist():
    facts = set(measure_style(as_picture(np.zeros((60, 60, 3)))).to_dict()) | {"tilt", "hues"}
    for rule in STROKE_RULES + COLOR_RULES:
        assert set(rule.ranges) <= facts, rule.word


def limits(low, high):
    if high in (1, 90, UNBOUNDED):
        return f"from {low:g}"
    return f"to {high:g}" if low in (0, -1) else f"{low:g} to {high:g}"


@pytest.mark.skipif(not PAGE.is_file(), reason="the pages are only in the repository")
def test_the_page_has_the_limits_of_every_word():
    page = PAGE.read_text(encoding="utf-8")
    for rule in STROKE_RULES + COLOR_RULES:
        measures = ", ".join(f"`{name}` {limits(*ends)}" for name, ends in rule.ranges.items())
        assert f"| {rule.word} | {measures} |" in page
