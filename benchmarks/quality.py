"""Style against content: every method and setting on pairs that no training has seen.

13 styles on 5 contents, 65 pairs: three photographs of places, a face and a cat. The styles are
those that the fast network has learnt (it must have), on contents that it has not; the decoders
of adain and wct have seen neither.

    python benchmarks/quality.py [adain] [wct] [fast] [gatys] [--size 256]

Each method named is measured anew; the others keep their rows. The results go to
docs/benchmarks/quality.json and quality.md, the contact sheets to docs/pictures.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import skimage.data
from scores import Judge

import impasto
from impasto.pictures import fit_long_side, make_contact_sheet, resize, write
from impasto.pictures.resize import thumbnail

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ("canal", "lake", "tower")
STYLES = tuple(sorted(p.stem for p in (ROOT / "examples" / "styles").glob("*.jpg")))
GATYS_STEPS = 100
ALL_LEVELS = ("conv5_1", "conv4_1", "conv3_1", "conv2_1", "conv1_1")
SETTINGS: dict[str, list[dict]] = {
    "gatys": [{"steps": GATYS_STEPS}],
    "adain": [{}, *({"strength": s} for s in (0.4, 0.6, 0.8))],
    "wct": [
        {},
        {"level_strengths": (1.0,) * 4},
        {"transform": "transport", "level_strengths": (0.6,) * 4},
        {"levels": ALL_LEVELS, "level_strengths": (0.6,) * 5},
    ],
    "fast": [{}, *({"strength": s} for s in (0.4, 0.6, 0.8))],
}
"""Method → settings; the first is the default (of gatys with fewer steps)."""
SHOWN = [
    ("canal", "starry-night"),
    ("lake", "scream"),
    ("tower", "mosaic-ducks"),
    ("astronaut", "delaunay"),
    ("chelsea", "composition-vii"),
    ("canal", "great-wave"),
    ("astronaut", "drawing"),
    ("lake", "water-lilies"),
]


def contents(size: int) -> dict[str, np.ndarray]:
    """Name → pixels at the size that is painted."""
    found = {name: impasto.read(ROOT / "examples" / "photos" / f"{name}.jpg") for name in PHOTOS}
    pixels = {name: picture.pixels for name, picture in found.items()}
    for name in ("astronaut", "chelsea"):
        pixels[name] = np.asarray(getattr(skimage.data, name)(), np.float32) / 255
    return {n: resize(p, *fit_long_side(*p.shape[:2], size)) for n, p in pixels.items()}


def paint(method: str, content: np.ndarray, style: str, knobs: dict) -> np.ndarray:
    path = str(ROOT / "examples" / "styles" / f"{style}.jpg")
    given = style if method == "fast" else path
    return np.asarray(impasto.stylize(content, given, method=method, **knobs).pixels)


def said(knobs: dict) -> str:
    words = []
    for name, value in knobs.items():
        if isinstance(value, tuple):
            value = value[0] if len(set(value)) == 1 else " ".join(map(str, value))
        words.append(f"{name} {value}")
    return ", ".join(words) or "default"


def measure(method: str, size: int, folder: Path) -> list[dict]:
    """A row for every setting: the means over all pairs, and every pair of the default."""
    judge, pictures = Judge(), contents(size)
    styles = {name: impasto.read(ROOT / "examples" / "styles" / f"{name}.jpg") for name in STYLES}
    targets = {name: judge.grams(thumbnail(s.pixels, size)) for name, s in styles.items()}
    grams = {name: judge.grams(pixels) for name, pixels in pictures.items()}
    rows = []
    for index, knobs in enumerate(SETTINGS[method]):
        scores = {}
        for content, pixels in pictures.items():
            for style in STYLES:
                painting = paint(method, pixels, style, knobs)
                found = judge.score(painting, pixels, grams[content], targets[style])
                scores[f"{content}, {style}"] = asdict(found)
                if index == 0 and (content, style) in SHOWN:
                    write(painting, folder / f"{content}-{style}-{method}.png")
        row = {
            "method": method,
            "setting": said(knobs) if index or method == "gatys" else "default",
            "style error": float(np.mean([s["style_error"] for s in scores.values()])),
            "SSIM": float(np.mean([s["ssim"] for s in scores.values()])),
            "pairs": len(scores),
        }
        print(row, flush=True)
        rows.append({**row, "each": scores} if index == 0 else row)
    return rows


def on_frontier(row: dict, rows: list[dict]) -> bool:
    """Whether no other row of the method is better in both."""
    return not any(
        other["style error"] < row["style error"] and other["SSIM"] > row["SSIM"]
        for other in rows
        if other["method"] == row["method"]
    )


def table(rows: list[dict]) -> str:
    lines = ["| method | setting | style error | SSIM | on the frontier |", "|---|---|---|---|---|"]
    for row in rows:
        edge = "yes" if on_frontier(row, rows) else "no"
        lines.append(
            f"| {row['method']} | {row['setting']} | {row['style error']:.3f} "
            f"| {row['SSIM']:.3f} | {edge} |"
        )
    return "\n".join(lines) + f"\n\nMeans over {rows[0]['pairs']} pairs.\n"


def contact_sheet(folder: Path, size: int) -> None:
    """Content, style and every method's painting, pair by pair."""
    pictures, tiles = contents(size), []
    for content, style in SHOWN:
        shown = impasto.read(ROOT / "examples" / "styles" / f"{style}.jpg").pixels
        tiles += [("content", pictures[content]), ("style", shown)]
        for method in ("fast", "adain", "wct", "gatys"):
            path = folder / f"{content}-{style}-{method}.png"
            if path.exists():
                tiles.append((method, impasto.read(path).pixels))
    made = make_contact_sheet(tiles, height=220, columns=6)
    write(made, ROOT / "docs" / "pictures" / "instant.jpg", quality=88)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=list(SETTINGS))
    parser.add_argument("--size", type=int, default=256)
    args = parser.parse_args()
    place = ROOT / "docs" / "benchmarks" / "quality.json"
    folder = ROOT / "build" / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads(place.read_text())["rows"] if place.exists() else []
    for method in args.methods:
        found = measure(method, args.size, folder)
        rows = [row for row in rows if row["method"] != method] + found
        rows.sort(key=lambda row: list(SETTINGS).index(row["method"]))
        place.write_text(json.dumps({"size": args.size, "rows": rows}, indent=1) + "\n")
    place.with_suffix(".md").write_text(table(rows))
    contact_sheet(folder, args.size)
    print(table(rows))


if __name__ == "__main__":
    main()
