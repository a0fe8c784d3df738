"""Ctrl-C as a wish that long work fulfils between two steps, where nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any


class Stop(contextlib.AbstractContextManager["Stop"]):
    """Turns Ctrl-C into a stop between two steps; a second Ctrl-C stops at once.

    Off the main thread, where signals cannot be caught, it does nothing.

    Args:
        patient: whether a second Ctrl-C means no more than the first, as it does where one key
            stroke reaches a process on several ways.

    Attributes:
        at_once: whether there was a second one.
    """

    def __init__(self, patient: bool = False) -> None:
        self.at_once = False
        self._asked, self._patient = False, patient
        self._old: Any = None
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Stop:
        if self._main:
            self._old = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._old)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        if self._asked and not self._patient:
            self.at_once = True
            raise KeyboardInterrupt
        self._asked = True

    def check(self) -> None:
        """Between two steps.

        Raises:
            KeyboardInterrupt: it was asked for.
        """
        if self._asked:
            raise KeyboardInterrupt
