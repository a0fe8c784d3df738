"""What was found: methods that would do, methods that would not, and why."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from impasto.advise.recommend.scenario import PURPOSES, Scenario


@dataclass(frozen=True)
class Reason:
    """A rule that fired, or a limit that held, and one sentence."""

    rule: str
    sentence: str


@dataclass(frozen=True)
class Candidate:
    """A method that would do.

    Attributes:
        method: its name.
        size: long side of the painting in pixels.
        knobs: what is set away from the defaults.
        seconds: from the command to the file; with ``--for live`` and ``video``, of each picture.
        peak_bytes: of the process.
        styles: as the method takes them: pictures, paths or built-in names.
        command: the words of the command that paints it.
    """

    method: str
    size: int
    knobs: Mapping[str, Any]
    seconds: float
    peak_bytes: int
    styles: tuple[object, ...] = field(repr=False)
    command: tuple[str, ...]


@dataclass(frozen=True)
class Excluded:
    """A method that will not do: the limit that rules it out, and why in one sentence."""

    method: str
    limit: str
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """What suits.

    Attributes:
        scenario: the case, as it was understood.
        candidates: methods that would do, the best first; empty if none keeps the limits.
        serves_purpose: whether the best one serves the purpose; False if it is only the nearest
            that is here.
        reasons: the rules that fired, and what was cut down, one sentence each.
        excluded: methods that are here and ruled out, the otherwise better first.
    """

    scenario: Scenario
    candidates: tuple[Candidate, ...]
    serves_purpose: bool
    reasons: tuple[Reason, ...]
    excluded: tuple[Excluded, ...]

    @property
    def best(self) -> Candidate | None:
        return self.candidates[0] if self.candidates else None

    @property
    def command(self) -> str:
        """The command to run, as a line for the shell; "" if nothing keeps the limits."""
        return shlex.join(self.best.command) if self.best else ""

    @property
    def arguments(self) -> dict[str, Any]:
        """What paints the best candidate.

        As in ``impasto.stylize(content, **arguments)``; of a film,
        ``impasto.stylize_video(film, output="out.mp4", **arguments)``.
        """
        if self.best is None:
            return {}
        best = self.best
        given = {"size": best.size} if "--size" in best.command else {}
        return {"styles": list(best.styles), "method": best.method, **given, **best.knobs}

    @property
    def summary(self) -> str:
        """The answer in one sentence."""
        purpose = PURPOSES[self.scenario.purpose].title
        if self.best is None:
            return f"No method keeps these limits for {purpose}."
        if self.serves_purpose:
            return f"{self.best.method}, for {purpose}."
        return f"Nothing that is here quite suits {purpose}; {self.best.method} comes nearest."

    def __str__(self) -> str:
        return f"{self.summary} {self.command}".strip()
