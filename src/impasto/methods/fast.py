"""Fast networks: one pass of a small network that has learnt its styles beforehand.

Johnson, Alahi & Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
ECCV 2016; Dumoulin, Shlens & Kudlur, "A Learned Representation for Artistic Style", ICLR 2017.
The network is :class:`impasto.nets.transform_net.TransformNet`, and
:mod:`impasto.train.transform_net` teaches it. A style
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

from impasto.core.card import MethodCard
from impasto.core.errors import InputError, KnobError, WeightsError
from impasto.core.knobs import closest_name, strength_knob
from impasto.core.picture import Picture, Pixels
from impasto.core.request import Request
from impasto.engines.feedforward.base import DeviceSpec, FeedForwardMethod
from impasto.nets.transform_net import MomentAverages, Moments, TransformNet
from impasto.pictures import read, resize
from impasto.weights import store
from impasto.weights.model_files import TrainedModel

MAX_STYLE_DIFFERENCE = 0.08
"""Mean difference from which on two small pictures, in 0..1, are not of the same style."""
MOMENT_NAMES = ("mean", "variance")
"""Of a pair of moments."""


@dataclass(frozen=True)
class FastNetwork(FeedForwardMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "fast"
    card: ClassVar[MethodCard] = MethodCard(
        title="Styles learnt beforehand, in real time",
        good_for="Pictures by the hundred, video and live use, in a style that has been learnt.",
        not_for="A style picture just found: learn it first (impasto train fast), or use adain.",
        paper="Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and "
        "Super-Resolution, ECCV 2016; Dumoulin, Shlens, Kudlur: A Learned Representation for "
        "Artistic Style, ICLR 2017",
        license="code and weights Apache-2.0",
        weights=("fast",),
        supports=("several styles", "strength", "tiles"),
        figures=(
            ("512 x 512 px, 2 cores with AMX", "37 ms, 13 times as fast as Johnson et al.'s"),
        ),
    )

    strength: float = strength_knob()

    def build_model(self, request: Request, device_spec: DeviceSpec) -> FastModel:
        """The network, asked for the styles."""
        painter = FastModel(self.weights_name(request), device_spec)
        names = [style.name for style in request.styles]
        painter.set_styles(
            names, [self.strength * share for share in request.normalized_style_weights]
        )
        return painter

    @classmethod
    def style_names(cls, weights: str = "") -> tuple[str, ...]:
        """See :class:`impasto.core.request.BuiltInStyles`."""
        return tuple(cls._model(weights).about["styles"])

    @classmethod
    def load_style(cls, name: str, weights: str = "") -> Picture:
        """See :class:`impasto.core.request.BuiltInStyles`."""
        model = cls._model(weights)
        names = model.about["styles"]
        stem = name if name in names else Path(name).stem
        if stem != name and not Path(name).is_file():
            near = closest_name(stem, names)
            hint = f" Did you mean the learnt style {near}?" if near else ""
            raise InputError(f"Cannot read {name}: there is no such file.{hint}")
        pixels = _style_picture(model, _style_index(names, stem))
        if stem != name:
            _check_same_style(name, stem, pixels)
        return Picture(pixels, name=stem, sha256=f"{model.sha256}:{stem}")

    @classmethod
    def _model(cls, weights: str) -> TrainedModel:
        return store.load_model(weights or cls.card.weights[0], cls.name)


def _check_same_style(path: str, name: str, pixels: Pixels) -> None:
    """Refuse a file that bears a built-in style's name and is another picture."""
    given = resize(read(path).pixels, *pixels.shape[:2])
    if np.abs(np.asarray(given) - pixels).mean() > MAX_STYLE_DIFFERENCE:
        raise InputError(
            f"{path} is another picture than the style {name} that the fast network has learnt. "
            "Learn it too (impasto train fast), or use --method adain."
        )


class FastModel:
    """The fast network and what is asked of it.

    See :class:`impasto.engines.feedforward.tiling.TiledModel`.

    Args:
        weights: a model of the kind "fast", by name or path.
        device_spec: device and precision.

    Raises:
        WeightsError: weights that cannot be used.
    """

    digests: Mapping[str, str]
    align = 4
    halo = 64

    def __init__(self, weights: str, device_spec: DeviceSpec) -> None:
        model = store.load_model(weights, "fast")
        self.digests = {model.name: model.sha256}
        self.style_names: list[str] = model.about["styles"]
        self.network = TransformNet(
            len(self.style_names), model.about["widths"], model.about["blocks"]
        )
        model.load_into(self.network)
        device_spec.move(self.network)
        self.averages: MomentAverages | None = None

    def set_styles(self, names: Sequence[str], weights: Sequence[float]) -> None:
        """Ask for styles by name, each with its share; what is missing to 1 is the content.

        Raises:
            InputError: the network has not learnt a style.
        """
        wanted = torch.zeros(1, len(self.style_names))
        for name, share in zip(names, weights, strict=True):
            wanted[0, _style_index(self.style_names, name)] += share
        self.style_row = self.network.mix_styles(wanted.to(self.network.table))

    def average_moments(self, newest_weight: float) -> None:
        """Take what follows for the frames of a film, and average the moments over them.

        Args:
            newest_weight: of the newest frame in the average, over 0 to 1; 1 forgets the frames
            before.

        Raises:
            KnobError: another share.
        """
        if not 0 < newest_weight <= 1:
            raise KnobError(
                f"The newest frame's share must be over 0 and at most 1, not {newest_weight}."
            )
        self.averages = MomentAverages(newest_weight) if newest_weight < 1 else None

    def start_shot(self) -> None:
        """A new shot: what was averaged is forgotten."""
        if self.averages:
            self.averages.moments.clear()

    def state_dict(self) -> dict[str, Tensor]:
        """The averages so far, as tensors (C,) by name; none before the first frame."""
        kept = enumerate(self.averages.moments if self.averages else ())
        return {
            f"{name}.{i}": t for i, pair in kept for name, t in zip(MOMENT_NAMES, pair, strict=True)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with the averages of :meth:`state`, after :meth:`steady`.

        Raises:
            InputError: they are of another network.
        """
        sizes = [len(state[f"mean.{i}"]) for i in range(len(state) // 2) if f"mean.{i}" in state]
        if state and (self.averages is None or sizes != self.network.channel_counts):
            raise InputError("The film's state is of another network, and cannot be gone on with.")
        if self.averages:
            device = self.style_row.device
            self.averages.moments[:] = [
                (state[f"mean.{i}"].to(device), state[f"variance.{i}"].to(device))
                for i in range(len(sizes))
            ]

    def statistics(self, padded: Tensor) -> list[Moments]:
        """Mean and variance of every normalization's input."""
        return self.network.moments(padded, self.style_row, self.averages)

    def __call__(self, padded: Tensor, statistics: Sequence[Moments] | None = None) -> Tensor:
        """Paint a framed picture (1, 3, H, W), or a part of one whose statistics are known."""
        painted: Tensor = self.network(padded, self.style_row, statistics, self.averages)
        return painted


def _style_index(names: Sequence[str], name: str) -> int:
    if name in names:
        return names.index(name)
    near = closest_name(name, names)
    hint = f"Did you mean {near}? " if near else ""
    raise InputError(
        f"The fast network has not learnt the style {name!r}. {hint}It has learnt "
        f"{', '.join(names)}. For any other picture, use --method adain."
    )


def _style_picture(model: TrainedModel, index: int) -> Pixels:
    """The small picture of a style that the model carries."""
    try:
        data = model.tensors[f"picture.{index}"].numpy().tobytes()
        shown = Image.open(io.BytesIO(data)).convert("RGB")
    except (KeyError, OSError) as error:
        raise WeightsError(f"{model.name} is not whole: picture.{index} is missing.") from error
    return np.asarray(shown, np.float32) / np.float32(255)
