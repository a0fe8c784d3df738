"""Methods that the rules name and this version may not have. Whatever is registered is not one."""

from __future__ import annotations

from dataclasses import dataclass

from impasto import methods


@dataclass(frozen=True)
class Planned:
    """A method that is not here.

    Attributes:
        name: under which it will be registered, and the rules know it.
        title: what it is, in one line, with its paper.
        missing: what it takes before it can be run here.
    """

    name: str
    title: str
    missing: str


PLANNED: dict[str, Planned] = {
    p.name: p
    for p in (
        Planned(
            "photowct",
            "photorealistic whitening and colouring (Li et al., ECCV 2018)",
            "the method itself, and a decoder that unpools",
        ),
        Planned(
            "deep-photo",
            "optimisation with a matting term (Luan et al., CVPR 2017)",
            "the method itself: masks and the matting Laplacian",
        ),
        Planned(
            "animatediff",
            "diffusion of whole clips (Guo et al., ICLR 2024), by `impasto video` alone",
            "the extra diffusion, weights of several GB and a GPU",
        ),
    )
}


def planned() -> tuple[str, ...]:
    """The names of those that are still missing."""
    return tuple(name for name in PLANNED if name not in methods.names())
