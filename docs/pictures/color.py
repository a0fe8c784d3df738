"""The picture in docs/color.md: one photograph and one style, and every way to keep its colors.

    python docs/pictures/color.py [--photo chapel] [--style great-wave] [--method wct] [--size 640]

The pictures lie in examples/ (see SOURCES.md there).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import impasto
from impasto.core.color_options import KEEP_COLOR_MODES
from impasto.pictures import fit_long_side, make_contact_sheet, resize, write

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", default="chapel")
    parser.add_argument("--style", default="great-wave")
    parser.add_argument("--method", default="wct")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--output", type=Path, default=HERE / "color.jpg")
    args = parser.parse_args()
    photo = EXAMPLES / "photos" / f"{args.photo}.jpg"
    style = EXAMPLES / "styles" / f"{args.style}.jpg"
    tiles = []
    for name, path in (("content", photo), ("style", style)):
        picture = impasto.read(path)
        size = fit_long_side(picture.height, picture.width, args.size)
        tiles.append((name, resize(picture.pixels, *size)))
    for keep in KEEP_COLOR_MODES:
        result = impasto.stylize(photo, style, method=args.method, size=args.size, keep_color=keep)
        tiles.append((keep, result.pixels))
    before = impasto.stylize(
        photo,
        style,
        method=args.method,
        size=args.size,
        keep_color="covariance",
        color_stage="before",
    )
    tiles.append(("covariance, before", before.pixels))
    write(make_contact_sheet(tiles, height=300, columns=4), args.output, quality=88)


if __name__ == "__main__":
    main()
