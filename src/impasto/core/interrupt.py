"""Ctrl-C as a wish that long work fulfills between two steps, where nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any


class InterruptHandler(contextlib.AbstractContextManager["InterruptHandler"]):
    """Turns Ctrl-C into a stop between two steps; a second Ctrl-C stops at once.

    Off the main thread, where signals cannot be caught, it does nothing.

    Args:
        ignore_repeats: whether a second Ctrl-C means no more than the first, as it does where one
        key
            stroke reaches a process on several ways.

    Attributes:
        is_forced: whether there was a second one.
    """

    def __init__(self, ignore_repeats: bool = False) -> None:
        self.is_forced = False
        self._interrupted, self._ignore_repeats = False, ignore_repeats
        self._previous_handler: Any = None
        self._in_main_thread = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> InterruptHandler:
        if self._in_main_thread:
            self._previous_handler = signal.signal(signal.SIGINT, self._handle_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._previous_handler)

    def _handle_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if self._interrupted and not self._ignore_repeats:
            self.is_forced = True
            raise KeyboardInterrupt
        self._interrupted = True

    def raise_if_interrupted(self) -> None:
        """Between two steps.

        Raises:
            KeyboardInterrupt: it was asked for.
        """
        if self._interrupted:
            raise KeyboardInterrupt
