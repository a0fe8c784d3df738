"""Times and amounts of memory as people type them: "5s", "2m", "500M", "4G"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from impasto.core.errors import KnobError

SECONDS_PER_UNIT = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
BYTES_PER_UNIT = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_NUMBER_WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)")


def parse_duration(value: str | float, name: str = "deadline") -> float:
    """A time in seconds: a number, or text as "5s", "200ms", "2m", "1h", "1m 30s".

    Raises:
        KnobError: no such time, or none above 0; ``name`` says of what.
    """
    return _parse_positive(
        value, name, SECONDS_PER_UNIT, 'seconds, or a text as "5s", "2m" or "1h"'
    )


def parse_bytes(value: str | float, name: str = "memory") -> int:
    """An amount of memory in bytes: a number, or text as "500M", "4G", "4GB" (decimal units).

    Raises:
        KnobError: no such amount, or none above 0; ``name`` says of what.
    """
    text = re.sub(r"i?b$", "", value.strip().lower()) if isinstance(value, str) else value
    return int(_parse_positive(text, name, BYTES_PER_UNIT, 'bytes, or a text as "500M" or "4G"'))


def _parse_positive(
    given: str | float, name: str, units: Mapping[str, float], wanted: str
) -> float:
    found = _sum_units(given, units) if isinstance(given, str) else _as_float(given)
    if found is None or not 0 < found < math.inf:
        raise KnobError(f"{name} = {given!r} does not fit: it must be {wanted}, above 0.")
    return found


def _as_float(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return None
    return float(given)


def _sum_units(text: str, units: Mapping[str, float]) -> float | None:
    """The sum of "1m 30s", or None if anything in it is no number with a unit."""
    parts = _NUMBER_WITH_UNIT.findall(text.strip().lower())
    if not parts or "".join(n + unit for n, unit in parts) != re.sub(r"\s", "", text.lower()):
        return None
    if any(unit not in units or (not unit and len(parts) > 1) for _, unit in parts):
        return None
    return sum(float(number) * units[unit] for number, unit in parts)
