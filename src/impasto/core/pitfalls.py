"""Guards: the field's known mistakes, each a function that returns a warning sentence or None.

They stand together, so that they can be read, told (docs/guards.md) and tested as one list. Each
is called where its mistake happens, with what was measured there.
"""

from __future__ import annotations

from collections.abc import Sequence

USEFUL_BALANCE_RANGE = (0.3, 1e5)
"""β / α outside of which only one of the two pictures is left; see docs/methods/gatys.md."""
MAX_FRAME_DIFFERENCE = 0.06
"""Mean difference of two pictures, in 0..1, below which they may be frames of one film."""
MIN_LEAKING_ADAPTER_SCALE = 0.95
"""Scale of an IP-Adapter from which on the reference's things come along with its manner."""


def untuned_balance(ratio: float) -> str | None:
    """β and α of another loss or another program: one of the two pictures is lost.

    Args:
        ratio: β / α of our losses, at least 0.
    """
    low, high = USEFUL_BALANCE_RANGE
    if low <= ratio <= high:
        return None
    where, look = (
        ("below", "the picture will hardly differ from the content")
        if ratio < low
        else ("above", "the content will dissolve into the style's texture")
    )
    return (
        f"beta / alpha = {ratio:.3g} is far {where} the useful {low:g} to {high:g}: {look}. "
        "impasto tune finds a balance for these two pictures."
    )


def moved_layers(
    network: str, layers: Sequence[str], backbone_layers: Sequence[str], vgg_layers: Sequence[str]
) -> str | None:
    """Layer names of VGG-19 on another backbone, where the same names are other depths.

    Args:
        network: what the backbone is called.
        layers: names that both networks have.
        backbone_layers: the backbone's convolutions, in order.
        vgg_layers: those of VGG-19, for which the names were chosen.
    """
    moved = [
        f"{name} is convolution {_format_depth(name, backbone_layers)} there and "
        f"{_format_depth(name, vgg_layers)} in VGG-19"
        for name in layers
        if backbone_layers.index(name) != vgg_layers.index(name)
    ]
    if not moved:
        return None
    return f"{network} has the same layer names at other depths: {'; '.join(moved)}."


def _format_depth(name: str, known: Sequence[str]) -> str:
    position = known.index(name) + 1
    return f"{position} of {len(known)} ({position / len(known):.0%} of the way)"


def single_frame(name: str, neighbor: str, difference: float) -> str | None:
    """A film that is styled frame by frame flickers: each frame finds strokes of its own.

    Args:
        name: of the picture.
        neighbor: of the one with the number before or after it.
        difference: mean difference of the two, in 0..1.
    """
    if difference >= MAX_FRAME_DIFFERENCE:
        return None
    return (
        f"{name} and {neighbor} look like frames of a film. Styled one by one, frames flicker: "
        "each finds strokes of its own. impasto video paints films."
    )


def frame_by_frame(stability: float) -> str | None:
    """A film of which nothing is carried from frame to frame.

    Args:
        stability: 0, every frame by itself, to 1.
    """
    if stability > 0:
        return None
    return (
        "Stability 0 paints every frame by itself: strokes will jump from frame to frame, and "
        "what stands still will boil."
    )


def leaking_adapter(scale: float) -> str | None:
    """An IP-Adapter at full scale copies what the reference shows, not only how it is painted.

    Args:
        scale: of the adapter; Ye et al. 2023 call it λ (eq. 8).
    """
    if scale < MIN_LEAKING_ADAPTER_SCALE:
        return None
    return (
        f"An IP-Adapter scale of {scale:g} brings the reference's things into the picture, not "
        "only its manner: 0.7 or less does not, or blocks chosen as InstantStyle does."
    )
