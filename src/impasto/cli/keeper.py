"""Checkpoints as the command line keeps them: never at the cost of the painting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from impasto.core.errors import InputError
from impasto.pipeline.checkpoint import Checkpoint

SPARED = 30.0
"""Seconds for which a new run leaves the checkpoint of an earlier one alone."""


@dataclass
class Keeper(Checkpoint):
    """A checkpoint that survives a full disk, and a forgotten ``--resume``.

    Attributes:
        spare: whether an earlier run's checkpoint lies there. It is not replaced in the first
            seconds, so that who sees the hint and stops has lost nothing.
        warn: told once if the checkpoint cannot be written.
        saved: whether the file is of this run.
    """

    spare: bool = False
    warn: Callable[[str], None] = click.echo
    saved: bool = False
    _born: float = field(default_factory=time.monotonic)
    _broken: bool = False

    def save(self, state: Mapping[str, Any]) -> None:
        if self.spare and time.monotonic() - self._born < SPARED:
            return
        try:
            super().save(state)
        except InputError as error:
            if not self._broken:
                self.warn(f"This run cannot be resumed if it is stopped: {error}")
            self._broken = True
        else:
            self.saved, self._broken = True, False
