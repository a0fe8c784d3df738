"""What is searched: the knobs of a method that say where they are worth it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from impasto.core.errors import KnobError
from impasto.core.knobs import Knob, SearchRange, get_knobs, knobs_from_dict, knobs_to_dict
from impasto.core.request import Method

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SIGNIFICANT_DIGITS = 3
"""Significant digits of a number that is tried: more nobody sees in a painting."""


@dataclass(frozen=True)
class SearchDimension:
    """A knob that is searched."""

    knob: Knob
    search: SearchRange

    @property
    def name(self) -> str:
        return self.knob.name

    @property
    def values(self) -> tuple[Any, ...]:
        """The values that are tried, or none where it is a range."""
        given = self.search.values
        return (False, True) if self.knob.item_type is bool and not given else given

    def distribution(self) -> BaseDistribution:
        """As Optuna wants it: a few values are told by their places."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        if self.values:
            return CategoricalDistribution(list(range(len(self.values))))
        low, high, log = self.search.low, self.search.high, self.search.log
        assert low is not None
        assert high is not None
        if self.knob.item_type is int:
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(low, high, log=log)

    def value(self, param: Any) -> Any:
        """What one of Optuna's parameters stands for."""
        if self.values:
            return self.values[param]
        return (
            float(f"{param:.{SIGNIFICANT_DIGITS}g}") if self.knob.item_type is float else int(param)
        )

    def param(self, value: Any) -> Any:
        """The parameter that stands for a value; None if it lies outside of what is searched."""
        value = self.knob.check(value)
        if self.values:
            return self.values.index(value) if value in self.values else None
        low, high = self.search.low, self.search.high
        inside = value is not None and low is not None and high is not None and low <= value <= high
        return value if inside else None

    def describe_range(self) -> str:
        """What is searched, in words."""
        if self.values:
            return "one of " + "; ".join(map(_typed, self.values))
        return f"{self.search.low:g} to {self.search.high:g}"


def _typed(value: Any) -> str:
    """A value as it is typed."""
    if not isinstance(value, tuple):
        return str(value)
    return ",".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value) or "none"


class SearchSpace:
    """The knobs of a method that are searched.

    Args:
        method_class: the method.
        fixed_knobs: knobs that keep the value that was given.

    Raises:
        KnobError: nothing is left to be searched, or what is held does not fit.
    """

    def __init__(self, method_class: type[Method], fixed_knobs: Mapping[str, Any]) -> None:
        self.method_class = method_class
        self.fixed_knobs = {
            n: getattr(knobs_from_dict(method_class, fixed_knobs), n) for n in fixed_knobs
        }
        self.dimensions = tuple(
            SearchDimension(knob, knob.search)
            for knob in get_knobs(method_class)
            if knob.search and knob.search.trial_value is None and knob.name not in fixed_knobs
        )
        if not self.dimensions:
            raise KnobError(
                f"There is nothing to search: the method {method_class.name} leaves no knob open. "
                "Give fewer knobs."
            )

    def distributions(self) -> dict[str, BaseDistribution]:
        """Knob → what Optuna draws from."""
        return {d.name: d.distribution() for d in self.dimensions}

    def knobs(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """All knobs of the method, as plain JSON values, from Optuna's parameters."""
        drawn = {d.name: d.value(params[d.name]) for d in self.dimensions if d.name in params}
        return self.complete(drawn)

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All knobs of the method as plain JSON values: these, those that are held, defaults.

        Raises:
            KnobError: a knob that there is not, a value that does not fit, or one that is held.
        """
        for name in values:
            if name in self.fixed_knobs and values[name] != self.fixed_knobs[name]:
                raise KnobError(f"{name} is held at {self.fixed_knobs[name]} and is not searched.")
        return knobs_to_dict(knobs_from_dict(self.method_class, {**self.fixed_knobs, **values}))

    def params(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """Optuna's parameters for these knobs, without those outside of what is searched."""
        found = {d.name: d.param(knobs[d.name]) for d in self.dimensions}
        return {name: param for name, param in found.items() if param is not None}

    def starts(self) -> list[dict[str, Any]]:
        """What is tried first: the defaults, and from there each knob's known good values."""
        return [
            self.complete({}),
            *(self.complete({d.name: v}) for d in self.dimensions for v in d.search.initial_values),
        ]

    def drafts(self) -> dict[str, Any]:
        """Knobs that make a trial cheaper, with their value then; none that are held."""
        return {
            knob.name: knob.search.trial_value
            for knob in get_knobs(self.method_class)
            if knob.search
            and knob.search.trial_value is not None
            and knob.name not in self.fixed_knobs
        }

    def changed(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """The knobs that are not what they are without a search."""
        usual = self.complete({})
        return {name: value for name, value in knobs.items() if value != usual[name]}
