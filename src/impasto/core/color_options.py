"""Whose colors a painting has: how the content's are kept, how far, when, and where."""

from __future__ import annotations

from dataclasses import dataclass, field

from impasto.core.errors import KnobError
from impasto.core.picture import Raster

KEEP_COLOR_MODES = ("none", "luminance", "yuv", "histogram", "covariance")
COLOR_STAGES = ("after", "before")


@dataclass(frozen=True, eq=False)
class ColorOptions:
    """How the content's colors are kept.

    Attributes:
        mode: "none", the style's colors; "luminance", only the lightness is painted, in a
            perceptual space, or "yuv"; "histogram" or "covariance", the content's histograms, or
            mean and covariance.
        strength: 0 keeps none of them, 1 all.
        stage: "after", the painting is recolored; or "before", the styles are.
        mask: float32 (height, width) of the content, 0 to 1: where they are kept; None everywhere.
        mask_source: the file of the mask, and its sha256; empty if there is none.
        notes: what was done to the mask that a user may want to know, one sentence each.
    """

    mode: str = "none"
    strength: float = 1.0
    stage: str = "after"
    mask: Raster | None = None
    mask_source: tuple[str, str] | tuple[()] = field(default=())
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in KEEP_COLOR_MODES:
            raise KnobError(
                f"keep_color = {self.mode!r} does not fit: it must be one of "
                f"{', '.join(KEEP_COLOR_MODES)}."
            )
        if self.stage not in COLOR_STAGES:
            raise KnobError(
                f"color_stage = {self.stage!r} does not fit: it must be before or after."
            )
        number = isinstance(self.strength, (int, float)) and not isinstance(self.strength, bool)
        if not number or not 0 <= self.strength <= 1:
            raise KnobError(f"color_strength = {self.strength!r} does not fit: it must be 0 to 1.")
        if self.stage == "before" and self.mode in ("luminance", "yuv"):
            raise KnobError(
                f"keep_color = {self.mode!r} works on the painting: --color-stage after. Styles "
                "are recolored by histogram or covariance."
            )
        if self.stage == "before" and self.mask is not None:
            raise KnobError("A color mask is of the content: it needs --color-stage after.")
        asked = self.mask is not None or self.strength != 1 or self.stage != "after"
        if self.mode == "none" and asked:
            raise KnobError(
                "There are no colors to keep: say --keep-color luminance, yuv, histogram or "
                "covariance."
            )

    @property
    def is_active(self) -> bool:
        """Whether anything is done at all."""
        return self.mode != "none" and self.strength > 0


NO_COLOR_PRESERVATION = ColorOptions()
"""Nothing is done about colors."""
