"""How far work has come: a moving bar for people, a line now and then for logs."""

from __future__ import annotations

import contextlib
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from impasto.cli.console import Voice
from impasto.cli.words import duration
from impasto.core.progress import Clock, Tick

LINE_SHARE, LINE_SECONDS = 0.1, 10.0
"""A log gets a line after so much more of the work, or after so long."""


def waiting(voice: Voice, words: str) -> contextlib.AbstractContextManager[object]:
    """Something that turns while the block lasts, where somebody looks."""
    console = Console(stderr=True, highlight=False)
    if voice.animated and console.is_interactive:
        return console.status(words)
    return contextlib.nullcontext()


class Meter(contextlib.AbstractContextManager["Meter"]):
    """Shows a share of 0..1 with a few words; the bar vanishes at the end of the block."""

    def __init__(self, voice: Voice, title: str) -> None:
        self._voice, self._title = voice, title
        self._share, self._time = 0.0, time.monotonic()
        self._bar: Progress | None = None
        console = Console(stderr=True, highlight=False)
        if voice.animated and console.is_interactive:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=30),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[words]}", markup=False),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=1.0, words="")

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, share: float, words: str) -> None:
        """``share`` of the work is done."""
        if self._bar:
            self._bar.update(self._task, completed=share, words=words)
            return
        now = time.monotonic()
        due = share - self._share >= LINE_SHARE - 1e-9 or now - self._time >= LINE_SECONDS
        if due and share < 1:
            self._share, self._time = share, now
            self._voice.say(f"{self._title} {share:4.0%}  {words}")


class Teller:
    """A watch that shows step, loss and time left.

    Args:
        meter: where it is shown.
        voice: told from which step a resumed run goes on.
        seconds: what the plan says the whole takes, until there is a measure.
        resumed: whether an earlier run is gone on with.
    """

    def __init__(self, meter: Meter, voice: Voice, seconds: float, resumed: bool) -> None:
        self._meter, self._voice, self._seconds, self._resumed = meter, voice, seconds, resumed
        self._clock: Clock | None = None

    def __call__(self, tick: Tick) -> None:
        if self._clock is None:
            self._clock = Clock(share_at_start=tick.share)
            if self._resumed:
                self._voice.say(f"Going on after step {tick.step - 1} of {tick.steps}.")
        left = self._clock.remaining(tick.share)
        if left is None:
            left = self._seconds * (1 - tick.share)
        loss = f", loss {tick.losses['total']:.4g}" if "total" in tick.losses else ""
        self._meter.show(
            tick.share, f"step {tick.step} of {tick.steps}{loss}, {duration(left)} left"
        )
