"""How far work has come: a moving bar for people, a line now and then for logs."""

from __future__ import annotations

import contextlib
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from impasto.cli.console import Reporter
from impasto.cli.words import format_duration
from impasto.core.progress import EtaEstimator, ProgressEvent

LOG_INTERVAL_FRACTION, LOG_INTERVAL_SECONDS = 0.1, 10.0
"""A log gets a line after so much more of the work, or after so long."""


def spinner(reporter: Reporter, message: str) -> contextlib.AbstractContextManager[object]:
    """Something that turns while the block lasts, where somebody looks."""
    console = Console(stderr=True, highlight=False)
    if reporter.shows_progress and console.is_interactive:
        return console.status(message)
    return contextlib.nullcontext()


class ProgressBar(contextlib.AbstractContextManager["ProgressBar"]):
    """Shows a share of 0..1 with a few words; the bar vanishes at the end of the block."""

    def __init__(self, reporter: Reporter, title: str) -> None:
        self._reporter, self._title = reporter, title
        self._fraction, self._time = 0.0, time.monotonic()
        self._bar: Progress | None = None
        console = Console(stderr=True, highlight=False)
        if reporter.shows_progress and console.is_interactive:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=30),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[words]}", markup=False),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=1.0, words="")

    def __enter__(self) -> ProgressBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, fraction: float, text: str) -> None:
        """``share`` of the work is done."""
        if self._bar:
            self._bar.update(self._task, completed=fraction, words=text)
            return
        now = time.monotonic()
        due = (
            fraction - self._fraction >= LOG_INTERVAL_FRACTION - 1e-9
            or now - self._time >= LOG_INTERVAL_SECONDS
        )
        if due and fraction < 1:
            self._fraction, self._time = fraction, now
            self._reporter.info(f"{self._title} {fraction:4.0%}  {text}")


class ProgressBarCallback:
    """A callback that shows step, loss and time left.

    Args:
        bar: where it is shown.
        reporter: told from which step a resumed run goes on.
        seconds: what the plan says the whole takes, until there is a measure.
        is_resumed: whether an earlier run is gone on with.
    """

    def __init__(
        self, bar: ProgressBar, reporter: Reporter, seconds: float, is_resumed: bool
    ) -> None:
        self._bar, self._reporter, self._seconds, self._resumed = bar, reporter, seconds, is_resumed
        self._eta: EtaEstimator | None = None

    def __call__(self, event: ProgressEvent) -> None:
        if self._eta is None:
            self._eta = EtaEstimator(initial_fraction=event.fraction)
            if self._resumed:
                self._reporter.info(f"Going on after step {event.step - 1} of {event.steps}.")
        left = self._eta.remaining(event.fraction)
        if left is None:
            left = self._seconds * (1 - event.fraction)
        loss = f", loss {event.values['total']:.4g}" if "total" in event.values else ""
        self._bar.update(
            event.fraction,
            f"step {event.step} of {event.steps}{loss}, {format_duration(left)} left",
        )
