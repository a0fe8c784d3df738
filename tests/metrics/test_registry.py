"""The list of metrics, and the page that explains them."""

from pathlib import Path

import pytest

from impasto.core.errors import KnobError
from impasto.metrics.registry import METRICS, select_metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluate.md"


def test_none_named_means_all_and_the_order_is_that_of_the_table():
    assert select_metrics(()) == tuple(METRICS)
    assert select_metrics(["gram", "ssim"]) == ("ssim", "gram")


def test_an_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(KnobError, match=r"no metric 'lpip': did you mean lpips"):
        select_metrics(["ssim", "lpip"])


@pytest.mark.skipif(not PAGE.exists(), reason="the docs are not part of the package's source")
@pytest.mark.parametrize("name", METRICS)
def test_the_page_has_a_line_for_each_metric_with_its_direction(name):
    (line,) = (row for row in PAGE.read_text("utf-8").splitlines() if row.startswith(f"| `{name}`"))
    assert f"| {METRICS[name].arrow} |" in line
