"""A round of trials at one size and cost, under a budget that is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from impasto.advise.tune.objective import Objective
from impasto.advise.tune.storage import TrialStorage, TrialThumbnails
from impasto.advise.tune.trial import (
    CONTENT_ERROR,
    STYLE_ERROR,
    Trial,
    best_trial,
    tchebycheff_score,
)
from impasto.core.errors import InputError
from impasto.core.interrupt import InterruptHandler
from impasto.core.picture import Raster
from impasto.core.progress import ProgressEvent


class BudgetExhausted(Exception):  # noqa: N818 - nothing went wrong
    """The next trial does not fit into what is left of the budget."""


@dataclass(frozen=True)
class TuneProgress:
    """How far a tuning has come.

    Attributes:
        fraction: of the budget that is spent, 0..1.
        remaining_seconds: seconds of it that are left.
        trial_count: done in this round, earlier runs' included.
        best_score: the lowest score so far; None before the first.
        defaults_score: the score of the method's defaults, or None.
        is_final: whether it is the last round.
    """

    fraction: float
    remaining_seconds: float
    trial_count: int
    best_score: float | None
    defaults_score: float | None
    is_final: bool


class TuneCallback:
    """Callbacks of a tuning run; each does nothing unless a subclass overrides it."""

    def on_progress(self, progress: TuneProgress) -> None:
        """Several times a second while a trial is painted, and after each."""

    def on_note(self, sentence: str) -> None:
        """Something worth knowing."""

    def on_warning(self, sentence: str) -> None:
        """Something that did not go as it was asked."""


class TimeBudget:
    """The time that trials may take together; it runs from when this is made.

    Args:
        seconds: of wall time.
        stop: where Ctrl-C comes in.
    """

    def __init__(self, seconds: float, stop: InterruptHandler) -> None:
        self.seconds, self.stop = seconds, stop
        self._start = time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds; below 0 when it is overdrawn."""
        return self.seconds - self.spent


class SearchStage:
    """Trials at one fidelity.

    Args:
        bench: paints and measures.
        store: where they are kept; those that are there count.
        album: keeps their pictures.
        key: what the names of the pictures begin with.
        aim: see :func:`~impasto.advise.tune.trial.tchebycheff_score`.
        budget: of the whole tuning.
        listener: is told.
        reserve: says how many seconds of it are not for this round.
        final: whether it is the last round.

    ``times`` is by how much the errors of style and content will differ in the painting that is
    aimed at: trials have their score for that.
    """

    def __init__(
        self,
        bench: Objective,
        store: TrialStorage,
        album: TrialThumbnails,
        *,
        key: str,
        aim: float,
        budget: TimeBudget,
        listener: TuneCallback,
        reserve: Callable[[], float] = lambda: 0.0,
        final: bool = False,
    ) -> None:
        self.bench, self.store, self.album = bench, store, album
        self.key, self.aim, self.budget = key, aim, budget
        self.reserve, self.listener, self.final = reserve, listener, final
        self.space = bench.space
        self.times = (1.0, 1.0)
        self._broken = False

    @property
    def trials(self) -> list[Trial]:
        return self.store.trials

    @property
    def best(self) -> Trial | None:
        """The trial with the lowest score."""
        return best_trial(self.trials) if self.trials else None

    @property
    def defaults(self) -> Trial | None:
        """The trial of the method's defaults, and of the knobs that are held."""
        return self.of(self.space.complete({}))

    @property
    def left(self) -> float:
        """Seconds that are left for this round."""
        return self.budget.left - self.reserve()

    def of(self, knobs: Mapping[str, Any]) -> Trial | None:
        """The trial of these knobs, if there was one."""
        return next((t for t in self.trials if dict(t.knobs) == dict(knobs)), None)

    def attempt(
        self, values: Mapping[str, Any], by: str, why: str = "", number: int | None = None
    ) -> Trial:
        """Paint and measure, unless it was done before.

        Args:
            values: of some of the knobs; all others are at their defaults, or held.
            by: who proposes it.
            why: the reason, if one was given.
            number: of the trial; None: the next.

        Raises:
            KnobError: knobs that do not fit, or not together.
            BudgetSpent: it would take longer than what is left.
            KeyboardInterrupt: Ctrl-C.
        """
        self.budget.stop.raise_if_interrupted()
        knobs = self.space.complete(values)
        if (known := self.of(knobs)) is not None:
            return known
        if self.left < self.bench.seconds():
            raise BudgetExhausted
        measured = self.bench(knobs, self._watch)
        self.budget.stop.raise_if_interrupted()
        if not measured.finished:
            raise BudgetExhausted
        trial = Trial(
            number=len(self.trials) if number is None else number,
            knobs=knobs,
            by=by,
            measures=measured.measures,
            score=self._score(measured.measures),
            seconds=measured.seconds,
            why=why,
            final=self.final,
        )
        self._keep(trial, measured.pixels)
        self.tell()
        return trial

    def expect(self, style: float, content: float) -> None:
        """Score all trials for errors that are so many times as large."""
        self.times = (style, content)
        self.trials[:] = [replace(t, score=self._score(t.measures)) for t in self.trials]

    def picture_name(self, trial: Trial) -> str:
        """The name of a trial's picture in the album."""
        return f"{self.key}-{trial.number:04d}"

    def tell(self) -> None:
        """Tell the listener how far it has come."""
        best, defaults = self.best, self.defaults
        self.listener.on_progress(
            TuneProgress(
                fraction=min(1.0, self.budget.spent / self.budget.seconds),
                remaining_seconds=max(0.0, self.budget.left),
                trial_count=len(self.trials),
                best_score=best.score if best else None,
                defaults_score=defaults.score if defaults else None,
                is_final=self.final,
            )
        )

    def _score(self, measures: Mapping[str, float]) -> float:
        style, content = self.times
        return tchebycheff_score(
            style * measures[STYLE_ERROR], content * measures[CONTENT_ERROR], self.aim
        )

    def _watch(self, event: ProgressEvent) -> None:
        self.tell()
        self.budget.stop.raise_if_interrupted()
        if self.budget.left < 0 and event.fraction < 1:
            raise KeyboardInterrupt

    def _keep(self, trial: Trial, pixels: Raster) -> None:
        try:
            self.store.add(trial)
            self.album.add(self.picture_name(trial), pixels)
        except InputError as error:  # a full disk costs a warning, never the search
            if not self._broken:
                self.listener.on_warning(f"From now on, not every trial is kept: {error}")
            self._broken = True
