"""The trace that docs/tune.md shows: its strip, docs/pictures/tune.jpg, and its table on stdout.

    python docs/pictures/tune.py [--budget 2m]

It takes what the budget says; how many trials that is depends on the machine.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import impasto
from impasto.advise.tune.trial_sheet import make_trial_sheet
from impasto.pictures import write

ROOT = Path(__file__).resolve().parents[2]
CONTENT = "examples/photos/canal.jpg"
STYLE = "examples/styles/great-wave.jpg"
ROWS = 6
KNOBS = ("strength", "level_strengths", "transform", "style_size")


def said(value: object) -> str:
    return (" ".join(f"{v:g}" for v in value) or "none") if isinstance(value, list) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", default="2m")
    args = parser.parse_args()
    os.chdir(ROOT)  # so that the command has the names that a reader has
    tuning = impasto.tune(CONTENT, STYLE, method="wct", size=512, budget=args.budget)
    write(make_trial_sheet(tuning), ROOT / "docs" / "pictures" / "tune.jpg", quality=88)
    print(f"| trial | by | score | style error | content error | {' | '.join(KNOBS)} |")
    print("|---" * (5 + len(KNOBS)) + "|")
    first = sorted(tuning.trials, key=lambda trial: trial.score)
    rows = [*sorted(tuning.finals, key=lambda t: t.score), *first[:ROWS], tuning.trials[0]]
    for trial in rows:
        knobs = " | ".join(said(trial.knobs[name]) for name in KNOBS)
        print(
            f"| {trial.number}{' final' if trial.final else ''} | {trial.by} | {trial.score:.3f} "
            f"| {trial.style_error:.3f} | {trial.content_error:.3f} | {knobs} |"
        )
    print(f"\n{tuning.summary}\nDecided at {tuning.fidelity}.\n{tuning.command()}")


if __name__ == "__main__":
    main()
