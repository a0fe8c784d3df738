"""Whose colours a painting has: how the content's are kept, how far, when, and where."""

from __future__ import annotations

from dataclasses import dataclass, field

from impasto.core.errors import KnobError
from impasto.core.picture import Raster

KEEPS = ("none", "luminance", "yuv", "histogram", "covariance")
WHENS = ("after", "before")


@dataclass(frozen=True, eq=False)
class Colours:
    """How the content's colours are kept.

    Attributes:
        keep: "none", the style's colours; "luminance", only the lightness is painted, in a
            perceptual space, or "yuv"; "histogram" or "covariance", the content's histograms, or
            mean and covariance.
        share: 0 keeps none of them, 1 all.
        when: "after", the painting is recoloured; or "before", the styles are.
        mask: float32 (height, width) of the content, 0 to 1: where they are kept; None everywhere.
        source: the file of the mask, and its sha256; empty if there is none.
        notes: what was done to the mask that a user may want to know, one sentence each.
    """

    keep: str = "none"
    share: float = 1.0
    when: str = "after"
    mask: Raster | None = None
    source: tuple[str, str] | tuple[()] = field(default=())
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise KnobError(
                f"keep_colour = {self.keep!r} does not fit: it must be one of {', '.join(KEEPS)}."
            )
        if self.when not in WHENS:
            raise KnobError(
                f"colour_when = {self.when!r} does not fit: it must be before or after."
            )
        number = isinstance(self.share, (int, float)) and not isinstance(self.share, bool)
        if not number or not 0 <= self.share <= 1:
            raise KnobError(f"colour_share = {self.share!r} does not fit: it must be 0 to 1.")
        if self.when == "before" and self.keep in ("luminance", "yuv"):
            raise KnobError(
                f"keep_colour = {self.keep!r} works on the painting: --colour-when after. Styles "
                "are recoloured by histogram or covariance."
            )
        if self.when == "before" and self.mask is not None:
            raise KnobError("A colour mask is of the content: it needs --colour-when after.")
        asked = self.mask is not None or self.share != 1 or self.when != "after"
        if self.keep == "none" and asked:
            raise KnobError(
                "There are no colours to keep: say --keep-colour luminance, yuv, histogram or "
                "covariance."
            )

    @property
    def any(self) -> bool:
        """Whether anything is done at all."""
        return self.keep != "none" and self.share > 0


AS_PAINTED = Colours()
"""Nothing is done about colours."""
