"""The judge on real paintings: the published figures of docs/benchmarks/quality.json."""

import json
from pathlib import Path

import pytest

import impasto
from impasto.metrics import Evaluator
from impasto.pictures import as_picture, fit_long_side, resize

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "benchmarks" / "quality.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FIGURES.exists(), reason="docs and examples are not here"),
]


@pytest.mark.parametrize("method", ["adain", "fast", "wct"])
def test_the_gram_error_is_the_published_style_error(method, quick):
    published = json.loads(FIGURES.read_text("utf-8"))
    each = next(r["each"] for r in published["rows"] if r["method"] == method and "each" in r)
    content = impasto.read(ROOT / "examples" / "photos" / "canal.jpg").pixels
    content = resize(content, *fit_long_side(*content.shape[:2], published["size"]))
    style = ROOT / "examples" / "styles" / "starry-night.jpg"
    given = "starry-night" if method == "fast" else style
    result = impasto.stylize(content, given, method=method)
    judge = Evaluator(as_picture(content), [impasto.read(style)], metrics=["gram"])
    wanted = each["canal, starry-night"]["style_error"]
    # It was painted with another number of threads, or in another precision, perhaps.
    assert judge(result.pixels).values["gram"] == pytest.approx(wanted, rel=0.02)
