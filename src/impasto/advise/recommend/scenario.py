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
        patience: seconds that one picture may take where no deadline is given.
        every: a picture of many, so that what is loaded once does not count.
        shrinks: a smaller painting is better than another method.
        least: long side in pixels below which it is not shrunk.
    """

    name: str
    title: str
    patience: float
    every: bool = False
    shrinks: bool = True
    least: int = 512


PURPOSES: dict[str, Purpose] = {
    p.name: p
    for p in (
        Purpose("picture", "one picture at its best", 600),
        Purpose("preview", "a look while you choose", 5),
        Purpose("live", "real time: a camera, a game", 0.1, every=True, least=256),
        Purpose("batch", "pictures by the hundred", 10),
        Purpose("print", "a large print", 1800, shrinks=False),
        Purpose("video", "a video", 2, every=True),
        Purpose("photo", "a photograph that stays one", 600),
        Purpose("text", "a picture from a prompt", 600),
        Purpose("brand", "one style over many pictures", 60),
        Purpose("leak", "a style whose things must stay out of the painting", 600),
    )
}
LICENCES = ("any", "commercial")
DPI = 300
"""Dots an inch of a print that is looked at from near."""
PAGE = 3508
"""Pixels of the long side of an A4 page, 29.7 cm, at so many dots."""


@dataclass(frozen=True)
class Situation:
    """The case at hand.

    Attributes:
        purpose: a name among :data:`PURPOSES`.
        side: long side of the painting in pixels, as asked or as the content.
        fixed: that size was asked for, so that no other will do.
        styles: the styles' names, for sentences.
        unshown: styles of which a name is all that was given.
        learnt: methods that have learnt all of the styles.
        same: a style is the content picture itself.
        contrast: of the style with the most: standard deviation of luminance, 0..1.
        deadline: seconds that a picture may take, or None.
        memory: bytes that it may take, or None for what is free.
        licence: "any" or "commercial".
        device, cores: what it will run on.
    """

    purpose: str = "picture"
    side: int = 512
    fixed: bool = False
    styles: tuple[str, ...] = ("the style",)
    unshown: tuple[str, ...] = ()
    learnt: frozenset[str] = frozenset()
    same: bool = False
    contrast: float = 0.2
    deadline: float | None = None
    memory: int | None = None
    licence: str = "any"
    device: str = "cpu"
    cores: int = 1

    def __post_init__(self) -> None:
        for name, known in (("purpose", PURPOSES), ("licence", LICENCES)):
            value = getattr(self, name)
            if value not in known:
                near = closest_name(value, known)
                hint = f"did you mean {near}?" if near else f"one of {', '.join(known)}."
                raise KnobError(f"{name} = {value!r} does not fit: {hint}")

    @property
    def time(self) -> float:
        """Seconds that a picture may take: the deadline, or else the purpose's patience."""
        return PURPOSES[self.purpose].patience if self.deadline is None else self.deadline

    @property
    def words(self) -> dict[str, str]:
        """What sentences name."""
        return {
            "style": " and ".join(self.styles),
            "contrast": f"{self.contrast:.2f}",
            "side": str(self.side),
            "centimetres": f"{2.54 * self.side / DPI:.0f}",
        }
