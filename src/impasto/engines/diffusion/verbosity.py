"""The libraries that diffusion models come from, without their bars and advice."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def silence_logging() -> Iterator[None]:
    """While it lasts, diffusers, transformers and accelerate say nothing but errors."""
    import transformers.utils.logging as theirs

    before: Any = theirs.get_verbosity()
    theirs.set_verbosity_error()  # type: ignore[no-untyped-call]
    import diffusers.utils.logging as ours

    levels: Any = ours.get_verbosity(), before
    ours.set_verbosity_error()
    ours.disable_progress_bar()
    theirs.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ours.set_verbosity(levels[0])
        theirs.set_verbosity(levels[1])
        ours.enable_progress_bar()
        theirs.enable_progress_bar()  # type: ignore[no-untyped-call]
