"""What is to look like what, and what a method must offer to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from impasto.core.card import Card
from impasto.core.errors import InputError, KnobError
from impasto.core.picture import Picture, Raster
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Watch


@dataclass(frozen=True)
class Painting:
    """What a method gives back.

    Attributes:
        pixels: float32 (height, width, 3), sRGB 0..1, at the plan's size.
        losses: the final value of each term.
        steps: steps done.
        finished: False if it was stopped before its end.
        files: weights and other files used beside the request's pictures, name → sha256.
        state: what a later run needs to go on; empty when finished, or if it must start anew.
    """

    pixels: Raster
    losses: Mapping[str, float]
    steps: int
    finished: bool
    files: Mapping[str, str]
    state: Mapping[str, Any]


class Method(Protocol):
    """One published way of doing it: a frozen dataclass of knobs that knows how to paint."""

    name: ClassVar[str]
    card: ClassVar[Card]

    def forecast(self, request: Request, setting: Setting) -> Forecast:
        """Time and peak memory of this request in this setting, from a short measurement."""
        ...

    def agreement(self, request: Request, device: str, precision: str) -> float:
        """Cosine between what it does in ``precision`` and in fp32, for this request.

        Compared are gradients where it descends, and changes of the content where it does not.
        """
        ...

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes in these knobs, one sentence each."""
        ...

    def paint(
        self, request: Request, plan: Plan, watch: Watch, state: Mapping[str, Any] | None = None
    ) -> Painting:
        """Do the work, calling ``watch`` every step; ``state`` is where an earlier run stopped."""
        ...


@runtime_checkable
class NamesStyles(Protocol):
    """What a method offers besides if its styles are named instead of shown.

    So it is where a network has learnt its styles beforehand.
    """

    @classmethod
    def known_styles(cls, weights: str = "") -> tuple[str, ...]:
        """The names of the styles that these weights have learnt; "": the method's own.

        Raises:
            WeightsError: weights that cannot be used.
        """
        ...

    @classmethod
    def named_style(cls, name: str, weights: str = "") -> Picture:
        """A style by its name, or by the path of a file that bears its name.

        What makes it this one and no other, its ``sha256``, is that of the weights, and its name.

        Raises:
            InputError: no such style; the message names the nearest.
            WeightsError: weights that cannot be used.
        """
        ...


@dataclass(frozen=True)
class Request:
    """What is to look like what.

    Attributes:
        content: the picture whose things are kept.
        styles: the pictures whose manner is taken; several are blended.
        method: how, with its knobs.
        style_weights: share of each style, at least 0, any sum; empty means equal shares.
        size: long side of the result in pixels; None keeps the content's own size.
        seed: of everything random, 0 to 2³² - 1.
        weights: name in the catalogue or path of a file; "" takes the method's default.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto", "fp32" or "bf16".
        fit: shrink what does not fit into memory instead of refusing it.
    """

    content: Picture
    styles: tuple[Picture, ...]
    method: Method
    style_weights: tuple[float, ...] = ()
    size: int | None = None
    seed: int = 0
    weights: str = ""
    device: str = "auto"
    precision: str = "auto"
    fit: bool = False

    def __post_init__(self) -> None:
        if not self.styles:
            raise InputError("No style picture: give at least one.")
        if self.size is not None and not _whole(self.size, 1, 30_000):
            raise KnobError(f"size = {self.size!r} does not fit: it must be 1 to 30000 pixels.")
        if not _whole(self.seed, 0, 2**32 - 1):
            raise KnobError(f"seed = {self.seed!r} does not fit: it must be 0 to 4294967295.")
        if self.style_weights and len(self.style_weights) != len(self.styles):
            raise KnobError(
                f"{len(self.style_weights)} style weights for {len(self.styles)} style pictures: "
                "give one each, or none for equal shares."
            )
        fine = all(0.0 <= w < float("inf") for w in self.style_weights)
        if not fine or (self.style_weights and sum(self.style_weights) == 0):
            raise KnobError("style weights must be numbers of at least 0 that are not all 0.")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise KnobError(f"precision = {self.precision!r}: one of auto, fp32, bf16.")

    @property
    def shares(self) -> tuple[float, ...]:
        """The style weights scaled to the sum 1."""
        weights = self.style_weights or (1.0,) * len(self.styles)
        return tuple(w / sum(weights) for w in weights)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
