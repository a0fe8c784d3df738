"""What a frame shows of the one before it: where it is, in which light, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from impasto.core.picture import Pixels
from impasto.ops.convert import as_tensor
from impasto.ops.flow_estimation import FlowEstimator
from impasto.ops.warping import (
    GainOffset,
    fit_gain_offset,
    forward_backward_consistent,
    in_bounds,
    motion_boundaries,
    warp,
)

MAX_FLOW_ERROR_PX = 0.1
"""Two frames that differ by this along the flow, in 0..1, are trusted 1 / e."""


@dataclass(frozen=True)
class MotionMatch:
    """The way from a frame back to an earlier one.

    Attributes:
        flow: the flow, (1, 2, H, W).
        confidence: (1, 1, H, W), 0 to 1, with soft edges: the flow comes back to where it was
        (Ruder et
            al. 2016, eq. 3), and the frames then agree, but for a change of the light. It goes to
            the boundaries of motion: where they are wrong, the frames do not agree.
        reliable: the same without those boundaries (eq. 4).
        brightness: how it changed.
    """

    flow: Tensor
    confidence: Tensor
    reliable: Tensor
    brightness: GainOffset


def match_motion(frame: Pixels, before: Pixels, flow: FlowEstimator) -> MotionMatch:
    """Find what a frame (H, W, 3) in 0..1 shows of an earlier one of the same size."""
    back, ahead = flow(frame, before), flow(before, frame)
    known = in_bounds(back) & forward_backward_consistent(back, ahead)
    inside = (known & ~motion_boundaries(back)).to(back.dtype)
    now, then = as_tensor(frame), warp(as_tensor(before), back)
    lit = fit_gain_offset(then, now, inside)
    agree = _similarity(lit(then), now)
    return MotionMatch(back, _smooth_mask(known) * agree, inside * agree, lit)


def box_mean(picture: Tensor, radius: int) -> Tensor:
    """Of a square around each pixel of (N, C, H, W)."""
    return F.avg_pool2d(picture, 2 * radius + 1, 1, radius, count_include_pad=False)


def _similarity(then: Tensor, now: Tensor) -> Tensor:
    """How far two frames agree (1, 1, H, W), 0 to 1, around each pixel: grain counts less."""
    return (
        (box_mean((then - now).abs().mean(1, keepdim=True), 2) / MAX_FLOW_ERROR_PX)
        .square()
        .neg()
        .exp()
    )


def _smooth_mask(known: Tensor) -> Tensor:
    """Trust (1, 1, H, W) in 0..1 that begins softly, a pixel inside of what is known."""
    return box_mean(-F.max_pool2d(-known.float(), 3, 1, 1), 1)
