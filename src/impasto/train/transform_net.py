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
from impasto.train.dataset import Album
from impasto.train.decoders import grid
from impasto.train.synthetic_motion import Pair, pairs, unsteadiness
from impasto.train.task import Course, Lesson, Share
from impasto.weights import store

CONTENT = "conv3_3"
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
SHOWN = 128
"""Long side in pixels of the picture of a style that the model carries."""
TABLE = 5.0
"""How many times faster the table learns: a row is asked for in a few steps only."""
WHOLE, PART = 0.6, 0.85
"""Share of the batch that asks for one whole style; up to PART for part of one; else for two."""


@dataclass(frozen=True)
class FastCourse(Course):
    """The knobs."""

    judge: str = knob("oxford", "the encoder that the losses see with: a name or a file")
    style_weight: float = knob(20.0, "weight of the style loss", low=0)
    tv: float = knob(0.3, "weight of the total variation", low=0)
    style_size: int = knob(384, "long side of the style pictures", low=64, high=4096, unit="px")
    table_only: bool = knob(False, "leave the network as it is and learn the styles only")
    stable: bool = knob(False, "for films: paint what moves as it was painted before")
    stable_weight: float = knob(350.0, "weight of the temporal loss, if stable", low=0)


class FastLesson(Lesson):
    """Teaches one network a table of styles.

    Args:
        course: the knobs.
        photos: folders of photographs.
        styles: folders or files, each picture one style, called by its file's name.
        start: a model to start from; its styles come first in the table.
    """

    name: ClassVar[str] = "fast"
    knobs = FastCourse
    wants_styles = True

    def __init__(
        self, course: FastCourse, photos: Sequence[str], styles: Sequence[str], start: str
    ) -> None:
        self.course: FastCourse = course
        self.photos = Album(photos, course.side, course.seed, "photos")
        gallery = Album(styles, course.side, course.seed, "styles")
        gallery.look_through()
        self.albums = (self.photos, gallery)
        self.names = [f.stem for f in gallery.files]
        if len(set(self.names)) < len(self.names):
            raise InputError("Two style pictures have one name: rename one.")
        self.files = gallery.files
        self.judge = VGG(store.load_encoder(course.judge))
        torch.manual_seed(course.seed)
        self.known = store.load_model(start, "fast") if start else None
        old = list(self.known.about["styles"]) if self.known else []
        self.names = [*old, *(n for n in self.names if n not in old)]
        self.taught = [self.names.index(f.stem) for f in self.files]
        self.network: TransformNet = TransformNet(len(self.names))
        self.shown: dict[int, Tensor] = {}
        if self.known:
            self._take_over(self.known.tensors)
        self.shown.update(zip(self.taught, map(_small_jpeg, self.files), strict=True))
        if course.table_only:
            self.network.requires_grad_(False)
            self.network.table.requires_grad_(True)

    def _take_over(self, tensors: Mapping[str, Tensor]) -> None:
        """The known network; a new style starts as the mean of the known ones."""
        table = tensors["table"]
        mean = table.mean(0, keepdim=True).expand(len(self.names) - len(table), -1)
        self.shown = {i: tensors[f"picture.{i}"] for i in range(len(table))}
        parameters = {n: t for n, t in tensors.items() if not n.startswith("picture.")}
        self.network.load_state_dict({**parameters, "table": torch.cat([table, mean])})

    def groups(self) -> list[dict[str, Any]]:
        shared = [p for n, p in self.network.named_parameters() if n != "table"]
        return [
            {"params": [p for p in shared if p.requires_grad], "times": 1.0},
            {"params": [self.network.table], "times": TABLE},
        ]

    def to(self, device: str, precision: str) -> None:
        self.device = device
        move_network(self.judge, device, precision)
        self.grams: dict[str, list[Tensor]] = {name: [] for name in STYLE}
        for file in self.files:
            picture = read(file)
            size = fit_long_side(
                picture.height, picture.width, min(self.course.style_size, picture.long_side)
            )
            pixels = torch.from_numpy(resize(picture.pixels, *size)).permute(2, 0, 1)[None]
            with torch.no_grad():
                for name, f in self.judge(pixels.to(device), STYLE).items():
                    self.grams[name].append(gram_matrices(f)[0])
        self.targets = {name: torch.stack(found) for name, found in self.grams.items()}

    def loss(self, network: nn.Module, step: int, share: Share) -> dict[str, Tensor]:
        turn, size = step * share.count + share.index, self.course.batch
        content = self.photos.batch(turn, size).to(self.device)
        shares = self.shares(turn, size).to(self.device)
        pair = self.pair(turn, content) if self.course.stable else None
        content = pair.first if pair else content
        with torch.no_grad():
            seen = self.judge(content, [CONTENT, *STYLE])
        every = content.new_zeros(size, len(self.names))
        every[:, self.taught] = shares
        rows = self.network.mix_styles(every)
        shown = pad(content, 4)
        if pair:
            shown, rows = torch.cat([shown, pad(pair.second, 4)]), rows.repeat(2, 1)
        paintings = unpad(network(shown, rows).float(), *content.shape[2:])
        painted = paintings[:size]
        found = self.judge(painted, [CONTENT, *STYLE])
        styles = []
        for name in STYLE:
            grams = self.targets[name]
            style = torch.einsum("ns,scd->ncd", shares, grams)
            own = (1 - shares.sum(1))[:, None, None] * gram_matrices(seen[name])
            whole = shares / shares.sum(1, keepdim=True).clamp_min(1e-6)
            loudness = torch.einsum("ns,scd->ncd", whole, grams)
            styles.append(relative_error(gram_matrices(found[name]), style + own, loudness))
        terms = {
            "content": unexplained_variance(found[CONTENT], seen[CONTENT]),
            "style": self.course.style_weight * torch.stack(styles).mean(),
            "tv": self.course.tv * total_variation(painted),
            "gamut": 10 * out_of_gamut(painted),
        }
        if pair:
            apart = unsteadiness(painted, paintings[size:], pair)
            terms["temporal"] = self.course.stable_weight * apart
        return terms

    def pair(self, turn: int, content: Tensor) -> Pair:
        """The batch of a turn as first frames, and second frames that follow them."""
        return pairs(content, np.random.default_rng([self.course.seed, 3, turn]))

    def shares(self, turn: int, size: int) -> Tensor:
        """What the batch of a turn asks for: shares (size, styles taught), each row at most 1."""
        random = np.random.default_rng([self.course.seed, 2, turn])
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
        return torch.cat([grid(rows[:half]), grid((rows[half:] + rows[:1])[:half])], dim=2)

    def product(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        shown = {f"picture.{index}": jpeg for index, jpeg in self.shown.items()}
        return {**self.network.state_dict(), **shown}, {
            "styles": self.names,
            "widths": self.network.widths,
            "blocks": self.network.blocks,
            **({"stable": True} if self.course.stable else {}),
        }


def _small_jpeg(file: Path) -> Tensor:
    """A small JPEG of a style, as bytes: what its name stands for."""
    with Image.open(file) as picture:
        small = picture.convert("RGB")
    small.thumbnail((SHOWN, SHOWN))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=80)
    return torch.frombuffer(bytearray(data.getvalue()), dtype=torch.uint8)
