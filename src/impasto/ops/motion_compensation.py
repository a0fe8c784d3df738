"""What a frame shows of the one before it: where it is, in which light, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from impasto.core.picture import Pixels
from impasto.ops.convert import as_tensor
from impasto.ops.flow_estimation import Flow
from impasto.ops.warping import (
    GainOffset,
    fit_gain_offset,
    forward_backward_consistent,
    in_bounds,
    motion_boundaries,
    warp,
)

AGREE = 0.1
"""Two frames that differ by this along the flow, in 0..1, are trusted 1 / e."""


@dataclass(frozen=True)
class Followed:
    """The way from a frame back to an earlier one.

    Attributes:
        back: the flow, (1, 2, H, W).
        trust: (1, 1, H, W), 0 to 1, with soft edges: the flow comes back to where it was (Ruder et
            al. 2016, eq. 3), and the frames then agree, but for a change of the light. It goes to
            the boundaries of motion: where they are wrong, the frames do not agree.
        sure: the same without those boundaries (eq. 4).
        light: how it changed.
    """

    back: Tensor
    trust: Tensor
    sure: Tensor
    light: GainOffset


def follow(frame: Pixels, before: Pixels, flow: Flow) -> Followed:
    """Find what a frame (H, W, 3) in 0..1 shows of an earlier one of the same size."""
    back, ahead = flow(frame, before), flow(before, frame)
    known = in_bounds(back) & forward_backward_consistent(back, ahead)
    inside = (known & ~motion_boundaries(back)).to(back.dtype)
    now, then = as_tensor(frame), warp(as_tensor(before), back)
    lit = fit_gain_offset(then, now, inside)
    agree = _alike(lit(then), now)
    return Followed(back, _soft(known) * agree, inside * agree, lit)


def mean(picture: Tensor, radius: int) -> Tensor:
    """Of a square around each pixel of (N, C, H, W)."""
    return F.avg_pool2d(picture, 2 * radius + 1, 1, radius, count_include_pad=False)


def _alike(then: Tensor, now: Tensor) -> Tensor:
    """How far two frames agree (1, 1, H, W), 0 to 1, around each pixel: grain counts less."""
    return (mean((then - now).abs().mean(1, keepdim=True), 2) / AGREE).square().neg().exp()


def _soft(known: Tensor) -> Tensor:
    """Trust (1, 1, H, W) in 0..1 that begins softly, a pixel inside of what is known."""
    return mean(-F.max_pool2d(-known.float(), 3, 1, 1), 1)
