"""From coarse to fine: at which sizes a picture is painted, by which encoder, in how many steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.pictures import fit_long_side

Size = tuple[int, int]
COMPACT_STEP_COST_FRACTION = 0.25
"""What a step on the compact encoder takes of one on the full one, for the estimate of the time
left; measured by benchmarks/warm.py."""


@dataclass(frozen=True)
class Stage:
    """A stretch of a run: on which scale (0 is the coarsest), how many steps, by which encoder."""

    scale: int
    steps: int
    compact: bool = False


def scale_sizes(size: Size, min_size: int) -> list[Size]:
    """Heights and widths from the coarsest to the full ``size``, each about twice the last.

    Args:
        size: height and width of the result.
        min_size: no long side is shorter; 0 is the full size only.
    """
    long_side = max(size)
    coarser = int(math.log2(long_side / min_size)) if min_size else 0
    shrunk = [fit_long_side(*size, long_side >> k) for k in range(max(coarser, 0), 0, -1)]
    return [*shrunk, size]


@dataclass(frozen=True)
class ScaleSchedule:
    """The stages of a run, and the sizes of its scales."""

    sizes: tuple[Size, ...]
    stages: tuple[Stage, ...]

    @classmethod
    def from_sizes(cls, sizes: Sequence[Size], steps: int, warmup_steps: int) -> ScaleSchedule:
        """With ``steps`` steps on every scale.

        The first ``warm`` steps of the coarsest one, which come on top, are the compact encoder's.
        """
        first = [Stage(0, warmup_steps, compact=True)] if warmup_steps else []
        full = (Stage(scale, steps) for scale in range(len(sizes)))
        return cls(tuple(sizes), (*first, *full))

    @property
    def total_steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def steps_done(self, index: int, step: int) -> int:
        """Steps done in all after ``step`` steps of a stage."""
        return sum(stage.steps for stage in self.stages[:index]) + step

    def work_fraction(self, index: int, step: int) -> float:
        """Share of the work that is then done, 0..1."""

        def work(stage: Stage, steps: int) -> float:
            height, width = self.sizes[stage.scale]
            return height * width * steps * (COMPACT_STEP_COST_FRACTION if stage.compact else 1.0)

        whole = [work(stage, stage.steps) for stage in self.stages]
        return (sum(whole[:index]) + work(self.stages[index], step)) / sum(whole)
