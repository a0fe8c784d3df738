"""The balance of style and content: what ``structure`` stands for, and which ratios are of use."""

from __future__ import annotations

import numpy as np

STRUCTURE = ((0.0, 1e4), (0.25, 500.0), (0.5, 110.0), (0.75, 18.0), (1.0, 1.2))
"""structure → β / α, at equal steps in the share of the content loss that is spared. Measured
on three pairs that agreed within 0.1; benchmarks/knobs.py shows what the knob does."""
USEFUL_RATIO = (0.3, 1e5)
"""β / α outside of which only one of the two pictures is left; see docs/methods/gatys.md."""


def ratio_of(structure: float) -> float:
    """The β / α that a ``structure`` of 0..1 stands for."""
    places, betas = zip(*STRUCTURE, strict=True)
    return float(np.exp(np.interp(structure, places, np.log(betas))))


def ratio_warning(ratio: float) -> str | None:
    """A sentence if β / α is far outside of what is of use, else None."""
    low, high = USEFUL_RATIO
    if low <= ratio <= high:
        return None
    where, look = (
        ("below", "the picture will hardly differ from the content")
        if ratio < low
        else ("above", "the content will dissolve into the style's texture")
    )
    return f"beta / alpha = {ratio:.3g} is far {where} the useful {low:g} to {high:g}: {look}."
