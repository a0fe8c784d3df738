"""What a choice of method depends on, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name


@dataclass(frozen=True)
class Purpose:
    """What a painting is for, and what follows from that.

    Attributes:
        name: what a user types: ``--for print``.
        title: the same in words, after "for".
        max_seconds: seconds that one picture may take where no deadline is given.
        per_image_timing: a picture of many, so that what is loaded once does not count.
        may_shrink: a smaller painting is better than another method.
        min_side_px: long side in pixels below which it is not shrunk.
    """

    name: str
    title: str
    max_seconds: float
    per_image_timing: bool = False
    may_shrink: bool = True
    min_side_px: int = 512


PURPOSES: dict[str, Purpose] = {
    p.name: p
    for p in (
        Purpose("picture", "one picture at its best", 600),
        Purpose("preview", "a look while you choose", 5),
        Purpose("live", "real time: a camera, a game", 0.1, per_image_timing=True, min_side_px=256),
        Purpose("batch", "pictures by the hundred", 10),
        Purpose("print", "a large print", 1800, may_shrink=False),
        Purpose("video", "a video", 2, per_image_timing=True),
        Purpose("photo", "a photograph that stays one", 600),
        Purpose("text", "a picture from a prompt", 600),
        Purpose("brand", "one style over many pictures", 60),
        Purpose("leak", "a style whose things must stay out of the painting", 600),
    )
}
LICENSES = ("any", "commercial")
PRINT_DPI = 300
"""Dots an inch of a print that is looked at from near."""
A4_LONG_SIDE_PX = 3508
"""Pixels of the long side of an A4 page, 29.7 cm, at so many dots."""


@dataclass(frozen=True)
class Scenario:
    """The case at hand.

    Attributes:
        purpose: a name among :data:`PURPOSES`.
        long_side: long side of the painting in pixels, as asked or as the content.
        is_size_fixed: that size was asked for, so that no other will do.
        style_names: the styles' names, for sentences.
        styles_without_picture: styles of which a name is all that was given.
        methods_with_styles: methods that have learnt all of the styles.
        style_is_content: a style is the content picture itself.
        style_contrast: of the style with the most: standard deviation of luminance, 0..1.
        deadline: seconds that a picture may take, or None.
        memory: bytes that it may take, or None for what is free.
        license: "any" or "commercial".
        device, cores: what it will run on.
    """

    purpose: str = "picture"
    long_side: int = 512
    is_size_fixed: bool = False
    style_names: tuple[str, ...] = ("the style",)
    styles_without_picture: tuple[str, ...] = ()
    methods_with_styles: frozenset[str] = frozenset()
    style_is_content: bool = False
    style_contrast: float = 0.2
    deadline: float | None = None
    memory: int | None = None
    license: str = "any"
    device: str = "cpu"
    cores: int = 1

    def __post_init__(self) -> None:
        for name, known in (("purpose", PURPOSES), ("license", LICENSES)):
            value = getattr(self, name)
            if value not in known:
                near = closest_name(value, known)
                hint = f"did you mean {near}?" if near else f"one of {', '.join(known)}."
                raise KnobError(f"{name} = {value!r} does not fit: {hint}")

    @property
    def time_limit(self) -> float:
        """Seconds that a picture may take: the deadline, or else the purpose's patience."""
        return PURPOSES[self.purpose].max_seconds if self.deadline is None else self.deadline

    @property
    def template_values(self) -> dict[str, str]:
        """What sentences name."""
        return {
            "style": " and ".join(self.style_names),
            "contrast": f"{self.style_contrast:.2f}",
            "side": str(self.long_side),
            "centimetres": f"{2.54 * self.long_side / PRINT_DPI:.0f}",
        }
