"""How well the compact encoder stands for VGG-19: features, losses, speed and a picture.

Correlation: of each channel of VGG-19 with its best linear guess from the compact features, over
the positions of nine photographs that training has not seen. The guess for each is fitted on the
other eight. Speed: bare encoders to conv4_1 at 512 x 512, side by side.

    python benchmarks/compact.py [--size 384] [--steps 150]

The results go to docs/benchmarks/compact.json and compact.md, the picture to docs/pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import skimage.data
import torch
from reference import side_by_side

import impasto
from impasto.engines.feedforward.base import DeviceSpec
from impasto.nets.vgg import VGG
from impasto.ops.convert import as_tensor
from impasto.pictures import make_contact_sheet, resize, write
from impasto.pictures.resize import thumbnail
from impasto.weights import store

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "examples" / "photos"
OTHERS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field")
SEEN = 3000  # positions of each photograph
PAIRS = [("canal", "starry-night"), ("tower", "mosaic-ducks"), ("lake", "scream")]


def photographs(size: int) -> list[np.ndarray]:
    """Photographs that no training has seen."""
    pixels = [impasto.read(path).pixels for path in sorted(PHOTOS.glob("*.jpg"))]
    pixels += [np.asarray(getattr(skimage.data, name)(), np.float32) / 255 for name in OTHERS]
    return [thumbnail(p, size) for p in pixels]


@torch.inference_mode()
def rows(encoder: VGG, picture: np.ndarray, layer: str) -> torch.Tensor:
    """Feature vectors (positions, C) at positions that are the same for every encoder."""
    flat = encoder(as_tensor(picture), [layer])[layer][0].flatten(1).T
    random = torch.Generator().manual_seed(0)
    return flat[torch.randperm(len(flat), generator=random)[:SEEN]].double()


def agreement(size: int) -> list[dict]:
    full = VGG(store.load_encoder("oxford"))
    narrow = VGG(store.load_encoder("compact"), map_features=False)
    pictures = photographs(size)
    found = []
    for layer in narrow.layers:
        given, wanted = ([rows(e, p, layer) for p in pictures] for e in (narrow, full))
        guessed = []
        for left_out in range(len(pictures)):
            x, y = (
                torch.cat([part for index, part in enumerate(parts) if index != left_out])
                for parts in (given, wanted)
            )
            guess = torch.linalg.lstsq(with_one(x), y).solution
            guessed.append(with_one(given[left_out]) @ guess)
        both = [torch.cat(parts) for parts in (guessed, wanted)]
        missed = (both[0] - both[1]).square().sum(0)
        apart = torch.stack([rows - rows.mean(0) for rows in both])
        spread = apart[1].square().sum(0)
        correlation = apart.prod(0).sum(0) / apart.square().sum(1).prod(0).sqrt().clamp_min(1e-12)
        found.append(
            {
                "layer": layer,
                "channels": f"{narrow.channels(layer)} of {full.channels(layer)}",
                "correlation": float((correlation * spread).sum() / spread.sum()),
                "variance explained": float(1 - missed.sum() / spread.sum()),
            }
        )
        print(found[-1], flush=True)
    return found


def with_one(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)


@torch.inference_mode()
def speed() -> dict[str, float]:
    picture = as_tensor(resize(impasto.read(PHOTOS / "canal.jpg").pixels, 512, 512))
    runs = {}
    for precision in ("fp32", "bf16"):
        place = DeviceSpec("cpu", precision)
        for name in ("oxford", "compact"):
            encoder = VGG(store.load_encoder(name), map_features=False)
            place.move(encoder)
            given = place(picture)
            runs[f"{name}, {precision}"] = lambda e=encoder, g=given: e(g, ["conv4_1"])
    return {name: 1000 * s for name, s in side_by_side(runs, 10).medians.items()}


def pictures(size: int, steps: int) -> None:
    """Gatys' method with either encoder, side by side."""
    tiles = []
    for photo, painting in PAIRS:
        style = ROOT / "examples" / "styles" / f"{painting}.jpg"
        for weights in ("oxford", "compact"):
            result = impasto.stylize(
                PHOTOS / f"{photo}.jpg", style, method="gatys", weights=weights, size=size,
                steps=steps,
            )  # fmt: skip
            tiles.append((f"{weights}, {result.recipe.seconds:.0f} s", result.pixels))
    write(
        make_contact_sheet(tiles, height=300, columns=2),
        ROOT / "docs/pictures/compact.jpg",
        quality=88,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--steps", type=int, default=150)
    args = parser.parse_args()
    report = {"features": agreement(args.size), "ms at 512 x 512": speed()}
    place = ROOT / "docs" / "benchmarks" / "compact.json"
    place.write_text(json.dumps(report, indent=1) + "\n")
    place.with_suffix(".md").write_text(table(report))
    print(table(report))
    pictures(args.size, args.steps)


def table(report: dict) -> str:
    lines = ["| layer | channels | correlation | variance explained |", "|---|---|---|---|"]
    for row in report["features"]:
        lines.append(
            f"| {row['layer']} | {row['channels']} | {row['correlation']:.3f} "
            f"| {row['variance explained']:.0%} |"
        )
    lines += ["", "| to conv4_1, 512 x 512 | ms |", "|---|---|"]
    lines += [f"| {name} | {ms:.1f} |" for name, ms in report["ms at 512 x 512"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
