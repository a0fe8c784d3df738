"""The fast network: one pass from a picture to its painting, in any of the styles it has learnt.

Sources: Johnson, Alahi & Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
Super-Resolution", ECCV 2016 (the network: down by four, residual blocks, up again); Ulyanov,
Vedaldi & Lempitsky, "Instance Normalization", 2016; Dumoulin, Shlens & Kudlur, "A Learned
Representation for Artistic Style", ICLR 2017 (a style is nothing but the scale and shift of every
normalization, and mixing those mixes the styles).

What is ours: a style has two more numbers per color, how much of the picture itself goes into
the painting and how much of what the network painted. The style "content" is (1, 0): it gives
the picture back, and strength is the share of a style in a mixture with it. In a film, the moments
can be averaged over the frames (:class:`MomentAverages`), so that what enters at the edge of a
frame does not change the colors of all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.nets.fused import upsample_conv

Moments = tuple[Tensor, Tensor]
"""Mean and variance (C,) of each channel."""
DEFAULT_WIDTHS = (16, 32, 64)
"""Channels at full, half and quarter resolution."""
DEFAULT_BLOCKS = 5
"""Residual blocks."""
EPS = 1e-5


@dataclass
class MomentAverages:
    """What the network remembers of the frames of a shot: the average of its moments.

    Attributes:
        newest_weight: of the newest frame in the exponential average, over 0 to 1.
        moments: of every normalization, in their order; empty before the first frame.
    """

    newest_weight: float
    moments: list[Moments] = field(default_factory=list)


class TransformNet(nn.Module):
    """The network, with a table of styles.

    Args:
        styles: how many styles the table holds.
        widths: channels at full, half and quarter resolution.
        blocks: residual blocks at quarter resolution.

    ``table`` has shape (styles, numbers): for each normalization its scales and shifts, then
    three shares of the picture and three of what was painted. :meth:`mixture` makes the row that
    :meth:`forward` takes.
    """

    def __init__(
        self, styles: int, widths: Sequence[int] = DEFAULT_WIDTHS, blocks: int = DEFAULT_BLOCKS
    ) -> None:
        super().__init__()
        self.widths, self.blocks = tuple(widths), blocks
        full, half, quarter = widths
        self.down = nn.ModuleList(
            [
                nn.Conv2d(3, full, 5, padding=2, bias=False),
                nn.Conv2d(full, half, 3, 2, padding=1, bias=False),
                nn.Conv2d(half, quarter, 3, 2, padding=1, bias=False),
            ]
        )
        self.body = nn.ModuleList(_conv(quarter, quarter) for _ in range(2 * blocks))
        self.up = nn.ModuleList([_conv(quarter, half), _conv(half, full)])
        self.last = nn.Conv2d(full, 3, 5, padding=2)
        self.last.weight.data.mul_(0.3)
        convs = (*self.down, *self.body, *self.up)
        self.channel_counts = [conv.out_channels for conv in convs if isinstance(conv, nn.Conv2d)]
        plain = torch.cat([self.identity_row()[:-6], torch.tensor([0.3] * 3 + [1.0] * 3)])
        self.table = nn.Parameter(plain.repeat(styles, 1))

    def identity_row(self) -> Tensor:
        """The row that gives the picture back."""
        plain = [torch.tensor([1.0, 0.0]).repeat_interleave(n) for n in self.channel_counts]
        return torch.cat([*plain, torch.tensor([1.0] * 3 + [0.0] * 3)])

    def mix_styles(self, weights: Tensor) -> Tensor:
        """Rows (N, numbers) from shares (N, styles); what they lack of 1 is the picture itself."""
        plain = self.identity_row().to(self.table)
        return plain + weights @ (self.table - plain)

    def forward(
        self,
        images: Tensor,
        style_rows: Tensor,
        fixed_moments: Sequence[Moments] | None = None,
        averages: MomentAverages | None = None,
    ) -> Tensor:
        """Paint pictures (N, 3, H, W) in 0..1, sides multiples of 4, each by its row (N, numbers).

        With the moments of a whole picture (N = 1), paint a part of it. With a memory, the picture
        (N = 1) is the next frame of a shot. The paintings are about 0..1, but not cut to it.
        """
        norm = (
            _FixedMomentNorm(fixed_moments)
            if fixed_moments
            else _MomentAveragingNorm(averages)
            if averages
            else _ConditionalInstanceNorm()
        )
        painted, kept = self._run(images, style_rows, norm)
        return 0.5 + kept * (images - 0.5) + painted

    def moments(
        self, image: Tensor, style_row: Tensor, averages: MomentAverages | None = None
    ) -> list[Moments]:
        """Mean and variance of every normalization's input, for one picture (1, 3, H, W).

        With a memory, the picture is the next frame of a shot, and the moments are the averages.
        """
        if averages:
            self._run(image, style_row, _MomentAveragingNorm(averages))
            return averages.moments
        seen = _MomentRecordingNorm()
        self._run(image, style_row, seen)
        return seen.moments

    def _run(
        self, images: Tensor, style_rows: Tensor, norm: _ConditionalInstanceNorm
    ) -> tuple[Tensor, Tensor]:
        """What is painted (N, 3, H, W), and how much of the picture is kept (N, 3, 1, 1)."""
        parts = iter(torch.split(style_rows, [2 * n for n in self.channel_counts] + [6], dim=1))
        x = (images - 0.5).to(self.last.weight.dtype)
        for conv in self.down:
            x = F.relu(norm(conv(x), next(parts)))
        for first, second in zip(self.body[::2], self.body[1::2], strict=True):
            y = F.relu(norm(first(x), next(parts)))
            x = norm(second(y), next(parts)).add_(x)
        for conv in self.up:
            x = F.relu(norm(upsample_conv(cast(nn.Conv2d, conv), x), next(parts)))
        kept, painted = next(parts)[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return painted * self.last(x), kept


class _ConditionalInstanceNorm:
    """Conditional instance normalization (Dumoulin et al. 2017, eq. 5)."""

    def __call__(self, x: Tensor, row: Tensor) -> Tensor:
        if len(row) == 1:  # one picture: scale and shift go into the normalization's own pass
            scale, shift = row[0].to(x.dtype).chunk(2)
            return F.group_norm(x, x.shape[1], scale, shift, EPS)
        scale, shift = row[:, :, None, None].to(x.dtype).chunk(2, dim=1)
        return F.instance_norm(x, eps=EPS) * scale + shift


class _MomentRecordingNorm(_ConditionalInstanceNorm):
    """The same, and the moments are kept."""

    def __init__(self) -> None:
        self.moments: list[Moments] = []

    def __call__(self, x: Tensor, row: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
        self.moments.append((mean, variance))
        return super().__call__(x, row)


class _MomentAveragingNorm(_ConditionalInstanceNorm):
    """The same with moments averaged over the frames of a shot, this one included.

    One pass normalizes by the frame's own moments and tells them; from there to the averages it
    is another scale and shift.
    """

    def __init__(self, averages: MomentAverages) -> None:
        self.newest_weight, self.moments = averages.newest_weight, averages.moments
        self.first, self.index = not averages.moments, -1

    def __call__(self, x: Tensor, row: Tensor) -> Tensor:
        self.index += 1
        scale, shift = row[0].to(torch.float32 if x.device.type == "cpu" else x.dtype).chunk(2)
        own, mean, steepness = torch.native_group_norm(
            x, scale, shift, 1, x.shape[1], x.shape[2] * x.shape[3], x.shape[1], EPS
        )
        mean, steepness = mean[0].float(), steepness[0].float()
        now = mean, (steepness.pow(-2) - EPS).clamp_min(0)
        if self.first:
            self.moments.append(now)
            return own
        before = self.moments[self.index]
        average = (
            before[0].lerp(now[0], self.newest_weight),
            before[1].lerp(now[1], self.newest_weight),
        )
        self.moments[self.index] = average
        steeper = torch.rsqrt(average[1] + EPS)
        factor = steeper / steepness
        summand = shift * (1 - factor) + scale * (mean - average[0]) * steeper
        factor, summand = (each.to(x.dtype)[:, None, None] for each in (factor, summand))
        return torch.addcmul(summand, own, factor)


class _FixedMomentNorm(_ConditionalInstanceNorm):
    """The same with moments that are known: of a thumbnail, for a tile."""

    def __init__(self, moments: Sequence[Moments]) -> None:
        self.moments = iter(moments)

    def __call__(self, x: Tensor, row: Tensor) -> Tensor:
        mean, variance = next(self.moments)
        scale, shift = row[0].float().chunk(2)
        return F.batch_norm(x, mean, variance, scale, shift, training=False, eps=EPS)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
