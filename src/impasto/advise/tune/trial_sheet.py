"""The picture strip of a tuning: what was tried, from the most content to the most style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impasto.advise.tune.result import Tuning
from impasto.advise.tune.trial import Trial
from impasto.core.picture import Pixels, Raster
from impasto.pictures import make_contact_sheet
from impasto.pictures.resize import thumbnail

SHOWN = 12
"""So many trials at most."""
COLUMNS = 5
HEIGHT = 200
"""Of the pictures, in pixels."""


def strip(tuning: Tuning) -> Pixels:
    """Content, styles, the defaults, and a dozen of the frontier's trials with the winner.

    Returns:
        float32 (height, width, 3) in 0..1.
    """
    request = tuning.request
    several = len(request.styles) > 1
    tiles: list[tuple[str, Raster]] = [("content", thumbnail(request.content.pixels))]
    for i, style in enumerate(request.styles, start=1):
        tiles.append((f"style {i}" if several else "style", thumbnail(style.pixels)))
    usual = [tuning.defaults] if tuning.defaults else []
    others = [trial for trial in chosen(tuning.frontier, tuning.best) if trial not in usual]
    for trial in [*usual, *others]:
        picture = tuning.picture(trial)
        if picture is not None:
            tiles.append((_label(trial, tuning), picture))
    return make_contact_sheet(tiles, height=HEIGHT, columns=min(COLUMNS, len(tiles)))


def chosen(frontier: Sequence[Trial], best: Trial, most: int = SHOWN) -> list[Trial]:
    """Trials spread evenly over the frontier by their content errors, the best among them."""
    if len(frontier) <= most:
        return [*frontier]
    ends = frontier[0].content_error, frontier[-1].content_error
    wanted = np.linspace(*ends, most)
    places = {
        min(range(len(frontier)), key=lambda i: abs(frontier[i].content_error - place))
        for place in wanted
    }
    kept = [frontier[i] for i in sorted(places)]
    if best not in kept and best in frontier:
        near = min(range(len(kept)), key=lambda i: abs(kept[i].content_error - best.content_error))
        kept[near] = best
    return kept


def _label(trial: Trial, tuning: Tuning) -> str:
    what = f"{trial.number}"
    if trial is tuning.best:
        what += ", the best"
    if trial is tuning.defaults:
        what += ", defaults"
    return f"{what}: style {trial.style_error:.2f}, content {trial.content_error:.2f}"
