"""The sheets that the README and the docs show: six pairs of different kinds, painted at defaults.

    python docs/pictures/pairs.py [--size 512]

Two contents come from scikit-image's samples: the astronaut Eileen Collins (NASA, public domain)
and the cat Chelsea (Stéfan van der Walt, CC0). All others lie in examples/ (see SOURCES.md there).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from skimage import data

import impasto
from impasto.pictures import fit_long_side, make_contact_sheet, resize, write

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
PAIRS = [
    ("city, oil", "canal", "starry-night"),
    ("portrait, oil", data.astronaut, "scream"),
    ("animal, drawing", data.chelsea, "drawing"),
    ("landscape, oil", "lake", "poitiers"),
    ("building, woodcut", "chapel", "great-wave"),
    ("tower, mosaic", "tower", "mosaic-ducks"),
]
HEIGHT = 300


def content(source: object) -> np.ndarray | Path:
    return source() if callable(source) else EXAMPLES / "photos" / f"{source}.jpg"


def shown(picture: impasto.Picture) -> np.ndarray:
    """At the sheet's height at least, so that the sheet does not enlarge it."""
    return resize(picture.pixels, *fit_long_side(picture.height, picture.width, 640))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    tiles = []
    for what, source, painting in PAIRS:
        style = EXAMPLES / "styles" / f"{painting}.jpg"
        result = impasto.stylize(content(source), style, size=args.size, steps=args.steps)
        before = impasto.request(content(source), style).content
        tiles += [(what, shown(before)), (painting, shown(impasto.read(style)))]
        tiles += [("painted", result.pixels)]
        if painting == "starry-night":
            write(
                make_contact_sheet(tiles, height=HEIGHT, columns=3), HERE / "demo.jpg", quality=88
            )
    write(make_contact_sheet(tiles, height=HEIGHT, columns=6), HERE / "pairs.jpg", quality=88)


if __name__ == "__main__":
    main()
