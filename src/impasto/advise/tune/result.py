"""What a tuning found, and what can be done with it."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.advise.tune.storage import Album, folder_of
from impasto.advise.tune.trial import Trial, frontier
from impasto.core.knobs import knobs_to_args, knobs_to_dict
from impasto.core.picture import Raster
from impasto.core.progress import ProgressCallback, ignore_progress
from impasto.core.request import Request
from impasto.core.result import Result
from impasto.core.words import format_duration
from impasto.pipeline import make_plan
from impasto.pipeline.stylize import run_request


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a tuning found.

    Attributes:
        request: what paints the winner, at its final size.
        held: the knobs that were not searched because a value was given.
        aim: what was wanted, 0 (style) to 1 (content).
        trials: of the first round, in their order.
        finals: of the last round; empty where there was none.
        best: the winner: of the last round where there was one.
        defaults: the trial of the defaults in the same round, if there is one.
        rung: the size and cost at which the winner was found, in words.
        trial_size: the long side of the first round's trials, in pixels.
        seconds: that the search took.
        stopped: whether Ctrl-C ended it.
        forecast: seconds that painting the winner will take.
        study: the file that keeps the trials, or None.
        thumbnails: (final, number) of a trial → where its picture is.
    """

    request: Request
    held: Mapping[str, Any]
    aim: float
    trials: tuple[Trial, ...]
    finals: tuple[Trial, ...]
    best: Trial
    defaults: Trial | None
    rung: str
    trial_size: int
    seconds: float
    stopped: bool
    forecast: float
    study: Path | None
    thumbnails: Mapping[tuple[bool, int], tuple[Album, str]]

    @property
    def folder(self) -> Path | None:
        """Where the pictures of the trials are."""
        return folder_of(self.study) if self.study else None

    @functools.cached_property
    def frontier(self) -> tuple[Trial, ...]:
        """The trials of the deciding round that no other beats in both errors."""
        return tuple(frontier(self.finals if self.best.final else self.trials))

    @property
    def verdict(self) -> str:
        """What came out, in a sentence."""
        if self.defaults is None or self.best.number == self.defaults.number:
            better = "no knobs were found that come nearer to the aim than the defaults"
        else:
            better = f"score {self.best.score:.3f}, the defaults {self.defaults.score:.3f}"
        count = len(self.trials)
        return f"{count} trials in {format_duration(self.seconds)}, aim {self.aim:g}: {better}."

    def picture(self, trial: Trial) -> Raster | None:
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

    def paint(self, watch: ProgressCallback = ignore_progress, size: int | None = None) -> Result:
        """Paint the winner; its recipe says that it was tuned.

        Args:
            watch: called every step.
            size: long side in pixels; None is the final one.

        Raises:
            ImpastoError: too little memory, by now.
        """
        request = dataclasses.replace(self.request, size=size or self.request.size)
        result = run_request(request, make_plan(request), callback=watch)
        notes = (*result.recipe.notes, f"Tuned: {self.verdict}")
        return dataclasses.replace(result, recipe=dataclasses.replace(result.recipe, notes=notes))
