"""Motion between two frames: bringing a picture along it, and where it can be trusted.

Ruder, Dosovitskiy & Brox, "Artistic Style Transfer for Videos", GCPR 2016: the check forward and
backward (eq. 3) and the boundaries of motion (eq. 4), after Sundaram, Brox & Keutzer, ECCV 2010.

A flow has shape (N, 2, H, W): how far to the right and how far down every pixel of a frame moves
on its way to another one, in pixels. So :func:`warp` with the flow from a frame to an earlier one
brings pictures of the earlier frame to where things are now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_CONTRAST_RATIO = 3.0
"""The contrast of a frame is so many times another one's at most, or its inverse at least."""
MIN_CHANNEL_VARIANCE = 1e-4
"""Variance of a channel below which it has no contrast that could be compared."""


def warp(image: Tensor, flow: Tensor, mode: Literal["bilinear", "bicubic"] = "bilinear") -> Tensor:
    """Bring a picture to the frame that a flow starts from: out(p) = picture(p + flow(p)).

    Args:
        image: (N, C, H, W).
        flow: (N, 2, H, W) or (1, 2, H, W), in pixels. What it takes from beyond the edges is the
            edge.
        mode: bicubic is sharper, and can leave the range of its picture a little.
    """
    n, _, height, width = image.shape
    x, y = _target_coordinates(flow).expand(n, 2, height, width).unbind(1)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return F.grid_sample(
        image, grid.to(image.dtype), mode=mode, padding_mode="border", align_corners=True
    )


def compose_flows(first: Tensor, second: Tensor) -> Tensor:
    """The flow from a frame to a third, of those from it to a second, and from there on."""
    return first + warp(second, first)


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """A flow of frames (N, 2, h, w) for the same frames at another size."""
    h, w = flow.shape[2:]
    if (h, w) == (height, width):
        return flow
    larger = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
    return larger * torch.tensor([width / w, height / h]).to(flow)[None, :, None, None]


def in_bounds(flow: Tensor) -> Tensor:
    """Where a flow leads to a place inside the frame: (N, 1, H, W), bool."""
    height, width = flow.shape[2:]
    places = _target_coordinates(flow)
    x, y = places[:, :1], places[:, 1:]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def forward_backward_consistent(flow: Tensor, backward_flow: Tensor) -> Tensor:
    """Where one comes back to where one was: (N, 1, H, W), bool; false where a thing was hidden.

    Eq. 3: |w + w'|² ≤ 0.01 (|w|² + |w'|²) + 0.5, with w' the flow back from where w leads.

    Args:
        flow: (N, 2, H, W), from this frame to another.
        backward_flow: (N, 2, H, W), from the other frame to this one.
    """
    there = warp(backward_flow, flow)
    return _squared_norm(flow + there) <= 0.01 * (_squared_norm(flow) + _squared_norm(there)) + 0.5


def motion_boundaries(flow: Tensor) -> Tensor:
    """Where motion changes abruptly, and a flow is not to be trusted: (N, 1, H, W), bool.

    Eq. 4: |∇u|² + |∇v|² > 0.01 |w|² + 0.002.
    """
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    return _squared_norm(across) + _squared_norm(down) > 0.01 * _squared_norm(flow) + 0.002


def reliability_mask(flow: Tensor, backward_flow: Tensor) -> Tensor:
    """Where a flow leads to the same thing: inside, there and back, off boundaries of motion.

    Args:
        flow: (N, 2, H, W), from this frame to another.
        backward_flow: (N, 2, H, W), from the other frame to this one.

    Returns:
        (N, 1, H, W), 0 or 1: the weights c of Ruder et al., eq. 6.
    """
    return (
        in_bounds(flow)
        & forward_backward_consistent(flow, backward_flow)
        & ~motion_boundaries(flow)
    ).to(flow.dtype)


@dataclass(frozen=True)
class GainOffset:
    """A change of the light: colors are (x - before) gain + after, each (1, C, 1, 1)."""

    gain: Tensor
    mean_before: Tensor
    mean_after: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        """A picture (1, C, H, W) in the other light."""
        return (image - self.mean_before) * self.gain + self.mean_after

    def clamp_to(self, limit: GainOffset) -> GainOffset:
        """The part of it that is no more than another change, of any of its colors.

        Contrast changes by a factor between 1 and the other's, and means by what is between 0 and
        the other's: a painting may follow the light of its film, but not flicker by itself.
        """
        none = torch.zeros(1).to(self.gain)

        def cut(value: Tensor, other: Tensor) -> Tensor:
            return value.clamp(torch.minimum(other.amin(), none), torch.maximum(other.amax(), none))

        gain = cut(self.gain.log(), limit.gain.log()).exp()
        shift = cut(self.mean_after - self.mean_before, limit.mean_after - limit.mean_before)
        return GainOffset(gain, self.mean_before, self.mean_before + shift)


def fit_gain_offset(image: Tensor, target: Tensor, weights: Tensor) -> GainOffset:
    """The change of the light that makes one picture like another.

    Found by least squares in two rounds, the second without what the first one left far off.

    Args:
        image: (1, C, H, W).
        target: the same shape.
        weights: (1, 1, H, W), how much each pixel counts. Where nothing does, there is no change.
    """
    found = _least_squares(image, target, weights)
    rest = (found(image) - target).abs().amax(1, keepdim=True)
    usual = (weights * rest).sum() / weights.sum().clamp_min(1)
    return _least_squares(image, target, weights * (rest <= 2 * usual + 1e-6))


def _least_squares(image: Tensor, target: Tensor, weights: Tensor) -> GainOffset:
    total = weights.sum()
    if total < 1:
        none = torch.zeros_like(image[:, :, :1, :1])
        return GainOffset(torch.ones_like(none), none, none)

    def mean(x: Tensor) -> Tensor:
        return (weights * x).sum((2, 3), keepdim=True) / total

    before, after = mean(image), mean(target)
    variance = mean((image - before).square())
    gain = mean((image - before) * (target - after)) / variance.clamp_min(MIN_CHANNEL_VARIANCE)
    gain = torch.where(variance > MIN_CHANNEL_VARIANCE, gain, torch.ones_like(gain))
    return GainOffset(gain.clamp(1 / MAX_CONTRAST_RATIO, MAX_CONTRAST_RATIO), before, after)


def _target_coordinates(flow: Tensor) -> Tensor:
    """Where every pixel is found: (N, 2, H, W), x and y."""
    height, width = flow.shape[2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=flow.dtype),
        torch.arange(width, device=flow.device, dtype=flow.dtype),
        indexing="ij",
    )
    return flow + torch.stack([x, y])


def _squared_norm(flow: Tensor) -> Tensor:
    return flow.square().sum(1, keepdim=True)
