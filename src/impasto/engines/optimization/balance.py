"""The balance of style and content: what ``structure`` stands for."""

from __future__ import annotations

import numpy as np

STRUCTURE_RATIOS = ((0.0, 1e4), (0.25, 500.0), (0.5, 110.0), (0.75, 18.0), (1.0, 1.2))
"""structure → β / α, at equal steps in the share of the content loss that is spared. Measured
on three pairs that agreed within 0.1; benchmarks/knobs.py shows what the knob does."""


def style_content_ratio(structure: float) -> float:
    """The β / α that a ``structure`` of 0..1 stands for."""
    places, betas = zip(*STRUCTURE_RATIOS, strict=True)
    return float(np.exp(np.interp(structure, places, np.log(betas))))
