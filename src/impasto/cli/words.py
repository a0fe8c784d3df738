"""Numbers and values as people say and type them."""

from __future__ import annotations

from impasto.core.words import format_bytes, format_duration, format_short_duration

__all__ = ["format_bytes", "format_duration", "format_short_duration", "format_value"]


def format_value(value: object) -> str:
    """A knob's value as it is typed: "conv1_1,conv2_1", "300", "unset", "none"."""
    if value is None:
        return "unset"
    if isinstance(value, (tuple, list)):
        return ",".join(format_value(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value) or "none"
