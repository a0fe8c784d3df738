"""Checkpoints: where a long run is, on disk, so that a kill loses seconds of work."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.core.errors import InputError
from impasto.core.progress import ProgressEvent
from impasto.pictures import atomic_write

MIN_INTERVAL_SECONDS = 5.0
"""Least time between two checkpoints."""
MIN_INTERVAL_WRITE_FACTOR = 5.0
"""Least time between two checkpoints, in units of the time that writing one takes."""


def checkpoint_path(output: Path) -> Path:
    """The checkpoint that belongs to an output file."""
    return output.with_name(f"{output.name}.impasto-checkpoint")


@dataclass
class Checkpoint:
    """A callback that saves the state of the run every few seconds, in a sixth of the time at most.

    Attributes:
        path: the file.
        identity: what the run is of; a checkpoint is only ever resumed by the same run.
    """

    path: Path
    identity: Mapping[str, Any]
    _next_save_time: float = field(default_factory=lambda: time.monotonic() + MIN_INTERVAL_SECONDS)

    def __call__(self, event: ProgressEvent) -> None:
        start = time.monotonic()
        if start >= self._next_save_time and (
            state := event.state()
        ):  # none: nothing to go on from
            self.save(state)
            end = time.monotonic()
            self._next_save_time = end + max(
                MIN_INTERVAL_SECONDS, MIN_INTERVAL_WRITE_FACTOR * (end - start)
            )

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all."""
        import torch

        with atomic_write(self.path) as file:
            try:
                torch.save({"identity": dict(self.identity), "state": dict(state)}, file)
            except RuntimeError as error:  # torch's word for a file that took no more
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error

    def load(self) -> Mapping[str, Any] | None:
        """The state to go on from; None if there is no checkpoint.

        Raises:
            InputError: a damaged checkpoint, or one of another run.
        """
        import torch

        if not self.path.exists():
            return None
        try:
            found = torch.load(self.path, weights_only=True)
            theirs, state = found["identity"], found["state"]
        except Exception as error:  # torch.load raises nearly anything on a damaged file
            raise InputError(
                f"{self.path} is no checkpoint of ours, or damaged: delete it to start anew."
            ) from error
        differs = [k for k, v in self.identity.items() if theirs.get(k) != v]
        if differs:
            raise InputError(
                f"{self.path} belongs to another run: {', '.join(differs)} differ. Delete it to "
                "start anew, or repeat the command it came from."
            )
        found_state: Mapping[str, Any] = state
        return found_state

    def remove(self) -> None:
        """The result is saved: nothing to resume."""
        self.path.unlink(missing_ok=True)
