"""Do first steps on the compact encoder pay? Gatys with several numbers of ``warmup_steps``.

Every run paints the same pair at one scale. Judged is the picture on the way, as it would be
saved, by the neutral fp32 evaluator of gatys.py. The goals are what 20, 30, 50 and 100 steps
without warm ones come to; told is how many steps on the full encoder a run with warm steps takes
to get there, and how many times sooner that is, warm steps counted at what a step took in the
median of all runs. Time is the processor's in this process, with one thread: on a busy machine
single runs still differ by a fifth. The result goes to docs/benchmarks/warm.json and warm.md.

    python benchmarks/warm.py [--size 384] [--steps 100] [--warm 0 30 60 120]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from gatys import OURS, OUT, ROOT, Evaluator, prepare

import impasto
from impasto.core.plan import Plan
from impasto.core.request import Request
from impasto.pipeline.stylize import run_request

PAIRS = (("canal", "starry-night"), ("tower", "mosaic-ducks"), ("chapel", "great-wave"))
GOALS = (20, 30, 50, 100)
EVERY = 5


def ordered(content: Path, style: Path, size: int, steps: int, warm: int) -> Request:
    knobs = {**OURS, "padding": "replicate", "min_size": 0, "steps": steps, "warmup_steps": warm}
    return impasto.request(str(content), str(style), size=size, **knobs)


def run(request: Request, plan: Plan, judge: Evaluator) -> dict:
    """Steps on the full encoder, seconds and loss along the way, and seconds a step of each."""
    warm = request.method.warmup_steps
    track: list[tuple[int, float, np.ndarray]] = []
    away = 0.0

    def watch(tick: impasto.ProgressEvent) -> None:
        nonlocal away
        start = time.process_time()
        full = tick.step - warm
        if full >= 0 and full % EVERY == 0:
            saved = (tick.image() * 255).round().astype(np.uint8)
            track.append((full, start - begin - away, saved))
        away += time.process_time() - start

    begin = time.process_time()
    run_request(request, plan, callback=watch)
    curve = [[step, seconds, judge.loss(picture)] for step, seconds, picture in track]
    first, last = next(c for c in curve if c[0] > 0), curve[-1]
    return {
        "curve": curve,
        "full": (last[1] - first[1]) / (last[0] - first[0]),
        "compact": curve[0][1] / warm if warm else None,
    }


def reached(curve: list[list[float]], goal: float) -> float | None:
    """Steps on the full encoder after which a curve comes down to a loss, between points too."""
    before = None
    for step, _, loss in curve:
        if loss <= goal:
            if before is None:
                return step
            return before[0] + (before[1] - goal) / (before[1] - loss) * (step - before[0])
        before = step, loss
    return None


def table(report: dict) -> str:
    every = [each for runs in report["pairs"].values() for each in runs.values()]
    full = statistics.median(each["full"] for each in every)
    compact = statistics.median(each["compact"] for each in every if each["compact"])
    goals = [n for n in GOALS if n <= min(each["curve"][-1][0] for each in every)]
    heads = " | ".join(f"to the loss of {n} plain steps" for n in goals)
    lines = [
        f"{report['size']} px, {report['precision']}, one thread: {full:.3f} s of the processor "
        f"for a step on the full encoder, {compact:.3f} s on the compact one.",
        "",
        f"| pair | warm steps | {heads} |",
        "|---" * (2 + len(goals)) + "|",
    ]
    for pair, runs in report["pairs"].items():
        plain = {step: loss for step, _, loss in runs["0"]["curve"]}
        for warm, each in runs.items():
            if warm == "0":
                continue
            cells = []
            for n in goals:
                found = reached(each["curve"], plain[n])
                gain = n / (found + int(warm) * compact / full) if found is not None else 0
                cells.append(f"{found:.0f} steps, {gain:.2f}x" if gain else "not")
            lines.append(f"| {pair} | {warm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--warm", type=int, nargs="*", default=[0, 30, 60, 120])
    args = parser.parse_args()
    torch.set_num_threads(1)
    place = OUT / "warm.json"
    OUT.mkdir(parents=True, exist_ok=True)
    report = {"size": args.size, "pairs": {}}
    with tempfile.TemporaryDirectory() as name:
        for pair in PAIRS:
            sources = (
                ROOT / "examples" / "photos" / f"{pair[0]}.jpg",
                ROOT / "examples" / "styles" / f"{pair[1]}.jpg",
            )
            content, style = prepare(Path(name), args.size, sources)
            judge = Evaluator(content, style)
            runs = report["pairs"].setdefault(" + ".join(pair), {})
            plan = impasto.plan(ordered(content, style, args.size, args.steps, 0))
            report["precision"] = plan.setting.precision
            for warm in sorted({0, *args.warm}):
                request = ordered(content, style, args.size, args.steps, warm)
                runs[str(warm)] = run(request, plan, judge)
                print(pair, warm, runs[str(warm)]["curve"][-1], flush=True)
                place.write_text(json.dumps(report, indent=1))
    place.with_suffix(".md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
