"""The published networks at their true size, and fair ways to time them.

The weights are random, for time and memory do not depend on them. They are frozen, so that no run
pays for gradients. Run as a script, it prints how large the networks are.

    python benchmarks/reference.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EPS = 1e-5
"""Added to variances."""

Statistics = tuple[Tensor, Tensor]
"""Mean and standard deviation of every channel, (N, C, 1, 1) each."""

# ------------------------------------------------------------------------------- the networks


class AdaINReference(nn.Module):
    """AdaIN: the encoder to relu4_1, the transfer of statistics, and the mirrored decoder.

    Huang & Belongie, "Arbitrary Style Transfer in Real-Time with Adaptive Instance
    Normalization", ICCV 2017, section 6.1 and figure 2; the encoder is VGG-19 of Simonyan &
    Zisserman, ICLR 2015, table 1 (column E). Pooling rounds up and every convolution pads by
    reflection, as in the authors' published model. That model begins with a convolution of
    1 x 1 from 3 to 3 channels, which only prepares colors. It can be folded into conv1_1
    exactly, and is left out here.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks = (64, 64), (128, 128), (256, 256, 256, 256), (512,)
        self.encoder = _chain(3, blocks, lambda: nn.MaxPool2d(2, ceil_mode=True))
        mirrored = (256,), (256, 256, 256, 128), (128, 64), (64, 3)
        self.decoder = _chain(512, mirrored, _twice_as_large)[:-1]  # no ReLU after the last
        _randomize(self)

    def style_statistics(self, picture: Tensor) -> Statistics:
        """What :meth:`forward` needs of a style (N, 3, H, W), to be computed once for each."""
        return channel_statistics(self.encoder(picture))

    def forward(self, content: Tensor, style: Statistics) -> Tensor:
        """Contents (N, 3, H, W) to pictures with sides rounded up to multiples of 8.

        One style serves a whole batch, or each picture has its own.
        """
        pictures: Tensor = self.decoder(adain(self.encoder(content), style))
        return pictures


def adain(features: Tensor, style: Statistics) -> Tensor:
    """Features (N, C, H, W) with the style's statistics (Huang & Belongie 2017, eq. 8)."""
    mean, deviation = channel_statistics(features)
    style_mean, style_deviation = style
    return style_deviation * ((features - mean) / deviation) + style_mean


def channel_statistics(features: Tensor) -> Statistics:
    """Of each picture's channels on their own (Huang & Belongie 2017, eq. 5 and 6)."""
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + EPS).sqrt()


class JohnsonReference(nn.Module):
    """The feed-forward network of one style, in the version that is most widely used.

    Johnson, Alahi & Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
    Super-Resolution", ECCV 2016, section 3.1 and table 1 of the supplement. As in its common
    successors, and unlike the paper: instance normalization, with a scale and a shift, takes the
    place of batch normalization (Ulyanov, Vedaldi & Lempitsky, "Instance Normalization: The
    Missing Ingredient for Fast Stylization", 2016, section 2); **nearest upsampling and a
    convolution** take that of the fractionally-strided convolutions (Odena, Dumoulin & Olah,
    "Deconvolution and Checkerboard Artifacts", 2016); and every convolution pads by reflection,
    instead of the picture once, by 40 pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normalized(3, 32, size=9),
            *_normalized(32, 64, stride=2),
            *_normalized(64, 128, stride=2),
            *(_Residual(128) for _ in range(5)),
            _twice_as_large(),
            *_normalized(128, 64),
            _twice_as_large(),
            *_normalized(64, 32),
            _conv(32, 3, size=9),
        )
        _randomize(self)

    def forward(self, content: Tensor) -> Tensor:
        """Contents (N, 3, H, W) to pictures in 0..1, sides rounded up to multiples of 4.

        The scaled tanh at the end is the paper's.
        """
        return 0.5 + 0.5 * torch.tanh(self.body(content))


class _Residual(nn.Module):
    """A residual block without a ReLU after the sum (Gross & Wilber 2016, as the paper says)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_normalized(channels, channels), *_normalized(channels, channels)[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def _chain(
    channels: int, blocks: Sequence[Sequence[int]], between: Callable[[], nn.Module]
) -> nn.Sequential:
    """Convolutions with ReLUs, and a change of resolution between the blocks."""
    layers: list[nn.Module] = []
    for index, widths in enumerate(blocks):
        if index:
            layers.append(between())
        for width in widths:
            layers += [_conv(channels, width), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers)


def _normalized(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    norm = nn.InstanceNorm2d(outputs, eps=EPS, affine=True)
    return [_conv(inputs, outputs, size, stride), norm, nn.ReLU(inplace=True)]


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect")


def _twice_as_large() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="nearest")


def _randomize(network: nn.Module) -> None:
    """Freeze at random weights under which activations keep their size (He et al. 2015).

    Vanishing ones would be slow on some processors, and so unfair.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    network.eval().requires_grad_(False)


def parameters(network: nn.Module) -> int:
    """How many numbers it has learnt, or would have."""
    return sum(each.numel() for each in network.parameters())


# ------------------------------------------------------------------------------------ the clock

WARM_UP = 2
"""Runs before the clock counts: the first ones allocate, choose kernels or compile."""
LEAST = 3
"""Runs that count, however long they take."""


@dataclass(frozen=True)
class Timing:
    """The seconds of each run that counts, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the run in the middle."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Seconds: how far from the median the runs lie, in the median."""
        return statistics.median(abs(each - self.median) for each in self.seconds)


@dataclass(frozen=True)
class Comparison:
    """The contenders' timings, round by round, in the order in which they ran."""

    timings: dict[str, Timing]

    @property
    def medians(self) -> dict[str, float]:
        """Seconds by contender."""
        return {name: timing.median for name, timing in self.timings.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as fast as the first contender each one is."""
        first = next(iter(self.timings))
        return {name: self.ratio(name, first) for name in self.timings}

    def ratio(self, name: str, than: str) -> float:
        """How many times as fast as ``than`` a contender is: the median of the rounds' ratios.

        What slows a whole round down cancels out in it.
        """
        pairs = zip(self.timings[than].seconds, self.timings[name].seconds, strict=True)
        return statistics.median(theirs / its for theirs, its in pairs)


def time_of(run: Callable[[], object], seconds: float = 3.0) -> Timing:
    """Time a run, again and again until ``seconds`` have passed, after some that do not count."""
    _warm_up(run)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < LEAST or time.perf_counter() < end:
        found.append(_once(run))
    return Timing(tuple(found))


def side_by_side(runs: Mapping[str, Callable[[], object]], rounds: int) -> Comparison:
    """Time several contenders in turns, so that a machine's noise hits all alike.

    Args:
        runs: name → what is timed. Ratios are to the first: the reference goes there.
        rounds: how often each runs, besides its warm-up.
    """
    for run in runs.values():
        _warm_up(run)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(_once(run))
    return Comparison({name: Timing(tuple(seconds)) for name, seconds in found.items()})


def _warm_up(run: Callable[[], object]) -> None:
    for _ in range(WARM_UP):
        _once(run)


def _once(run: Callable[[], object]) -> float:
    _wait()
    start = time.perf_counter()
    run()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    """A GPU works on after a call has returned: let it finish."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def main() -> None:
    for network in (AdaINReference(), JohnsonReference()):
        print(f"{type(network).__name__}: {parameters(network):,} parameters")


if __name__ == "__main__":
    main()
