"""Fast networks: one pass of a small network that has learnt its styles beforehand.

Johnson, Alahi & Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
ECCV 2016; Dumoulin, Shlens & Kudlur, "A Learned Representation for Artistic Style", ICLR 2017.
The network is :class:`impasto.nets.transform_net.Fast`, and :mod:`impasto.train.transform_net`
teaches it. A style
is named instead of shown. Strength and blends of styles are shares in one mixture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.core.card import Card
from impasto.core.errors import InputError, KnobError, WeightsError
from impasto.core.knobs import nearest, strength_knob
from impasto.core.picture import Picture, Pixels
from impasto.core.request import Request
from impasto.engines.feedforward.base import FeedForward, Place
from impasto.nets.transform_net import Fast, Memory, Moments
from impasto.pictures import read, resize
from impasto.weights import store
from impasto.weights.model_files import Model

APART = 0.08
"""Mean difference from which on two small pictures, in 0..1, are not of the same style."""
PARTS = ("mean", "variance")
"""Of a pair of moments."""


@dataclass(frozen=True)
class FastNetwork(FeedForward):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "fast"
    card: ClassVar[Card] = Card(
        title="Styles learnt beforehand, in real time",
        good_for="Pictures by the hundred, video and live use, in a style that has been learnt.",
        not_for="A style picture just found: learn it first (impasto train fast), or use adain.",
        paper="Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and "
        "Super-Resolution, ECCV 2016; Dumoulin, Shlens, Kudlur: A Learned Representation for "
        "Artistic Style, ICLR 2017",
        licence="code and weights Apache-2.0",
        weights=("fast",),
        supports=("several styles", "strength", "tiles"),
        figures=(
            ("512 x 512 px, 2 cores with AMX", "37 ms, 13 times as fast as Johnson et al.'s"),
        ),
    )

    strength: float = strength_knob()

    def painter(self, request: Request, place: Place) -> Painter:
        """The network, asked for the styles."""
        painter = Painter(self.weights(request), place)
        names = [style.name for style in request.styles]
        painter.mix(names, [self.strength * share for share in request.shares])
        return painter

    @classmethod
    def known_styles(cls, weights: str = "") -> tuple[str, ...]:
        """See :class:`impasto.core.request.NamesStyles`."""
        return tuple(cls._model(weights).about["styles"])

    @classmethod
    def named_style(cls, name: str, weights: str = "") -> Picture:
        """See :class:`impasto.core.request.NamesStyles`."""
        model = cls._model(weights)
        names = model.about["styles"]
        stem = name if name in names else Path(name).stem
        if stem != name and not Path(name).is_file():
            near = nearest(stem, names)
            hint = f" Did you mean the learnt style {near}?" if near else ""
            raise InputError(f"Cannot read {name}: there is no such file.{hint}")
        pixels = _shown(model, _index(names, stem))
        if stem != name:
            _check_same(name, stem, pixels)
        return Picture(pixels, name=stem, sha256=f"{model.sha256}:{stem}")

    @classmethod
    def _model(cls, weights: str) -> Model:
        return store.load_model(weights or cls.card.weights[0], cls.name)


def _check_same(path: str, name: str, pixels: Pixels) -> None:
    """Refuse a file that bears a learnt style's name and is another picture."""
    given = resize(read(path).pixels, *pixels.shape[:2])
    if np.abs(np.asarray(given) - pixels).mean() > APART:
        raise InputError(
            f"{path} is another picture than the style {name} that the fast network has learnt. "
            "Learn it too (impasto train fast), or use --method adain."
        )


class Painter:
    """The fast network and what is asked of it.

    See :class:`impasto.engines.feedforward.tiling.Painter`.

    Args:
        weights: a model of the kind "fast", by name or path.
        place: device and precision.

    Raises:
        WeightsError: weights that cannot be used.
    """

    files: Mapping[str, str]
    align = 4
    halo = 64

    def __init__(self, weights: str, place: Place) -> None:
        model = store.load_model(weights, "fast")
        self.files = {model.name: model.sha256}
        self.names: list[str] = model.about["styles"]
        self.network = Fast(len(self.names), model.about["widths"], model.about["blocks"])
        model.fill(self.network)
        place.network(self.network)
        self.memory: Memory | None = None

    def mix(self, names: Sequence[str], shares: Sequence[float]) -> None:
        """Ask for styles by name, each with its share; what is missing to 1 is the content.

        Raises:
            InputError: the network has not learnt a style.
        """
        wanted = torch.zeros(1, len(self.names))
        for name, share in zip(names, shares, strict=True):
            wanted[0, _index(self.names, name)] += share
        self.row = self.network.mixture(wanted.to(self.network.table))

    def steady(self, share: float) -> None:
        """Take what follows for the frames of a film, and average the moments over them.

        Args:
            share: of the newest frame in the average, over 0 to 1; 1 forgets the frames before.

        Raises:
            KnobError: another share.
        """
        if not 0 < share <= 1:
            raise KnobError(f"The newest frame's share must be over 0 and at most 1, not {share}.")
        self.memory = Memory(share) if share < 1 else None

    def begin(self) -> None:
        """A new shot: what was averaged is forgotten."""
        if self.memory:
            self.memory.moments.clear()

    def state(self) -> dict[str, Tensor]:
        """The averages so far, as tensors (C,) by name; none before the first frame."""
        kept = enumerate(self.memory.moments if self.memory else ())
        return {f"{name}.{i}": t for i, pair in kept for name, t in zip(PARTS, pair, strict=True)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the averages of :meth:`state`, after :meth:`steady`.

        Raises:
            InputError: they are of another network.
        """
        sizes = [len(state[f"mean.{i}"]) for i in range(len(state) // 2) if f"mean.{i}" in state]
        if state and (self.memory is None or sizes != self.network.sizes):
            raise InputError("The film's state is of another network, and cannot be gone on with.")
        if self.memory:
            device = self.row.device
            self.memory.moments[:] = [
                (state[f"mean.{i}"].to(device), state[f"variance.{i}"].to(device))
                for i in range(len(sizes))
            ]

    def statistics(self, frame: Tensor) -> list[Moments]:
        """Mean and variance of every normalisation's input."""
        return self.network.moments(frame, self.row, self.memory)

    def __call__(self, frame: Tensor, statistics: Sequence[Moments] | None = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose statistics are known."""
        painted: Tensor = self.network(frame, self.row, statistics, self.memory)
        return painted


def _index(names: Sequence[str], wanted: str) -> int:
    if wanted in names:
        return names.index(wanted)
    near = nearest(wanted, names)
    hint = f"Did you mean {near}? " if near else ""
    raise InputError(
        f"The fast network has not learnt the style {wanted!r}. {hint}It has learnt "
        f"{', '.join(names)}. For any other picture, use --method adain."
    )


def _shown(model: Model, index: int) -> Pixels:
    """The small picture of a style that the model carries."""
    try:
        data = model.tensors[f"picture.{index}"].numpy().tobytes()
        shown = Image.open(io.BytesIO(data)).convert("RGB")
    except (KeyError, OSError) as error:
        raise WeightsError(f"{model.name} is not whole: picture.{index} is missing.") from error
    return np.asarray(shown, np.float32) / np.float32(255)
