"""The plan fits a request to the machine: size, device, precision, and what it will cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExecutionSettings:
    """Where and how large: what a forecast depends on. Height and width are of the result."""

    height: int
    width: int
    device: str
    precision: str


@dataclass(frozen=True)
class Forecast:
    """What a run will take: seconds of wall time, and bytes of the process at its peak."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Plan:
    """A request fitted to a machine.

    Attributes:
        setting: size, device and precision that were chosen.
        forecast: what it will take.
        available_bytes: memory that is free for it.
        notes: what was chosen and why, one sentence each.
        warnings: what the user should know before waiting, one sentence each.
    """

    setting: ExecutionSettings
    forecast: Forecast
    available_bytes: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
