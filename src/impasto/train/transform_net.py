"""The fast network: taught to paint in many styles, by any share of each.

Sources: Johnson, Alahi & Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
Super-Resolution", ECCV 2016, section 3.2; Dumoulin, Shlens & Kudlur, "A Learned Representation
for Artistic Style", ICLR 2017, section 2.2.

What is ours: strength is trained in. Beside single styles, a share of the batch asks for less than
the whole of one, or for two at once, and its target lies as far between the content's own Gram
matrices and the styles'. It is the same meaning that strength has in Gatys' method here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.core.errors import InputError
from impasto.core.knobs import knob
from impasto.losses.normalized import gram_matrices, relative_error, unexplained_variance
from impasto.losses.total_variation import out_of_gamut, total_variation
from impasto.nets.transform_net import TransformNet
from impasto.nets.vgg import VGG, move_network
from impasto.ops.padding import pad, unpad
from impasto.pictures import fit_long_side, read, resize
from impasto.train.dataset import ImageDataset
from impasto.train.decoders import image_grid
from impasto.train.synthetic_motion import FramePair, make_frame_pairs, temporal_difference
from impasto.train.task import Rank, TrainConfig, TrainingTask
from impasto.weights import store

CONTENT_LAYERS = "conv3_3"
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
SHOWN = 128
"""Long side in pixels of the picture of a style that the model carries."""
TABLE = 5.0
"""How many times faster the table learns: a row is asked for in a few steps only."""
WHOLE, PART = 0.6, 0.85
"""Share of the batch that asks for one whole style; up to PART for part of one; else for two."""


@dataclass(frozen=True)
class TransformNetConfig(TrainConfig):
    """The knobs."""

    loss_network: str = knob("oxford", "the encoder that the losses see with: a name or a file")
    style_weight: float = knob(20.0, "weight of the style loss", low=0)
    tv: float = knob(0.3, "weight of the total variation", low=0)
    style_size: int = knob(384, "long side of the style pictures", low=64, high=4096, unit="px")
    table_only: bool = knob(False, "leave the network as it is and learn the styles only")
    stable: bool = knob(False, "for films: paint what moves as it was painted before")
    stable_weight: float = knob(350.0, "weight of the temporal loss, if stable", low=0)


class TransformNetTask(TrainingTask):
    """Teaches one network a table of styles.

    Args:
        course: the knobs.
        photos: folders of photographs.
        styles: folders or files, each picture one style, called by its file's name.
        start: a model to start from; its styles come first in the table.
    """

    name: ClassVar[str] = "fast"
    knobs = TransformNetConfig
    needs_styles = True

    def __init__(
        self, config: TransformNetConfig, photos: Sequence[str], styles: Sequence[str], start: str
    ) -> None:
        self.config: TransformNetConfig = config
        self.photos = ImageDataset(photos, config.crop_size, config.seed, "photos")
        gallery = ImageDataset(styles, config.crop_size, config.seed, "styles")
        gallery.check_all()
        self.datasets = (self.photos, gallery)
        self.names = [f.stem for f in gallery.files]
        if len(set(self.names)) < len(self.names):
            raise InputError("Two style pictures have one name: rename one.")
        self.files = gallery.files
        self.judge = VGG(store.load_encoder(config.loss_network))
        torch.manual_seed(config.seed)
        self.known = store.load_model(start, "fast") if start else None
        old = list(self.known.about["styles"]) if self.known else []
        self.names = [*old, *(n for n in self.names if n not in old)]
        self.taught = [self.names.index(f.stem) for f in self.files]
        self.network: TransformNet = TransformNet(len(self.names))
        self.shown: dict[int, Tensor] = {}
        if self.known:
            self._load_start_model(self.known.tensors)
        self.shown.update(zip(self.taught, map(_small_jpeg, self.files), strict=True))
        if config.table_only:
            self.network.requires_grad_(False)
            self.network.table.requires_grad_(True)

    def _load_start_model(self, tensors: Mapping[str, Tensor]) -> None:
        """The known network; a new style starts as the mean of the known ones."""
        table = tensors["table"]
        mean = table.mean(0, keepdim=True).expand(len(self.names) - len(table), -1)
        self.shown = {i: tensors[f"picture.{i}"] for i in range(len(table))}
        parameters = {n: t for n, t in tensors.items() if not n.startswith("picture.")}
        self.network.load_state_dict({**parameters, "table": torch.cat([table, mean])})

    def param_groups(self) -> list[dict[str, Any]]:
        shared = [p for n, p in self.network.named_parameters() if n != "table"]
        return [
            {"params": [p for p in shared if p.requires_grad], "times": 1.0},
            {"params": [self.network.table], "times": TABLE},
        ]

    def to(self, device: str, precision: str) -> None:
        self.device = device
        move_network(self.judge, device, precision)
        self.grams: dict[str, list[Tensor]] = {name: [] for name in STYLE_LAYERS}
        for file in self.files:
            picture = read(file)
            size = fit_long_side(
                picture.height, picture.width, min(self.config.style_size, picture.long_side)
            )
            pixels = torch.from_numpy(resize(picture.pixels, *size)).permute(2, 0, 1)[None]
            with torch.no_grad():
                for name, f in self.judge(pixels.to(device), STYLE_LAYERS).items():
                    self.grams[name].append(gram_matrices(f)[0])
        self.targets = {name: torch.stack(found) for name, found in self.grams.items()}

    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        turn, size = step * rank.count + rank.index, self.config.batch_size
        content = self.photos.batch(turn, size).to(self.device)
        shares = self.style_weights(turn, size).to(self.device)
        pair = self.frame_pair(turn, content) if self.config.stable else None
        content = pair.first if pair else content
        with torch.no_grad():
            seen = self.judge(content, [CONTENT_LAYERS, *STYLE_LAYERS])
        every = content.new_zeros(size, len(self.names))
        every[:, self.taught] = shares
        rows = self.network.mix_styles(every)
        shown = pad(content, 4)
        if pair:
            shown, rows = torch.cat([shown, pad(pair.second, 4)]), rows.repeat(2, 1)
        paintings = unpad(network(shown, rows).float(), *content.shape[2:])
        painted = paintings[:size]
        found = self.judge(painted, [CONTENT_LAYERS, *STYLE_LAYERS])
        styles = []
        for name in STYLE_LAYERS:
            grams = self.targets[name]
            style = torch.einsum("ns,scd->ncd", shares, grams)
            own = (1 - shares.sum(1))[:, None, None] * gram_matrices(seen[name])
            whole = shares / shares.sum(1, keepdim=True).clamp_min(1e-6)
            loudness = torch.einsum("ns,scd->ncd", whole, grams)
            styles.append(relative_error(gram_matrices(found[name]), style + own, loudness))
        terms = {
            "content": unexplained_variance(found[CONTENT_LAYERS], seen[CONTENT_LAYERS]),
            "style": self.config.style_weight * torch.stack(styles).mean(),
            "tv": self.config.tv * total_variation(painted),
            "gamut": 10 * out_of_gamut(painted),
        }
        if pair:
            apart = temporal_difference(painted, paintings[size:], pair)
            terms["temporal"] = self.config.stable_weight * apart
        return terms

    def frame_pair(self, turn: int, content: Tensor) -> FramePair:
        """The batch of a turn as first frames, and second frames that follow them."""
        return make_frame_pairs(content, np.random.default_rng([self.config.seed, 3, turn]))

    def style_weights(self, turn: int, size: int) -> Tensor:
        """What the batch of a turn asks for: shares (size, styles taught), each row at most 1."""
        random = np.random.default_rng([self.config.seed, 2, turn])
        shares = np.zeros((size, len(self.taught)), np.float32)
        for row in shares:
            one, other = random.permutation(len(row))[:2] if len(row) > 1 else (0, 0)
            kind, part = random.random(), random.random()
            if kind < WHOLE:
                row[one] = 1
            elif kind < PART or one == other:
                row[one] = part
            else:
                row[one], row[other] = part, 1 - part
        return torch.from_numpy(shares)

    def preview(self) -> Tensor:
        """Photographs across the top, each style below."""
        content = self.photos.batch(0, 4).to(self.device)
        rows = [content]
        for index in self.taught:
            shares = torch.zeros(len(content), len(self.names), device=self.device)
            shares[:, index] = 1
            painted = self.network(pad(content, 4), self.network.mix_styles(shares))
            rows.append(unpad(painted, *content.shape[2:]))
        half = (len(rows) + 1) // 2
        return torch.cat(
            [image_grid(rows[:half]), image_grid((rows[half:] + rows[:1])[:half])], dim=2
        )

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        shown = {f"picture.{index}": jpeg for index, jpeg in self.shown.items()}
        return {**self.network.state_dict(), **shown}, {
            "styles": self.names,
            "widths": self.network.widths,
            "blocks": self.network.blocks,
            **({"stable": True} if self.config.stable else {}),
        }


def _small_jpeg(file: Path) -> Tensor:
    """A small JPEG of a style, as bytes: what its name stands for."""
    with Image.open(file) as picture:
        small = picture.convert("RGB")
    small.thumbnail((SHOWN, SHOWN))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=80)
    return torch.frombuffer(bytearray(data.getvalue()), dtype=torch.uint8)
