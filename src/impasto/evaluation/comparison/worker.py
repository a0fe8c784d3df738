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

from impasto.core.interrupt import Stop

BEAT = 0.2
"""Seconds between two looks at the process."""
PATIENCE = 60.0
"""Seconds that a process has to save its painting once it is asked to stop."""
KILLED = 128
"""A shell says the number of the signal that ended a process on top of this."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        code: its exit code; the negative number of the signal that ended it.
        seconds: from its start to its end.
        report: the line of JSON that it wrote; empty if there is none.
        said: what else it said last.
        stopped: whether it was asked to stop before its end.
    """

    code: int
    seconds: float
    report: Mapping[str, Any]
    said: str
    stopped: bool

    @property
    def reason(self) -> str:
        """What went wrong, in a sentence or two."""
        if error := self.report.get("error"):
            return str(error)
        number = -self.code if self.code < 0 else self.code - KILLED
        with contextlib.suppress(ValueError):
            name = signal.Signals(number).name
            why = "; most likely the memory ran out" if name == "SIGKILL" else ""
            return f"The system ended it ({name}){why}."
        return f"It ended with the exit code {self.code}. {self.said}".strip()


def carry_out(
    words: Sequence[str],
    stop: Stop,
    told: Callable[[float], None],
    limit: float | None = None,
) -> Outcome:
    """Run ``impasto`` with these arguments, ``--json`` and ``-q`` in a process of its own.

    Args:
        words: the arguments.
        stop: where Ctrl-C comes in; the first one asks the process to stop, too.
        told: called with the seconds that have passed, several times a second.
        limit: seconds after which it is asked to stop; None: it may take as long as it needs.

    Raises:
        KeyboardInterrupt: a second Ctrl-C; the process is gone by then.
    """
    start = time.monotonic()
    stopped: float | None = None
    # A session of its own: the Ctrl-C of a terminal reaches it once, through us.
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", *words, "--json", "-q"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # a random.py beside the pictures is no module
    ) as process:
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=BEAT)
                    break
                except subprocess.TimeoutExpired:
                    seconds = time.monotonic() - start
                told(seconds)
                if stopped is None and (asked(stop) or (limit is not None and seconds > limit)):
                    stopped = seconds
                    _interrupt(process)
                if stopped is not None and seconds - stopped > PATIENCE:
                    process.kill()
        except BaseException:
            process.kill()
            raise
    seconds = time.monotonic() - start
    said = err.decode("utf-8", "replace").strip().splitlines()
    return Outcome(
        process.returncode, seconds, _report(out), said[-1] if said else "", stopped is not None
    )


def asked(stop: Stop) -> bool:
    """Whether there was a Ctrl-C.

    Raises:
        KeyboardInterrupt: there was a second one.
    """
    try:
        stop.check()
    except KeyboardInterrupt:
        if stop.at_once:
            raise
        return True
    return False


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)


def _report(out: bytes) -> Mapping[str, Any]:
    lines = out.decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
