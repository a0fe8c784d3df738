"""The picture of docs/models.md: six styles by the fast network, and below by the stable one.

python docs/pictures/stable.py [--output docs/pictures/stable.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import impasto
from impasto.pictures import make_contact_sheet, write

HERE = Path(__file__).resolve().parent
PHOTO = HERE.parents[1] / "examples" / "photos" / "shore.jpg"
STYLES = ("starry-night", "great-wave", "drawing", "mosaic-ducks", "udnie", "poitiers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "stable.jpg")
    args = parser.parse_args()
    tiles = [
        (style, impasto.stylize(PHOTO, style, method="fast", weights=weights, size=320).pixels)
        for weights in ("fast", "fast-stable")
        for style in STYLES
    ]
    write(make_contact_sheet(tiles, columns=len(STYLES), height=200), args.output, quality=88)


if __name__ == "__main__":
    main()
