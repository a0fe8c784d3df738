"""Speed at 512 x 512: our instant methods against the published architectures, in one run.

The references are fp32, as published, and again in the precision and memory format in which ours
run here; their style features are cached, like ours. Ours are timed from pixels in memory to
pixels in memory, with everything that ``impasto.stylize`` does to a picture that is loaded. The
references get tensors and give tensors. Each side has a process of its own; they run in turns.

    python benchmarks/instant.py [--side 512] [--rounds 20]

The results go to docs/benchmarks/instant.json and instant.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from reference import AdaINReference, JohnsonReference, side_by_side

import impasto
from impasto.core.devices import has_fast_bf16, keep_freed_memory
from impasto.engines.feedforward.base import DeviceSpec
from impasto.engines.feedforward.tiling import run_tiled
from impasto.ops.convert import as_tensor
from impasto.pictures import resize
from impasto.pipeline import make_request

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "examples" / "photos" / "canal.jpg"
STYLE = ROOT / "examples" / "styles" / "starry-night.jpg"
OURS = {"adain": STYLE, "fast": "starry-night", "wct": STYLE}
REFERENCE = {"adain": "AdaIN (Huang & Belongie), fp32", "fast": "Johnson et al., fp32"}
REQUIRED = {"adain": 20, "fast": 12}
AIM = {"adain": 20, "fast": 40}  # pictures a second


def ours(side: int) -> dict[str, Callable[[], object]]:
    photo = resize(impasto.read(PHOTO).pixels, side, side)
    precision = "bf16" if has_fast_bf16("cpu") else "fp32"
    target = np.empty_like(photo)
    runs = {}
    for name, style in OURS.items():
        request = make_request(photo, style, method=name)
        place = DeviceSpec("cpu", precision)
        painter = request.method.painter(request, place)
        runs[f"impasto {name}, {precision}"] = lambda painter=painter, place=place: run_tiled(
            photo, photo, target, painter, place, lambda done, of: None
        )
    return runs


def references(side: int) -> dict[str, Callable[[], object]]:
    photo = as_tensor(resize(impasto.read(PHOTO).pixels, side, side)).contiguous()
    style = as_tensor(resize(impasto.read(STYLE).pixels, side, side)).contiguous()
    runs: dict[str, Callable[[], object]] = {}
    kinds = {AdaINReference: REFERENCE["adain"], JohnsonReference: REFERENCE["fast"]}
    for kind, title in kinds.items():
        for faster in (False, True):
            network, given, seen = kind(), photo, style
            name = title
            if faster:
                name = title.replace("fp32", "bf16 channels_last")
                network = network.to(torch.bfloat16).to(memory_format=torch.channels_last)
                given, seen = (
                    t.to(torch.bfloat16, memory_format=torch.channels_last) for t in (photo, style)
                )
            extra = (network.style_statistics(seen),) if kind is AdaINReference else ()
            runs[name] = lambda n=network, g=given, e=extra: n(g, *e)
    return runs


class Worker:
    """A process of its own in which contenders wait to be run: with its own allocator's settings.

    ``impasto.stylize`` tells the C library to keep freed memory, which would help the references.
    """

    def __init__(self, make: Callable[[int], dict[str, Callable[[], object]]], side: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(make, side, theirs), daemon=True)
        self.process.start()
        self.names: list[str] = self.pipe.recv()

    def runs(self) -> dict[str, Callable[[], object]]:
        return {name: lambda name=name: self.ask(name) for name in self.names}

    def ask(self, name: str) -> None:
        self.pipe.send(name)
        self.pipe.recv()


def serve(make: Callable[[int], dict[str, Callable[[], object]]], side: int, pipe) -> None:
    """Run what is asked for, until nobody asks any more."""
    if make is ours:
        keep_freed_memory()
    with torch.inference_mode(), contextlib.suppress(EOFError):
        runs = make(side)
        pipe.send(list(runs))
        while True:
            runs[pipe.recv()]()
            pipe.send(None)


def cold_start(rounds: int = 3) -> dict[str, float]:
    """Seconds of the command line from nothing to the first picture, in the median."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, style in OURS.items():
            out = Path(folder) / f"{name}.jpg"
            command = [sys.executable, "-m", "impasto", "stylize", str(PHOTO), str(style)]
            command += ["--method", name, "--size", "512", "-o", str(out), "-q"]
            times = []
            for _ in range(rounds):
                start = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - start)
            found[name] = sorted(times)[len(times) // 2]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    contenders = [Worker(make, args.side) for make in (references, ours)]
    compared = side_by_side({**contenders[0].runs(), **contenders[1].runs()}, args.rounds)
    cold = cold_start()
    rows = []
    for name, seconds in compared.medians.items():
        row = {"name": name, "ms": 1000 * seconds, "a second": 1 / seconds}
        for method, title in REFERENCE.items():
            row[f"times {title}"] = compared.ratio(name, title)
            if name.startswith(f"impasto {method}"):
                row["ratio"] = compared.ratio(name, title)
                row["required"] = REQUIRED[method]
                row["aim a second"] = AIM[method]
        rows.append(row)
    report = {
        "side": args.side,
        "rounds": args.rounds,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "processor": platform.machine() + (" with bf16" if has_fast_bf16("cpu") else ""),
        "load": os.getloadavg()[0],
        "rows": rows,
        "cold start": cold,
    }
    place = ROOT / "docs" / "benchmarks" / "instant.json"
    place.write_text(json.dumps(report, indent=1) + "\n")
    place.with_suffix(".md").write_text(table(report))
    print(table(report))


def table(report: dict) -> str:
    side = report["side"]
    lines = [
        f"| {side} x {side}, {report['threads']} threads | ms | pictures a second | ratio |",
        "|---|---|---|---|",
    ]
    for row in report["rows"]:
        ratio = f"{row['ratio']:.1f}x" if "ratio" in row else ""
        lines.append(f"| {row['name']} | {row['ms']:.1f} | {row['a second']:.1f} | {ratio} |")
    starts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["cold start"].items())
    lines += ["", f"From a cold process to the first picture on disk: {starts}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
