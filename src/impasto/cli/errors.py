"""Whatever went wrong, as one sentence and an exit code."""

from __future__ import annotations

import os
import traceback

import click

from impasto.cli.console import Reporter
from impasto.core.errors import ImpastoError, ResourceError

DEBUG_VARIABLE = "IMPASTO_DEBUG"
"""Environment variable: 1 shows the traceback of an error."""


def report_error(error: BaseException, *, as_json: bool) -> int:
    """Tell of an error on stderr, with ``as_json`` on stdout too, and return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    code, message = explain_error(error)
    message = " ".join(message.split())
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    voice = Reporter(as_json=as_json)
    voice.error(message)
    if as_json:
        voice.print_json({"error": message, "exit_code": code})
    return code


def explain_error(error: BaseException) -> tuple[int, str]:
    """The exit code of an error, and what to tell the user."""
    if isinstance(error, ImpastoError):
        return error.exit_code, str(error)
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return 130, "Stopped; nothing was changed."
    if isinstance(error, click.ClickException):
        return 2, _usage_text(error)
    if _is_out_of_memory(error):
        return (
            ResourceError.exit_code,
            "The memory ran out. Close other programs, take a smaller --size, or say "
            "--shrink-to-fit.",
        )
    if isinstance(error, OSError):  # a full disk behind stdout, a folder that may not be made
        where = f": {error.filename}" if error.filename else ""
        reason = error.strerror or str(error)
        return 2, f"The system says {reason!r}{where}; make room, or choose another place."
    return 1, (
        f"An error that should not happen: {type(error).__name__}: {error}. "
        f"Please report it; {DEBUG_VARIABLE}=1 shows where it came from."
    )


def _usage_text(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        near = f" Did you mean {error.possibilities[0]}?" if error.possibilities else ""
        message = f"There is no flag {error.option_name}.{near}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} See {context.command_path} --help." if context else message


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError, told by its name: torch may not even have been imported.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "DefaultCPUAllocator: " in str(error))
