"""Make the picture of styles in words: docs/pictures/describe.jpg."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import impasto
from impasto.pictures import write

ROOT = Path(__file__).resolve().parents[2]
STYLES = ROOT / "examples" / "styles"
CELL, HIGH, GAP = (320, 330), 210, 12
"""Width and height of a cell, height of the style in it, and what is between, in px."""


def main() -> None:
    paths = sorted(STYLES.glob("*.jpg"))
    across = 5
    down = -(-len(paths) // across)
    page = Image.new("RGB", (across * CELL[0] + GAP, down * CELL[1] + GAP), "#faf9f6")
    for number, path in enumerate(paths):
        row, column = divmod(number, across)
        page.paste(cell(path), (column * CELL[0] + GAP, row * CELL[1] + GAP))
    place = ROOT / "docs" / "pictures" / "describe.jpg"
    write(np.asarray(page, np.float32) / 255, place, quality=88)


def cell(path: Path) -> Image.Image:
    """A style, its main colors by their share, and its words."""
    said = impasto.describe(path, backend="measure")
    image = Image.new("RGB", (CELL[0] - GAP, CELL[1] - GAP), "#faf9f6")
    with Image.open(path) as style:
        style.thumbnail((image.width, HIGH))
        image.paste(style.convert("RGB"), ((image.width - style.width) // 2, HIGH - style.height))
    draw, left = ImageDraw.Draw(image), 0.0
    for color in said.measurements["colors"]:
        right = left + color["share"] * image.width
        draw.rectangle((left, HIGH + 8, right, HIGH + 28), fill=color["rgb"])
        left = right
    words = "\n".join(textwrap.wrap(said.phrase, 42))
    draw.multiline_text((0, HIGH + 38), words, "#383633", ImageFont.load_default(15), spacing=5)
    return image


if __name__ == "__main__":
    main()
