"""What Gatys' knobs do, measured: structure, strength, and the same α : β at several sizes.

For each setting: how much of the style has come (1 - relative Gram distance, 0 for the content
and 1 for the style), how much of the drawing is kept (SSIM of luminance with the content), and
the content loss. The pictures are laid out as strips.

    python benchmarks/knobs.py [--size 256] [--steps 150] [structure] [strength] [sizes]

The results go to docs/benchmarks/knobs.json and knobs.md, the strips to docs/pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

import impasto
from impasto.losses.content import content_loss
from impasto.losses.style import gram_matrix
from impasto.methods.gatys import STYLE_LAYERS
from impasto.nets.vgg import VGG
from impasto.pictures import fit_long_side, make_contact_sheet, resize, write
from impasto.weights import store

ROOT = Path(__file__).resolve().parents[1]
PHOTOS, STYLES = ROOT / "examples" / "photos", ROOT / "examples" / "styles"
PAIRS = [
    ("canal", "starry-night"),
    ("chapel", "poitiers"),
    ("tower", "drawing"),
]
STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
COMMON = 256  # px at which pictures of several sizes are compared
VGG19 = VGG(store.load_encoder("oxford"))


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]


@torch.no_grad()
def features(pixels: np.ndarray) -> dict[str, torch.Tensor]:
    return VGG19(tensor(pixels), [*STYLE_LAYERS, "conv4_2"])


def gram_distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """Root of the mean over layers of |G_a - G_b|² / |G_b|²."""
    terms = []
    for layer in STYLE_LAYERS:
        ga, gb = gram_matrix(a[layer]), gram_matrix(b[layer])
        terms.append(float((ga - gb).square().sum() / gb.square().sum()))
    return float(np.sqrt(np.mean(terms)))


def shown_at(picture: impasto.Picture, long_side: int) -> np.ndarray:
    return resize(picture.pixels, *fit_long_side(picture.height, picture.width, long_side))


def measure(result: np.ndarray, content: impasto.Picture, style: impasto.Picture) -> dict:
    side = max(result.shape[:2])
    before = resize(content.pixels, *result.shape[:2])
    found, start = features(result), features(before)
    target = features(shown_at(style, min(side, style.long_side)))
    return {
        "style": 1 - gram_distance(found, target) / gram_distance(start, target),
        "ssim": float(structural_similarity(rgb2gray(before), rgb2gray(result), data_range=1.0)),
        "content_loss": float(content_loss(found["conv4_2"], start["conv4_2"])),
    }


def turn(knob: str, size: int, steps: int) -> list[dict]:
    """Every stop of a knob on every pair; the strip of pictures goes to docs/pictures."""
    rows, tiles = [], []
    for photo, painting in PAIRS:
        content = impasto.read(PHOTOS / f"{photo}.jpg")
        style = impasto.read(STYLES / f"{painting}.jpg")
        for stop in STOPS:
            result = impasto.stylize(content, style, size=size, steps=steps, **{knob: stop})
            row = {"pair": f"{photo}, {painting}", knob: stop}
            rows.append({**row, **measure(result.pixels, content, style)})
            print(rows[-1], flush=True)
            tiles.append((f"{knob} {stop:g}", result.pixels))
    strip = make_contact_sheet(tiles, height=200, columns=len(STOPS))
    write(strip, ROOT / "docs" / "pictures" / f"{knob}.jpg", quality=88)
    return rows


def sizes(long_sides: list[int], steps: int) -> list[dict]:
    """One pair at several sizes, with the same knobs, compared at one size."""
    photo, painting = PAIRS[0]
    content = impasto.read(PHOTOS / f"{photo}.jpg")
    style = impasto.read(STYLES / f"{painting}.jpg")
    rows, tiles = [], []
    for side in long_sides:
        result = impasto.stylize(content, style, size=side, steps=steps)
        height, width = fit_long_side(*result.pixels.shape[:2], COMMON)
        common = resize(result.pixels, height, width)
        rows.append(
            {
                "size": side,
                "at its size": measure(result.pixels, content, style),
                f"at {COMMON} px": measure(common, content, style),
            }
        )
        print(rows[-1], flush=True)
        tiles.append((f"{side} px", result.pixels))
    strip = make_contact_sheet(tiles, height=320, columns=len(tiles))
    write(strip, ROOT / "docs" / "pictures" / "sizes.jpg", quality=88)
    return rows


def table(report: dict) -> str:
    lines = []
    for knob in ("structure", "strength"):
        rows = report.get(knob, [])
        if not rows:
            continue
        lines += [f"| {knob} | style come | SSIM with the content | content loss |"]
        lines += ["|---|---|---|---|"]
        for stop in STOPS:
            group = [row for row in rows if row[knob] == stop]
            means = [np.mean([r[k] for r in group]) for k in ("style", "ssim", "content_loss")]
            lines.append(f"| {stop:g} | {means[0]:.0%} | {means[1]:.3f} | {means[2]:.3g} |")
        lines.append("")
    if report.get("sizes"):
        lines += ["| size | style come | SSIM | the same, all seen at 256 px | |"]
        lines += ["|---|---|---|---|---|"]
    for row in report.get("sizes", []):
        own, common = row["at its size"], row[f"at {COMMON} px"]
        lines.append(
            f"| {row['size']} px | {own['style']:.0%} | {own['ssim']:.3f} "
            f"| {common['style']:.0%} | {common['ssim']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["structure", "strength", "sizes"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 1024])
    args = parser.parse_args()
    place = ROOT / "docs" / "benchmarks" / "knobs.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    (ROOT / "docs" / "pictures").mkdir(parents=True, exist_ok=True)
    report = json.loads(place.read_text()) if place.exists() else {}
    for what in args.what:
        report[what] = (
            sizes(args.sizes, args.steps) if what == "sizes" else turn(what, args.size, args.steps)
        )
        place.write_text(json.dumps(report, indent=1))
    place.with_suffix(".md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
