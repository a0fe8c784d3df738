"""Knobs: each is written once, as a dataclass field, and read by everything else.

A method's settings are one frozen dataclass whose fields are made by :func:`knob`. From it
come the command-line flags, the keyword arguments, the validation messages and the recipe.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from impasto.core.errors import KnobError

T = TypeVar("T")

_TYPES: dict[type, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a finite number"),
    str: (str, "text"),
}
"""The types a knob can have → what is taken for one, and what it is called."""


@dataclasses.dataclass(frozen=True)
class SearchRange:
    """Where a knob is worth searching; :mod:`impasto.advise.tune.tune` reads it.

    Attributes:
        low, high: of a number, within what the knob allows.
        log: whether equal ratios are equal steps.
        values: instead of a range, the few values that are worth a trial.
        initial_values: known good values, tried before others while all else is at its default.
        trial_value: what trials take where it is not searched: fewer steps, say.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    values: tuple[Any, ...] = ()
    initial_values: tuple[Any, ...] = ()
    trial_value: Any = None


@dataclasses.dataclass(frozen=True)
class Knob:
    """One setting: its name, type, default, range (inclusive), choices, unit and one-line doc.

    ``search`` says where it is worth searching; None: it is left as it is.
    """

    name: str
    type: Any
    default: Any
    doc: str
    low: float | None
    high: float | None
    unit: str
    choices: tuple[str, ...]
    search: SearchRange | None = None

    @property
    def is_optional(self) -> bool:
        """Whether None is allowed (and means: decided by the method)."""
        return type(None) in typing.get_args(self.type)

    @property
    def is_tuple(self) -> bool:
        """Whether the value is a tuple."""
        return typing.get_origin(self._required_type) is tuple

    @property
    def item_type(self) -> type:
        """The scalar type: of the value itself, or of the items of a tuple."""
        plain = self._required_type
        kind: type = typing.get_args(plain)[0] if self.is_tuple else plain
        return kind

    @property
    def _required_type(self) -> Any:
        inner = [a for a in typing.get_args(self.type) if a is not type(None)]
        return inner[0] if self.is_optional else self.type

    @property
    def allowed_text(self) -> str:
        """The allowed values in words, for help texts and messages; empty when anything goes."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        unit = f" {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}{unit}"
        if self.low is not None:
            return f"at least {self.low:g}{unit}"
        if self.high is not None:
            return f"at most {self.high:g}{unit}"
        return self.unit

    def check(self, value: Any) -> Any:
        """The value in the knob's own type, or a KnobError.

        Whole numbers become floats where those are wanted, numpy's numbers Python's, lists tuples.
        """
        if value is None and self.is_optional:
            return None
        if not self.is_tuple:
            return self._check_item(value)
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise self._error(value, f"a list, each item {_TYPES[self.item_type][1]}")
        return tuple(self._check_item(item) for item in value)

    def _check_item(self, value: Any) -> Any:
        abstract, wanted = _TYPES[self.item_type]
        if not isinstance(value, abstract) or (
            isinstance(value, bool) and self.item_type is not bool
        ):
            raise self._error(value, wanted)
        try:
            value = self.item_type(value)  # numpy's numbers become Python's
        except OverflowError as error:
            raise self._error(value, wanted) from error
        if self.item_type is float and not math.isfinite(value):
            raise self._error(value, wanted)
        if self.choices and value not in self.choices:
            near = closest_name(value, self.choices)
            raise self._error(
                value, self.allowed_text + (f" (did you mean {near}?)" if near else "")
            )
        too_low = self.low is not None and value < self.low
        too_high = self.high is not None and value > self.high
        if too_low or too_high:
            raise self._error(value, self.allowed_text)
        return value

    def _error(self, value: Any, wanted: str) -> KnobError:
        return KnobError(f"{self.name} = {value!r} does not fit: it must be {wanted}.")


def knob(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    search: SearchRange | None = None,
) -> Any:
    """A dataclass field that is a knob; see :class:`Knob` for the arguments."""
    meta = {"doc": doc, "low": low, "high": high, "unit": unit, "choices": choices}
    return dataclasses.field(default=default, metadata={"knob": {**meta, "search": search}})


def strength_knob() -> Any:
    """``strength``, which means the same in every method."""
    about = "how much of the style: 0 gives the content back"
    return knob(1.0, about, low=0, high=1, search=SearchRange(0.2, 1, initial_values=(0.6,)))


def structure_knob() -> Any:
    """``structure``, which means the same in every method."""
    about = "how much of the content's drawing is kept: stands for a beta"
    return knob(0.5, about, low=0, high=1, search=SearchRange(0, 1, initial_values=(0.8,)))


def style_size_knob() -> Any:
    """``style_size``, as the methods have it that look at a style once."""
    about = "long side of the style pictures: smaller ones give larger strokes"
    search = SearchRange(128, 1024, log=True, initial_values=(256,))
    return knob(512, about, low=32, high=4096, unit="px", search=search)


def get_knobs(cls: type) -> tuple[Knob, ...]:
    """The knobs of a dataclass, in the order in which they are written."""
    types = typing.get_type_hints(cls)
    return tuple(
        Knob(name=f.name, type=types[f.name], default=f.default, **f.metadata["knob"])
        for f in dataclasses.fields(cls)
        if "knob" in f.metadata
    )


def knobs_from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """An instance of the knob dataclass ``cls`` with ``values`` checked against every knob.

    Raises:
        KnobError: an unknown name (with the nearest known one) or a value that does not fit.
    """
    known = {k.name: k for k in get_knobs(cls)}
    for name in values:
        if name not in known:
            near = closest_name(name, known)
            hint = f" Did you mean {near}?" if near else f" It has {', '.join(known)}."
            raise KnobError(f"{cls.__name__} has no knob {name!r}.{hint}")
    return cls(**{name: known[name].check(value) for name, value in values.items()})


def knobs_to_dict(settings: Any) -> dict[str, Any]:
    """Return an instance's knobs as plain JSON values, as :func:`knobs_from_dict` reads them."""
    values = ((k.name, getattr(settings, k.name)) for k in get_knobs(type(settings)))
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values}


def flag_name(knob: Knob) -> str:
    """``style_layers`` → ``--style-layers``."""
    return "--" + knob.name.replace("_", "-")


def knobs_to_args(cls: type, values: Mapping[str, Any]) -> list[str]:
    """The words of a command line that set these knobs, those at their default left out."""
    words = []
    for each in get_knobs(cls):
        value = each.check(values.get(each.name, each.default))
        if value == each.default:
            continue
        if isinstance(value, bool):
            words.append(flag_name(each) if value else f"--no-{flag_name(each)[2:]}")
        elif value is not None:
            parts = value if each.is_tuple else (value,)
            words += [flag_name(each), ",".join(str(part) for part in parts)]
    return words


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was most likely meant to be, or None."""
    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return found[0] if found else None
