"""The command line: one file per verb, each imported when it is asked for."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence


def main() -> None:
    """The command ``impasto``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name in odd bytes shall not stop the work
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    if code == 130:  # nothing to interrupt any more: a late Ctrl-C only spoils the exit
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Carry out a command line (without the program's name) and return its exit code.

    0 done, 1 a defect of ours, 2 wrong usage or input, 3 not enough memory or device,
    130 interrupted. Whatever goes wrong is told in one sentence on stderr.
    """
    as_json = "--json" in args
    try:
        from impasto.cli.app import app

        code = app.main(list(args), prog_name="impasto", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: `impasto methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1
    except BaseException as error:
        from impasto.cli.errors import report_error

        return report_error(error, as_json=as_json)
    return code if isinstance(code, int) else 0
