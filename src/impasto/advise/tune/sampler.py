"""Optuna proposes the next trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from impasto.advise.tune.search_space import SearchSpace
from impasto.advise.tune.trial import Trial

SAMPLER_NAME = "optuna"
STARTUP_TRIALS = 5
"""So many trials are there before the others are drawn near the best; until then, at random."""
INVALID_KNOBS_SCORE = 100.0
"""The score of knobs that cannot be painted, above any other."""
MAX_DRAWS = 30
"""So often what was tried before is drawn in vain, before the search counts as exhausted."""


class TrialSampler:
    """A tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) that knows all trials.

    Args:
        space: what is searched.
        seed: of what it draws; the same seed and trials give the same proposals.
        trials: what is known already.
    """

    def __init__(self, space: SearchSpace, seed: int, trials: Sequence[Trial]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space = space
        self._distributions = space.distributions()
        # Not in the file: it keeps what is finished, and drawing there takes longer than painting.
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(
                seed=(seed + len(trials)) % 2**32, n_startup_trials=STARTUP_TRIALS
            )
        )
        self._seen: list[dict[str, Any]] = []
        for trial in trials:
            self.learn(trial)

    def learn(self, trial: Trial) -> None:
        """Take a finished trial into account, whoever proposed it."""
        self._seen.append(dict(trial.knobs))
        self._add(trial.knobs, trial.score)

    def refuse(self, knobs: Mapping[str, Any]) -> None:
        """Take into account that these knobs cannot be painted."""
        self._add(knobs, INVALID_KNOBS_SCORE)

    def _add(self, knobs: Mapping[str, Any], score: float) -> None:
        import optuna

        params = self.space.params(knobs)
        self._study.add_trial(
            optuna.trial.create_trial(
                value=score,
                params=params,
                distributions={name: self._distributions[name] for name in params},
            )
        )

    def propose(self) -> dict[str, Any] | None:
        """All knobs of the next trial; None if nothing new is drawn any more."""
        import optuna

        for _ in range(MAX_DRAWS):
            drawn = self._study.ask(self._distributions)
            knobs = self.space.knobs(drawn.params)
            self._study.tell(drawn, state=optuna.trial.TrialState.FAIL)
            if knobs not in self._seen:
                self._seen.append(knobs)
                return knobs
        return None
