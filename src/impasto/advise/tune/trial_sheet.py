"""The picture strip of a tuning: what was tried, from the most content to the most style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impasto.advise.tune.result import TuneResult
from impasto.advise.tune.trial import Trial
from impasto.core.picture import Pixels, Raster
from impasto.pictures import make_contact_sheet
from impasto.pictures.resize import thumbnail

MAX_SHOWN_TRIALS = 12
"""So many trials at most."""
MAX_COLUMNS = 5
ROW_HEIGHT_PX = 200
"""Of the pictures, in pixels."""


def make_trial_sheet(result: TuneResult) -> Pixels:
    """Content, styles, the defaults, and a dozen of the frontier's trials with the winner.

    Returns:
        float32 (height, width, 3) in 0..1.
    """
    request = result.request
    several = len(request.styles) > 1
    tiles: list[tuple[str, Raster]] = [("content", thumbnail(request.content.pixels))]
    for i, style in enumerate(request.styles, start=1):
        tiles.append((f"style {i}" if several else "style", thumbnail(style.pixels)))
    usual = [result.default_trial] if result.default_trial else []
    others = [
        trial for trial in spread_trials(result.pareto_front, result.best) if trial not in usual
    ]
    for trial in [*usual, *others]:
        picture = result.load_thumbnail(trial)
        if picture is not None:
            tiles.append((_label(trial, result), picture))
    return make_contact_sheet(tiles, height=ROW_HEIGHT_PX, columns=min(MAX_COLUMNS, len(tiles)))


def spread_trials(
    front: Sequence[Trial], best: Trial, max_trials: int = MAX_SHOWN_TRIALS
) -> list[Trial]:
    """Trials spread evenly over the frontier by their content errors, the best among them."""
    if len(front) <= max_trials:
        return [*front]
    ends = front[0].content_error, front[-1].content_error
    wanted = np.linspace(*ends, max_trials)
    places = {
        min(range(len(front)), key=lambda i: abs(front[i].content_error - place))
        for place in wanted
    }
    kept = [front[i] for i in sorted(places)]
    if best not in kept and best in front:
        near = min(range(len(kept)), key=lambda i: abs(kept[i].content_error - best.content_error))
        kept[near] = best
    return kept


def _label(trial: Trial, result: TuneResult) -> str:
    what = f"{trial.number}"
    if trial is result.best:
        what += ", the best"
    if trial is result.default_trial:
        what += ", defaults"
    return f"{what}: style {trial.style_error:.2f}, content {trial.content_error:.2f}"
