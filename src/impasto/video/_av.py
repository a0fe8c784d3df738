"""PyAV, which reads and writes films: an optional install, loaded when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

from impasto.core.errors import MissingExtraError


def pyav() -> Any:
    """The package ``av``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise MissingExtraError('Films need an extra; run: pip install "impasto[video]"') from error
