"""The metrics: what each compares, which direction is better, what is usual, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from impasto.core.errors import KnobError
from impasto.core.knobs import nearest


@dataclass(frozen=True)
class Metric:
    """One figure of a painting.

    Attributes:
        name: what a user types.
        title: what a table's reader sees.
        compares: what with what, in one sentence.
        better: "higher" or "lower".
        usual: the range that paintings have, with its anchors.
        source: paper and equation.
        needs: weights or an extra; "" for none.
    """

    name: str
    title: str
    compares: str
    better: Literal["higher", "lower"]
    usual: str
    source: str
    needs: str = ""

    @property
    def arrow(self) -> str:
        """Where better is."""
        return "↑" if self.better == "higher" else "↓"


_ALL = (
    Metric(
        "ssim",
        "SSIM",
        "the drawing: luminance, contrast and structure of 11 x 11 windows, with the content's",
        "higher",
        "0.2 to 0.7; 1 for the content itself",
        "Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13, as the mean over the picture",
    ),
    Metric(
        "edges",
        "edges",
        "where the edges are: correlation of the gradient's magnitude with the content's",
        "higher",
        "0.2 to 0.7; 1 for the content itself, about 0 for an unrelated picture",
        "Pearson correlation of Sobel magnitudes, as in registration (Penney et al. 1998)",
    ),
    Metric(
        "gram",
        "Gram error",
        "which VGG-19 features occur together, with the style's, relative to the content's",
        "lower",
        "0.25 to 0.7; 1 for the unstyled content, 0 for the style's statistics",
        "Gatys, Ecker & Bethge 2016, eq. 3; root mean over five layers of |G - A|²/|A|²",
        "weights oxford",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Name → metric, in the order of a table: content, style, CLIP, noise."""


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """These metrics in the order of a table; none named: all.

    Raises:
        KnobError: no such metric; the message names the nearest.
    """
    wanted = set(names)
    for name in wanted:
        if name not in METRICS:
            near = nearest(name, METRICS)
            hint = f"did you mean {near}?" if near else f"there is {', '.join(METRICS)}."
            raise KnobError(f"There is no metric {name!r}: {hint}")
    return tuple(name for name in METRICS if not wanted or name in wanted)
