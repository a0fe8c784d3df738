"""When a style LoRA has learnt enough: it has the style, and still paints what a prompt says.

CLIP looks at sample pictures: how near they are to the training pictures (style), and to their
prompts (fidelity). A LoRA that overfits paints its training pictures whatever it is told, so its
fidelity falls. That fidelity may not fall below a share of the base's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MIN_FIDELITY_FRACTION = 0.9
"""Share of the base's fidelity that has to be left."""
PATIENCE_EVALUATIONS = 3
"""Looks in a row without a better state after which it is enough."""


@dataclass(frozen=True)
class ValidationScore:
    """What CLIP saw.

    Attributes:
        step: of the training; 0 is the base.
        style: mean cosine of the samples with the training pictures, -1..1.
        fidelity: mean cosine of the samples with their prompts, -1..1.
    """

    step: int
    style: float
    fidelity: float


class EarlyStopping:
    """Collects looks, the base's first, and says which was the best, and when it is enough."""

    def __init__(self, scores: Sequence[ValidationScore] = ()) -> None:
        self.scores = list(scores)

    def add(self, score: ValidationScore) -> bool:
        """Take a look in; whether it is the best so far."""
        self.scores.append(score)
        return self.best is score

    @property
    def best(self) -> ValidationScore | None:
        """The look with the most style among those that are faithful; None if none is."""
        faithful = [look for look in self.scores[1:] if self._is_faithful(look)]
        return max(faithful, key=lambda look: look.style, default=None)

    @property
    def summary(self) -> tuple[str, bool]:
        """What is to be said of the state that was taken, and whether to beware of it."""
        looks, best = len(self.scores) - 1, self.best
        if looks < 1:
            return "", False
        if best:
            said = f"Of {looks} states that CLIP looked at, that of step {best.step} was taken."
            return said, False
        return (
            f"Each of the {looks} states that CLIP looked at has lost more than a tenth of what "
            "the base makes of prompts. The last one was taken; look at it before you use it, and "
            "try half the --learning-rate, fewer --steps or --num-prior-images.",
            True,
        )

    @property
    def should_stop(self) -> bool:
        """Whether the last looks were all worse than one before them."""
        best = self.best
        since = [look for look in self.scores[1:] if best is None or look.step > best.step]
        return len(since) >= PATIENCE_EVALUATIONS

    def as_dicts(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [asdict(look) for look in self.scores]

    def _is_faithful(self, score: ValidationScore) -> bool:
        base = self.scores[0].fidelity
        return score.fidelity >= base - (1 - MIN_FIDELITY_FRACTION) * abs(base)
