"""Time and memory of the instant methods from 0.25 to 100 megapixels, from file to file.

Every run is the command line in a process of its own, on a JPEG made of the example photographs.
Where a picture is small enough to pass the network whole, it is also painted in tiles, and the
largest difference is reported.

    python benchmarks/size.py [--megapixels 0.25 1 4 16 36 100] [--methods fast adain wct]

The results go to docs/benchmarks/size.json, size.md and size.svg.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import impasto
from impasto.core.devices import has_fast_bf16
from impasto.engines.feedforward.base import DeviceSpec
from impasto.engines.feedforward.tiling import run_tiled
from impasto.ops.convert import as_tensor
from impasto.ops.padding import pad
from impasto.pictures._vips import pyvips
from impasto.pictures.resize import thumbnail
from impasto.pipeline import make_request

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "examples" / "photos" / "canal.jpg"
STYLES = {"fast": "starry-night", "adain": "scream", "wct": "scream"}
LIMIT = 2.0  # GiB at 100 megapixels


def photograph(megapixels: float, folder: Path) -> Path:
    """A JPEG of that size: the example photograph enlarged by libvips, as 3 : 2."""
    width = round((megapixels * 1e6 * 1.5) ** 0.5)
    height = round(megapixels * 1e6 / width)
    path = folder / f"{megapixels:g}.jpg"
    image = pyvips.Image.new_from_file(str(PHOTO))
    image = image.resize(width / image.width, vscale=height / image.height)
    # Grain, so that it is as rich in detail as a photograph of that size.
    grain = pyvips.Image.gaussnoise(image.width, image.height, sigma=6, mean=0, seed=1)
    (image + grain).cast("uchar").jpegsave(str(path), Q=90)
    return path


def style_of(method: str) -> str:
    name = STYLES[method]
    return name if method == "fast" else str(ROOT / "examples" / "styles" / f"{name}.jpg")


def run(method: str, photo: Path, folder: Path) -> dict:
    out = folder / "out.jpg"
    command = [sys.executable, "-m", "impasto", "stylize", str(photo), style_of(method)]
    command += ["--method", method, "-o", str(out), "--json", "-q"]
    start = time.perf_counter()
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - start
    told = json.loads(found.stdout.strip().splitlines()[-1])
    return {"seconds": wall, "painting": told["seconds"], "GiB": told["peak_bytes"] / 2**30}


@torch.inference_mode()
def seams(method: str, megapixels: float, folder: Path, core: int) -> dict[str, float]:
    """Differences in steps of 255 between painting whole and in tiles, by the same statistics."""
    picture = impasto.read(photograph(megapixels, folder))
    request = make_request(picture, style_of(method), method=method)
    found = {}
    for precision in ("fp32", "bf16") if has_fast_bf16("cpu") else ("fp32",):
        place = DeviceSpec("cpu", precision)
        painter = request.method.painter(request, place)
        pixels = np.asarray(picture.pixels)
        small = thumbnail(pixels)
        whole, tiled = np.empty_like(pixels), np.empty_like(pixels)
        known = Known(painter, place(pad(as_tensor(small), painter.align)))
        run_tiled(pixels, small, whole, known, place, lambda *_: None, tile_side=10**6)
        run_tiled(pixels, small, tiled, known, place, lambda *_: None, tile_side=core)
        apart = 255 * np.abs(whole - tiled)
        found[precision] = float(apart.max())
        found[f"{precision}, mean"] = float(apart.mean())
    return found


class Known:
    """A painter that has the thumbnail's statistics also when it paints a picture whole."""

    def __init__(self, painter, frame) -> None:
        self.painter, self.align, self.halo = painter, painter.align, painter.halo
        self.seen = painter.statistics(frame)

    def statistics(self, frame):
        return self.seen

    def __call__(self, frame, statistics=None):
        return self.painter(frame, self.seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, nargs="*", default=[0.25, 1, 4, 16, 36, 100])
    parser.add_argument("--methods", nargs="*", default=list(STYLES))
    args = parser.parse_args()
    rows, apart = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for method in args.methods:
            apart[method] = seams(method, 2, folder, core=512)
            print(method, "tiled and whole differ by", apart[method], flush=True)
        for megapixels in args.megapixels:
            photo = photograph(megapixels, folder)
            for method in args.methods:
                row = {"method": method, "megapixels": megapixels, **run(method, photo, folder)}
                rows.append(row)
                print(row, flush=True)
    report = {"threads": torch.get_num_threads(), "rows": rows, "tiled and whole, of 255": apart}
    place = ROOT / "docs" / "benchmarks" / "size.json"
    place.write_text(json.dumps(report, indent=1) + "\n")
    place.with_suffix(".md").write_text(table(report))
    plot(rows, place.with_suffix(".svg"))
    print(table(report))


def table(report: dict) -> str:
    methods = list(dict.fromkeys(row["method"] for row in report["rows"]))
    lines = ["| megapixels | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for megapixels in dict.fromkeys(row["megapixels"] for row in report["rows"]):
        cells = [
            f"{row['seconds']:.1f} s, {row['GiB']:.2f} GiB"
            for row in report["rows"]
            if row["megapixels"] == megapixels
        ]
        lines.append(f"| {megapixels:g} | " + " | ".join(cells) + " |")
    lines.append("")
    for method, found in report["tiled and whole, of 255"].items():
        said = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
        lines.append(f"Tiled and whole, {method}: largest difference in steps of 255: {said}.")
    return "\n".join(lines) + "\n"


def plot(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        sizes = [row["megapixels"] for row in mine]
        left.loglog(sizes, [row["seconds"] for row in mine], "o-", label=method)
        right.semilogx(sizes, [row["GiB"] for row in mine], "o-", label=method)
    right.axhline(LIMIT, color="gray", linestyle=":")
    left.set(xlabel="megapixels", ylabel="seconds, file to file")
    right.set(xlabel="megapixels", ylabel="GiB resident at the peak", ylim=(0, None))
    left.legend()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
