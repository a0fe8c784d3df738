"""One run of a tuning: its rounds, and at which size and cost their trials are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from impasto.advise.tune.objective import Fidelity, Objective
from impasto.advise.tune.result import TuneResult
from impasto.advise.tune.sampler import SAMPLER_NAME, TrialSampler
from impasto.advise.tune.search_space import SearchSpace
from impasto.advise.tune.search_stage import BudgetExhausted, SearchStage, TimeBudget, TuneCallback
from impasto.advise.tune.storage import TrialStorage, TrialThumbnails, thumbnail_folder
from impasto.advise.tune.trial import (
    CONTENT_ERROR,
    DEFAULTS_PROPOSER,
    STYLE_ERROR,
    TRIAL_METRICS,
    Trial,
    best_trial,
)
from impasto.core.errors import KnobError
from impasto.core.knobs import knobs_from_dict
from impasto.core.picture import Picture
from impasto.core.request import Request
from impasto.core.words import format_duration
from impasto.metrics import Evaluator
from impasto.pipeline import make_plan

if TYPE_CHECKING:
    from impasto.advise.llm import LanguageModel

TRIAL_SIZE_PX = 256
"""Long side in pixels of the first trials, where many at full size do not fit into the budget."""
MIN_SEARCH_TRIALS = 30
"""So many trials make a search."""
MAX_TRIALS_PER_KNOB = 40
"""Trials for each knob that is searched, after which more of them no longer help."""
MIN_FINALISTS, RESERVED_FINALISTS, MAX_FINALISTS = 2, 3, 6
"""In the last round: the defaults and the best at least; room is kept for three; six at most."""
MAX_FINAL_BUDGET_FRACTION = 0.6
"""Share of the budget that the last round may plan to take."""
KNOWN_GOOD_PROPOSER = "known good"


class TuneRun:
    """One run of the search, from the request on."""

    def __init__(
        self,
        request: Request,
        held: Mapping[str, Any],
        aim: float,
        trial_size: int | None,
        study: str | Path | None,
        budget: TimeBudget,
        listener: TuneCallback,
    ) -> None:
        self.space = SearchSpace(type(request.method), held)
        self.aim, self.budget, self.listener = aim, budget, listener
        self.trial_size = trial_size
        self.plan = make_plan(request)
        setting = self.plan.setting
        self.size = max(setting.height, setting.width)
        self.asked = request
        self.request = dataclasses.replace(
            request, size=self.size, device=setting.device, precision=setting.precision
        )
        self.study = Path(study) if study is not None else None
        self.album = TrialThumbnails(thumbnail_folder(self.study) if self.study else None)
        self.identity = self._identity()
        self.key = hashlib.sha256(json.dumps(self.identity).encode()).hexdigest()[:8]
        self.judge = Evaluator(
            request.content,
            request.styles,
            style_weights=request.style_weights,
            metrics=TRIAL_METRICS,
        )
        self._benches: dict[str, Objective] = {}

    def run(self, trials: int | None, model: LanguageModel | None) -> TuneResult:
        store = self._store("")
        rungs = self._rungs()
        rung = self._rung_of(store, rungs)
        above = rungs[rungs.index(rung) + 1 :] if rung in rungs else []
        last = self._last(above)
        final = self._round(last, self._store(f"finals at {last}"), final=True) if last else None
        first = self._round(rung, store, before=final)
        self._check_budget(first)
        self._say(first, last, above)
        stopped = False
        try:
            self._search(
                first, final, trials or MAX_TRIALS_PER_KNOB * len(self.space.dimensions), model
            )
            if final:
                self._finals(final, first)
        except KeyboardInterrupt:
            if not first.trials:
                raise
            stopped = True
        if not first.trials:
            raise KnobError(
                f"The budget of {format_duration(self.budget.seconds)} was over before one trial "
                f"was "
                "done: give a larger one, or a smaller --trial-size."
            )
        return self._tuning(first, final, stopped)

    # ------------------------------------------------------------------ the rounds

    def _search(
        self, first: SearchStage, final: SearchStage | None, most: int, model: LanguageModel | None
    ) -> None:
        """The first round: the defaults, what is known to be good, and what is proposed."""
        usual, *good = map(self._open, self.space.starts())
        try:
            first.attempt(usual, DEFAULTS_PROPOSER)
            if final:
                final.attempt(usual, DEFAULTS_PROPOSER)
                _compare(first, final)
            if model and len(first.trials) < most:
                from impasto.advise.tune.llm_sampler import propose_trials

                if propose_trials(model, first, most):
                    return
            for knobs in good[: max(0, most - len(first.trials))]:
                self._attempt(first, knobs, KNOWN_GOOD_PROPOSER)
            self._propose(first, most)
        except BudgetExhausted:
            return

    def _propose(self, first: SearchStage, most: int) -> None:
        """Optuna's trials, until there are enough or nothing new is left."""
        proposer = TrialSampler(self.space, self.request.seed, first.trials)
        while len(first.trials) < most:
            proposed = proposer.propose()
            if proposed is None:
                return
            trial = self._attempt(first, self._open(proposed), SAMPLER_NAME)
            if trial:
                proposer.learn(trial)
            else:
                proposer.refuse(proposed)

    @staticmethod
    def _attempt(round_: SearchStage, values: Mapping[str, Any], by: str) -> Trial | None:
        """A trial, or None where the knobs do not go with each other or with those held."""
        try:
            return round_.attempt(values, by)
        except KnobError:
            return None

    def _finals(self, final: SearchStage, first: SearchStage) -> None:
        """The last round: the defaults, and then the best of the first."""
        left = [t for t in first.trials if not final.of(t.knobs)]
        try:
            while left and len(final.trials) < MAX_FINALISTS:
                trial = best_trial(left)
                final.attempt(self._open(trial.knobs), trial.by, trial.why, trial.number)
                _compare(first, final)
                left = [t for t in first.trials if not final.of(t.knobs)]
        except BudgetExhausted:
            return

    def _open(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """Knobs without those that are held."""
        return {name: value for name, value in knobs.items() if name not in self.space.fixed_knobs}

    # ------------------------------------------------------------------ sizes and costs

    def _rungs(self) -> list[Fidelity]:
        """From the cheapest to the full one."""
        drafts = self.space.drafts()
        small = min(self.trial_size or TRIAL_SIZE_PX, self.size)
        usual = {name: self.space.complete({})[name] for name in drafts}
        every = [Fidelity(small, drafts), Fidelity(small, usual), Fidelity(self.size, usual)]
        return [rung for i, rung in enumerate(every) if rung not in every[:i]]

    def _rung_of(self, store: TrialStorage, rungs: Sequence[Fidelity]) -> Fidelity:
        """Of the first round: that of an earlier run, or the highest that has room for many."""
        if "rung" in store.about:
            return Fidelity(**store.about["rung"])
        rung = rungs[0]
        if self.trial_size is None:
            fits = [
                r for r in rungs[1:] if MIN_SEARCH_TRIALS * self._cost_of_one(r) <= self.budget.left
            ]
            rung = fits[-1] if fits else rung
        store.note("rung", dataclasses.asdict(rung))
        return rung

    def _last(self, above: Sequence[Fidelity]) -> Fidelity | None:
        """The highest rung at which the last round does not take too much of the budget."""
        share = MAX_FINAL_BUDGET_FRACTION * self.budget.seconds
        fits = [rung for rung in above if MIN_FINALISTS * self._cost_of_one(rung) <= share]
        return fits[-1] if fits else None

    def _cost_of_one(self, rung: Fidelity) -> float:
        return self._bench(rung).seconds()

    def _bench(self, rung: Fidelity) -> Objective:
        if str(rung) not in self._benches:
            self._benches[str(rung)] = Objective(self.request, self.space, rung, self.judge)
        return self._benches[str(rung)]

    def _round(
        self,
        rung: Fidelity,
        store: TrialStorage,
        *,
        before: SearchStage | None = None,
        final: bool = False,
    ) -> SearchStage:
        def reserve() -> float:
            """What the last round, which this one is before, still needs."""
            if not before:
                return 0.0
            one = before.bench.seconds()
            room = int(MAX_FINAL_BUDGET_FRACTION * self.budget.seconds / one)
            return (
                max(0, min(RESERVED_FINALISTS, max(MIN_FINALISTS, room)) - len(before.trials)) * one
            )

        return SearchStage(
            self._bench(rung),
            store,
            self.album,
            key=f"{self.key}-final" if final else self.key,
            aim=self.aim,
            budget=self.budget,
            listener=self.listener,
            reserve=reserve,
            final=final,
        )

    def _check_budget(self, round_: SearchStage) -> None:
        one, ready = round_.bench.seconds(), self.budget.spent
        if round_.trials or one <= self.budget.left:
            return
        raise KnobError(
            f"A budget of {format_duration(self.budget.seconds)} is too small: one trial at "
            f"{round_.bench.rung} takes about {format_duration(one)}, and getting ready took "
            f"{format_duration(ready)}. Give {format_duration(2 * (one + ready))} or more."
        )

    def _say(self, first: SearchStage, last: Fidelity | None, above: Sequence[Fidelity]) -> None:
        searched = ", ".join(f"{d.name} ({d.describe_range()})" for d in self.space.dimensions)
        self.listener.on_note(f"Searched: {searched}.")
        then = f", then the best again at {last}" if last else ""
        self.listener.on_note(
            f"Trials are painted at {first.bench.rung}{then}; each takes about "
            f"{first.bench.seconds():.1f} s."
        )
        if first.trials:
            self.listener.on_note(f"Going on from {len(first.trials)} earlier trials.")
        if above and not last:
            needed = MIN_FINALISTS * self._cost_of_one(above[0]) / MAX_FINAL_BUDGET_FRACTION
            self.listener.on_warning(
                "The budget has no room to paint the best again at full cost: the winner is the "
                f"best of drafts, and may be none in full. That takes {format_duration(needed)}."
            )

    # ------------------------------------------------------------------ what is kept

    def _identity(self) -> dict[str, Any]:
        """What makes two tunings the same, so that one goes on from the other."""
        request, setting = self.request, self.plan.setting
        return {
            "method": request.method.name,
            "content": request.content.sha256,
            "styles": [style.sha256 for style in request.styles],
            "style weights": list(request.normalized_style_weights),
            "aim": self.aim,
            "held": {
                n: list(v) if isinstance(v, tuple) else v for n, v in self.space.fixed_knobs.items()
            },
            "weights": request.weights,
            "seed": request.seed,
            "size": [setting.height, setting.width],
            "trial size": self.trial_size,
            "device": setting.device,
            "precision": setting.precision,
            "impasto": metadata.version("impasto"),
        }

    def _store(self, part: str) -> TrialStorage:
        names = [_stem(p) for p in (self.request.content, *self.request.styles)]
        name = f"{self.request.method.name}: {' + '.join(names)}, aim {self.aim:g}, {self.key}"
        return TrialStorage(
            self.study, f"{name}, {part}" if part else name, self.identity, self.space
        )

    def _tuning(self, first: SearchStage, final: SearchStage | None, stopped: bool) -> TuneResult:
        finals = final.trials if final else []
        deciding = finals if len(finals) > 1 else first.trials
        best = best_trial(deciding)
        usual = self.space.complete({})
        return TuneResult(
            request=dataclasses.replace(
                self.asked,
                size=self.size,
                method=knobs_from_dict(self.space.method_class, best.knobs),
            ),
            fixed_knobs=dict(self.space.fixed_knobs),
            aim=self.aim,
            trials=tuple(first.trials),
            finals=tuple(finals),
            best=best,
            default_trial=next((t for t in deciding if dict(t.knobs) == usual), None),
            fidelity=str((final if deciding is finals and final else first).bench.rung),
            trial_size=first.bench.rung.size,
            seconds=self.budget.spent,
            is_interrupted=stopped,
            forecast_seconds=self.plan.forecast.seconds,
            storage=self.study,
            thumbnails={
                (t.final, t.number): (r.album, r.picture_name(t))
                for r in (first, final)
                if r
                for t in r.trials
            },
        )


def _compare(first: SearchStage, final: SearchStage) -> None:
    """Expect of the first round's errors what the higher cost did to those painted twice."""
    pairs = [(before, t) for t in final.trials if (before := first.of(t.knobs))]
    style, content = (
        fmean(t.measures[name] / (before.measures[name] or 1.0) for before, t in pairs)
        for name in (STYLE_ERROR, CONTENT_ERROR)
    )
    first.expect(style, content)


def _stem(picture: Picture) -> str:
    return Path(picture.name).stem
