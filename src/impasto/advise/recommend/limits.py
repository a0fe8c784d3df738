"""What a method would take here, and how far it must be cut down to keep the limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from impasto.advise.recommend.benchmark_figures import load_figures
from impasto.advise.recommend.rules import LIMITS
from impasto.advise.recommend.scenario import PURPOSES, Scenario
from impasto.core.devices import resident_bytes
from impasto.core.errors import ResourceError
from impasto.core.plan import Forecast, Plan
from impasto.core.request import Request
from impasto.core.words import format_bytes, format_short_duration
from impasto.pictures import fit_long_side
from impasto.pipeline import make_plan

MIN_STEPS = 100
"""Steps below which a method that takes steps is not cut; our errors of gatys are of so many."""
STEPS_MULTIPLE = 50
"""Steps are cut in such strides, so that a busier minute does not change a picture."""
SIZE_MULTIPLE_PX = 32
"""Sizes are tried in steps of so many pixels."""


class LimitViolation(Exception):  # noqa: N818 - an answer, and no error of anybody's
    """A method that a limit forbids: the limit's name, and why in one sentence."""

    def __init__(self, limit: str, reason: str = "", **values: str) -> None:
        self.limit, self.reason = limit, reason or LIMITS[limit].reason.format(**values)
        super().__init__(self.reason)


@dataclass(frozen=True)
class BudgetFit:
    """How a method keeps the limits.

    Attributes:
        size: long side of the painting in pixels.
        knobs: what must be set besides.
        seconds: of the command from its start to the file; of a picture of many, once loaded.
        peak_bytes: of the process.
        reductions: what was cut down and why, one sentence each.
    """

    size: int
    knobs: Mapping[str, Any]
    seconds: float
    peak_bytes: int
    reductions: tuple[str, ...] = ()


def fit_to_limits(scenario: Scenario, request: Request, baseline_bytes: int) -> BudgetFit:
    """Find the largest painting, with the most steps, that keeps the limits.

    Args:
        scenario: with the limits.
        request: of the method, at the size that is wanted.
        baseline_bytes: bytes that a process holds before it paints; this one may hold more by now.

    Raises:
        RuledOut: not even the smallest does.
        ResourceError: no such device.
    """
    try:
        least = min(PURPOSES[scenario.purpose].min_side_px, scenario.long_side)
        plan = make_plan(dataclasses.replace(request, size=least, shrink_to_fit=True))
    except ResourceError as error:
        raise LimitViolation("memory", reason=str(error)) from error
    return _BudgetFitter(scenario, request, plan, baseline_bytes).fit()


class _BudgetFitter:
    def __init__(
        self, scenario: Scenario, request: Request, plan: Plan, baseline_bytes: int
    ) -> None:
        self.scenario, self.request, self.plan, self.baseline_bytes = (
            scenario,
            request,
            plan,
            baseline_bytes,
        )
        self.purpose = PURPOSES[scenario.purpose]
        self.forecasts: dict[tuple[int, int | None], tuple[Forecast, int]] = {}
        free = plan.available_bytes
        self.allowed_bytes = min(free, scenario.memory or free)
        self.may_shrink = self.purpose.may_shrink and not scenario.is_size_fixed
        self.min_side_px = (
            min(self.purpose.min_side_px, scenario.long_side)
            if self.may_shrink
            else scenario.long_side
        )
        self.max_steps: int | None = getattr(request.method, "steps", None)

    def fit(self) -> BudgetFit:
        cuts: list[str] = []
        size, steps = self._fit_memory(cuts), self.max_steps
        if self._estimate_cost(size, steps).seconds > self.scenario.time_limit:
            size, steps = self._fit_time(size, cuts)
        cost = self._estimate_cost(size, steps)
        knobs = {} if steps == self.max_steps else {"steps": steps}
        return BudgetFit(size, knobs, cost.seconds, cost.peak_bytes, tuple(cuts))

    def _fit_memory(self, reductions: list[str]) -> int:
        wanted = self.scenario.long_side
        needs = self._estimate_cost(wanted, self.max_steps).peak_bytes
        if needs <= self.allowed_bytes:
            return wanted
        size = self._largest_size(
            wanted,
            lambda s: self._estimate_cost(s, self.max_steps).peak_bytes <= self.allowed_bytes,
        )
        if not size:
            least = self._estimate_cost(self.min_side_px, self.max_steps).peak_bytes
            needed, allowed = _format_distinct(format_bytes, least, self.allowed_bytes)
            raise LimitViolation(
                "memory", least=f"{self.min_side_px} px", needs=needed, allowed=allowed
            )
        needed, allowed = _format_distinct(format_bytes, needs, self.allowed_bytes)
        reductions.append(f"{wanted} px needs {needed}, and {allowed} may be taken; so {size} px.")
        return size

    def _fit_time(self, size: int, reductions: list[str]) -> tuple[int, int | None]:
        limit, most = self.scenario.time_limit, self.max_steps
        wanted = self._estimate_cost(size, most).seconds
        fewest = most if most is None else min(most, MIN_STEPS)
        if steps := self._steps_within_time(size):
            reductions.append(
                f"{most} steps take {self._format_overrun(wanted)}; so {steps} steps."
            )
            return size, steps
        smaller = self._largest_size(
            size, lambda s: self._estimate_cost(s, fewest).seconds <= limit
        )
        if not smaller:
            at = f"{self.min_side_px} px" + (f" with {fewest} steps" if fewest else "")
            too_long = self._format_overrun(self._estimate_cost(self.min_side_px, fewest).seconds)
            raise LimitViolation("time", least=at, too_long=too_long)
        so = f"{smaller} px" + (f" with {fewest} steps" if fewest != most else "")
        reductions.append(f"{size} px takes {self._format_overrun(wanted)}; so {so}.")
        return smaller, fewest

    def _steps_within_time(self, size: int) -> int | None:
        """The most steps that keep the time at this size; None if too few, or if it has none."""
        if self.max_steps is None or self.max_steps <= MIN_STEPS:
            return None
        first, last = (self._estimate_cost(size, n).seconds for n in (1, self.max_steps))
        each = (last - first) / (self.max_steps - 1)
        steps = (
            int((self.scenario.time_limit - first) / each + 1) // STEPS_MULTIPLE * STEPS_MULTIPLE
            if each > 0
            else 0
        )
        fine = (
            steps >= MIN_STEPS
            and self._estimate_cost(size, steps).seconds <= self.scenario.time_limit
        )
        return steps if fine else None

    def _largest_size(self, max_size: int, is_allowed: Callable[[int], bool]) -> int:
        """The largest size from ``least`` to ``top`` that fits, on the grid; 0 if none does."""
        sizes = [
            self.min_side_px,
            *range(
                (self.min_side_px // SIZE_MULTIPLE_PX + 1) * SIZE_MULTIPLE_PX,
                max_size,
                SIZE_MULTIPLE_PX,
            ),
        ]
        low, high = -1, len(sizes)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_allowed(sizes[middle]) else (low, middle)
        return sizes[low] if low >= 0 else 0

    def _estimate_cost(self, size: int, steps: int | None) -> Forecast:
        """Of the whole command, or of a picture of many."""
        forecast, pixels = self._cached_forecast(size, steps)
        if self.purpose.per_image_timing:
            seconds = max(forecast.seconds - self._cached_forecast(1, steps)[0].seconds, 1e-3)
        else:
            common = load_figures()["common"]
            beside = common.start_seconds + common.seconds_per_megapixel * pixels / 1e6
            seconds = forecast.seconds + beside
        return Forecast(seconds, forecast.peak_bytes)

    def _cached_forecast(self, size: int, steps: int | None) -> tuple[Forecast, int]:
        """The method's own, and the painting's pixels; asked for once."""
        if (size, steps) not in self.forecasts:
            self.forecasts[size, steps] = self._compute_forecast(size, steps)
        return self.forecasts[size, steps]

    def _compute_forecast(self, size: int, steps: int | None) -> tuple[Forecast, int]:
        content, method = self.request.content, self.request.method
        height, width = fit_long_side(content.height, content.width, size)
        if steps is not None:
            method = dataclasses.replace(method, steps=steps)  # type: ignore[type-var]
        asked = dataclasses.replace(self.request, method=method, size=size)
        setting = dataclasses.replace(self.plan.setting, height=height, width=width)
        more = resident_bytes() - self.baseline_bytes
        forecast = asked.method.forecast(asked, setting)
        return Forecast(forecast.seconds, forecast.peak_bytes - more), height * width

    def _format_overrun(self, seconds: float) -> str:
        """A time, and the limit that it misses."""
        takes, limit = _format_distinct(format_short_duration, seconds, self.scenario.time_limit)
        if self.scenario.deadline is None:
            return f"{takes}, more than the {limit} allowed for {self.purpose.title}"
        return f"{takes}, and the deadline is {limit}"


def _format_distinct(
    formatter: Callable[[float], str], needs: float, allowed: float
) -> tuple[str, str]:
    """What is needed and what is allowed in words, so that they differ."""
    words = formatter(needs), formatter(allowed)
    if words[0] != words[1]:
        return words
    if formatter is format_bytes:
        return f"{needs / 1e6:.0f} MB", f"{allowed / 1e6:.0f} MB"
    return f"{needs:.2f} s", f"{allowed:.2f} s"
