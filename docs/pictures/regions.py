"""The sheets that docs/regions.md shows: masks, automatic regions, and a rest that is kept.

    python docs/pictures/regions.py [--steps 100]

The mask of the sky is drawn by its color. All pictures lie in examples/ (see SOURCES.md there).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import impasto
from impasto.pictures import make_contact_sheet, write
from impasto.pipeline.region_options import save_regions

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
TOWER, CANAL = (EXAMPLES / "photos" / f"{name}.jpg" for name in ("tower", "canal"))
MOSAIC, NIGHT, SCREAM = (
    EXAMPLES / "styles" / f"{name}.jpg" for name in ("mosaic-ducks", "starry-night", "scream")
)
HEIGHT = 260


def sky(photo: Path) -> np.ndarray:
    """White where the photo is blue: a mask as somebody would draw it."""
    red, _, blue = np.moveaxis(np.asarray(impasto.read(photo).pixels), 2, 0)
    if photo == TOWER:
        mask = (blue > red + 0.06) & (blue > 0.2) & (blue < 0.75)
    else:
        down = np.linspace(0, 1, len(red))[:, None]
        mask = (blue > 0.45) & (blue >= red - 0.02) & (down < 0.5)
    image = Image.fromarray(np.uint8(255 * mask)).filter(ImageFilter.MedianFilter(9))
    return np.asarray(image)


def gray(mask: np.ndarray) -> np.ndarray:
    return np.repeat(mask[:, :, None], 3, axis=2).astype(np.float32) / 255


def painted(content: Path, styles: list[Path], steps: int, **settings: object) -> list:
    """A tile for each of three methods."""
    tiles = []
    for method in ("adain", "wct", "gatys"):
        knobs = {"size": 384, "steps": steps} if method == "gatys" else {}
        result = impasto.stylize(content, styles, method=method, **settings, **knobs)
        tiles.append((method, result.pixels))
    return tiles


def masks(steps: int) -> list:
    mask = sky(TOWER)
    return [
        ("content", impasto.read(TOWER).pixels),
        ("mask", gray(mask)),
        *painted(TOWER, [MOSAIC], steps, regions=[(mask, NIGHT)]),
    ]


def kept(steps: int) -> list:
    mask = sky(CANAL)
    return [
        ("content", impasto.read(CANAL).pixels),
        ("mask", gray(mask)),
        *painted(CANAL, [], steps, regions=[(mask, SCREAM)], background="keep", feather=6),
    ]


def automatic(steps: int, folder: Path) -> list:
    request = impasto.request(CANAL, NIGHT, method="adain", regions="auto")
    labels = [impasto.read(path) for path in save_regions(request, folder)]
    blended = [
        0.5 * np.asarray(picture.pixels) + 0.5 * np.asarray(label.pixels)
        for picture, label in zip((request.content, request.styles[0]), labels, strict=True)
    ]
    return [
        ("regions of the content", blended[0]),
        ("their likes in the style", blended[1]),
        *painted(CANAL, [NIGHT], steps, regions="auto"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("regions"))
    args = parser.parse_args()
    rows = [*masks(args.steps), *kept(args.steps), *automatic(args.steps, args.folder)]
    write(make_contact_sheet(rows, height=HEIGHT, columns=5), HERE / "regions.jpg", quality=88)


if __name__ == "__main__":
    main()
