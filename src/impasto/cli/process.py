"""Signals that the command line handles in its own way for a while."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def handle_signal(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Handle a signal so in this block; off the main thread, where that cannot be, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, old)


def raise_interrupt(_number: int, _frame: object) -> None:
    """A handler: the signal means what Ctrl-C means."""
    signal.raise_signal(signal.SIGINT)
