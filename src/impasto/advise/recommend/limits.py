"""What a method would take here, and how far it must be cut down to keep the limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from impasto.advise.recommend.benchmark_figures import figures
from impasto.advise.recommend.rules import LIMITS
from impasto.advise.recommend.scenario import PURPOSES, Situation
from impasto.core.devices import resident_bytes
from impasto.core.errors import ResourceError
from impasto.core.plan import Forecast, Plan
from impasto.core.request import Request
from impasto.core.words import format_bytes, format_short_duration
from impasto.pictures import fit_long_side
from impasto.pipeline import make_plan

DRAFT = 100
"""Steps below which a method that takes steps is not cut; our errors of gatys are of so many."""
STRIDE = 50
"""Steps are cut in such strides, so that a busier minute does not change a picture."""
GRID = 32
"""Sizes are tried in steps of so many pixels."""


class RuledOut(Exception):  # noqa: N818 - an answer, and no error of anybody's
    """A method that a limit forbids: the limit's name, and why in one sentence."""

    def __init__(self, limit: str, why: str = "", **facts: str) -> None:
        self.limit, self.why = limit, why or LIMITS[limit].why.format(**facts)
        super().__init__(self.why)


@dataclass(frozen=True)
class Fit:
    """How a method keeps the limits.

    Attributes:
        size: long side of the painting in pixels.
        knobs: what must be set besides.
        seconds: of the command from its start to the file; of a picture of many, once loaded.
        peak_bytes: of the process.
        cuts: what was cut down and why, one sentence each.
    """

    size: int
    knobs: Mapping[str, Any]
    seconds: float
    peak_bytes: int
    cuts: tuple[str, ...] = ()


def fit(situation: Situation, request: Request, held: int) -> Fit:
    """Find the largest painting, with the most steps, that keeps the limits.

    Args:
        situation: with the limits.
        request: of the method, at the size that is wanted.
        held: bytes that a process holds before it paints; this one may hold more by now.

    Raises:
        RuledOut: not even the smallest does.
        ResourceError: no such device.
    """
    try:
        least = min(PURPOSES[situation.purpose].least, situation.side)
        plan = make_plan(dataclasses.replace(request, size=least, shrink_to_fit=True))
    except ResourceError as error:
        raise RuledOut("memory", why=str(error)) from error
    return _Cutter(situation, request, plan, held).fit()


class _Cutter:
    def __init__(self, situation: Situation, request: Request, plan: Plan, held: int) -> None:
        self.situation, self.request, self.plan, self.held = situation, request, plan, held
        self.purpose = PURPOSES[situation.purpose]
        self.known: dict[tuple[int, int | None], tuple[Forecast, int]] = {}
        free = plan.available_bytes
        self.allowed = min(free, situation.memory or free)
        self.shrinks = self.purpose.shrinks and not situation.fixed
        self.least = min(self.purpose.least, situation.side) if self.shrinks else situation.side
        self.most: int | None = getattr(request.method, "steps", None)

    def fit(self) -> Fit:
        cuts: list[str] = []
        size, steps = self._in_memory(cuts), self.most
        if self._cost(size, steps).seconds > self.situation.time:
            size, steps = self._in_time(size, cuts)
        cost = self._cost(size, steps)
        knobs = {} if steps == self.most else {"steps": steps}
        return Fit(size, knobs, cost.seconds, cost.peak_bytes, tuple(cuts))

    def _in_memory(self, cuts: list[str]) -> int:
        wanted = self.situation.side
        needs = self._cost(wanted, self.most).peak_bytes
        if needs <= self.allowed:
            return wanted
        size = self._largest(wanted, lambda s: self._cost(s, self.most).peak_bytes <= self.allowed)
        if not size:
            least = self._cost(self.least, self.most).peak_bytes
            needed, allowed = _told(format_bytes, least, self.allowed)
            raise RuledOut("memory", least=f"{self.least} px", needs=needed, allowed=allowed)
        needed, allowed = _told(format_bytes, needs, self.allowed)
        cuts.append(f"{wanted} px needs {needed}, and {allowed} may be taken; so {size} px.")
        return size

    def _in_time(self, size: int, cuts: list[str]) -> tuple[int, int | None]:
        limit, most = self.situation.time, self.most
        wanted = self._cost(size, most).seconds
        fewest = most if most is None else min(most, DRAFT)
        if steps := self._steps(size):
            cuts.append(f"{most} steps take {self._too_long(wanted)}; so {steps} steps.")
            return size, steps
        smaller = self._largest(size, lambda s: self._cost(s, fewest).seconds <= limit)
        if not smaller:
            at = f"{self.least} px" + (f" with {fewest} steps" if fewest else "")
            too_long = self._too_long(self._cost(self.least, fewest).seconds)
            raise RuledOut("time", least=at, too_long=too_long)
        so = f"{smaller} px" + (f" with {fewest} steps" if fewest != most else "")
        cuts.append(f"{size} px takes {self._too_long(wanted)}; so {so}.")
        return smaller, fewest

    def _steps(self, size: int) -> int | None:
        """The most steps that keep the time at this size; None if too few, or if it has none."""
        if self.most is None or self.most <= DRAFT:
            return None
        first, last = (self._cost(size, n).seconds for n in (1, self.most))
        each = (last - first) / (self.most - 1)
        steps = int((self.situation.time - first) / each + 1) // STRIDE * STRIDE if each > 0 else 0
        fine = steps >= DRAFT and self._cost(size, steps).seconds <= self.situation.time
        return steps if fine else None

    def _largest(self, top: int, fits: Callable[[int], bool]) -> int:
        """The largest size from ``least`` to ``top`` that fits, on the grid; 0 if none does."""
        sizes = [self.least, *range((self.least // GRID + 1) * GRID, top, GRID)]
        low, high = -1, len(sizes)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(sizes[middle]) else (low, middle)
        return sizes[low] if low >= 0 else 0

    def _cost(self, size: int, steps: int | None) -> Forecast:
        """Of the whole command, or of a picture of many."""
        forecast, pixels = self._forecast(size, steps)
        if self.purpose.every:
            seconds = max(forecast.seconds - self._forecast(1, steps)[0].seconds, 1e-3)
        else:
            common = figures()["common"]
            beside = common.start_seconds + common.seconds_per_megapixel * pixels / 1e6
            seconds = forecast.seconds + beside
        return Forecast(seconds, forecast.peak_bytes)

    def _forecast(self, size: int, steps: int | None) -> tuple[Forecast, int]:
        """The method's own, and the painting's pixels; asked for once."""
        if (size, steps) not in self.known:
            self.known[size, steps] = self._asked(size, steps)
        return self.known[size, steps]

    def _asked(self, size: int, steps: int | None) -> tuple[Forecast, int]:
        content, method = self.request.content, self.request.method
        height, width = fit_long_side(content.height, content.width, size)
        if steps is not None:
            method = dataclasses.replace(method, steps=steps)  # type: ignore[type-var]
        asked = dataclasses.replace(self.request, method=method, size=size)
        setting = dataclasses.replace(self.plan.setting, height=height, width=width)
        more = resident_bytes() - self.held
        forecast = asked.method.forecast(asked, setting)
        return Forecast(forecast.seconds, forecast.peak_bytes - more), height * width

    def _too_long(self, seconds: float) -> str:
        """A time, and the limit that it misses."""
        takes, limit = _told(format_short_duration, seconds, self.situation.time)
        if self.situation.deadline is None:
            return f"{takes}, more than the {limit} allowed for {self.purpose.title}"
        return f"{takes}, and the deadline is {limit}"


def _told(say: Callable[[float], str], needs: float, allowed: float) -> tuple[str, str]:
    """What is needed and what is allowed in words, so that they differ."""
    words = say(needs), say(allowed)
    if words[0] != words[1]:
        return words
    if say is format_bytes:
        return f"{needs / 1e6:.0f} MB", f"{allowed / 1e6:.0f} MB"
    return f"{needs:.2f} s", f"{allowed:.2f} s"
