"""Measure a stylized video, while it is made or afterwards: temporal error and style error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from impasto.core.picture import Picture, Pixels
from impasto.metrics.evaluator import Judge
from impasto.metrics.temporal import MEASURES, Gauge, Truth
from impasto.ops.flow_estimation import DIS, find

STYLE = {"style_error": "style error on SqueezeNet, of a few frames; 1 is the unstyled film"}
FILM_MEASURES: Mapping[str, str] = {**MEASURES, **STYLE}
"""Name → what it is, in the order of a table."""
JUDGED = 6
"""Frame at which the style is looked at first; then after twice as many, and ever more rarely."""


class FilmGauge:
    """Measures a film while it is painted, or afterwards.

    Args:
        styles: whose manner was to be taken.
        style_weights: share of each style; empty means equal shares.
        flow: "auto", "dis", or a checkpoint of RAFT.
        size: long side in pixels at which frames are compared; None: as they were painted.
        every: only every so many frames are compared.
        truth: the true flow where it is known.

    Raises:
        MissingExtraError: what the flow needs is not installed.
        ImpastoError: settings that do not fit.
    """

    def __init__(
        self,
        styles: Sequence[Picture],
        style_weights: Sequence[float] = (),
        *,
        flow: str = "auto",
        size: int | None = 320,
        every: int = 1,
        truth: Truth | None = None,
    ) -> None:
        self._styles, self._shares = tuple(styles), tuple(style_weights)
        self._gauge = Gauge(find(flow) or DIS(), size=size, every=every, truth=truth)
        self._judge: Judge | None = None
        self._errors: list[float] = []
        self._count, self._next = 0, JUDGED

    def begin(self) -> None:
        """A new shot starts: nothing is compared across it."""
        self._gauge.begin()

    def add(self, frame: Pixels, painted: Pixels) -> None:
        """The next frame of the film (H, W, 3) in 0..1, and its painting, of any size."""
        self._gauge.add(frame, painted)
        if self._count == self._next:
            self._look(frame, painted)
            self._next = max(self._next + 2 * JUDGED, self._next * 3 // 2)
        self._count += 1

    def measures(self) -> dict[str, float]:
        """What was measured so far, of :data:`FILM_MEASURES`; what could not be is left out."""
        found = self._gauge.measures()
        if self._errors:
            found["style_error"] = sum(self._errors) / len(self._errors)
        return found

    def _look(self, frame: Pixels, painted: Pixels) -> None:
        content = Picture(frame, name="a frame")
        if self._judge is None:
            self._judge = Judge(
                content, self._styles, style_weights=self._shares, metrics=["style_error"]
            )
        judge = self._judge.of(content, self._styles, self._shares)
        values = judge(painted).values
        self._errors += [values[name] for name in STYLE if name in values]
