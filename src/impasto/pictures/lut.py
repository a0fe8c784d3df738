"""Color look-up tables: the color part of a change, for video and photo editors.

A table holds a color at every point of a grid over the RGB cube, and stands for the colors
between by trilinear interpolation. :func:`fit_lut` finds the table that takes one picture's colors
to
another's, pixel by pixel; where no pixel lies, the change is continued as evenly as possible. The
file is a `.cube` ("Cube LUT Specification", version 1.0, Adobe 2013), which most editors read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import InputError
from impasto.core.picture import Pixels
from impasto.pictures.write import atomic_write

GRID_SIZE = 33
"""Points along each side: what editors expect."""
MAX_FIT_PIXELS = 50_000
"""Pixels that a table is fitted to; of more, evenly spaced ones are taken."""
SMOOTHNESS_WEIGHT = 5.0
"""Price of a bend of the table, relative to an error of one of the pixels of a mean cell.

With a hundredth of it, skies had bands, and the error was less by a fifteenth only."""
MAX_CG_STEPS = 80
"""Of conjugate gradients on each grid; they begin with what the grid twice as coarse found."""
CG_TOLERANCE = 1e-5

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ColorLut:
    """A fitted table.

    Attributes:
        colors: (n, n, n, 3) in 0..1, indexed by red, green and blue.
        error: root mean square by which it misses the pixels it was fitted to, in 0..1.
        explained_fraction: share of the change between the two pictures that it explains, at most
        1.
    """

    colors: Array
    error: float
    explained_fraction: float

    def __call__(self, pixels: Pixels) -> Pixels:
        """Pixels (..., 3) in 0..1 through the table, cut to 0..1."""
        places, shares = _trilinear_corners(
            pixels.reshape(-1, 3).astype(np.float64), len(self.colors)
        )
        found = _interpolate(self.colors.reshape(-1, 3), places, shares)
        return found.reshape(pixels.shape).clip(0, 1).astype(np.float32)

    def write(self, path: str | Path, title: str) -> None:
        """Write a .cube file, red changing fastest; it is replaced if it exists.

        Raises:
            InputError: another suffix, or a file that cannot be written.
        """
        if Path(path).suffix.lower() != ".cube":
            raise InputError(f"Cannot write {path}: a look-up table ends in .cube.")
        name = "".join(c for c in title if c.isprintable() and c != '"')
        lines = [f'TITLE "{name}"', f"LUT_3D_SIZE {len(self.colors)}"]
        rows = self.colors.transpose(2, 1, 0, 3).reshape(-1, 3).clip(0, 1)
        lines += [f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in rows]
        with atomic_write(Path(path)) as file:
            file.write(("\n".join(lines) + "\n").encode("utf-8"))


def fit_lut(before: Pixels, after: Pixels, size: int = GRID_SIZE) -> ColorLut:
    """The table that takes the colors of one picture to those of another of the same size.

    Args:
        before: (H, W, 3), sRGB 0..1.
        after: the same shape.
        size: points along each side, 2 to 129.
    """
    step = max(1, before[..., 0].size // MAX_FIT_PIXELS)
    source = before.reshape(-1, 3)[::step].astype(np.float64)
    change = after.reshape(-1, 3)[::step].astype(np.float64) - source
    moved = _fit_offsets(source, change, size)
    places, shares = _trilinear_corners(source, size)
    missed = change - _interpolate(moved, places, shares)
    spread = float(np.square(change).mean())
    left = float(np.square(missed).mean())
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, size)] * 3, indexing="ij"), -1)
    colors = (grid + moved.reshape(grid.shape)).clip(0, 1)
    return ColorLut(colors, left**0.5, 1 - left / spread if spread > 1e-12 else 1.0)


def _fit_offsets(source: Array, change: Array, size: int) -> Array:
    """The flat table (size³, 3) of what is added to colors, from coarse to fine."""
    start = np.zeros((size**3, 3))
    if size % 2 and size > 3:
        coarse = (size + 1) // 2
        start = _upsample_grid(
            _fit_offsets(source, change, coarse).reshape(coarse, coarse, coarse, 3)
        )
    places, shares = _trilinear_corners(source, size)
    price = SMOOTHNESS_WEIGHT * len(source) / size**3

    def system(table: Array) -> Array:
        seen = _scatter(_interpolate(table, places, shares), places, shares, size)
        return seen + price * _smoothness_gradient(table.reshape(size, size, size, 3)).reshape(
            -1, 3
        )

    return _conjugate_gradients(
        system, _scatter(change, places, shares, size), start.reshape(-1, 3)
    )


def _upsample_grid(table: Array) -> Array:
    """A table with a point between each two, halfway."""
    for axis in range(3):
        part = np.moveaxis(table, axis, 0)
        fine = np.empty((2 * len(part) - 1, *part.shape[1:]))
        fine[::2] = part
        fine[1::2] = (part[:-1] + part[1:]) / 2
        table = np.moveaxis(fine, 0, axis)
    return table


def _trilinear_corners(colors: Array, size: int) -> tuple[NDArray[np.int64], Array]:
    """For colors (n, 3): the flat places of the 8 grid points around each, and their shares."""
    scaled = colors.clip(0, 1) * (size - 1)
    low = np.minimum(scaled.astype(np.int64), size - 2)
    part = scaled - low
    places, shares = [], []
    for corner in range(8):
        bits = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        r, g, b = (low + bits).T
        places.append((r * size + g) * size + b)
        shares.append(np.where(bits, part, 1 - part).prod(1))
    return np.stack(places), np.stack(shares)


def _interpolate(table: Array, corners: NDArray[np.int64], weights: Array) -> Array:
    """Trilinear interpolation: (n, 3) from a flat table (size³, 3)."""
    found: Array = np.einsum("kn,knc->nc", weights, table[corners])
    return found


def _scatter(values: Array, corners: NDArray[np.int64], weights: Array, size: int) -> Array:
    """The transpose of :func:`_interpolate`: (n, 3) to (size³, 3)."""
    flat = corners.ravel()
    sums = [np.bincount(flat, (weights * v).ravel(), size**3) for v in values.T]
    return np.stack(sums, -1)


def _smoothness_gradient(table: Array) -> Array:
    """The gradient of half the sum of squared second differences, with a little of the values.

    Without pixels, and so without a bend, the change is the nearest one continued; the little of
    the values makes the solution unique.
    """
    total = 1e-6 * table
    for axis in range(3):
        part = np.moveaxis(table, axis, 0)
        bend = part[:-2] - 2 * part[1:-1] + part[2:]
        slope = np.zeros_like(part)
        slope[:-2] += bend
        slope[1:-1] -= 2 * bend
        slope[2:] += bend
        total = total + np.moveaxis(slope, 0, axis)
    return total


def _conjugate_gradients(system: Callable[[Array], Array], target: Array, x: Array) -> Array:
    """The table with system(table) = wanted, by conjugate gradients from x on.

    Hestenes & Stiefel 1952; red, green and blue are three systems side by side.
    """
    residual = target - system(x)
    direction = residual
    power = np.square(residual).sum(0)
    enough = CG_TOLERANCE**2 * np.square(target).sum(0)
    for _ in range(MAX_CG_STEPS):
        if (power <= enough).all():
            break
        product = system(direction)
        length = power / np.maximum((direction * product).sum(0), 1e-300)
        x = x + length * direction
        residual = residual - length * product
        after = np.square(residual).sum(0)
        direction = residual + after / np.maximum(power, 1e-300) * direction
        power = after
    return x
