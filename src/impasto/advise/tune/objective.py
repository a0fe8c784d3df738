"""Where trials are painted and measured, at one size and cost."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from impasto.advise.tune.search_space import SearchSpace
from impasto.advise.tune.trial import CONTENT_ERROR, STYLE_ERROR
from impasto.core.errors import InputError
from impasto.core.knobs import knobs_from_dict
from impasto.core.picture import Picture, Raster
from impasto.core.progress import ProgressCallback, ignore_progress
from impasto.core.request import Request
from impasto.pictures import fit_long_side, resize
from impasto.pipeline import make_plan

if TYPE_CHECKING:
    from impasto.metrics import Evaluator

STYLE_SIDE_PX = 1024
"""Styles are reduced to this long side in pixels for small trials, or to twice the trial's: none
that is searched asks for more, and a style picture may be huge."""
TIMED_TRIALS = 3
"""So many trials say how long the next one takes."""
MAX_TIMING_SECONDS = 2.0
"""Seconds up to which a trial is timed by making one: forecasts of brief ones are too high."""
TIME_MARGIN_FACTOR = 1.1
"""What the next one may take on top of that."""


@dataclass(frozen=True)
class Fidelity:
    """The size and cost of trials.

    Attributes:
        size: long side in pixels.
        costs: the knobs that trials are made cheaper by, with their values here.
    """

    size: int
    costs: Mapping[str, Any]

    def __str__(self) -> str:
        knobs = "".join(f", {name} {value}" for name, value in self.costs.items())
        return f"{self.size} px{knobs}"


@dataclass(frozen=True)
class MeasuredTrial:
    """A painting and its measures; ``finished`` is False if it was stopped before its end."""

    pixels: Raster
    measures: Mapping[str, float]
    seconds: float
    finished: bool


class Objective:
    """Paints and measures trials.

    The pictures are brought to their size once, and all trials share one plan.

    Args:
        request: what is to look like what, at its final size, with device and precision chosen.
        space: what is searched.
        rung: the size and cost.
        judge: measures.

    Raises:
        ImpastoError: what :func:`~impasto.pipeline.make_plan` finds wrong.
    """

    def __init__(
        self, request: Request, space: SearchSpace, rung: Fidelity, judge: Evaluator
    ) -> None:
        self.space, self.rung, self.judge = space, rung, judge
        long_side = min(rung.size, request.content.long_side)
        small = dataclasses.replace(
            request,
            content=_reduced(request.content, long_side),
            styles=tuple(_reduced(s, max(2 * rung.size, STYLE_SIDE_PX)) for s in request.styles),
            size=rung.size,
        )
        self.request = self._asking(small, space.complete({}))
        self.plan = make_plan(self.request)
        self._seconds: list[float] = []
        self._judging: float | None = None

    def warm_up(self) -> float:
        """Measure the content itself, and return the seconds that measuring takes.

        Raises:
            InputError: content and style cannot be told apart.
        """
        if self._judging is None:
            self._measure(self.request.content.pixels)
            start = time.monotonic()
            self._measure(self.request.content.pixels)
            self._judging = time.monotonic() - start
        return self._judging

    def seconds(self) -> float:
        """What the next trial will take."""
        forecast = self.plan.forecast.seconds + self.warm_up()
        if not self._seconds and forecast < MAX_TIMING_SECONDS:
            self(self.space.complete({}), ignore_progress)
        return (
            TIME_MARGIN_FACTOR * max(self._seconds[-TIMED_TRIALS:]) if self._seconds else forecast
        )

    def __call__(self, knobs: Mapping[str, Any], watch: ProgressCallback) -> MeasuredTrial:
        """Paint and measure; ``watch`` may raise KeyboardInterrupt to stop.

        Raises:
            KnobError: knobs that do not go together.
        """
        start = time.monotonic()
        request = self._asking(self.request, knobs)

        painting = request.method.stylize(request, self.plan, watch)
        measures = self._measure(painting.pixels) if painting.finished else {}
        seconds = time.monotonic() - start
        if painting.finished:
            self._seconds.append(seconds)
        return MeasuredTrial(painting.pixels, measures, seconds, painting.finished)

    def _asking(self, request: Request, knobs: Mapping[str, Any]) -> Request:
        method = knobs_from_dict(self.space.method_class, {**knobs, **self.rung.costs})
        return dataclasses.replace(request, method=method)

    def _measure(self, pixels: Raster) -> dict[str, float]:
        alpha = self.request.content.alpha
        if alpha is not None:
            alpha = resize(alpha, *pixels.shape[:2])
        scores = self.judge(Picture(pixels, alpha=alpha, name="the trial"))
        for name in (STYLE_ERROR, CONTENT_ERROR):
            if name not in scores.values:
                raise InputError(" ".join(n for n in scores.notes if n.startswith(name)))
        return dict(scores.values)


def _reduced(picture: Picture, long_side: int) -> Picture:
    if picture.long_side <= long_side:
        return picture
    size = fit_long_side(picture.height, picture.width, long_side)
    alpha = None if picture.alpha is None else resize(picture.alpha, *size)
    return dataclasses.replace(picture, pixels=resize(picture.pixels, *size), alpha=alpha)
