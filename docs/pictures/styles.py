"""Make the picture of the styles that the fast network has learnt: docs/pictures/styles.jpg."""

from __future__ import annotations

from pathlib import Path

import impasto
from impasto.pictures import make_contact_sheet, write
from impasto.weights import store

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "examples" / "photos" / "tower.jpg"


def main() -> None:
    names = store.load_model("fast", "fast").about["styles"]
    tiles = [("the photograph", impasto.read(PHOTO).pixels)]
    for name in names:
        painted = impasto.stylize(PHOTO, name, method="fast", size=640)
        tiles.append((name, painted.pixels))
    place = ROOT / "docs" / "pictures" / "styles.jpg"
    write(make_contact_sheet(tiles, height=300, columns=5), place, quality=88)


if __name__ == "__main__":
    main()
