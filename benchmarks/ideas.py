"""Which idea gains how much: Gatys at 256 px, one idea changed at a time.

Every run paints the same pair with the same α, β and weights. Judged is the picture as it would
be saved, by the neutral fp32 evaluator of gatys.py, after the same numbers of steps; time
is the optimizer's alone. The result goes to docs/benchmarks/ideas.json and ideas.md.

    python benchmarks/ideas.py [--steps 300] [name ...]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from gatys import OURS, OUT, Evaluator, prepare

import impasto
from impasto.core import devices
from impasto.engines.optimization import parametrization
from impasto.methods import gatys
from impasto.pipeline.stylize import run_request

SIZE = 256
MARKS = (25, 50, 100, 200, 300)


@dataclass(frozen=True)
class Idea:
    """A run: its knobs, precision, and module constants that differ from the default's."""

    what: str
    knobs: dict[str, Any] = field(default_factory=dict)
    precision: str = "bf16"
    levels: int = gatys.LEVELS
    gain: float = parametrization.LEVEL_GAIN
    gamut: float = gatys.GAMUT
    keep_memory: bool = True


PLAIN = {"levels": 1, "gamut": 0.0, "keep_memory": False}
IDEAS = {
    "peer": Idea(
        "pixels, fp32, history 100: as the peer does", {"lbfgs_history": 100}, "fp32", **PLAIN
    ),
    "bf16": Idea("the same in bf16", {"lbfgs_history": 100}, **PLAIN),
    "memory": Idea("and keeping freed memory", {"lbfgs_history": 100}, levels=1, gamut=0.0),
    "lbfgs_history": Idea("and history 12", levels=1, gamut=0.0),
    "gamut": Idea("and a price on colors outside 0..1", levels=1),
    "ours": Idea("and a pyramid of 5 levels, gain 0.7: **what we do**"),
    "gain 0.5": Idea("ours with gain 0.5", gain=0.5),
    "gain 1": Idea("ours with gain 1", gain=1.0),
    "gain 1.5": Idea("ours with gain 1.5", gain=1.5),
    "levels 3": Idea("ours with 3 levels", levels=3),
    "gamut low": Idea("ours with a tenth of the price", gamut=gatys.GAMUT / 10),
    "gamut high": Idea("ours with ten times the price", gamut=gatys.GAMUT * 10),
    "history 40": Idea("ours with history 40", {"lbfgs_history": 40}),
    "fp32": Idea("ours in fp32", {}, "fp32"),
    "adam": Idea("ours with Adam, step 0.02", {"optimizer": "adam"}),
    "coarse": Idea("ours from coarse to fine, from 128 px", {"min_size": 128}),
}


def run(idea: Idea, steps: int, content: Path, style: Path, judge: Evaluator) -> list[dict]:
    knobs = {**OURS, "min_size": 0, "steps": steps, **idea.knobs}
    pictures = str(content), str(style)
    request = impasto.request(*pictures, size=SIZE, precision=idea.precision, **knobs)
    track: list[tuple[int, float, np.ndarray]] = []
    away = 0.0

    def watch(tick: impasto.ProgressEvent) -> None:
        nonlocal away
        start = time.perf_counter()
        picture = tick.image() if tick.step % 25 == 0 else None
        if picture is not None and max(picture.shape[:2]) == SIZE:
            saved = (picture * 255).round().astype(np.uint8)
            track.append((tick.step, start - begin - away, saved))
        away += time.perf_counter() - start

    keep = devices.keep_freed_memory if idea.keep_memory else lambda: None
    with (
        mock.patch.object(gatys, "LEVELS", idea.levels),
        mock.patch.object(gatys, "GAMUT", idea.gamut),
        mock.patch.object(parametrization, "LEVEL_GAIN", idea.gain),
        mock.patch.object(gatys, "keep_freed_memory", keep),
    ):
        plan = impasto.plan(request)
        begin = time.perf_counter()
        run_request(request, plan, callback=watch)
    return [{"step": s, "seconds": t, "loss": judge.loss(p)} for s, t, p in track]


def table(report: dict[str, list[dict]]) -> str:
    goal = report["peer"][-1]["loss"] if "peer" in report else 0.0
    heads = [f"loss at {mark}" for mark in MARKS]
    lines = [
        f"| | s a step | {' | '.join(heads)} | reaches {goal:.0f} after |",
        "|---" * (len(MARKS) + 3) + "|",
    ]
    for name, track in report.items():
        at = {row["step"]: row["loss"] for row in track}
        cells = [f"{at[m]:.0f}" if m in at else "" for m in MARKS]
        pace = (track[-1]["seconds"] - track[0]["seconds"]) / (track[-1]["step"] - track[0]["step"])
        there = next((row for row in track if row["loss"] <= goal), None)
        reached = f"{there['seconds']:.0f} s" if there else "not"
        lines.append(f"| {IDEAS[name].what} | {pace:.3f} | {' | '.join(cells)} | {reached} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(IDEAS))
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    place = OUT / "ideas.json"
    OUT.mkdir(parents=True, exist_ok=True)
    report = json.loads(place.read_text()) if place.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        content, style = prepare(Path(name), SIZE)
        judge = Evaluator(content, style)
        for each in args.names:
            report[each] = run(IDEAS[each], args.steps, content, style, judge)
            print(each, report[each][-1], flush=True)
            place.write_text(json.dumps(report, indent=1))
    ordered = {each: report[each] for each in IDEAS if each in report}
    place.with_suffix(".md").write_text(table(ordered))
    print(table(ordered))


if __name__ == "__main__":
    main()
