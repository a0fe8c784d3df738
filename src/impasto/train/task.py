"""A lesson: what is taught, from which pictures, by which loss. The loop teaches any of them."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor, nn

from impasto.core.errors import WeightsError
from impasto.core.knobs import knob
from impasto.train.dataset import ImageDataset
from impasto.weights import store
from impasto.weights.model_files import TrainedModel, write_model


@dataclass(frozen=True)
class TrainConfig:
    """The knobs that every lesson has."""

    steps: int = knob(10_000, "steps of the optimizer", low=1, high=100_000_000)
    batch_size: int = knob(4, "pictures in a step, on each device", low=1, high=4096)
    crop_size: int = knob(256, "side of the square crops", low=64, high=4096, unit="px")
    learning_rate: float = knob(1e-3, "step length of Adam", low=1e-8, high=1)
    seed: int = knob(0, "of everything random", low=0, high=2**32 - 1)
    precision: str = knob(
        "auto", "of the arithmetic; auto: bf16 where it is fast", choices=("auto", "fp32", "bf16")
    )


@dataclass(frozen=True)
class Rank:
    """The part of a step that falls to one process: ``index`` of ``count``."""

    index: int = 0
    count: int = 1


@dataclass(frozen=True)
class DataSpec:
    """Where a lesson's pictures and its start come from, as they were given.

    ``captions`` are those of pictures by their paths, for a lesson that wants them.
    """

    photos: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    init_from: str = ""
    captions: Mapping[str, str] = field(default_factory=dict)


class TrainingTask(ABC):
    """What a network is to learn.

    Attributes:
        name: the kind of model that comes out, and the verb's argument: ``impasto train NAME``.
        knobs: the type of the course.
        needs_styles: whether it needs style pictures.
        flags: what the command line calls the two kinds of pictures.
        needs_captions: whether it learns from captions, as its knob of that name says.
        init_kinds: other kinds of model that it can start from.
        config: the knobs.
        datasets: the pictures it learns from.
        network: what is trained.
        notes: sentences about this training that its user should know.
    """

    name: ClassVar[str]
    knobs: ClassVar[type[TrainConfig]]
    needs_styles: ClassVar[bool] = False
    flags: ClassVar[tuple[str, str]] = ("photos", "styles")
    needs_captions: ClassVar[bool] = False
    init_kinds: ClassVar[tuple[str, ...]] = ()
    config: TrainConfig
    datasets: Sequence[ImageDataset]
    network: nn.Module
    notes: Sequence[str] = ()

    @abstractmethod
    def __init__(
        self, config: Any, photos: Sequence[str], styles: Sequence[str], start: str
    ) -> None:
        """Read the folders, and build the network or take it from the model ``start``."""

    @classmethod
    def from_sources(cls, config: Any, sources: DataSpec) -> TrainingTask:
        """The lesson with these pictures."""
        return cls(config, sources.photos, sources.styles, sources.init_from)

    @classmethod
    def start_model(cls, start: str) -> TrainedModel:
        """The model ``start``, of the lesson's own kind or of one that it can grow from.

        Raises:
            WeightsError: a model of another kind, or none.
        """
        for kind in cls.init_kinds:
            with contextlib.suppress(WeightsError):
                return store.load_model(start, kind)
        return store.load_model(start, cls.name)

    @abstractmethod
    def to(self, device: str, precision: str) -> None:
        """Move all but the network itself, and choose the precision of what is not trained."""

    def param_groups(self) -> list[dict[str, Any]]:
        """What is trained, with how many times the learning rate."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        return [{"params": trained, "times": 1.0}]

    def optimizer(self) -> torch.optim.Optimizer:
        """What takes the steps."""
        return torch.optim.Adam(
            self.param_groups(), lr=self.config.learning_rate, betas=(0.9, 0.99)
        )

    def fingerprint(self) -> dict[str, Any]:
        """What else makes two runs the same; a run is only resumed by its own kind."""
        return {}

    def should_evaluate(self, step: int) -> bool:
        """Whether :meth:`enough` is to be asked after this many steps."""
        return False

    def should_stop(self, step: int) -> bool:
        """Whether more steps would do harm; :attr:`network` is the averaged one meanwhile."""
        return False

    def summary(self) -> tuple[str, bool]:
        """What the user should know of the state that is the product, and whether to beware."""
        return "", False

    def state_dict(self) -> dict[str, Any]:
        """What has to be in a checkpoint beside the network: tensors and plain values."""
        return {}

    def load_state_dict(self, memory: Mapping[str, Any]) -> None:  # noqa: B027 - most have no memory
        """Take back what :meth:`memory` gave."""

    @abstractmethod
    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        """The terms whose sum is to fall, for one batch.

        ``network`` is :attr:`network`, perhaps wrapped for several devices.
        """

    @abstractmethod
    def preview(self) -> Tensor:
        """Examples as a grid (3, H, W) in 0..1, from :attr:`network` as it is."""

    @abstractmethod
    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """The tensors to be saved, and what a reader must know to use them."""

    def write(
        self,
        file: BinaryIO,
        tensors: Mapping[str, Tensor],
        about: Mapping[str, Any],
        card: Mapping[str, Any],
    ) -> None:
        """Write the product as a model's file."""
        write_model(file, self.name, tensors, about, card)
