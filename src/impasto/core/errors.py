"""What can go wrong, as a small tree. A message says what was wrong, where, and what to do."""

from __future__ import annotations


class ImpastoError(Exception):
    """Base of every error a user can meet. ``exit_code`` is what the command line exits with."""

    exit_code = 2


class InputError(ImpastoError):
    """A picture or file that cannot be used, or an output that cannot be written."""


class KnobError(ImpastoError):
    """A knob (a method's setting) with an unknown name or a value outside its range."""


class WeightsError(ImpastoError):
    """Weights that are missing, damaged or of another layout."""


class MissingExtraError(ImpastoError):
    """An optional part that is not installed; the message holds the install line."""


class TrainingError(ImpastoError):
    """A training that went astray; the message says how, and what is kept."""


class LanguageModelError(ImpastoError):
    """A language model that is down, too slow, refuses, answers nonsense, or cannot be found."""


class ResourceError(ImpastoError):
    """Not enough memory, or no such device; the message says what would fit."""

    exit_code = 3


class InterruptedRun(ImpastoError):  # noqa: N818 - an interruption is no error of anybody's
    """Stopped by the user; what was done so far has been saved."""

    exit_code = 130
