"""What is to look like what, and what a method must offer to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from impasto.core.card import MethodCard
from impasto.core.color_options import NO_COLOR_PRESERVATION, ColorOptions
from impasto.core.errors import InputError, KnobError
from impasto.core.picture import Picture, Raster
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ProgressCallback


@dataclass(frozen=True)
class MethodOutput:
    """What a method gives back.

    Attributes:
        pixels: float32 (height, width, 3), sRGB 0..1, at the plan's size. A rest that is kept is
            put in later, once; see :func:`impasto.engines.region_weights.keep_background`.
        losses: the final value of each term.
        steps: steps done.
        finished: False if it was stopped before its end.
        files: weights and other files used beside the request's pictures, name → sha256.
        state: what a later run needs to go on; empty when finished, or if it must start anew.
        notes: what happened on the way that a user should know, one sentence each.
    """

    pixels: Raster
    losses: Mapping[str, float]
    steps: int
    finished: bool
    files: Mapping[str, str]
    state: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """One published way of doing it: a frozen dataclass of knobs that knows how to paint."""

    name: ClassVar[str]
    card: ClassVar[MethodCard]

    def forecast(self, request: Request, setting: ExecutionSettings) -> Forecast:
        """Time and peak memory of this request in this setting, from a short measurement."""
        ...

    def precision_agreement(self, request: Request, device: str, precision: str) -> float:
        """Cosine between what it does in ``precision`` and in fp32, for this request.

        Compared are gradients where it descends, and changes of the content where it does not.
        """
        ...

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes in these knobs, one sentence each."""
        ...

    def stylize(
        self,
        request: Request,
        plan: Plan,
        callback: ProgressCallback,
        state: Mapping[str, Any] | None = None,
    ) -> MethodOutput:
        """Do the work, calling ``watch`` every step; ``state`` is where an earlier run stopped."""
        ...


@runtime_checkable
class BuiltInStyles(Protocol):
    """What a method offers besides if its styles are named instead of shown.

    So it is where a network has learnt its styles beforehand.
    """

    @classmethod
    def style_names(cls, weights: str = "") -> tuple[str, ...]:
        """The names of the styles that these weights have learnt; "": the method's own.

        Raises:
            WeightsError: weights that cannot be used.
        """
        ...

    @classmethod
    def load_style(cls, name: str, weights: str = "") -> Picture:
        """A style by its name, or by the path of a file that bears its name.

        What makes it this one and no other, its ``sha256``, is that of the weights, and its name.

        Raises:
            InputError: no such style; the message names the nearest.
            WeightsError: weights that cannot be used.
        """
        ...


@runtime_checkable
class RemoteWeights(Protocol):
    """What a method offers besides if its weights are large and come from elsewhere."""

    def missing_weights(self) -> str:
        """What of its weights is not on this machine, in a sentence; "": nothing."""
        ...

    def digests(self, request: Request, precision: str) -> Mapping[str, str]:
        """Name → sha256 of every file of its weights, as a recipe lists them; fetched for it."""
        ...

    def plan_notes(self, request: Request, setting: ExecutionSettings) -> tuple[str, ...]:
        """What a plan says of the weights and how they are fitted, one sentence each."""
        ...


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the content, and the style that it takes.

    Attributes:
        name: what messages and recipes call it: a file's, or a label's color, as "#0000ff".
        mask: float32 (height, width) of the content, 0 outside to 1 inside.
        style_index: index of its style among the request's.
        style_mask: float32 (height, width) of that style: the part of it that is looked at; None
            for all of it.
        sources: the files that it was read from, name → sha256.
        notes: what was done to its masks that a user may want to know, one sentence each.
    """

    name: str
    mask: Raster
    style_index: int
    style_mask: Raster | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TemporalConstraint:
    """What a frame of a film is to hold on to, in its own place: earlier paintings.

    Attributes:
        initial_image: float32 (height, width, 3), 0..1: what its painting starts from.
        target: float32 (height, width, 3), 0..1: what it is to look like where it can.
        confidence: float32 (height, width), 0 to 1: where that is.
        weight: of a mean square difference of 1 / 255² from the target, relative to the style's
            weight.
    """

    initial_image: Raster
    target: Raster
    confidence: Raster
    weight: float


BACKGROUND_MODES = ("style", "keep")


@dataclass(frozen=True)
class Request:
    """What is to look like what.

    Attributes:
        content: the picture whose things are kept.
        styles: the pictures whose manner is taken; several are blended. None where a method takes
            the manner from words, as those with "prompt" among what they support can.
        method: how, with its knobs.
        style_weights: share of each style, at least 0, any sum; empty means equal shares.
        size: long side of the result in pixels; None keeps the content's own size.
        seed: of everything random, 0 to 2³² - 1.
        weights: name in the registry or path of a file; "" takes the method's default.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto", "fp32" or "bf16"; "fp16" for methods that support it.
        shrink_to_fit: shrink what does not fit into memory instead of refusing it.
        regions: parts of the content with a style of their own; where they overlap, they share.
        background: what no region covers: "style", in the manner of the styles that no region
        names (of
            the first, if all are named), or "keep", as the content is, to the bit.
        feather: width of the soft edge that regions are given, in pixels of the content; 0 leaves
            their masks as they are.
        region_options: how the regions were asked for, as :func:`impasto.pipeline.make_request`
        takes it: plain
            JSON, for the recipe.
        region_warnings: what a user should know of the regions before waiting, one sentence each.
        colors: how the content's colors are kept.
        temporal_constraint: of the frames before it, for methods that optimize; None for a single
        picture.
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
    shrink_to_fit: bool = False
    regions: tuple[Region, ...] = ()
    background: str = "style"
    feather: float = 0.0
    region_options: Mapping[str, Any] = field(default_factory=dict)
    region_warnings: tuple[str, ...] = ()
    colors: ColorOptions = NO_COLOR_PRESERVATION
    temporal_constraint: TemporalConstraint | None = None

    def __post_init__(self) -> None:
        if not self.styles and "prompt" not in self.method.card.supports:
            raise InputError("No style picture: give at least one.")
        if self.size is not None and not _is_int_in_range(self.size, 1, 30_000):
            raise KnobError(f"size = {self.size!r} does not fit: it must be 1 to 30000 pixels.")
        if not _is_int_in_range(self.seed, 0, 2**32 - 1):
            raise KnobError(f"seed = {self.seed!r} does not fit: it must be 0 to 4294967295.")
        if self.style_weights and len(self.style_weights) != len(self.styles):
            raise KnobError(
                f"{len(self.style_weights)} style weights for {len(self.styles)} style pictures: "
                "give one each, or none for equal shares."
            )
        fine = all(0.0 <= w < float("inf") for w in self.style_weights)
        if not fine or (self.style_weights and sum(self.style_weights) == 0):
            raise KnobError("style weights must be numbers of at least 0 that are not all 0.")
        half = self.precision == "fp16" and "fp16" in self.method.card.supports
        if self.precision not in ("auto", "fp32", "bf16") and not half:
            raise KnobError(f"precision = {self.precision!r}: one of auto, fp32, bf16.")
        if self.content.is_blank and self.colors.is_active:
            raise KnobError("The content is only a size: it has no colors to keep.")
        if self.content.is_blank and self.background == "keep":
            raise KnobError(
                "The content is only a size: there is nothing that --background could keep."
            )
        if self.colors.stage == "before" and isinstance(self.method, BuiltInStyles):
            raise KnobError(
                f"The method {self.method.name} has learnt its styles, and they cannot be given "
                "other colors: say --color-stage after."
            )
        self._check_regions()

    def _check_regions(self) -> None:
        if self.background not in BACKGROUND_MODES:
            raise KnobError(f"rest = {self.background!r} does not fit: it must be style or keep.")
        if not 0 <= self.feather <= 10_000:
            raise KnobError(f"feather = {self.feather!r} does not fit: it must be 0 to 10000 px.")
        if not self.regions:
            if self.background == "keep":
                raise KnobError("rest = 'keep' keeps what no region covers: give a region.")
            if self.feather:
                raise KnobError("feather softens the edges of regions: give a region.")
            return
        if "masks" not in self.method.card.supports:
            raise KnobError(
                f"The method {self.method.name} knows no regions; impasto methods says which do."
            )
        for region in self.regions:
            _check_region(region, self)

    @property
    def long_side(self) -> int:
        """Of the result, as it is asked for, in pixels."""
        return self.size or self.content.long_side

    @property
    def normalized_style_weights(self) -> tuple[float, ...]:
        """The style weights scaled to the sum 1; with regions, those of the rest.

        A style that a region names then has none, unless all are named: the first has all.
        """
        if not self.styles:
            return ()
        weights = self.style_weights or (1.0,) * len(self.styles)
        named = {region.style_index for region in self.regions}
        free = tuple(0.0 if i in named else w for i, w in enumerate(weights))
        if sum(free) == 0:
            free = (1.0, *(0.0 for _ in weights[1:]))
        return tuple(w / sum(free) for w in free)


def _check_region(region: Region, request: Request) -> None:
    if not 0 <= region.style_index < len(request.styles):
        raise KnobError(
            f"The region {region.name} names style {region.style_index + 1} of "
            f"{len(request.styles)}."
        )
    style = request.styles[region.style_index]
    pairs = [(region.mask, request.content, "content"), (region.style_mask, style, "style")]
    for mask, picture, role in pairs:
        if mask is not None and tuple(mask.shape) != (picture.height, picture.width):
            raise InputError(
                f"The region {region.name} has a mask of {mask.shape[-1]} x {mask.shape[0]} px for "
                f"the {role} of {picture.width} x {picture.height} px: they must be alike."
            )


def _is_int_in_range(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
