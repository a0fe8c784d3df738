"""Measure a stylized video, while it is made or afterwards: temporal error and style error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from impasto.core.picture import Picture, Pixels
from impasto.metrics.evaluator import Evaluator
from impasto.metrics.temporal import TEMPORAL_METRICS, TemporalError, TrueFlow
from impasto.ops.flow_estimation import DIS, get_flow_estimator

STYLE_METRICS = {
    "style_error": "style error on SqueezeNet, of a few frames; 1 is the unstyled film"
}
VIDEO_METRICS: Mapping[str, str] = {**TEMPORAL_METRICS, **STYLE_METRICS}
"""Name → what it is, in the order of a table."""
FIRST_STYLE_FRAME = 6
"""Frame at which the style is looked at first; then after twice as many, and ever more rarely."""


class VideoEvaluator:
    """Measures a film while it is painted, or afterwards.

    Args:
        styles: whose manner was to be taken.
        style_weights: share of each style; empty means equal shares.
        flow: "auto", "dis", or a checkpoint of RAFT.
        size: long side in pixels at which frames are compared; None: as they were painted.
        frame_step: only every so many frames are compared.
        true_flow: the true flow where it is known.

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
        frame_step: int = 1,
        true_flow: TrueFlow | None = None,
    ) -> None:
        self._styles, self._style_weights = tuple(styles), tuple(style_weights)
        self._temporal_metrics = TemporalError(
            get_flow_estimator(flow) or DIS(), size=size, every=frame_step, truth=true_flow
        )
        self._evaluator: Evaluator | None = None
        self._style_errors: list[float] = []
        self._frame_count, self._next_style_frame = 0, FIRST_STYLE_FRAME

    def start_shot(self) -> None:
        """A new shot starts: nothing is compared across it."""
        self._temporal_metrics.start_shot()

    def update(self, frame: Pixels, stylized: Pixels) -> None:
        """The next frame of the film (H, W, 3) in 0..1, and its painting, of any size."""
        self._temporal_metrics.update(frame, stylized)
        if self._frame_count == self._next_style_frame:
            self._measure_style(frame, stylized)
            self._next_style_frame = max(
                self._next_style_frame + 2 * FIRST_STYLE_FRAME, self._next_style_frame * 3 // 2
            )
        self._frame_count += 1

    def compute(self) -> dict[str, float]:
        """What was measured so far, of :data:`VIDEO_METRICS`; what could not be is left out."""
        found = self._temporal_metrics.compute()
        if self._style_errors:
            found["style_error"] = sum(self._style_errors) / len(self._style_errors)
        return found

    def _measure_style(self, frame: Pixels, stylized: Pixels) -> None:
        content = Picture(frame, name="a frame")
        if self._evaluator is None:
            self._evaluator = Evaluator(
                content, self._styles, style_weights=self._style_weights, metrics=["style_error"]
            )
        judge = self._evaluator.with_inputs(content, self._styles, self._style_weights)
        values = judge(stylized).values
        self._style_errors += [values[name] for name in STYLE_METRICS if name in values]
