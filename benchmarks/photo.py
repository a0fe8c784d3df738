"""Photographs that stay photographs: time, memory and structure of every way, on the same pairs.

Eight pairs: cities, lakes and a tower at another time of day or season, a portrait, a still life.
Each method paints each pair at each size, in a process of its own for the time and the memory. The
slow methods paint fewer pairs at the larger sizes; the tables say how many. Structure is the
correlation of gradient magnitudes with the photograph's, style error the judge's, on SqueezeNet.

    python benchmarks/photo.py [METHOD …] [--sizes 256 512 1024]

Methods named are measured anew; the others keep their rows. The results go to
docs/benchmarks/photo.json and photo.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import skimage.data

import impasto
from impasto.core.devices import has_fast_bf16
from impasto.engines.feedforward.base import DeviceSpec
from impasto.engines.feedforward.tiling import run_tiled
from impasto.metrics import Evaluator
from impasto.pictures import fit_long_side, lut, resize, write
from impasto.pipeline import make_request

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "photo"
PAIRS = (
    ("canal", "harbour-night"),
    ("lake", "snow"),
    ("palace", "canal"),
    ("shore", "sea"),
    ("sea", "cave"),
    ("tower", "harbour-night"),
    ("astronaut", "cave"),
    ("coffee", "snow"),
)
SIZES = (256, 512, 1024)
METHODS = ("photowct", "deep-photo", "wct", "gatys", "lut")
SLOW = {"deep-photo": {256: 8, 512: 8, 1024: 1}, "gatys": {256: 4, 512: 2, 1024: 1}}
"""Method → size → pairs that it paints; the others paint all."""
ROUNDS = 5
STEPS = (75, 150, 300, 600)
"""Of the optimizer at every scale, to see where Deep Photo has converged."""


def picture(name: str) -> np.ndarray:
    path = ROOT / "examples" / "photos" / f"{name}.jpg"
    if path.exists():
        return np.asarray(impasto.read(path).pixels)
    return np.asarray(getattr(skimage.data, name)(), np.float32) / 255


def file_of(name: str, size: int | None = None) -> Path:
    """A photograph as a file, at a size if one is given."""
    path = FOLDER / (f"{name}-{size}.png" if size else f"{name}.png")
    if not path.exists():
        pixels = picture(name)
        if size:
            pixels = resize(pixels, *fit_long_side(*pixels.shape[:2], size))
        write(pixels, path)
    return path


def painted(method: str, content: str, style: str, size: int) -> tuple[Path, dict]:
    """The painting of a pair, and how it was made: seconds and bytes at the peak."""
    path = FOLDER / f"{content}-{style}-{method}-{size}.png"
    if method == "lut":
        return path, table_only(content, style, size, path)
    command = [sys.executable, "-m", "impasto", "stylize", str(file_of(content, size)),
               str(file_of(style)), "-o", str(path), "--method", method, "-q"]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    recipe = impasto.load_recipe(path)
    return path, {"seconds": recipe.seconds, "peak": recipe.peak_bytes, "steps": recipe.steps}


def table_only(content: str, style: str, size: int, path: Path) -> dict:
    """The color part of PhotoWCT's painting alone: a table fitted to it, put to the photograph."""
    photo = np.asarray(impasto.read(file_of(content, size)).pixels)
    other, _ = painted("photowct", content, style, size)
    start = time.perf_counter()
    table = lut.fit_lut(photo, np.asarray(impasto.read(other).pixels))
    write(table(photo), path)
    return {
        "seconds": time.perf_counter() - start,
        "peak": None,
        "explained": table.explained_fraction,
    }


def once_cached(size: int) -> float:
    """Seconds that PhotoWCT takes for a photograph of size x 3/4 size, the style being known."""
    photo = resize(picture("canal"), size * 3 // 4, size)
    request = make_request(photo, picture("harbour-night"), method="photowct")
    place = DeviceSpec("cpu", "bf16" if has_fast_bf16("cpu") else "fp32")
    painter = request.method.painter(request, place)
    target, times = np.empty_like(photo), []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        run_tiled(photo, photo, target, painter, place, lambda done, of: None)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def converging(content: str, style: str, size: int = 512) -> list[dict]:
    """What Deep Photo's loss and painting still gain by more steps."""
    rows, pictures = [], []
    for steps in STEPS:
        path = FOLDER / f"{content}-{style}-deep-photo-{size}-{steps}.png"
        command = [sys.executable, "-m", "impasto", "stylize", str(file_of(content, size)),
                   str(file_of(style)), "-o", str(path), "--method", "deep-photo",
                   "--steps", str(steps), "-q"]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        recipe = impasto.load_recipe(path)
        pictures.append(np.asarray(impasto.read(path).pixels))
        loss = sum(recipe.losses.values())
        rows.append({"steps": steps, "seconds": recipe.seconds, "loss": loss})
        print(rows[-1], flush=True)
    for row, shown in zip(rows, pictures, strict=True):
        row["from the last"] = float(np.abs(shown - pictures[-1]).mean() * 255)
    return rows


def measure(method: str, size: int) -> list[dict]:
    rows = []
    for content, style in PAIRS[: SLOW.get(method, {}).get(size)]:
        path, how = painted(method, content, style, size)
        judge = Evaluator(
            impasto.read(file_of(content, size)), [impasto.read(file_of(style))],
            metrics=("edges", "ssim", "style_error"), size=size,
        )  # fmt: skip
        scores = dict(judge(impasto.read(path)).values)
        pair = f"{content}, {style}"
        rows.append({"method": method, "size": size, "pair": pair, **how, **scores})
        print(rows[-1], flush=True)
    return rows


def table(report: dict) -> str:
    rows = report["rows"]
    lines = [
        "| method | size | pairs | seconds | memory | structure | least | SSIM | style error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        for size in SIZES:
            some = [r for r in rows if (r["method"], r["size"]) == (method, size)]
            if not some:
                continue
            mean = {k: statistics.fmean(r[k] for r in some) for k in
                    ("seconds", "edges", "ssim", "style_error")}  # fmt: skip
            peaks = [r["peak"] for r in some if r["peak"]]
            memory = f"{max(peaks) / 1e9:.2f} GB" if peaks else ""
            lines.append(
                f"| {method} | {size} | {len(some)} | {mean['seconds']:.1f} | {memory} "
                f"| {mean['edges']:.3f} | {min(r['edges'] for r in some):.3f} "
                f"| {mean['ssim']:.3f} | {mean['style_error']:.3f} |"
            )
    both = [(r, o) for r in rows for o in rows if r["method"] == "photowct" and o["method"] == "wct"
            and (r["pair"], r["size"]) == (o["pair"], o["size"])]  # fmt: skip
    above = sum(r["edges"] > o["edges"] for r, o in both)
    cached = report["once cached"]
    trace = report.get("converging", ())
    traced = [
        f"| {r['steps']} | {r['seconds']:.0f} | {r['loss'] / trace[-1]['loss']:.3f} "
        f"| {r['from the last']:.1f} |"
        for r in trace
    ]
    return "\n".join(lines) + (
        "\n\nSeconds are of the whole run but for starting Python, and so with reading the style; "
        "`lut`'s are of fitting the table to PhotoWCT's painting.\n\n"
        f"PhotoWCT once the style is known, at 1024 x 768: **{cached:.2f} s** a picture (required: "
        f"under 2). Its structure is above plain WCT's in {above} of {len(both)} paintings.\n\n"
        "Deep Photo converging at 512 px (required: under 300 s), its default being 150 steps at "
        "every scale: the loss against that of the longest run, and the mean difference of the "
        "paintings in steps of 8 bits.\n\n"
        "| steps | seconds | loss | difference |\n|---|---|---|---|\n" + "\n".join(traced) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = ROOT / "docs" / "benchmarks" / "photo.json"
    report = json.loads(place.read_text()) if place.exists() else {"rows": []}
    for method in args.methods:
        if method == "photowct" and 1024 in args.sizes:
            report["once cached"] = once_cached(1024)
        if method == "deep-photo" and 512 in args.sizes:
            report["converging"] = converging(*PAIRS[0])
        for size in args.sizes:
            found = measure(method, size)
            kept = [r for r in report["rows"] if (r["method"], r["size"]) != (method, size)]
            report["rows"] = kept + found
            place.write_text(json.dumps(report, indent=1) + "\n")
    place.with_suffix(".md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
