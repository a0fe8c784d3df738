"""Checkpoints as the command line keeps them: never at the cost of the painting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from impasto.core.errors import InputError
from impasto.pipeline.checkpoint import Checkpoint

EARLIER_RUN_GRACE_SECONDS = 30.0
"""Seconds for which a new run leaves the checkpoint of an earlier one alone."""


@dataclass
class SafeCheckpoint(Checkpoint):
    """A checkpoint that survives a full disk, and a forgotten ``--resume``.

    Attributes:
        has_earlier_run: whether an earlier run's checkpoint lies there. It is not replaced in the
        first
            seconds, so that who sees the hint and stops has lost nothing.
        warn: told once if the checkpoint cannot be written.
        is_saved: whether the file is of this run.
    """

    has_earlier_run: bool = False
    warn: Callable[[str], None] = click.echo
    is_saved: bool = False
    _start_time: float = field(default_factory=time.monotonic)
    _write_failed: bool = False

    def save(self, state: Mapping[str, Any]) -> None:
        if self.has_earlier_run and time.monotonic() - self._start_time < EARLIER_RUN_GRACE_SECONDS:
            return
        try:
            super().save(state)
        except InputError as error:
            if not self._write_failed:
                self.warn(f"This run cannot be resumed if it is stopped: {error}")
            self._write_failed = True
        else:
            self.is_saved, self._write_failed = True, False
