"""The metrics: what each compares, which direction is better, what is usual, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name

MIN_SIDE_PX, MAX_SIDE_PX = 32, 2048
"""Pixels of the shortest side that every network can look at, and of the longest that is of use."""


@dataclass(frozen=True)
class Metric:
    """One figure of a painting.

    Attributes:
        name: what a user types.
        title: what a table's reader sees.
        compares: what with what, in one sentence.
        better: "higher" or "lower".
        usual: the range of most paintings, with its anchors: where it could be measured, what nine
            in ten of 32 had, by four methods on eight pairs (docs/evaluate.md).
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


_METRIC_LIST = (
    Metric(
        "ssim",
        "SSIM",
        "the drawing: luminance, contrast and structure of windows of 11 x 11, with the content's",
        "higher",
        "0.25 to 0.6; 1 is the content itself",
        "Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13, as the mean over the picture",
    ),
    Metric(
        "edges",
        "edges",
        "where the edges are: the correlation of the gradient's magnitude with the content's",
        "higher",
        "0.4 to 0.7; 1 is the content itself, about 0 an unrelated picture",
        "Pearson correlation of Sobel magnitudes, after Penney et al. 1998",
    ),
    Metric(
        "lpips",
        "LPIPS",
        "how different from the content it looks, as people judged it of distorted photographs",
        "lower",
        "0.4 to 0.7; 0 is the content itself",
        "Zhang, Isola, Efros, Shechtman & Wang 2018, eq. 1, AlexNet, version 0.1",
        "weights lpips",
    ),
    Metric(
        "content_error",
        "content error",
        "what is in which place, with the content, on SqueezeNet, which no method optimizes",
        "lower",
        "0.5 to 0.9; 0 is the content itself, about 1 an unrelated picture (the style's)",
        "unit-length features as in Zhang et al. 2018, eq. 1, unweighted, on Iandola et al. 2016",
        "weights squeezenet",
    ),
    Metric(
        "gram",
        "Gram error",
        "which features of VGG-19 occur together, with the style's, relative to the content's",
        "lower",
        "0.2 to 0.75; 1 is the unstyled content, 0 has the style's statistics",
        "Gatys, Ecker & Bethge 2016, eq. 3; root of the mean over five layers of |G - A|²/|A|²",
        "weights oxford",
    ),
    Metric(
        "swd",
        "sliced W.",
        "how features of VGG-19 are distributed, with the style's, relative to the content's",
        "lower",
        "0.25 to 0.75; 1 is the unstyled content, 0 has the style's distribution",
        "Heitz, Vanhoey, Chambon & Belcour 2021, in the layers of gram and relative as there",
        "weights oxford",
    ),
    Metric(
        "style_error",
        "style error",
        "as gram, but on SqueezeNet, which no method optimizes",
        "lower",
        "0.3 to 0.85; 1 is the unstyled content, 0 has the style's statistics",
        "Gatys, Ecker & Bethge 2016, eq. 3, on Iandola et al. 2016",
        "weights squeezenet",
    ),
    Metric(
        "clip_style",
        "CLIP style",
        "how alike result and style are to CLIP: the cosine of the two pictures",
        "higher",
        "about 0.5 to 0.8 with ViT-B/32 in papers, not measured here; 1 is the style itself",
        "Radford et al. 2021; Hessel et al. 2021 for the measure",
        "CLIP",
    ),
    Metric(
        "clip_text",
        "CLIP text",
        "how well the result fits the text: the cosine of picture and text",
        "higher",
        "about 0.2 to 0.35 with ViT-B/32 in papers, not measured here",
        "Radford et al. 2021; Hessel et al. 2021, without its factor",
        "CLIP, and a text",
    ),
    Metric(
        "leak",
        "leak",
        "how much there is in it of things that only the style's picture shows, in CLIP's eyes",
        "lower",
        "0 has no more of them than the content, 1 as much as the style's picture",
        "ours: docs/evaluate.md",
        "CLIP",
    ),
    Metric(
        "noise",
        "noise",
        "noise of the luminance, as a standard deviation in steps of 8 bits",
        "lower",
        "1 to 8; a photograph has about 1, and a painting's grain counts too",
        "Donoho & Johnstone 1994, on Haar's diagonal details",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRIC_LIST}
"""Name → metric, in the order of a table: content, style, CLIP, noise."""


def select_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """These metrics in the order of a table; none named: all.

    Raises:
        KnobError: no such metric; the message names the nearest.
    """
    wanted = set(names)
    for name in wanted:
        if name not in METRICS:
            near = closest_name(name, METRICS)
            hint = f"did you mean {near}?" if near else f"there is {', '.join(METRICS)}."
            raise KnobError(f"There is no metric {name!r}: {hint}")
    return tuple(name for name in METRICS if not wanted or name in wanted)
