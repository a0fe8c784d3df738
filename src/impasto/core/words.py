"""Times and amounts of memory as people say them."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """A time in two units at most: "48 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, rest = divmod(whole // 60, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def format_short_duration(seconds: float) -> str:
    """A time as :func:`format_duration` says it, or in milliseconds below a second: "85 ms"."""
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else format_duration(seconds)


def format_bytes(num_bytes: float) -> str:
    """Bytes in decimal units: "80 MB", "1.3 GB"."""
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes < 1e8 else f"{num_bytes / 1e9:.1f} GB"
