"""The edge report and the table of colors of a painting."""

import json

import numpy as np
import pytest
from skimage import data

from impasto.core.errors import InputError
from impasto.core.recipe import Recipe
from impasto.metrics.edge_report import (
    MIN_PHOTOGRAPH_CORRELATION,
    measure_edges,
    photograph_verdict,
)
from impasto.pictures import resize
from impasto.pipeline import lut


@pytest.fixture(scope="module")
def photo():
    return (data.astronaut()[::4, ::4] / 255).astype(np.float32)


def sobel_correlation(a, b):
    from scipy.ndimage import sobel

    def edges(pixels):
        light = pixels.astype(np.float64) @ (0.2126, 0.7152, 0.0722)
        return np.hypot(sobel(light, 0), sobel(light, 1))[1:-1, 1:-1].ravel()

    return np.corrcoef(edges(a), edges(b))[0, 1]


def test_the_correlation_is_scipys(photo):
    blurred = resize(resize(photo, 64, 64), 128, 128)
    found = measure_edges(blurred, photo)
    assert found["edges"] == pytest.approx(sobel_correlation(blurred, photo), abs=2e-3)


def test_a_photograph_in_another_light_stays_one(photo):
    found = measure_edges(0.2 + 0.5 * photo, photo)
    assert found["edges"] == pytest.approx(1, abs=1e-3)
    assert photograph_verdict(found) == "It stays a photograph (edges 1.00)."


def test_another_picture_is_no_longer_one(photo):
    found = measure_edges(photo[::-1, ::-1], photo)
    assert found["edges"] < MIN_PHOTOGRAPH_CORRELATION
    assert photograph_verdict(found).startswith("It is no longer a photograph in its edges")


def test_a_content_of_another_size_is_brought_to_the_paintings(photo):
    assert measure_edges(photo, resize(photo, 300, 300))["edges"] > 0.97


def test_of_a_few_pixels_nothing_is_said():
    found = measure_edges(np.zeros((12, 40, 3), np.float32), np.zeros((12, 40, 3), np.float32))
    assert (found, photograph_verdict(found)) == ({}, "")


def test_a_recipe_of_before_has_no_figures_and_can_be_read():
    recipe = Recipe("adain", {}, (), {}, {}, {}, {}, {}, 1, 1.0, 1, structure={"edges": 0.9})
    assert Recipe.from_json(recipe.to_json()).structure == {"edges": 0.9}
    old = json.loads(recipe.to_json())
    del old["structure"]
    assert Recipe.from_json(json.dumps(old)).structure == {}


def test_a_change_of_colors_alone_is_all_in_the_table(photo):
    painting = (photo @ np.diag([0.6, 0.8, 1.0]) + (0.1, 0.0, 0.0)).clip(0, 1).astype(np.float32)
    table = lut.make_color_lut(photo, painting)
    assert table.explained_fraction > 0.99
    assert np.abs(table(photo) - painting).mean() < 0.01
    assert lut.format_lut_fit(table).startswith(
        f"The table explains {table.explained_fraction:.0%}"
    )


def test_a_change_of_places_is_said_not_to_be(photo):
    table = lut.make_color_lut(photo[::2, ::2], photo[::-2, ::2])
    assert table.explained_fraction < lut.MIN_EXPLAINED_FRACTION
    assert "depends on the place" in lut.format_lut_fit(table)


@pytest.mark.parametrize("name", ["table.png", "table", "missing/table.cube"])
def test_where_no_table_can_be_written_is_said_before(tmp_path, name):
    with pytest.raises(InputError, match="Cannot write"):
        lut.check_lut_path(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_content_without_edges_has_none_to_lose(photo):
    assert measure_edges(photo, np.full_like(photo, 0.4)) == {}
