"""Searching for the knobs that suit a content and a style, within a time budget.

First come many trials at reduced cost, then the best of them and the defaults once more at a
higher one: a single step of successive halving (Jamieson & Talwalkar, AISTATS 2016). Which costs
these are follows from the budget; where thirty trials at full size fit into it, there is one round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.advise.tune.result import TuneResult
from impasto.advise.tune.search import TuneRun
from impasto.advise.tune.search_stage import TimeBudget, TuneCallback
from impasto.core import units
from impasto.core.errors import InterruptedRun, KnobError
from impasto.core.interrupt import InterruptHandler
from impasto.core.request import Request
from impasto.pipeline import make_request

if TYPE_CHECKING:
    from impasto.advise.llm import LanguageModel


def tune(
    content: object,
    styles: object | Sequence[object],
    *,
    method: str = "gatys",
    budget: str | float = "2m",
    aim: float = 0.5,
    size: int | None = None,
    trial_size: int | None = None,
    trials: int | None = None,
    storage: str | Path | None = None,
    seed: int = 0,
    style_weights: Sequence[float] = (),
    weights: str = "",
    device: str = "auto",
    precision: str = "auto",
    shrink_to_fit: bool = False,
    model: LanguageModel | None = None,
    callback: TuneCallback | None = None,
    **knobs: Any,
) -> TuneResult:
    """Search for the knobs with which a method paints nearest to an aim.

    Args:
        content: what is kept, as in :func:`impasto.stylize`.
        styles: whose manner is taken, one or several.
        method: a name from ``impasto.methods.method_names()``.
        budget: what the trials may take: seconds, or a text as "90s", "2m", "1h". Painting the
            winner comes on top.
        aim: what is wanted, 0 to 1: style and content errors in the ratio aim : 1 - aim. So 0.5
            wants both alike, less wants more style, more wants more content.
        size: long side of the final painting in pixels; None keeps the content's.
        trial_size: long side of the first trials; None: the final one if the budget has room for
            thirty such trials, else 256.
        trials: at most so many in the first round, earlier runs' included; None: 40 for each knob
            that is searched.
        storage: an SQLite file that keeps every trial, with a folder of small pictures beside it.
            The same call goes on from it. None: nothing is kept.
        seed: of the search and of the paintings.
        style_weights: the share of each style; empty means equal shares.
        weights: a name in the weights registry, or a file; "" is the method's default.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto", "fp32" or "bf16".
        shrink_to_fit: shrink what does not fit into memory instead of refusing it.
        model: a language model that proposes trials, from ``impasto.advise.llm.connect``; if it
            fails, Optuna takes over.
        callback: is told how it goes.
        **knobs: knobs that keep these values and are not searched.

    Returns:
        The tuning, with ``.best.knobs``, ``.trials``, ``.frontier`` and ``.paint()``. If Ctrl-C
        came in between, ``.stopped`` is True.

    Raises:
        KnobError: a setting that does not fit, or a budget too small for one trial.
        InterruptedRun: Ctrl-C before the first trial was done.
        ImpastoError: pictures, weights or a study that cannot be used, or too little memory.
    """
    request = make_request(
        content, styles, method=method, size=size, seed=seed, style_weights=style_weights,
        weights=weights, device=device, precision=precision, shrink_to_fit=shrink_to_fit, **knobs,
    )  # fmt: skip
    return tune_request(
        request,
        knobs,
        budget=budget,
        aim=aim,
        trial_size=trial_size,
        trials=trials,
        storage=storage,
        model=model,
        callback=callback,
    )


def tune_request(
    request: Request,
    fixed_knobs: Mapping[str, Any],
    *,
    budget: str | float = "2m",
    aim: float = 0.5,
    trial_size: int | None = None,
    trials: int | None = None,
    storage: str | Path | None = None,
    model: LanguageModel | None = None,
    callback: TuneCallback | None = None,
) -> TuneResult:
    """Search from a request; ``fixed_knobs`` are the knobs that it keeps. See :func:`tune`."""
    with InterruptHandler() as stop:
        spent = TimeBudget(units.parse_duration(budget, "budget"), stop)
        _check(aim, trial_size, trials)
        tuner = TuneRun(
            request, fixed_knobs, aim, trial_size, storage, spent, callback or TuneCallback()
        )
        try:
            return tuner.run(trials, model)
        except KeyboardInterrupt as error:
            raise InterruptedRun("Stopped before the first trial was done.") from error


def _check(aim: float, trial_size: int | None, trials: int | None) -> None:
    if not 0 <= aim <= 1:
        raise KnobError(f"aim = {aim!r} does not fit: it must be 0 (style) to 1 (content).")
    if trial_size is not None and not 32 <= trial_size <= 30_000:
        raise KnobError(f"trial_size = {trial_size!r} does not fit: it must be 32 to 30000 px.")
    if trials is not None and trials < 1:
        raise KnobError(f"trials = {trials!r} does not fit: it must be at least 1.")
