"""What a tuning found, and what can be done with it."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.advise.tune.storage import TrialThumbnails, thumbnail_folder
from impasto.advise.tune.trial import Trial, pareto_front
from impasto.core.knobs import knobs_to_args, knobs_to_dict
from impasto.core.picture import Raster
from impasto.core.progress import ProgressCallback, ignore_progress
from impasto.core.request import Request
from impasto.core.result import Result
from impasto.core.words import format_duration
from impasto.pipeline import make_plan
from impasto.pipeline.stylize import run_request


@dataclass(frozen=True, eq=False)
class TuneResult:
    """What a tuning found.

    Attributes:
        request: what paints the winner, at its final size.
        fixed_knobs: the knobs that were not searched because a value was given.
        aim: what was wanted, 0 (style) to 1 (content).
        trials: of the first round, in their order.
        finals: of the last round; empty where there was none.
        best: the winner: of the last round where there was one.
        default_trial: the trial of the defaults in the same round, if there is one.
        fidelity: the size and cost at which the winner was found, in words.
        trial_size: the long side of the first round's trials, in pixels.
        seconds: that the search took.
        is_interrupted: whether Ctrl-C ended it.
        forecast_seconds: seconds that painting the winner will take.
        storage: the file that keeps the trials, or None.
        thumbnails: (final, number) of a trial → where its picture is.
    """

    request: Request
    fixed_knobs: Mapping[str, Any]
    aim: float
    trials: tuple[Trial, ...]
    finals: tuple[Trial, ...]
    best: Trial
    default_trial: Trial | None
    fidelity: str
    trial_size: int
    seconds: float
    is_interrupted: bool
    forecast_seconds: float
    storage: Path | None
    thumbnails: Mapping[tuple[bool, int], tuple[TrialThumbnails, str]]

    @property
    def thumbnail_folder(self) -> Path | None:
        """Where the pictures of the trials are."""
        return thumbnail_folder(self.storage) if self.storage else None

    @functools.cached_property
    def pareto_front(self) -> tuple[Trial, ...]:
        """The trials of the deciding round that no other beats in both errors."""
        return tuple(pareto_front(self.finals if self.best.final else self.trials))

    @property
    def summary(self) -> str:
        """What came out, in a sentence."""
        if self.default_trial is None or self.best.number == self.default_trial.number:
            better = "no knobs were found that come nearer to the aim than the defaults"
        else:
            better = f"score {self.best.score:.3f}, the defaults {self.default_trial.score:.3f}"
        count = len(self.trials)
        return f"{count} trials in {format_duration(self.seconds)}, aim {self.aim:g}: {better}."

    def load_thumbnail(self, trial: Trial) -> Raster | None:
        """A trial's picture in small; None if it is lost."""
        album, name = self.thumbnails[trial.final, trial.number]
        return album.get(name)

    def command(self, output: str = "painting.png") -> str:
        """The command that paints the winner."""
        request = self.request
        pictures = [request.content.name, *(style.name for style in request.styles)]
        words = ["impasto", "stylize", *pictures, "-o", output, "--method", request.method.name]
        words += ["--size", str(request.size)]
        words += ["--seed", str(request.seed)] if request.seed else []
        if request.style_weights:
            words += ["--style-weights", ",".join(f"{w:g}" for w in request.style_weights)]
        for flag in ("weights", "device", "precision"):
            value = getattr(request, flag)
            words += [f"--{flag}", value] if value not in ("", "auto") else []
        return shlex.join(
            words + knobs_to_args(type(request.method), knobs_to_dict(request.method))
        )

    def stylize(
        self, callback: ProgressCallback = ignore_progress, size: int | None = None
    ) -> Result:
        """Paint the winner; its recipe says that it was tuned.

        Args:
            callback: called every step.
            size: long side in pixels; None is the final one.

        Raises:
            ImpastoError: too little memory, by now.
        """
        request = dataclasses.replace(self.request, size=size or self.request.size)
        result = run_request(request, make_plan(request), callback=callback)
        notes = (*result.recipe.notes, f"Tuned: {self.summary}")
        return dataclasses.replace(result, recipe=dataclasses.replace(result.recipe, notes=notes))
