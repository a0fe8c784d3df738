"""Decoders for the compact encoder: one that paints (AdaIN), five that only invert (WCT).

Sources: Huang & Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance
Normalization", ICCV 2017, section 5.2; Li et al., "Universal Style Transfer via Feature
Transforms", NeurIPS 2017, section 3.1; the identity losses of Park & Lee, "Arbitrary Style
Transfer With Style-Attentional Networks", CVPR 2019, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.core.knobs import knob
from impasto.losses.normalized import gram_matrices, relative_error, unexplained_variance
from impasto.losses.total_variation import out_of_gamut, total_variation
from impasto.nets.decoder import INVERSION_WIDTHS, POOLED_LAYERS, Decoder, max_pool_indices
from impasto.nets.vgg import VGG, move_network
from impasto.ops.padding import pad, unpad
from impasto.train.dataset import ImageDataset
from impasto.train.task import Rank, TrainConfig, TrainingTask
from impasto.weights import store

Network = TypeVar("Network", bound=nn.Module)

LEVELS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
ADAIN_WIDTHS = (24, 48, 96, 128)
ENCODERS = ("compact", "oxford")
"""What a decoder can be taught for: its users must have it too."""
PIXELS = 20.0
"""Weight of the mean squared error of pixels beside that of features."""
ALIGN = 16
"""Sides of framed pictures are multiples of it, so that every level divides evenly."""


@dataclass(frozen=True)
class AdaINDecoderConfig(TrainConfig):
    """The knobs."""

    encoder: str = knob("compact", "the encoder that is decoded", choices=ENCODERS)
    loss_network: str = knob("oxford", "the encoder that the losses see with: a name or a file")
    style_weight: float = knob(5.0, "weight of the style loss", low=0)
    identity_weight: float = knob(1.0, "weight of giving a picture back", low=0)
    tv: float = knob(0.1, "weight of the total variation", low=0)


class AdaINDecoderTask(TrainingTask):
    """Teaches a decoder to paint content features that have the style's means and deviations."""

    name: ClassVar[str] = "adain"
    knobs = AdaINDecoderConfig
    needs_styles = True

    def __init__(
        self, config: AdaINDecoderConfig, photos: Sequence[str], styles: Sequence[str], start: str
    ) -> None:
        self.config: AdaINDecoderConfig = config
        self.photos = ImageDataset(photos, config.crop_size, config.seed, "photos")
        self.styles = ImageDataset(styles, config.crop_size, config.seed, "styles")
        self.datasets = (self.photos, self.styles)
        self.encoder = VGG(store.load_encoder(config.encoder), map_features=False)
        self.judge = VGG(store.load_encoder(config.loss_network))
        torch.manual_seed(config.seed)
        self.network = _initialized(Decoder(self.encoder.channels("conv4_1"), ADAIN_WIDTHS))
        if start:
            self.network.load_state_dict(store.load_model(start, "adain").tensors)

    def to(self, device: str, precision: str) -> None:
        self.device = device
        move_network(self.encoder, device, precision)
        move_network(self.judge, device, precision)

    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        turn, size = step * rank.count + rank.index, self.config.batch_size
        content, style = (a.batch(turn, size).to(self.device) for a in (self.photos, self.styles))
        frames = pad(content, ALIGN)
        with torch.no_grad():
            plain = self.encoder(frames, ["conv4_1"])["conv4_1"]
            wanted = adain(plain, self.encoder(style, ["conv4_1"])["conv4_1"])
            grams = {n: gram_matrices(f) for n, f in self.judge(style, LEVELS).items()}
            seen = self.judge(content, LEVELS[1:4])
        half = (size + 1) // 2
        drawn = network(torch.cat([wanted, plain[:half]]))
        pictures = unpad(drawn.float(), *content.shape[2:])
        painted, same = pictures[:size], pictures[size:]
        again = self.encoder(drawn[:size], ["conv4_1"])["conv4_1"]
        found = self.judge(pictures, LEVELS)
        style_errors = [relative_error(gram_matrices(found[n][:size]), grams[n]) for n in LEVELS]
        unlike = [unexplained_variance(found[n][size:], f[:half]) for n, f in seen.items()]
        return {
            "content": unexplained_variance(again, wanted),
            "style": self.config.style_weight * torch.stack(style_errors).mean(),
            "identity": self.config.identity_weight
            * (PIXELS * F.mse_loss(same, content[:half]) + torch.stack(unlike).mean()),
            "tv": self.config.tv * total_variation(painted),
            "gamut": 10 * out_of_gamut(painted),
        }

    def preview(self) -> Tensor:
        """Pictures and their inversions across the top, styles down the side, paintings between."""
        content = self.photos.batch(0, 6).to(self.device)
        styles = self.styles.batch(0, 5).to(self.device)
        plain = self.encoder(pad(content, ALIGN), ["conv4_1"])["conv4_1"]
        rows = [torch.cat([torch.ones_like(content[:1]), content])]
        size = content.shape[2:]
        rows.append(torch.cat([torch.ones_like(content[:1]), unpad(self.network(plain), *size)]))
        for style in styles[:, None]:
            wanted = adain(plain, self.encoder(style, ["conv4_1"])["conv4_1"].expand(6, -1, -1, -1))
            rows.append(torch.cat([style, unpad(self.network(wanted), *size)]))
        return image_grid(rows)

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        return self.network.state_dict(), {
            "encoder": self.config.encoder,
            "encoder sha256": next(iter(self.encoder.digests.values())),
            "channels": self.network.channels,
            "widths": self.network.widths,
        }


@dataclass(frozen=True)
class WCTDecoderConfig(TrainConfig):
    """The knobs."""

    encoder: str = knob("compact", "the encoder that is decoded", choices=ENCODERS)


class WCTDecoderTask(TrainingTask):
    """Teaches five decoders, one for each level, to give pictures back."""

    name: ClassVar[str] = "wct"
    knobs = WCTDecoderConfig

    def __init__(
        self, config: WCTDecoderConfig, photos: Sequence[str], styles: Sequence[str], start: str
    ) -> None:
        self.config: WCTDecoderConfig = config
        self.photos = ImageDataset([*photos, *styles], config.crop_size, config.seed, "photos")
        self.datasets = (self.photos,)
        self.encoder = VGG(store.load_encoder(config.encoder), map_features=False)
        self.judge = VGG(store.load_encoder(config.encoder))
        torch.manual_seed(config.seed)
        self.network: DecoderBank = _initialized(
            DecoderBank([self.encoder.channels(n) for n in LEVELS])
        )
        if start:
            self.network.load_state_dict(store.load_model(start, "wct").tensors)

    def to(self, device: str, precision: str) -> None:
        self.device = device
        move_network(self.encoder, device, precision)
        move_network(self.judge, device, precision)

    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        turn, size = step * rank.count + rank.index, self.config.batch_size
        pictures = self.photos.batch(turn, size).to(self.device)
        with torch.no_grad():
            features = self.encoder(pad(pictures, ALIGN), LEVELS)
            seen = self.judge(pictures, LEVELS)
        terms = {}
        for level, drawn in enumerate(network(features), start=1):
            back = unpad(drawn.float(), *pictures.shape[2:])
            found = self.judge(back, LEVELS[:level])
            unlike = [unexplained_variance(found[n], seen[n]) for n in LEVELS[:level]]
            pixels = PIXELS * F.mse_loss(back, pictures)
            terms[f"conv{level}_1"] = pixels + torch.stack(unlike).mean()
        return terms

    def preview(self) -> Tensor:
        """Pictures, and under them what each decoder made of them."""
        pictures = self.photos.batch(0, 6).to(self.device)
        drawn = self.network(self.encoder(pad(pictures, ALIGN), LEVELS))
        return image_grid([pictures, *(unpad(d, *pictures.shape[2:]) for d in drawn)])

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        return self.network.state_dict(), {
            "encoder": self.config.encoder,
            "encoder sha256": next(iter(self.encoder.digests.values())),
            "channels": [d.channels for d in self.network.levels],
        }


@dataclass(frozen=True)
class PhotoWCTDecoderConfig(WCTDecoderConfig):
    """The knobs."""

    sharpness: float = knob(20.0, "weight of the pixels beside the features", low=0)


class PhotoWCTDecoderTask(TrainingTask):
    """Teaches four decoders that unpool, one for each level, to give pictures back.

    Li, Liu, Li, Yang & Kautz, "A Closed-form Solution to Photorealistic Image Stylization", ECCV
    2018, section 3.1: as WCT's, with unpooling in the place of upsampling.
    """

    name: ClassVar[str] = "photowct"
    knobs = PhotoWCTDecoderConfig
    init_kinds = ("wct",)

    def __init__(
        self,
        config: PhotoWCTDecoderConfig,
        photos: Sequence[str],
        styles: Sequence[str],
        start: str,
    ) -> None:
        self.config: PhotoWCTDecoderConfig = config
        self.photos = ImageDataset([*photos, *styles], config.crop_size, config.seed, "photos")
        self.datasets = (self.photos,)
        self.encoder = VGG(store.load_encoder(config.encoder), map_features=False)
        torch.manual_seed(config.seed)
        channels = [self.encoder.channels(n) for n in LEVELS[:4]]
        self.network: UnpoolingDecoders = _initialized(UnpoolingDecoders(channels))
        if start:
            known = self.start_model(start).tensors
            self.network.load_state_dict({n: known[n] for n in self.network.state_dict()})

    def to(self, device: str, precision: str) -> None:
        self.device = device
        move_network(self.encoder, device, precision)

    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        turn, size = step * rank.count + rank.index, self.config.batch_size
        pictures = self.photos.batch(turn, size).to(self.device)
        with torch.no_grad():
            features = self.encoder(pad(pictures, ALIGN), [*LEVELS[:4], *POOLED_LAYERS])
            seen = self.encoder(pictures, LEVELS[:4])
        terms = {}
        for level, drawn in enumerate(network(features), start=1):
            back = unpad(drawn.float(), *pictures.shape[2:])
            found = self.encoder(back, LEVELS[:level])
            unlike = [unexplained_variance(found[n], seen[n]) for n in LEVELS[:level]]
            pixels = self.config.sharpness * F.mse_loss(back, pictures)
            terms[f"conv{level}_1"] = pixels + torch.stack(unlike).mean()
        return terms

    def preview(self) -> Tensor:
        """Pictures, and under them what each decoder made of them."""
        pictures = self.photos.batch(0, 6).to(self.device)
        drawn = self.network(self.encoder(pad(pictures, ALIGN), [*LEVELS[:4], *POOLED_LAYERS]))
        return image_grid([pictures, *(unpad(d, *pictures.shape[2:]) for d in drawn)])

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        return self.network.state_dict(), {
            "encoder": self.config.encoder,
            "encoder sha256": next(iter(self.encoder.digests.values())),
            "channels": [d.channels for d in self.network.levels],
        }


class UnpoolingDecoders(nn.Module):
    """A decoder for each level from conv1_1 to conv4_1 that puts maxima back to their places."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            Decoder(c, channels[:level]) for level, c in enumerate(channels, start=1)
        )

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """The picture from each level's features, with the switches of the poolings before."""
        return [
            d(features[name], max_pool_indices(features, level))
            for level, (d, name) in enumerate(zip(self.levels, LEVELS[:4], strict=True), start=1)
        ]


class DecoderBank(nn.Module):
    """A decoder for each level, from conv1_1 on."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            Decoder(c, INVERSION_WIDTHS[:level]) for level, c in enumerate(channels, start=1)
        )

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """The picture from each level's features."""
        return [d(features[name]) for d, name in zip(self.levels, LEVELS, strict=True)]


def _initialized(network: Network) -> Network:
    """Random weights with which activations keep their size (He et al. 2015); a gray picture."""
    for name, weight in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        else:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
            if "last" in name:
                weight.data.mul_(0.2)
    return network


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Content features (N, C, H, W) with the means and deviations of the style's (eq. 8)."""
    content, style = content.float(), style.float()
    spread, mean = torch.var_mean(style, (2, 3), keepdim=True)
    return F.group_norm(content, content.shape[1]) * (spread + 1e-5).sqrt() + mean


def image_grid(rows: Sequence[Tensor]) -> Tensor:
    """Rows of pictures (n, 3, H, W) as one picture."""
    return torch.cat([torch.cat(list(r.float()), dim=2) for r in rows], dim=1).clamp(0, 1)
