"""Look-up tables: changes that a table can hold are found, and other programs can read them."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from impasto.core.errors import InputError
from impasto.pictures import lut


def pixels(seed=0, shape=(90, 100)):
    return np.random.default_rng(seed).random((*shape, 3)).astype(np.float32)


def graded(picture):
    """A change that a table holds: warmer, with more contrast."""
    return (0.1 + 0.8 * picture**1.3 * np.array([1.0, 0.95, 0.8], np.float32)).astype(np.float32)


def read_cube(path):
    """A .cube file as an editor reads it: red changes fastest."""
    lines = path.read_text().splitlines()
    size = int(next(line for line in lines if line.startswith("LUT_3D_SIZE")).split()[1])
    rows = [[float(v) for v in line.split()] for line in lines if line[0].isdigit()]
    return np.array(rows).reshape(size, size, size, 3).transpose(2, 1, 0, 3)


def test_a_smooth_change_of_colors_is_found():
    table = lut.fit_lut(pixels(), graded(pixels()), 17)
    other = pixels(1)
    assert np.abs(table(other) - graded(other)).max() < 0.02
    assert table.error < 2e-3
    assert table.explained_fraction > 0.999


def test_no_change_is_the_identity_even_where_no_pixel_lies():
    dark = 0.3 * pixels()
    table = lut.fit_lut(dark, dark, 9)
    assert np.allclose(table(pixels(1)), pixels(1), atol=1e-5)


def test_where_no_pixel_lies_the_change_is_continued():
    dark = (0.2 + 0.4 * pixels()).astype(np.float32)
    table = lut.fit_lut(dark, dark + np.float32(0.05), 9)
    assert np.allclose(table(np.full((1, 1, 3), 0.8, np.float32)), 0.85, atol=0.02)


def test_what_no_table_can_do_is_said_by_its_error():
    picture = np.full((50, 50, 3), 0.5, np.float32)
    noise = picture + np.random.default_rng(0).normal(0, 0.1, picture.shape).astype(np.float32)
    table = lut.fit_lut(picture, noise, 9)
    assert table.error == pytest.approx(0.1, rel=0.05)
    assert table.explained_fraction < 0.01


def test_it_interpolates_as_scipy_does():
    table = lut.fit_lut(pixels(), graded(pixels()), 9)
    axis = np.linspace(0, 1, 9)
    wanted = RegularGridInterpolator((axis, axis, axis), table.colors)(pixels(2))
    assert np.allclose(table(pixels(2)), wanted, atol=1e-5)


def test_the_file_holds_the_table_with_red_changing_fastest(tmp_path):
    table = lut.fit_lut(pixels(), graded(pixels()), 9)
    table.write(tmp_path / "grade.cube", 'canal "by" photowct')
    assert np.allclose(read_cube(tmp_path / "grade.cube"), table.colors, atol=1e-6)
    assert (tmp_path / "grade.cube").read_text().startswith('TITLE "canal by photowct"\n')


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.cube"):
        lut.fit_lut(pixels(), pixels(), 3).write(tmp_path / "grade.txt", "")
