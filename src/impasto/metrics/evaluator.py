"""The judge: measures paintings of one content in the manner of some styles."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from impasto.core.errors import ImpastoError, InputError, KnobError, MissingExtraError, WeightsError
from impasto.core.picture import Picture, Raster
from impasto.metrics.registry import MAX_SIDE_PX, METRICS, MIN_SIDE_PX, select_metrics

if TYPE_CHECKING:
    from impasto.metrics.groups import MetricConfig, MetricFn, MetricGroup

EVALUATION_SIZE_PX = 512
"""Long side in pixels at which paintings are measured."""
MAX_CACHED_SIZES = 2
"""Sizes whose views are kept."""


@dataclass(frozen=True)
class Scores:
    """What was measured of one result.

    Attributes:
        values: metric → value; a metric that has no meaning for these pictures is left out.
        layers: metric → layer → value, for those that are made of layers.
        notes: what a user may want to know, one sentence each.
    """

    values: Mapping[str, float]
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Evaluator:
    """Measures paintings of one content in the manner of some styles.

    Content and styles are looked at once for every size of results. All is computed in fp32 on
    the processor, so that the same pictures have the same scores.

    Args:
        content: what was to be kept.
        styles: whose manner was to be taken.
        style_weights: share of each style, at least 0; empty means equal shares.
        metrics: names in :data:`METRICS`; none means all that are at hand.
        text: what a result is compared with by the metric ``clip_text``.
        clip: a CLIP by its name on the hub or its folder; "" is the usual one, if it is here.
        size: long side in pixels to which results are reduced; smaller ones stay as they are.

    ``missing`` says for each metric that cannot be measured here what it lacks.

    Raises:
        KnobError: an unknown metric, or weights or a size that do not fit.
        InputError: no style.
        WeightsError, MissingExtraError: none of the metrics can be measured.
    """

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        *,
        style_weights: Sequence[float] = (),
        metrics: Sequence[str] = (),
        text: str = "",
        clip: str = "",
        size: int = EVALUATION_SIZE_PX,
    ) -> None:
        self.content = content
        self.styles = tuple(styles)
        self.style_weights = _normalize_weights(self.styles, style_weights)
        self.size = _check_size(size)
        self.metrics = tuple(
            m for m in select_metrics(metrics) if m != "clip_text" or text or metrics
        )
        self.missing: dict[str, str] = {}
        self._metric_groups = self._load_groups(self._make_config(set(metrics), text, clip))
        self._cached_metric_fns: dict[tuple[int, int], list[MetricFn]] = {}

    def with_inputs(
        self, content: Picture, styles: Sequence[Picture], style_weights: Sequence[float] = ()
    ) -> Evaluator:
        """An evaluator of other pictures with the same settings and networks."""
        other = copy.copy(self)
        other.content = content
        other.styles = tuple(styles)
        other.style_weights = _normalize_weights(other.styles, style_weights)
        other._cached_metric_fns = {}
        return other

    def __call__(self, result: Picture | Raster) -> Scores:
        """Measure a painting.

        Raises:
            InputError: another shape than the content's, or too few pixels.
        """
        import torch

        from impasto.metrics.inputs import evaluation_size, input_notes, resize_on_white
        from impasto.ops.convert import as_tensor

        painting = result if isinstance(result, Picture) else Picture(result, name="the painting")
        size = evaluation_size(painting, self.content, self.size)
        values: dict[str, float] = {}
        layers: dict[str, Mapping[str, float]] = {}
        notes = input_notes(painting, self.content, self.styles, self.size)
        with torch.inference_mode():
            pixels = as_tensor(resize_on_white(painting, *size))
            for measure in self._metric_fns(size):
                reading = measure(pixels)
                values |= reading.values
                layers |= reading.layers
                notes += reading.notes
        wanted = {name: values[name] for name in self.metrics if name in values}
        return Scores(wanted, {k: v for k, v in layers.items() if k in wanted}, tuple(notes))

    def _metric_fns(self, size: tuple[int, int]) -> list[MetricFn]:
        from impasto.metrics.inputs import EvaluationInputs

        if size not in self._cached_metric_fns:
            while len(self._cached_metric_fns) >= MAX_CACHED_SIZES:
                self._cached_metric_fns.pop(next(iter(self._cached_metric_fns)))
            view = EvaluationInputs.from_pictures(
                self.content, self.styles, self.style_weights, *size
            )
            self._cached_metric_fns[size] = [gauge(view) for gauge in self._metric_groups]
        return self._cached_metric_fns[size]

    def _make_config(self, named: set[str], text: str, clip: str) -> MetricConfig:
        from impasto.metrics.groups import MetricConfig

        if "clip_text" in named and not text:
            raise KnobError("clip_text compares with a text: give one with --text.")
        asked = bool(clip or os.environ.get("IMPASTO_CLIP") or text)
        fetch = asked or any(METRICS[name].needs.startswith("CLIP") for name in named)
        return MetricConfig(frozenset(self.metrics), text, clip, fetch)

    def _load_groups(self, config: MetricConfig) -> list[MetricGroup]:
        """The gauges of the metrics that are wanted; what cannot be loaded is noted."""
        from impasto.metrics.clip_scores import ClipMetrics
        from impasto.metrics.groups import METRIC_GROUPS

        found: list[MetricGroup] = []
        last: ImpastoError | None = None
        kinds: tuple[type[MetricGroup], ...] = (*METRIC_GROUPS, ClipMetrics)
        for kind in kinds:
            mine = [name for name in kind.metrics if name in config.metrics]
            if not mine:
                continue
            try:
                found.append(kind(config))
            except (WeightsError, MissingExtraError) as error:
                last = error
                self.missing |= dict.fromkeys(mine, str(error))
        if last and not found:
            raise last
        return found


def _check_size(size: int) -> int:
    if not MIN_SIDE_PX <= size <= MAX_SIDE_PX:
        raise KnobError(
            f"size = {size!r} does not fit: it must be {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels."
        )
    return size


def _normalize_weights(styles: Sequence[Picture], weights: Sequence[float]) -> tuple[float, ...]:
    if not styles:
        raise InputError("No style picture: give at least one.")
    given = tuple(weights) or (1.0,) * len(styles)
    if len(given) != len(styles):
        raise KnobError(f"{len(given)} style weights for {len(styles)} styles: give one each.")
    if not all(0.0 <= w < float("inf") for w in given) or sum(given) == 0:
        raise KnobError("style weights must be numbers of at least 0 that are not all 0.")
    return tuple(w / sum(given) for w in given)
