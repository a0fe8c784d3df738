"""The compact encoder: a VGG-19 of a quarter of the channels, taught to agree with the full one.

Source: Wang, Li, Wang, Hu & Yang, "Collaborative Distillation for Ultra-Resolution Universal
Style Transfer", CVPR 2020, section 3.2: at every layer a linear map takes the narrow features
to the full ones, and what is minimized is the distance there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.core.knobs import knob
from impasto.nets.vgg import VGG, move_network
from impasto.train.dataset import ImageDataset
from impasto.train.task import Rank, TrainConfig, TrainingTask
from impasto.weights import store
from impasto.weights.loading import LoadedWeights, Preprocessing
from impasto.weights.vgg_layers import block_index, conv_names

LAYERS = conv_names("vgg19")[: conv_names("vgg19").index("conv5_1") + 1]
FIT_IMAGES = 3
"""Batches that the maps of a known encoder are fitted on."""
SPARSITY_WEIGHT = {1: 8, 2: 4, 3: 2}
"""Block → every how many rows and columns of its maps are compared; all of them elsewhere."""


@dataclass(frozen=True)
class DistillationConfig(TrainConfig):
    """The knobs."""

    steps: int = knob(6_000, "steps of the optimizer", low=1, high=100_000_000)
    batch_size: int = knob(8, "pictures in a step, on each device", low=1, high=4096)
    crop_size: int = knob(192, "side of the square crops", low=64, high=4096, unit="px")
    learning_rate: float = knob(2e-3, "step length of Adam", low=1e-8, high=1)
    width_divisor: int = knob(4, "times fewer channels than VGG-19 has", low=1, high=16)


class NarrowVGG(nn.Module):
    """A narrow VGG-19 up to conv5_1, with the linear map of each layer to the full features."""

    def __init__(self, teacher: VGG, narrower: int, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        tensors: dict[str, Tensor] = {}
        before = 3
        for name in LAYERS:
            width = teacher.channels(name) // narrower
            spread = (2 / (9 * before)) ** 0.5 * (4.0 if name == "conv1_1" else 1.0)
            tensors[f"{name}.weight"] = torch.randn(width, before, 3, 3, generator=random) * spread
            tensors[f"{name}.bias"] = torch.zeros(width)
            before = width
        self.encoder = VGG(
            LoadedWeights("compact", "", teacher.backbone, tensors, teacher.preprocessing)
        ).requires_grad_()
        self.maps = nn.ParameterDict(
            {
                name: nn.Parameter(
                    torch.randn(
                        teacher.channels(name), self.encoder.channels(name), generator=random
                    )
                    * self.encoder.channels(name) ** -0.5
                )
                for name in LAYERS
            }
        )

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The convolutions of a known encoder."""
        known = {n: t for n, t in tensors.items() if not n.endswith(".map")}
        self.encoder.load_state_dict({**self.encoder.state_dict(), **known})

    @torch.no_grad()
    def reinitialize_dead_channels(self, pictures: Tensor, seed: int) -> None:
        """Draw anew the filters that never fire; no other activation changes by it."""
        random = torch.Generator().manual_seed(seed)
        for name, after in zip(LAYERS, (*LAYERS[1:], None), strict=True):
            weight, bias = (self.encoder.get_parameter(f"{name}.{p}") for p in ("weight", "bias"))
            dead = self.encoder(pictures, [name])[name].amax((0, 2, 3)) <= 0
            drawn = torch.randn(weight.shape, generator=random).to(weight)
            alive = weight[~dead].square().mean().sqrt()
            weight[dead] = drawn[dead] * alive
            bias[dead] = 0
            if after:
                self.encoder.get_parameter(f"{after}.weight")[:, dead] = 0

    @torch.no_grad()
    def fit(
        self, pictures: Tensor, full: Mapping[str, Tensor], scales: Mapping[str, float]
    ) -> None:
        """The maps that take these features to the full ones best, by least squares."""
        for name, narrow in self.encoder(pictures, LAYERS).items():
            rows, wanted = (
                f.permute(0, 2, 3, 1).flatten(0, 2).float() for f in (narrow, full[name])
            )
            damped = rows.T @ rows + 1e-3 * len(rows) * torch.eye(rows.shape[1]).to(rows)
            solution = torch.linalg.solve(damped, rows.T @ (wanted / scales[name]))
            self.maps[name].copy_(solution.T)

    def forward(self, pictures: Tensor, step: int) -> dict[str, Tensor]:
        """Layer → its features, mapped to the full width, at the positions of this step."""
        found = self.encoder(pictures, LAYERS)
        return {
            name: F.conv2d(_sparse(name, f, step), self.maps[name][:, :, None, None])
            for name, f in found.items()
        }


def _sparse(name: str, features: Tensor, step: int) -> Tensor:
    """Some rows and columns of a large map, other ones at every step."""
    every = SPARSITY_WEIGHT.get(block_index(name), 1)
    top, left = step % every, (step // every) % every
    return features[:, :, top::every, left::every].contiguous(memory_format=torch.channels_last)


class DistillationTask(TrainingTask):
    """Distills the full encoder into the narrow one."""

    name: ClassVar[str] = "compact"
    knobs = DistillationConfig

    def __init__(
        self, config: DistillationConfig, photos: Sequence[str], styles: Sequence[str], start: str
    ) -> None:
        self.config = config
        self.album = ImageDataset([*photos, *styles], config.crop_size, config.seed, "photos")
        self.datasets = (self.album,)
        self.teacher = VGG(store.load_encoder("oxford"))
        self.network: NarrowVGG = NarrowVGG(self.teacher, config.width_divisor, config.seed)
        self.scales = dict.fromkeys(LAYERS, 1.0)
        self.known = store.load_model(start, self.name).tensors if start else {}
        self.network.load(self.known)

    def to(self, device: str, precision: str) -> None:
        self.device = device
        move_network(self.teacher, device, precision)
        # One scale a layer, from a first batch: the maps' task is then of order one everywhere.
        pictures = self.album.batch(0, self.config.batch_size).to(device)
        full = self.teacher(pictures, LAYERS)
        self.scales = {name: float(f.float().square().mean().sqrt()) for name, f in full.items()}
        if self.known:
            self.network.to(device)
            self.network.reinitialize_dead_channels(pictures, self.config.seed)
            pictures = torch.cat(
                [self.album.batch(k, self.config.batch_size) for k in range(FIT_IMAGES)]
            )
            full = self.teacher(pictures.to(device), LAYERS)
            self.network.fit(pictures.to(device), full, self.scales)

    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        pictures = self.album.batch(step * rank.count + rank.index, self.config.batch_size)
        pictures = pictures.to(self.device)
        with torch.no_grad():
            full = self.teacher(pictures, LAYERS)
        mapped = network(pictures, step)
        return {
            name: _feature_distance(
                mapped[name].float(), _sparse(name, full[name], step).float() / scale
            )
            for name, scale in self.scales.items()
        }

    @torch.no_grad()
    def preview(self) -> Tensor:
        """The energy missed, as a bar for each layer."""
        terms = self.loss(self.network, 0, Rank())
        bars = torch.zeros(3, 100, 10 * len(terms))
        for i, value in enumerate(terms.values()):
            bars[:, 100 - int(100 * float(value)) :, 10 * i : 10 * i + 8] = 1
        return bars

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Convolutions, and for each layer S^½ with S = MᵀM of its map M.

        ‖M(f - g)‖ = ‖S^½(f - g)‖, so that S^½ gives the losses of the mapped features from
        matrices of the narrow width; see :class:`impasto.nets.vgg.VGG`.
        """
        tensors: dict[str, Tensor] = {}
        for name in LAYERS:
            for part in ("weight", "bias"):
                tensors[f"{name}.{part}"] = self.network.encoder.get_parameter(f"{name}.{part}")
            whole = self.network.maps[name].double() * self.scales[name]
            values, vectors = torch.linalg.eigh(whole.T @ whole)
            tensors[f"{name}.map"] = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        mean: Preprocessing = self.teacher.preprocessing
        return tensors, {"backbone": "vgg19", "mean": mean.mean, "std": mean.std}


def _feature_distance(mapped: Tensor, full: Tensor) -> Tensor:
    """Share of the full features' energy that the mapped narrow ones miss."""
    return F.mse_loss(mapped, full) / full.square().mean()
