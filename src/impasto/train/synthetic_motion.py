"""Known motion: second frames made of still photographs, and what a steady painter owes them.

Sources: Huang et al., "Real-Time Neural Style Transfer for Videos", CVPR 2017, section 3.2, and
Gupta, Johnson, Alahi & Fei-Fei, "Characterizing and Improving Stability in Neural Style Transfer",
ICCV 2017, section 4 (a temporal loss on pairs of frames, so that a network is steady by itself);
Ruder, Dosovitskiy & Brox, "Artistic Style Transfer for Videos and Spherical Images", IJCV 2018,
section 6 (pairs made of photographs by known motion, with nothing seen where it was hidden).

Here the motion is never estimated, so that no estimator's errors are learnt: a photograph is
shifted, turned, zoomed and bent, a piece of another photograph moves across it, the light may
change, and there is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.ops.padding import PADDING_PX, pad, unpad
from impasto.ops.warping import in_bounds, warp

SHIFT, TURN, ZOOM, BEND = 20.0, 0.1, 0.08, 2.5
"""Of the largest motion: pixels, radians, share, and pixels (as a standard deviation)."""
MIN_VISIBLE_FRACTION = 0.03
"""Share of the largest motion that the smallest has; between them it is spread evenly in log."""
STILL, WHOLE = 0.25, 0.45
"""Share of the backgrounds that stand still; up to WHOLE they move by whole pixels."""
PATCHED, RELIT, NOISY = 0.5, 0.4, 0.6
"""Shares of the pairs with a moving patch, another light, and noise."""
NOISE = 0.03
"""Largest standard deviation of the noise, in 0..1."""
GAIN, OFFSET = 0.12, 0.04
"""Standard deviations of the light's factor (in log) and summand."""


@dataclass(frozen=True)
class FramePair:
    """Two frames, and how one comes from the other.

    Attributes:
        first, second: pictures (N, 3, H, W) in 0..1.
        flow: (N, 2, H, W), in pixels to the right and down: the second frame shows at (x, y) what
            the first has at (x, y) + flow.
        visible: (N, 1, H, W), 1 where the first frame has what the second shows, else 0.
        brightness_changed: (N,) bool: whether the light is another one.
    """

    first: Tensor
    second: Tensor
    flow: Tensor
    visible: Tensor
    brightness_changed: Tensor


def make_frame_pairs(pictures: Tensor, random: np.random.Generator) -> FramePair:
    """Set photographs (N, 3, H, W) in motion; the same generator, the same pairs.

    The first frames are the photographs with, in half of them, a piece of the batch's next one.
    """
    size, _, height, width = pictures.shape
    parts = [RandomMotion(height, width, random) for _ in range(size)]
    ground, patch, shape = (
        torch.stack([torch.from_numpy(getattr(part, name)) for part in parts]).to(pictures.device)
        for name in ("ground", "patch", "shape")
    )
    others = pictures.roll(1, 0).flip(3)
    first = torch.lerp(pictures, others, shape)
    moved = warp(shape, patch)
    second = torch.lerp(_warp(pictures, ground), _warp(others, patch), moved)
    flow = torch.where(moved > 0.5, patch, ground)
    edge = (moved > 0.01) & (moved < 0.99)
    hidden = (moved < 0.5) & (warp(shape, ground) > 0.01)
    seen = _erode((in_bounds(flow) & ~edge & ~hidden).to(pictures.dtype))
    for picture, part in zip(second, parts, strict=True):
        picture.mul_(torch.from_numpy(part.gain).to(picture))
        picture.add_(torch.from_numpy(part.offset).to(picture))
        if part.noise:
            picture.add_(_noise(picture, part, random))
    relit = torch.tensor([part.relit for part in parts], device=pictures.device)
    return FramePair(first, second.clamp_(0, 1), flow, seen, relit)


def temporal_difference(first: Tensor, second: Tensor, pair: FramePair) -> Tensor:
    """Mean squared difference of two frames' paintings where both show the same.

    0 for a painter that moves with what it paints. Where the light is another one, the painting
    may differ by a factor and a summand per color, those that fit best.

    Args:
        first: painting (N, 3, H, W) of the first frames.
        second: of the second ones.
        pair: the frames.
    """
    expected, seen = warp(first.float(), pair.flow, "bicubic"), pair.visible
    second = second.float()
    weight = seen / seen.sum((2, 3), keepdim=True).clamp_min(1)
    with torch.no_grad():  # at the best fit the loss does not change with the fit
        means = [(weight * each).sum((2, 3), keepdim=True) for each in (expected, second)]
        apart = expected - means[0]
        spread = (weight * apart.square()).sum((2, 3), keepdim=True)
        both = (weight * apart * (second - means[1])).sum((2, 3), keepdim=True)
        relit = pair.brightness_changed[:, None, None, None]
        factor = torch.where(relit, both / spread.clamp_min(1e-6), 1.0)
        summand = torch.where(relit, means[1] - factor * means[0], 0.0)
    missed = (factor * expected + summand - second).square()
    return (seen * missed).sum() / (missed.shape[1] * seen.sum().clamp_min(1))


class RandomMotion:
    """What is drawn by lot for one pair.

    ``ground`` and ``patch`` are flows (2, H, W), ``shape`` (1, H, W) is 1 where the first frame
    shows the patch; ``gain`` and ``offset`` are (3, 1, 1); ``noise`` is a standard deviation.
    """

    def __init__(self, height: int, width: int, random: np.random.Generator) -> None:
        kind, patched, relit, noisy = random.random(4)
        scale = MIN_VISIBLE_FRACTION ** random.random()
        shift = scale * random.uniform(-SHIFT, SHIFT, (2, 2))
        if kind < WHOLE:
            shift = np.round(shift)
        ys, xs = np.mgrid[:height, :width].astype(np.float32)
        here = np.stack([xs - (width - 1) / 2, ys - (height - 1) / 2])
        if kind < STILL:
            shift[0] = 0
        ground = np.broadcast_to(shift[0, :, None, None], here.shape)
        if kind >= WHOLE:
            angle, zoom = scale * random.uniform(-1, 1, 2) * (TURN, ZOOM)
            cosine, sine = (1 + zoom) * np.cos(angle), (1 + zoom) * np.sin(angle)
            turned = np.tensordot([[cosine, -sine], [sine, cosine]], here, axes=1)
            bent = scale * BEND * _smooth(random, 2, height, width)
            ground = turned - here + bent + ground
        self.ground = np.ascontiguousarray(ground, np.float32)
        self.patch = np.broadcast_to(shift[1, :, None, None], here.shape).astype(np.float32)
        radius = random.uniform(0.08, 0.25) * min(height, width)
        center = random.uniform(-0.4, 0.4, (2, 1, 1)) * np.reshape((width, height), (2, 1, 1))
        level = 1 - ((here - center) ** 2).sum(0) / radius**2
        level = level + 0.4 * _smooth(random, 1, height, width, 8)[0]
        shape = np.clip(0.5 + level * radius / 3, 0, 1) * (patched < PATCHED)
        self.shape = shape[None].astype(np.float32)
        self.relit = bool(relit < RELIT)
        light = random.standard_normal(2) * (GAIN, OFFSET)
        tint = 0.02 * random.standard_normal((2, 3, 1, 1))
        gain, offset = np.exp(light[0] + tint[0]), light[1] + tint[1]
        self.gain = np.float32(gain if self.relit else np.ones_like(gain))
        self.offset = np.float32(offset if self.relit else np.zeros_like(offset))
        self.noise = float(random.uniform(0, NOISE)) if noisy < NOISY else 0.0
        self.coarse = bool(random.random() < 0.5)


def _noise(picture: Tensor, part: RandomMotion, random: np.random.Generator) -> Tensor:
    """Gaussian noise for a picture (3, H, W): of single pixels, or of grains twice as wide."""
    height, width = picture.shape[1:]
    if part.coarse:
        half = random.standard_normal((1, 3, height // 2 + 1, width // 2 + 1), np.float32)
        grains = F.interpolate(torch.from_numpy(half), (height, width), mode="bilinear")[0]
    else:
        grains = torch.from_numpy(random.standard_normal((3, height, width), np.float32))
    return part.noise * grains.to(picture)


def _smooth(
    random: np.random.Generator, channels: int, height: int, width: int, knots: int = 5
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Smooth noise (channels, H, W), of standard deviation 1 at its knots."""
    coarse = torch.from_numpy(random.standard_normal((1, channels, knots, knots), np.float32))
    fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    return fine[0].numpy()


def _erode(mask: Tensor) -> Tensor:
    """Without the two pixels at its edges, from beyond which a cubic takes a little."""
    return -F.max_pool2d(-F.pad(mask, (2, 2, 2, 2)), 5, 1)


def _warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """The flow's frame, from pictures that are mirrored beyond their edges."""
    around = F.pad(flow, (PADDING_PX,) * 4, mode="replicate")
    height, width = flow.shape[2:]
    return unpad(warp(pad(pictures, 1), around, "bicubic"), height, width)
