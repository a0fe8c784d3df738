"""The sheet that docs/photo.md shows: eight pairs of photographs, by the ways to join them.

    python docs/pictures/photo.py [--size 512] [--pairs 8] [--output docs/pictures/photo.jpg]

Pairs and paintings are those of benchmarks/photo.py: what lies in build/photo already is not
painted again, so that it can be stopped and goes on, and after the benchmark there is little left
to do. After a change of a method, delete its paintings there. The number is the edge report's.
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import impasto
from impasto.core.picture import Raster
from impasto.pictures import fit_long_side, make_contact_sheet, resize, write

HERE = Path(__file__).resolve().parent
BENCH = runpy.run_path(str(HERE.parents[1] / "benchmarks" / "photo.py"))
FOLDER: Path = BENCH["FOLDER"]
METHODS = ("photowct", "deep-photo", "wct")
HEIGHT = 320


def shown(name: str, size: int) -> Raster:
    picture = impasto.read(BENCH["file_of"](name))
    return resize(picture.pixels, *fit_long_side(picture.height, picture.width, size))


def painted(method: str, content: str, style: str, size: int) -> tuple[str, Raster]:
    """A tile: a painting that is there already, or a new one."""
    path = FOLDER / f"{content}-{style}-{method}-{size}.png"
    if not path.exists():
        BENCH["painted"](method, content, style, size)
    edges = impasto.load_recipe(path).structure["edges"]
    return f"{method}, edges {edges:.2f}", impasto.read(path).pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=len(BENCH["PAIRS"]))
    parser.add_argument("--output", type=Path, default=HERE / "photo.jpg")
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    tiles = []
    for content, style in BENCH["PAIRS"][: args.pairs]:
        tiles += [(name, shown(name, args.size)) for name in (content, style)]
        tiles += [painted(method, content, style, args.size) for method in METHODS]
        print(f"{content}, {style}", flush=True)
    write(
        make_contact_sheet(tiles, height=HEIGHT, columns=2 + len(METHODS)), args.output, quality=85
    )


if __name__ == "__main__":
    main()
