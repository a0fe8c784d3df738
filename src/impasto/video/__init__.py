"""Films: read frame by frame, painted so that they are steady, and written with their sound.

The room is also the public function of its name, ``impasto.stylize_video(...)``: see
:func:`impasto.video.stylize_video.stylize_video`.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any


class _Room(types.ModuleType):
    def __call__(self, *args: Any, **settings: Any) -> Any:
        return importlib.import_module("impasto.video.stylize_video").video(*args, **settings)


sys.modules[__name__].__class__ = _Room
