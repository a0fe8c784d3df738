"""Films by methods that paint in one pass: every frame holds on to the painting before it.

Huang et al., "Real-Time Neural Style Transfer for Videos", CVPR 2017, and Chen et al., "Coherent
Online Video Style Transfer", ICCV 2017, teach a network to paint along the flow. Here no network
is taught: what it paints of a frame is mixed with the last painting, brought along the flow, where
the flow can be trusted. Three things keep that from going wrong:

- Ghosts: the last painting counts only where the flow comes back to where it was (Ruder et al.
  2016, eq. 3 and 4) and where the two frames of the film then agree, but for a change of the light.
- Blur: the flow takes the painting off the grid of pixels again and again. So it is resampled with
  a bicubic filter, and what is lost of its fine detail is given back: everywhere as much as the
  network's own painting has there.
- Drift: a share of every frame is its own, so that a mistake is forgotten in a few frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.core.picture import Picture, Pixels
from impasto.core.plan import Plan
from impasto.core.request import Request
from impasto.nets.flow import at_most, light, trusted, warp
from impasto.nets.sitting import FeedForward, Place, thumbnail
from impasto.nets.tiles import as_pixels, as_tensor, paint
from impasto.pictures import resize
from impasto.run import colours
from impasto.video.flow import Flow
from impasto.video.statistics import Remembering, Remembers

HELD = 0.9
"""Share of the last painting in the next one where the flow is trusted, at stability 1."""
NEWEST = 0.15
"""Share of the newest frame in the average of statistics, at stability 1."""
AGREE = 0.05
"""Two frames that differ by this along the flow, in 0..1, are trusted 1 / e."""
AROUND = 2
"""Pixels around a pixel that is not trusted that are not trusted either."""
DETAIL = 2
"""Radius in pixels below which something is fine detail."""
GIVEN_BACK = 1.15
"""Detail is raised by this factor at most from one frame to the next."""


class Steady:
    """Paints a film frame by frame; see :class:`impasto.video.run.Brush`.

    Args:
        request: whose content is any frame of the film.
        plan: for it.
        stability: 0, every frame by itself, to 1.
        flow: who finds the motion; None: nothing is carried from frame to frame but statistics.

    ``files`` are the weights in use, name → sha256.
    """

    def __init__(
        self, request: Request, plan: Plan, *, stability: float, flow: Flow | None
    ) -> None:
        setting = plan.setting
        assert isinstance(request.method, FeedForward)
        self._request, self._flow = colours.before(request), flow
        self._size = setting.height, setting.width
        self._place = Place(setting.device, setting.precision)
        painter: Any = request.method.painter(self._request, self._place)
        self.files: Mapping[str, str] = dict(painter.files)
        if stability and not isinstance(painter, Remembers):
            painter = Remembering(painter)
        if stability:
            painter.steady(1 + stability * (NEWEST - 1))
        self._painter, self._stability = painter, stability
        self._last: tuple[Pixels, Tensor] | None = None

    def begin(self) -> None:
        """A new shot starts: forget everything."""
        self._last = None
        if self._stability:
            self._painter.begin()

    @torch.inference_mode()
    def __call__(self, frame: Pixels) -> Pixels:
        """Paint a frame (H, W, 3) in 0..1, at the plan's size."""
        if frame.shape[:2] != self._size:
            frame = np.asarray(resize(frame, *self._size))
        fresh = as_tensor(self._painted(frame))
        if self._last and self._flow:
            fresh = self._held(frame, fresh, *self._last, self._flow)
        if self._stability and self._flow:
            self._last = frame, fresh
        return as_pixels(fresh)

    def state(self) -> dict[str, Tensor]:
        """All that the next frame needs, as tensors by name."""
        if not self._stability:
            return {}
        known = {f"statistics.{n}": t.clone() for n, t in self._painter.state().items()}
        if not self._last:
            return known
        frame, painted = self._last
        return {**known, "frame": torch.from_numpy(frame), "painted": painted.contiguous()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`.

        Raises:
            InputError: it is of another method.
        """
        self.begin()
        tensors = {name: torch.as_tensor(value) for name, value in state.items()}
        if self._stability:
            head = "statistics."
            known = {n[len(head) :]: t for n, t in tensors.items() if n.startswith(head)}
            self._painter.restore(known)
        if "frame" in tensors:
            self._last = tensors["frame"].numpy(), tensors["painted"]

    def _painted(self, frame: Pixels) -> Pixels:
        """What the network paints of a frame, in the colours that are asked for."""
        target = np.empty((*self._size, 3), np.float32)
        paint(frame, thumbnail(frame), target, self._painter, self._place, lambda *_: None)
        now = replace(self._request, content=Picture(frame))
        return np.asarray(colours.after(target, now))

    def _held(
        self, frame: Pixels, fresh: Tensor, before: Pixels, painted: Tensor, flow: Flow
    ) -> Tensor:
        """A fresh painting (1, 3, H, W) mixed with the last one where that can be followed."""
        back = flow(frame, before)
        now, then = as_tensor(frame), warp(as_tensor(before), back)
        known = trusted(back, flow(before, frame))
        lit = light(then, now, known)
        trust = _soft(known * _alike(then * lit[0] + lit[1], now))
        carried = warp(painted, back, "bicubic")
        gain, offset = at_most(light(carried, fresh, trust), lit)
        carried = carried * gain + offset
        mixed = torch.lerp(fresh, carried, HELD * self._stability * trust)
        return sharpened(mixed, fresh).clamp(0, 1)


def sharpened(mixed: Tensor, fresh: Tensor) -> Tensor:
    """A mixture (1, C, H, W) with as much fine detail at every place as the fresh painting has.

    Detail is never taken away, and raised by :data:`GIVEN_BACK` at most.
    """
    broad, wanted = _broad(mixed), fresh - _broad(fresh)
    detail = mixed - broad
    have, want = (_broad(_broad(d.square().mean(1, keepdim=True))) for d in (detail, wanted))
    gain = ((want + 1e-6) / (have + 1e-6)).sqrt().clamp(1, GIVEN_BACK)
    return broad + gain * detail


def _alike(then: Tensor, now: Tensor) -> Tensor:
    """How far two frames agree (1, 1, H, W), 0 to 1, around each pixel: grain counts less."""
    apart = F.avg_pool2d((then - now).abs().mean(1, keepdim=True), 5, 1, 2, count_include_pad=False)
    return (apart / AGREE).square().neg().exp()


def _soft(trust: Tensor) -> Tensor:
    """Trust (1, 1, H, W) that ends softly, and a little before its edge."""
    side = 2 * AROUND + 1
    less = -F.max_pool2d(-trust, side, 1, AROUND)
    return F.avg_pool2d(less, side, 1, AROUND, count_include_pad=False)


def _broad(picture: Tensor) -> Tensor:
    """A picture without its fine detail."""
    side = 2 * DETAIL + 1
    return F.avg_pool2d(picture, side, 1, DETAIL, count_include_pad=False)
