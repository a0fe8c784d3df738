"""Decoders: from an encoder's features back to a picture.

A decoder mirrors the encoder from its layer on: convolutions of 3 x 3 with ReLUs, and nearest
upsampling where the encoder halves. No normalization, which would take the style's statistics
out again (Huang & Belongie 2017, section 6.1), and no transposed convolution, which would leave
a grid (Odena, Dumoulin & Olah, "Deconvolution and Checkerboard Artifacts", 2016).

Given the encoder's switches, where in each window the maximum was, a decoder unpools instead:
what was pooled goes back to its place, and edges stay where they were (Li et al., "A Closed-form
Solution to Photorealistic Image Stylization", ECCV 2018, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from impasto.nets.fused import conv_relu, upsample_conv

INVERSION_WIDTHS = (16, 32, 64, 128, 128)
"""Widths of WCT's decoders, which only invert: at full resolution, at half of it, and so on."""
CONVS_PER_BLOCK = {1: 1, 2: 2, 3: 2, 4: 4, 5: 4}
"""Block whose first layer is decoded → convolutions that are run at the resolution of its maps,
as many as the encoder has between its first layer and the next block's."""


POOLED_LAYERS = ("conv3_4", "conv2_2", "conv1_2")
"""What is pooled before conv4_1, conv3_1 and conv2_1 in VGG-19."""


def max_pool_indices(features: Mapping[str, Tensor], level: int) -> list[Tensor]:
    """Where the encoder's poolings before conv{level}_1 found their maxima, the last one first.

    Args:
        features: with those of :data:`POOLED_LAYERS` that lie before the level, (N, C, H, W), even
            sides.
        level: 1 to 4.

    Returns:
        Indices (N, C, H / 2, W / 2), as :func:`torch.nn.functional.max_unpool2d` takes them.
    """
    before = POOLED_LAYERS[len(POOLED_LAYERS) + 1 - level :]
    return [F.max_pool2d(features[name], 2, return_indices=True)[1] for name in before]


class Decoder(nn.Module):
    """From the features of conv{level}_1 to a picture.

    Args:
        channels: of the features.
        widths: channels of the convolutions at full resolution, at half of it, and so on: one
            number for each block from 1 to the level.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.channels, self.widths = channels, tuple(widths)
        level = len(widths)
        self.stages = nn.ModuleList()
        before = channels
        for block in range(level, 0, -1):
            # The encoder's first convolution of a block belongs to the resolution below it.
            count = 1 if block == level else CONVS_PER_BLOCK[block + 1]
            stage = nn.ModuleList()
            for index in range(count):
                last = index + 1 == count and block > 1
                width = widths[block - 2] if last else widths[block - 1]
                stage.append(nn.Conv2d(before, width, 3, padding=1))
                before = width
            self.stages.append(stage)
        self.last = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, features: Tensor, pool_indices: Sequence[Tensor] = ()) -> Tensor:
        """Features (N, channels, h, w) to pictures (N, 3, h·2^(level - 1), w·2^(level - 1)).

        The pictures are about 0..1, but not cut to it.

        Args:
            features: of conv{level}_1.
            pool_indices: of the level - 1 poolings before it, the last one first, by
            :func:`max_pool_indices`;
                none: nearest upsampling.
        """
        x = features
        for index, stage in enumerate(self.stages):
            first, *others = cast(list[nn.Conv2d], list(stage.children()))
            if not index:
                x = conv_relu(first, x)
            elif pool_indices:
                x = conv_relu(first, F.max_unpool2d(x, pool_indices[index - 1], [2, 2]))
            else:
                x = F.relu_(upsample_conv(first, x))
            for conv in others:
                x = conv_relu(conv, x)
        pictures: Tensor = self.last(x)
        return pictures + 0.5
