"""Our own measured figures, as sentences take them: ``{gatys.error:.2f}``.

They are gathered by ``benchmarks/figures.py`` from docs/benchmarks; no figure is typed by hand.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FIGURES_PATH = Path(__file__).with_name("figures.json")


@functools.cache
def load_figures() -> Mapping[str, SimpleNamespace]:
    """Method → its figures as attributes; "common" has those that belong to none.

    ``error`` is the mean style error over ``common.pairs`` pairs: 0 the style's statistics, 1 the
    unstyled content's; ``bold_error`` and ``calm_error`` are those of styles with more contrast
    than ``common.contrast``, and of the others. ``own_style`` and ``own_content`` are errors on
    SqueezeNet, over the pairs of docs/benchmarks/usual.md. ``ssim`` is the likeness to the content,
    and ``faint_ssim`` that at ``strength`` 0.4 (of gatys: at ``structure`` 1).
    ``milliseconds`` and ``a_second`` are of a picture of ``common.side`` px, ``run`` the seconds
    from the command to its file; ``large_…`` are of one of ``common.largest`` megapixels.
    """
    read: dict[str, dict[str, Any]] = json.loads(FIGURES_PATH.read_text(encoding="utf-8"))
    return {name: SimpleNamespace(**values) for name, values in read.items()}


def methods_by_error() -> tuple[str, ...]:
    """The measured methods, nearest to the style first."""
    found = {name: f.error for name, f in load_figures().items() if hasattr(f, "error")}
    return tuple(sorted(found, key=lambda name: found[name]))
