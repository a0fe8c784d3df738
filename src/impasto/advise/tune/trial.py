"""One trial of a tuning, and how trials are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STYLE_ERROR, CONTENT_ERROR = "style_error", "content_error"
"""The two measures that are weighed, both on the metrics' own network."""
TRIAL_METRICS = (STYLE_ERROR, CONTENT_ERROR, "ssim", "noise")
"""What is measured of every trial; the last two are only recorded."""
SUM_WEIGHT = 0.02
"""How much the sum of both errors counts beside the larger one."""
DEFAULTS_PROPOSER = "defaults"


@dataclass(frozen=True)
class Trial:
    """One set of knobs, painted and measured.

    Attributes:
        number: its place in the first round, from 0; in the last round it is the same.
        knobs: every knob of the method, as plain JSON values.
        by: who proposed it: "defaults", "known good", "optuna", or the name of a language model.
        measures: :data:`TRIAL_METRICS` → value.
        score: see :func:`tchebycheff_score`; lower is better.
        seconds: that painting and measuring took.
        why: what a language model said about it.
        final: whether it was painted anew at the higher cost of the last round.
    """

    number: int
    knobs: Mapping[str, Any]
    by: str
    measures: Mapping[str, float]
    score: float
    seconds: float
    why: str = ""
    final: bool = field(default=False)

    @property
    def style_error(self) -> float:
        return self.measures[STYLE_ERROR]

    @property
    def content_error(self) -> float:
        return self.measures[CONTENT_ERROR]


def tchebycheff_score(style_error: float, content_error: float, aim: float) -> float:
    """How far a painting is from the aim: 2 max(a, b) + 0.04 (a + b), a and b the weighed errors.

    They are weighed by 1 - aim (style) and aim (content), so that with an aim of 0.5 the score is
    the larger error and a fiftieth of both. It is the augmented weighted Tchebycheff distance of
    Steuer & Choo (Mathematical Programming 26, 1983, section 2). A weighted sum would not do:
    paintings lie above the line from the untouched content to the style picture, so that the sum
    would be least at one of these two ends, whatever the aim.
    """
    style, content = (1 - aim) * style_error, aim * content_error
    return 2 * (max(style, content) + SUM_WEIGHT * (style + content))


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in both errors, from the most content to the most style."""
    found: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (t.content_error, t.style_error)):
        if not found or trial.style_error < found[-1].style_error:
            found.append(trial)
    return found


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The one with the lowest score; of equals, the first."""
    return min(trials, key=lambda t: (t.score, t.number))
