"""One run at a time for an output file. The system drops the lock even of a killed run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from impasto.core.errors import InputError


@contextlib.contextmanager
def exclusive_run(output: Path, action: str = "painting") -> Iterator[None]:
    """Hold ``output`` for the length of the block; ``action`` is what another run is said to do.

    The lock is a file beside the output, locked by the system. Where there can be none (a file
    system that knows no locks, a name that gets too long), the block runs without.

    Raises:
        InputError: another run holds it.
    """
    target = Path(os.path.realpath(output))
    place = target.with_name(f".{target.name}.impasto-lock")
    handle = _acquire_lock(place, f"{action} {output}")
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                place.unlink()  # on Windows only once it is closed: then it stays, and is reused
            os.close(handle)


def _acquire_lock(path: Path, description: str) -> int | None:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return None
        try:
            _lock(handle)
        except (BlockingIOError, PermissionError) as error:
            os.close(handle)
            raise InputError(
                f"Another run is {description} right now: wait for it, or choose another name."
            ) from error
        except OSError:  # no locks on this file system
            os.close(handle)
            return None
        if _is_still_linked(handle, path):
            return handle
        os.close(handle)  # its last owner removed it while we waited: take a new one


def _is_still_linked(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
