"""The one place from which the command line speaks: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True)
class Reporter:
    """How a verb speaks.

    Attributes:
        quiet: say nothing but warnings and errors.
        as_json: stdout gets one line of JSON and nothing else.
    """

    quiet: bool = False
    as_json: bool = False

    @property
    def shows_progress(self) -> bool:
        """Whether somebody looks at stderr who would like a moving bar."""
        return not self.quiet and sys.stderr.isatty()

    def info(self, text: str) -> None:
        """Something worth knowing."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Something to know before waiting or using the result."""
        click.echo(click.style("warning: ", fg="yellow", bold=True) + text, err=True)

    def error(self, text: str) -> None:
        """Why it did not work."""
        click.echo(click.style("impasto: ", fg="red", bold=True) + text, err=True)

    def print_result(self, text: str) -> None:
        """What the verb was asked for, for people and pipes."""
        if not self.as_json:
            click.echo(text)

    def print_json(self, value: Mapping[str, Any] | list[Any]) -> None:
        """What the verb was asked for, for programs: one line of JSON."""
        if self.as_json:
            click.echo(json.dumps(value))
