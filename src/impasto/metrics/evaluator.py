"""The judge: measures paintings of one content in the manner of some styles."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from impasto.core.errors import ImpastoError, InputError, KnobError, MissingExtraError, WeightsError
from impasto.core.picture import Picture, Raster
from impasto.metrics.registry import LEAST, METRICS, MOST, chosen

if TYPE_CHECKING:
    from impasto.metrics.groups import Gauge, Measure, Wanted

SIZE = 512
"""Long side in pixels at which paintings are measured."""
KEPT = 2
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


class Judge:
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
        size: int = SIZE,
    ) -> None:
        self.content = content
        self.styles = tuple(styles)
        self.shares = _shares(self.styles, style_weights)
        self.size = _checked(size)
        self.metrics = tuple(m for m in chosen(metrics) if m != "clip_text" or text or metrics)
        self.missing: dict[str, str] = {}
        self._gauges = self._load(self._wanted(set(metrics), text, clip))
        self._views: dict[tuple[int, int], list[Measure]] = {}

    def of(
        self, content: Picture, styles: Sequence[Picture], style_weights: Sequence[float] = ()
    ) -> Judge:
        """A judge of other pictures with the same settings and networks."""
        other = copy.copy(self)
        other.content = content
        other.styles = tuple(styles)
        other.shares = _shares(other.styles, style_weights)
        other._views = {}
        return other

    def __call__(self, result: Picture | Raster) -> Scores:
        """Measure a painting.

        Raises:
            InputError: another shape than the content's, or too few pixels.
        """
        import torch

        from impasto.metrics.inputs import at_size, remarks, size_of
        from impasto.ops.convert import as_tensor

        painting = result if isinstance(result, Picture) else Picture(result, name="the painting")
        size = size_of(painting, self.content, self.size)
        values: dict[str, float] = {}
        layers: dict[str, Mapping[str, float]] = {}
        notes = remarks(painting, self.content, self.styles, self.size)
        with torch.inference_mode():
            pixels = as_tensor(at_size(painting, *size))
            for measure in self._measures(size):
                reading = measure(pixels)
                values |= reading.values
                layers |= reading.layers
                notes += reading.notes
        wanted = {name: values[name] for name in self.metrics if name in values}
        return Scores(wanted, {k: v for k, v in layers.items() if k in wanted}, tuple(notes))

    def _measures(self, size: tuple[int, int]) -> list[Measure]:
        from impasto.metrics.inputs import View

        if size not in self._views:
            while len(self._views) >= KEPT:
                self._views.pop(next(iter(self._views)))
            view = View.of(self.content, self.styles, self.shares, *size)
            self._views[size] = [gauge(view) for gauge in self._gauges]
        return self._views[size]

    def _wanted(self, named: set[str], text: str, clip: str) -> Wanted:
        from impasto.metrics.groups import Wanted

        if "clip_text" in named and not text:
            raise KnobError("clip_text compares with a text: give one with --text.")
        asked = bool(clip or os.environ.get("IMPASTO_CLIP") or text)
        fetch = asked or any(METRICS[name].needs.startswith("CLIP") for name in named)
        return Wanted(frozenset(self.metrics), text, clip, fetch)

    def _load(self, wanted: Wanted) -> list[Gauge]:
        """The gauges of the metrics that are wanted; what cannot be loaded is noted."""
        from impasto.metrics.clip_scores import ClipGauge
        from impasto.metrics.groups import GAUGES

        found: list[Gauge] = []
        last: ImpastoError | None = None
        kinds: tuple[type[Gauge], ...] = (*GAUGES, ClipGauge)
        for kind in kinds:
            mine = [name for name in kind.metrics if name in wanted.metrics]
            if not mine:
                continue
            try:
                found.append(kind(wanted))
            except (WeightsError, MissingExtraError) as error:
                last = error
                self.missing |= dict.fromkeys(mine, str(error))
        if last and not found:
            raise last
        return found


def _checked(size: int) -> int:
    if not LEAST <= size <= MOST:
        raise KnobError(f"size = {size!r} does not fit: it must be {LEAST} to {MOST} pixels.")
    return size


def _shares(styles: Sequence[Picture], weights: Sequence[float]) -> tuple[float, ...]:
    if not styles:
        raise InputError("No style picture: give at least one.")
    given = tuple(weights) or (1.0,) * len(styles)
    if len(given) != len(styles):
        raise KnobError(f"{len(given)} style weights for {len(styles)} styles: give one each.")
    if not all(0.0 <= w < float("inf") for w in given) or sum(given) == 0:
        raise KnobError("style weights must be numbers of at least 0 that are not all 0.")
    return tuple(w / sum(given) for w in given)
