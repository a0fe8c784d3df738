"""A painting in a process of its own: its time and memory are its own, and so is its failure."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from impasto.core.interrupt import InterruptHandler

POLL_SECONDS = 0.2
"""Seconds between two looks at the process."""
STOP_TIMEOUT_SECONDS = 60.0
"""Seconds that a process has to save its painting once it is asked to stop."""
SIGNAL_EXIT_OFFSET = 128
"""A shell says the number of the signal that ended a process on top of this."""


@dataclass(frozen=True)
class ProcessResult:
    """How a process ended.

    Attributes:
        exit_code: its exit code; the negative number of the signal that ended it.
        seconds: from its start to its end.
        report: the line of JSON that it wrote; empty if there is none.
        last_message: what else it said last.
        stopped: whether it was asked to stop before its end.
    """

    exit_code: int
    seconds: float
    report: Mapping[str, Any]
    last_message: str
    stopped: bool

    @property
    def reason(self) -> str:
        """What went wrong, in a sentence or two."""
        if error := self.report.get("error"):
            return str(error)
        number = -self.exit_code if self.exit_code < 0 else self.exit_code - SIGNAL_EXIT_OFFSET
        with contextlib.suppress(ValueError):
            name = signal.Signals(number).name
            why = "; most likely the memory ran out" if name == "SIGKILL" else ""
            return f"The system ended it ({name}){why}."
        return f"It ended with the exit code {self.exit_code}. {self.last_message}".strip()


def run(
    args: Sequence[str],
    stop: InterruptHandler,
    callback: Callable[[float], None],
    max_seconds: float | None = None,
) -> ProcessResult:
    """Run ``impasto`` with these arguments, ``--json`` and ``-q`` in a process of its own.

    Args:
        args: the arguments.
        stop: where Ctrl-C comes in; the first one asks the process to stop, too.
        callback: called with the seconds that have passed, several times a second.
        max_seconds: seconds after which it is asked to stop; None: it may take as long as it needs.

    Raises:
        KeyboardInterrupt: a second Ctrl-C; the process is gone by then.
    """
    start = time.monotonic()
    stopped: float | None = None
    # A session of its own: the Ctrl-C of a terminal reaches it once, through us.
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", *args, "--json", "-q"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # a random.py beside the pictures is no module
    ) as process:
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    seconds = time.monotonic() - start
                callback(seconds)
                if stopped is None and (
                    is_stop_requested(stop) or (max_seconds is not None and seconds > max_seconds)
                ):
                    stopped = seconds
                    _interrupt(process)
                if stopped is not None and seconds - stopped > STOP_TIMEOUT_SECONDS:
                    process.kill()
        except BaseException:
            process.kill()
            raise
    seconds = time.monotonic() - start
    said = err.decode("utf-8", "replace").strip().splitlines()
    return ProcessResult(
        process.returncode,
        seconds,
        _parse_report(out),
        said[-1] if said else "",
        stopped is not None,
    )


def is_stop_requested(stop: InterruptHandler) -> bool:
    """Whether there was a Ctrl-C.

    Raises:
        KeyboardInterrupt: there was a second one.
    """
    try:
        stop.raise_if_interrupted()
    except KeyboardInterrupt:
        if stop.is_forced:
            raise
        return True
    return False


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)


def _parse_report(out: bytes) -> Mapping[str, Any]:
    lines = out.decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
