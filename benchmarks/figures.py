"""The figures that `impasto recommend` speaks of, gathered from what the benchmarks measured.

    python benchmarks/figures.py

Nothing is measured here but the contrast of the example styles. Run it after any benchmark whose
results are read below; it writes src/impasto/advise/recommend/figures.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

import impasto
from impasto.advise.recommend.style_features import luminance_contrast

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "src" / "impasto" / "advise" / "recommend" / "figures.json"
METHODS = ("gatys", "fast", "adain", "wct")
LARGEST = 100
"""Megapixels of the largest picture that benchmarks/size.py paints."""


def gathered() -> dict[str, Any]:
    """Method → its figures, and under "common" what belongs to none."""
    quality, instant, size = measured("quality"), measured("instant"), measured("size")
    figures: dict[str, dict[str, float]] = {name: {} for name in METHODS}
    common = {
        "pairs": quality["rows"][0]["pairs"],
        "side": instant["side"],
        "threads": instant["threads"],
        "largest": LARGEST,
        **loading(size["rows"]),
    }
    for name in METHODS:
        row = next(r for r in quality["rows"] if r["method"] == name)  # the first is the default
        figures[name] |= {"error": row["style error"], "ssim": row["SSIM"]}
    add_faint(figures, quality["rows"])
    common |= add_contrast(figures, quality["rows"])
    add_own(figures, measured("usual")["rows"])
    for row in instant["rows"]:
        if row["name"].startswith("impasto "):
            name = row["name"].removeprefix("impasto ").partition(",")[0]
            figures[name] |= {"milliseconds": row["ms"], "a_second": row["a second"]}
    for name, seconds in instant["cold start"].items():
        figures[name]["run"] = seconds
    figures["gatys"]["run"] = measured("gatys")["race"]["ours"]["coarse to fine"]["seconds"]
    for row in size["rows"]:
        if row["megapixels"] == LARGEST:
            found = {"large_seconds": row["seconds"], "large_gib": row["GiB"]}
            figures[row["method"]] |= found
    return {"common": rounded(common), **{name: rounded(f) for name, f in figures.items()}}


def measured(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "docs" / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def loading(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What a command takes beside painting: to start, and to read and write a megapixel."""
    beside = [row["seconds"] - row["painting"] for row in rows]
    slope, start = np.polyfit([row["megapixels"] for row in rows], beside, 1)
    return {"start_seconds": float(start), "seconds_per_megapixel": float(slope)}


def add_faint(figures: dict[str, dict[str, float]], rows: list[dict[str, Any]]) -> None:
    """How the methods do where most of the content is to stay."""
    for row in rows:
        if row["setting"] == "strength 0.4":
            figures[row["method"]] |= {"faint_error": row["style error"], "faint_ssim": row["SSIM"]}
    kept = [row for row in measured("knobs")["structure"] if row["structure"] == 1.0]
    figures["gatys"] |= {
        "faint_ssim": mean(row["ssim"] for row in kept),
        "faint_pairs": len(kept),
    }


def add_own(figures: dict[str, dict[str, float]], rows: list[dict[str, Any]]) -> None:
    """Errors on SqueezeNet, which no method minimizes."""
    for name in METHODS:
        scores = [row["scores"] for row in rows if row["result"].endswith(f"-{name}.png")]
        figures[name] |= {
            "own_style": mean(each["style_error"] for each in scores),
            "own_content": mean(each["content_error"] for each in scores),
        }


def add_contrast(
    figures: dict[str, dict[str, float]], rows: list[dict[str, Any]]
) -> dict[str, float]:
    """Errors on the styles with more contrast than the middle one, and on the others."""
    names = sorted({pair.partition(", ")[2] for pair in rows[0]["each"]})
    found = {name: luminance_contrast(read_style(name)) for name in names}
    middle = median(found.values())
    for method in METHODS:
        each = next(r for r in rows if r["method"] == method)["each"]
        for label, bold in (("bold_error", True), ("calm_error", False)):
            chosen = [
                score["style_error"]
                for pair, score in each.items()
                if (found[pair.partition(", ")[2]] > middle) == bold
            ]
            figures[method][label] = mean(chosen)
    return {"styles": len(names), "contrast": middle}


def read_style(name: str) -> Any:
    return impasto.read(ROOT / "examples" / "styles" / f"{name}.jpg").pixels


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Four digits, so that another library's last bit changes nothing."""
    return {name: float(f"{value:.4g}") for name, value in sorted(values.items())}


def text() -> str:
    return json.dumps(gathered(), indent=1) + "\n"


if __name__ == "__main__":
    PLACE.write_text(text(), encoding="utf-8")
    print(PLACE.read_text(encoding="utf-8"))
