"""The work of ``impasto tune``: search, tell, and write the winner."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.advise.tune.llm_sampler import connect_or_warn
from impasto.advise.tune.result import TuneResult
from impasto.advise.tune.search_stage import TuneCallback, TuneProgress
from impasto.advise.tune.trial import Trial
from impasto.advise.tune.trial_sheet import make_trial_sheet
from impasto.advise.tune.tune import tune_request
from impasto.cli.console import Reporter
from impasto.cli.lock import exclusive_run
from impasto.cli.output_options import is_same_file
from impasto.cli.process import handle_signal, raise_interrupt
from impasto.cli.progress import ProgressBar, ProgressBarCallback
from impasto.cli.request_options import RequestOptions
from impasto.cli.table import show_table
from impasto.cli.words import format_duration, format_value
from impasto.core.errors import InputError, InterruptedRun
from impasto.core.knobs import flag_name, get_knobs
from impasto.core.picture import Picture
from impasto.core.result import Result
from impasto.pictures import check_writable, write
from impasto.pictures.formats import max_bits

MAX_TABLE_ROWS = 12
"""Trials in the table."""
MAX_SECONDS_AFTER_INTERRUPT = 10.0
"""Seconds that painting the winner at its full size may take after a Ctrl-C."""


@dataclass(frozen=True)
class TuneOptions:
    """The flags of tune; an empty text is one that was not given."""

    budget: str
    aim: float
    trials: int | None
    trial_size: int | None
    agent: bool
    model: str
    model_url: str
    output: str
    storage: str
    trial_sheet: str

    @property
    def storage_path(self) -> Path:
        """The study's file."""
        if self.storage:
            return Path(self.storage)
        return Path(self.output).with_suffix(".tune.db") if self.output else Path("tune.db")

    def check(self, content: Picture, inputs: Sequence[Path]) -> None:
        """Refuse what cannot or must not be written; leaves no trace.

        Raises:
            InputError: says which file, and what to do.
        """
        written = [Path(name) for name in (self.output, self.trial_sheet) if name]
        if self.output:
            bits = min(content.bits, max_bits(self.output))
            check_writable(self.output, bits, content.alpha is not None)
        if self.trial_sheet:
            check_writable(self.trial_sheet)
        for i, path in enumerate((*written, self.storage_path)):
            for other in inputs:
                if is_same_file(path, other):
                    raise InputError(f"{path} is an input and would be overwritten: name another.")
            for other in written[:i]:
                if is_same_file(path, other):
                    raise InputError(f"{path} is named twice: give each output its own name.")


class TuneProgressCallback(TuneCallback):
    """Tells on the command line."""

    def __init__(self, reporter: Reporter, bar: ProgressBar) -> None:
        self.reporter, self.bar = reporter, bar
        self.warnings: list[str] = []

    def on_progress(self, progress: TuneProgress) -> None:
        words = f"{'last round, ' if progress.is_final else ''}trial {progress.trial_count + 1}"
        if progress.best_score is not None:
            words += f", best score {progress.best_score:.3f}"
        if progress.defaults_score is not None:
            words += f", defaults {progress.defaults_score:.3f}"
        self.bar.update(
            progress.fraction, f"{words}, {format_duration(progress.remaining_seconds)} left"
        )

    def on_note(self, sentence: str) -> None:
        self.reporter.info(sentence)

    def on_warning(self, sentence: str) -> None:
        self.warnings.append(sentence)
        self.reporter.warn(sentence)


def run_tuning(
    request_options: RequestOptions, tune_options: TuneOptions, reporter: Reporter
) -> int:
    """Search, show the trials, and write what was asked for.

    Returns:
        The exit code: 0, or 130 if it was stopped and what there is was written.

    Raises:
        ImpastoError: whatever is wrong.
    """
    request = request_options.to_request(reporter)
    tune_options.check(request.content, request_options.input_files())
    with (
        exclusive_run(tune_options.storage_path, "tuning into"),
        handle_signal(signal.SIGTERM, raise_interrupt),
    ):
        with ProgressBar(reporter, "Tuning") as meter:
            told = TuneProgressCallback(reporter, meter)
            model = (
                connect_or_warn(tune_options.model, tune_options.model_url, told)
                if tune_options.agent
                else None
            )
            tuning = tune_request(
                request,
                request_options.knobs,
                budget=tune_options.budget,
                aim=tune_options.aim,
                trial_size=tune_options.trial_size,
                trials=tune_options.trials,
                storage=tune_options.storage_path,
                model=model,
                callback=told,
            )
        code = InterruptedRun.exit_code if tuning.is_interrupted else 0
        if tune_options.trial_sheet:
            write(make_trial_sheet(tuning), tune_options.trial_sheet)
        result = _stylize_best(tuning, tune_options, reporter) if tune_options.output else None
        if result and not result.recipe.finished:
            code = InterruptedRun.exit_code
    _report(tuning, tune_options, reporter, told.warnings, result)
    return code


def _stylize_best(tuning: TuneResult, tune_options: TuneOptions, reporter: Reporter) -> Result:
    """The winner, written: after a Ctrl-C at the trials' size where the full one takes long."""
    size = None
    if tuning.is_interrupted and tuning.forecast_seconds > MAX_SECONDS_AFTER_INTERRUPT:
        size = tuning.trial_size
        reporter.warn(f"Stopped: {tune_options.output} is the winner so far at {size} px.")
    else:
        reporter.info(f"Painting the winner, about {format_duration(tuning.forecast_seconds)}.")
    with ProgressBar(reporter, "Painting") as meter:
        result = tuning.stylize(
            ProgressBarCallback(meter, reporter, tuning.forecast_seconds, False), size
        )
    with handle_signal(signal.SIGINT, signal.SIG_IGN):
        for note in result.save(tune_options.output):
            reporter.warn(f"{tune_options.output}: {note}.")
    return result


def _report(
    tuning: TuneResult,
    tune_options: TuneOptions,
    reporter: Reporter,
    warnings: Sequence[str],
    result: Result | None,
) -> None:
    if not reporter.as_json and not reporter.quiet:
        show_table(
            ("trial", "by", "score", "style error", "content error", "seconds", "knobs"),
            [_trial_row(trial, tuning) for trial in _table_trials(tuning)],
        )
    reporter.info(f"{tuning.summary[0].upper()}{tuning.summary[1:]}")
    reporter.info(
        f"Every trial is in {tune_options.storage_path}, its picture in {tuning.thumbnail_folder}."
    )
    for path in (tune_options.trial_sheet, tune_options.output):
        if path:
            reporter.print_result(path)
    command = tuning.command(tune_options.output or "painting.png")
    if not tune_options.output:
        reporter.print_result(command)
    elif tuning.is_interrupted:
        reporter.info(f"At full size: {command}")
    reporter.print_json(
        {
            "best": _trial_json(tuning.best),
            "defaults": _trial_json(tuning.default_trial) if tuning.default_trial else None,
            "trials": [_trial_json(trial) for trial in tuning.trials],
            "finals": [_trial_json(trial) for trial in tuning.finals],
            "frontier": [trial.number for trial in tuning.pareto_front],
            "aim": tuning.aim,
            "at": tuning.fidelity,
            "seconds": round(tuning.seconds, 1),
            "stopped": tuning.is_interrupted,
            "study": str(tune_options.storage_path),
            "strip": tune_options.trial_sheet or None,
            "output": tune_options.output or None,
            "command": command,
            "warnings": list(warnings),
            "recipe": dataclasses.asdict(result.recipe) if result else None,
        }
    )


def _table_trials(tuning: TuneResult) -> list[Trial]:
    """The trials of the table: the last round's, then the best of the first."""
    first = sorted(tuning.trials, key=lambda trial: trial.score)
    usual = [t for t in tuning.trials if t.number == 0 and t not in first[:MAX_TABLE_ROWS]]
    return [*sorted(tuning.finals, key=lambda trial: trial.score), *first[:MAX_TABLE_ROWS], *usual]


def _trial_row(trial: Trial, tuning: TuneResult) -> tuple[str, ...]:
    return (
        f"{trial.number}{' final' if trial.final else ''}",
        trial.by,
        f"{trial.score:.3f}",
        f"{trial.style_error:.3f}",
        f"{trial.content_error:.3f}",
        f"{trial.seconds:.1f}",
        _changed_flags(trial, tuning),
    )


def _changed_flags(trial: Trial, tuning: TuneResult) -> str:
    """The knobs that differ from the defaults, as flags."""
    kind = type(tuning.request.method)
    changed = [k for k in get_knobs(kind) if k.check(trial.knobs[k.name]) != k.default]
    return " ".join(f"{flag_name(k)} {format_value(trial.knobs[k.name])}" for k in changed)


def _trial_json(trial: Trial) -> dict[str, Any]:
    return {**dataclasses.asdict(trial), "knobs": dict(trial.knobs)}
