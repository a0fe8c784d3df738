"""libvips, set up once for this program: every room file takes it from here."""

from __future__ import annotations

import pyvips

# The cache of past operations would keep whole pictures alive that nobody asks for again.
pyvips.cache_set_max(0)

__all__ = ["pyvips", "vips_message"]


def vips_message(error: pyvips.Error) -> str:
    """The last thing libvips said that means something to a reader, on one line."""
    lines = [line.strip() for line in str(error.detail).splitlines() if "bad seek" not in line]
    return next((line for line in reversed(lines) if line), str(error.message))
