"""What is usual: every metric of the judge on paintings by every method.

32 paintings at 256 px: four methods at their defaults (gatys with 100 steps) on the eight pairs
that benchmarks/quality.py shows and keeps in build/quality; run that first.

    python benchmarks/usual.py

The ranges that ``impasto.evaluation.METRICS`` calls usual come from here. The results go to
docs/benchmarks/usual.json and usual.md.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from quality import ROOT, contents

from impasto.evaluation.evaluate import Evaluation, evaluate
from impasto.metrics import METRICS
from impasto.pictures import write

METHODS = ("fast", "adain", "wct", "gatys")
SIZE = 256
RANGE = (0.05, 0.95)


def measured(folder: Path) -> Evaluation:
    """Every painting in build/quality against its pair, each method as a set."""
    for name, pixels in contents(SIZE).items():
        write(pixels, folder / f"{name}.png")
    sets = []
    for method in METHODS:
        paintings = sorted((ROOT / "build" / "quality").glob(f"*-{method}.png"))
        if not paintings:
            raise SystemExit(f"No paintings by {method}: run benchmarks/quality.py first.")
        sets.append(folder / method)
        sets[-1].mkdir()
        for painting in paintings:
            shutil.copy(painting, sets[-1])
    return evaluate(folder, ROOT / "examples" / "styles", sets)


def means(found: Evaluation) -> str:
    """A row for each method: means with their 95 % intervals."""
    lines = [
        "| metric | " + " | ".join(METHODS) + " | nine in ten of all |",
        "|---|" + "---|" * (len(METHODS) + 1),
    ]
    by_method = {Path(each).name: row for each, row in found.means().items()}
    for name in found.metrics:
        cells = [by_method[method][name] for method in METHODS]
        column = [row.scores.values[name] for row in found.rows if name in row.scores.values]
        low, high = np.quantile(column, RANGE)
        digits = 1 if name == "noise" else 3
        lines.append(
            f"| {METRICS[name].title} {METRICS[name].arrow} | "
            + " | ".join(
                f"{i.mean:.{digits}f} ({i.low:.{digits}f} to {i.high:.{digits}f})" for i in cells
            )
            + f" | {low:.{digits}f} to {high:.{digits}f} |"
        )
    count = len(found.rows)
    return "\n".join(lines) + f"\n\n{count} paintings at {SIZE} px; means with 95 % intervals.\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    place = ROOT / "docs" / "benchmarks" / "usual.json"
    rows = [
        {"result": Path(row.result).name, "scores": dict(row.scores.values)} for row in found.rows
    ]
    place.write_text(json.dumps({"size": SIZE, "rows": rows}, indent=1) + "\n")
    place.with_suffix(".md").write_text(means(found))
    print(means(found))


if __name__ == "__main__":
    main()
