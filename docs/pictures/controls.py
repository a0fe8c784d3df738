"""The picture in docs/methods/sdxl.md: a photograph, and what ControlNets are shown of it.

    python docs/pictures/controls.py [--photo canal] [--size 640]

No model is needed for it. The pictures lie in examples/ (see SOURCES.md there).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import impasto
from impasto.engines.diffusion.controlnet import make_control_image
from impasto.pictures import fit_long_side, make_contact_sheet, resize, write

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", default="canal")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--output", type=Path, default=HERE / "controls.jpg")
    args = parser.parse_args()
    picture = impasto.read(EXAMPLES / "photos" / f"{args.photo}.jpg")
    size = fit_long_side(picture.height, picture.width, args.size)
    tiles = [("content", resize(picture.pixels, *size))]
    tiles += [(kind, make_control_image(kind, picture.pixels, *size)) for kind in ("canny", "tile")]
    write(make_contact_sheet(tiles, height=300, columns=3), args.output, quality=88)
    print(args.output.name)


if __name__ == "__main__":
    main()
