"""The work of ``impasto tune``: search, tell, and write the winner."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.advise.tune.llm_sampler import reach
from impasto.advise.tune.result import Tuning
from impasto.advise.tune.search_stage import Listener, Progress
from impasto.advise.tune.trial import Trial
from impasto.advise.tune.trial_sheet import strip
from impasto.advise.tune.tune import tune_request
from impasto.cli.console import Voice
from impasto.cli.lock import only_run
from impasto.cli.output_options import same_file
from impasto.cli.process import as_interrupt, on
from impasto.cli.progress import Meter, Teller
from impasto.cli.request_options import Order
from impasto.cli.table import show_table
from impasto.cli.words import duration, plain
from impasto.core.errors import InputError, InterruptedRun
from impasto.core.knobs import flag_name, knobs_of
from impasto.core.picture import Picture
from impasto.core.result import Result
from impasto.pictures import check_writable, write
from impasto.pictures.formats import deepest_bits

ROWS = 12
"""Trials in the table."""
QUICK = 10.0
"""Seconds that painting the winner at its full size may take after a Ctrl-C."""


@dataclass(frozen=True)
class Wish:
    """The flags of tune; an empty text is one that was not given."""

    budget: str
    aim: float
    trials: int | None
    trial_size: int | None
    agent: bool
    model: str
    model_url: str
    output: str
    study: str
    strip: str

    @property
    def place(self) -> Path:
        """The study's file."""
        if self.study:
            return Path(self.study)
        return Path(self.output).with_suffix(".tune.db") if self.output else Path("tune.db")

    def check(self, content: Picture, inputs: Sequence[Path]) -> None:
        """Refuse what cannot or must not be written; leaves no trace.

        Raises:
            InputError: says which file, and what to do.
        """
        written = [Path(name) for name in (self.output, self.strip) if name]
        if self.output:
            bits = min(content.bits, deepest_bits(self.output))
            check_writable(self.output, bits, content.alpha is not None)
        if self.strip:
            check_writable(self.strip)
        for i, path in enumerate((*written, self.place)):
            for other in inputs:
                if same_file(path, other):
                    raise InputError(f"{path} is an input and would be overwritten: name another.")
            for other in written[:i]:
                if same_file(path, other):
                    raise InputError(f"{path} is named twice: give each output its own name.")


class Told(Listener):
    """Tells on the command line."""

    def __init__(self, voice: Voice, meter: Meter) -> None:
        self.voice, self.meter = voice, meter
        self.warnings: list[str] = []

    def progress(self, progress: Progress) -> None:
        words = f"{'last round, ' if progress.final else ''}trial {progress.trials + 1}"
        if progress.best is not None:
            words += f", best score {progress.best:.3f}"
        if progress.defaults is not None:
            words += f", defaults {progress.defaults:.3f}"
        self.meter.show(progress.share, f"{words}, {duration(progress.left)} left")

    def note(self, sentence: str) -> None:
        self.voice.say(sentence)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
        self.voice.warn(sentence)


def carry_out(order: Order, wish: Wish, voice: Voice) -> int:
    """Search, show the trials, and write what was asked for.

    Returns:
        The exit code: 0, or 130 if it was stopped and what there is was written.

    Raises:
        ImpastoError: whatever is wrong.
    """
    request = order.request(voice)
    wish.check(request.content, order.files())
    with only_run(wish.place, "tuning into"), on(signal.SIGTERM, as_interrupt):
        with Meter(voice, "Tuning") as meter:
            told = Told(voice, meter)
            model = reach(wish.model, wish.model_url, told) if wish.agent else None
            tuning = tune_request(
                request,
                order.knobs,
                budget=wish.budget,
                aim=wish.aim,
                trial_size=wish.trial_size,
                trials=wish.trials,
                study=wish.place,
                model=model,
                listener=told,
            )
        code = InterruptedRun.exit_code if tuning.stopped else 0
        if wish.strip:
            write(strip(tuning), wish.strip)
        result = _painted(tuning, wish, voice) if wish.output else None
        if result and not result.recipe.finished:
            code = InterruptedRun.exit_code
    _report(tuning, wish, voice, told.warnings, result)
    return code


def _painted(tuning: Tuning, wish: Wish, voice: Voice) -> Result:
    """The winner, written: after a Ctrl-C at the trials' size where the full one takes long."""
    size = None
    if tuning.stopped and tuning.forecast > QUICK:
        size = tuning.trial_size
        voice.warn(f"Stopped: {wish.output} is the winner so far at {size} px.")
    else:
        voice.say(f"Painting the winner, about {duration(tuning.forecast)}.")
    with Meter(voice, "Painting") as meter:
        result = tuning.paint(Teller(meter, voice, tuning.forecast, False), size)
    with on(signal.SIGINT, signal.SIG_IGN):
        for note in result.save(wish.output):
            voice.warn(f"{wish.output}: {note}.")
    return result


def _report(
    tuning: Tuning, wish: Wish, voice: Voice, warnings: Sequence[str], result: Result | None
) -> None:
    if not voice.as_json and not voice.quiet:
        show_table(
            ("trial", "by", "score", "style error", "content error", "seconds", "knobs"),
            [_row(trial, tuning) for trial in _best(tuning)],
        )
    voice.say(f"{tuning.verdict[0].upper()}{tuning.verdict[1:]}")
    voice.say(f"Every trial is in {wish.place}, its picture in {tuning.folder}.")
    for path in (wish.strip, wish.output):
        if path:
            voice.result(path)
    command = tuning.command(wish.output or "painting.png")
    if not wish.output:
        voice.result(command)
    elif tuning.stopped:
        voice.say(f"At full size: {command}")
    voice.data(
        {
            "best": _facts(tuning.best),
            "defaults": _facts(tuning.defaults) if tuning.defaults else None,
            "trials": [_facts(trial) for trial in tuning.trials],
            "finals": [_facts(trial) for trial in tuning.finals],
            "frontier": [trial.number for trial in tuning.frontier],
            "aim": tuning.aim,
            "at": tuning.rung,
            "seconds": round(tuning.seconds, 1),
            "stopped": tuning.stopped,
            "study": str(wish.place),
            "strip": wish.strip or None,
            "output": wish.output or None,
            "command": command,
            "warnings": list(warnings),
            "recipe": dataclasses.asdict(result.recipe) if result else None,
        }
    )


def _best(tuning: Tuning) -> list[Trial]:
    """The trials of the table: the last round's, then the best of the first."""
    first = sorted(tuning.trials, key=lambda trial: trial.score)
    usual = [t for t in tuning.trials if t.number == 0 and t not in first[:ROWS]]
    return [*sorted(tuning.finals, key=lambda trial: trial.score), *first[:ROWS], *usual]


def _row(trial: Trial, tuning: Tuning) -> tuple[str, ...]:
    return (
        f"{trial.number}{' final' if trial.final else ''}",
        trial.by,
        f"{trial.score:.3f}",
        f"{trial.style_error:.3f}",
        f"{trial.content_error:.3f}",
        f"{trial.seconds:.1f}",
        _spelt(trial, tuning),
    )


def _spelt(trial: Trial, tuning: Tuning) -> str:
    """The knobs that differ from the defaults, as flags."""
    kind = type(tuning.request.method)
    changed = [k for k in knobs_of(kind) if k.check(trial.knobs[k.name]) != k.default]
    return " ".join(f"{flag_name(k)} {plain(trial.knobs[k.name])}" for k in changed)


def _facts(trial: Trial) -> dict[str, Any]:
    return {**dataclasses.asdict(trial), "knobs": dict(trial.knobs)}
