"""Films by methods that paint in one pass: every frame holds on to the painting before it.

Huang et al., "Real-Time Neural Style Transfer for Videos", CVPR 2017, and Chen et al., "Coherent
Online Video Style Transfer", ICCV 2017, teach a network to paint along the flow. Here no network
is taught: what it paints of a frame is mixed with the last painting, brought along the flow, where
the flow can be trusted. Three things keep that from going wrong:

- Ghosts: the last painting counts only where the flow comes back to where it was (Ruder et al.
  2016, eq. 3) and where the two frames of the film then agree, but for a change of the light.
- Blur: the flow takes the painting off the grid of pixels again and again, and strokes that do
  not meet blur each other. So it is resampled with a bicubic filter, and what is lost of its
  detail is given back: everywhere as much as the network's own painting has there.
- Drift: a share of every frame is its own, so that a mistake is forgotten in a few frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.devices import keep_freed_memory
from impasto.core.picture import Picture, Pixels
from impasto.core.plan import Plan
from impasto.core.request import Request
from impasto.engines.feedforward.base import DeviceSpec, FeedForwardMethod
from impasto.engines.feedforward.tiling import run_tiled
from impasto.ops.convert import as_pixels, as_tensor
from impasto.ops.flow_estimation import FlowEstimator
from impasto.ops.motion_compensation import MotionMatch, box_mean, match_motion
from impasto.ops.warping import fit_gain_offset, warp
from impasto.pictures import resize
from impasto.pictures.resize import thumbnail
from impasto.pipeline import color_preservation
from impasto.video.running_statistics import KeepsStatistics, RunningStatistics

KEPT_DETAIL = 0.95
"""Share of the last painting in the next one where the flow is trusted, at stability 1."""
NEWEST = 0.15
"""Share of the newest frame in the average of statistics, at stability 1."""
DETAIL = ((1, 0.9, 1.1), (3, 1.0, 1.15))
"""Bands of detail, from the finest: its radius in pixels; its share of :data:`KEPT_DETAIL`, for
grain may
change sooner than strokes; and by how much it is raised at most from one frame to the next."""
LOST = 0.1
"""Mean trust below which a frame begins anew."""
AROUND = 4
"""Pixels around a pixel, at least, among which detail is compared."""


class FeedForwardStylizer:
    """Paints a film frame by frame; see :class:`impasto.video.runner.FrameStylizer`.

    Args:
        request: whose content is any frame of the film.
        plan: for it.
        stability: 0, every frame by itself, to 1.
        flow: who finds the motion; None: nothing is carried from frame to frame but statistics.
        averaged: whether statistics are averaged over the frames of a shot. A network that has
            learnt to be stable gains next to nothing by it, and it is a third of its time.

    ``files`` are the weights in use, name → sha256.
    """

    def __init__(
        self,
        request: Request,
        plan: Plan,
        *,
        stability: float,
        flow: FlowEstimator | None,
        averaged: bool = True,
    ) -> None:
        keep_freed_memory()
        setting = plan.setting
        assert isinstance(request.method, FeedForwardMethod)
        self._request, self._flow = color_preservation.preprocess(request), flow
        self._size = setting.height, setting.width
        self._place = DeviceSpec(setting.device, setting.precision)
        painter: Any = request.method.build_model(self._request, self._place)
        self.digests: Mapping[str, str] = dict(painter.digests)
        self._averaged = bool(stability) and averaged
        if self._averaged:
            painter = (
                painter if isinstance(painter, KeepsStatistics) else RunningStatistics(painter)
            )
            painter.set_momentum(1 + stability * (NEWEST - 1))
        self._painter, self._stability = painter, stability
        self._last: tuple[Pixels, Tensor] | None = None

    def start_shot(self) -> None:
        """A new shot starts: forget everything."""
        self._last = None
        if self._averaged:
            self._painter.start_shot()

    @torch.inference_mode()
    def __call__(self, frame: Pixels) -> Pixels:
        """Paint a frame (H, W, 3) in 0..1, at the plan's size."""
        if frame.shape[:2] != self._size:
            frame = np.asarray(resize(frame, *self._size))
        way = match_motion(frame, self._last[0], self._flow) if self._last and self._flow else None
        if way and way.confidence.mean() < LOST:  # a cut that nobody saw
            self.start_shot()
        painted = as_tensor(self._painted(frame))
        if way and self._last:
            painted = self._held(painted, self._last[1], way)
        if self._stability and self._flow:
            self._last = frame, painted
        return as_pixels(painted)

    def preview_frame(self, number: int, frame: Pixels) -> Pixels:
        """Paint a frame by itself."""
        self.start_shot()
        return self(frame)

    def set_callback(self, tick: Callable[[float], None]) -> None:
        """No frame is worked at ahead."""

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame needs, as tensors by name."""
        states = self._painter.state_dict() if self._averaged else {}
        known = {f"statistics.{n}": t.clone() for n, t in states.items()}
        if not self._last:
            return known
        frame, painted = self._last
        return {**known, "frame": torch.from_numpy(frame), "painted": painted.contiguous()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`; of an empty one: begin the film anew.

        Raises:
            InputError: it is of another method.
        """
        self.start_shot()
        tensors = {name: torch.as_tensor(value) for name, value in state.items()}
        head = "statistics."
        known = {n[len(head) :]: t for n, t in tensors.items() if n.startswith(head)}
        if self._averaged and known:
            self._painter.load_state_dict(known)
        if "frame" in tensors:
            self._last = tensors["frame"].numpy(), tensors["painted"]

    def _painted(self, frame: Pixels) -> Pixels:
        """What the network paints of a frame, in the colors that are asked for."""
        target = np.empty((*self._size, 3), np.float32)
        run_tiled(frame, thumbnail(frame), target, self._painter, self._place, lambda *_: None)
        now = replace(self._request, content=Picture(frame))
        return np.asarray(color_preservation.postprocess(target, now))

    def _held(self, fresh: Tensor, painted: Tensor, way: MotionMatch) -> Tensor:
        """A fresh painting (1, 3, H, W) mixed with the last one where that can be followed."""
        carried = warp(painted, way.flow, "bicubic")
        carried = fit_gain_offset(carried, fresh, way.confidence).clamp_to(way.brightness)(carried)
        return blend(fresh, carried, KEPT_DETAIL * self._stability * way.confidence).clamp(0, 1)


def blend(fresh: Tensor, carried: Tensor, share: Tensor) -> Tensor:
    """A fresh painting (1, C, H, W) and one that was carried along, with the detail of the fresh.

    They are mixed band by band. A mixture of strokes that do not meet is blurred, and so is what
    was resampled often; where a band of the mixture has less detail than the fresh painting has
    there, it is raised a little, and as the next frame is mixed with this one, that adds up.

    Args:
        fresh: what the network paints now.
        carried: the last painting in its place.
        share: of the carried one, (1, 1, H, W) in 0..1.
    """
    bands = torch.zeros_like(fresh)
    for radius, held, most in DETAIL:
        broad = _blurred(fresh, radius), _blurred(carried, radius)
        wanted = fresh - broad[0]
        band = torch.lerp(wanted, carried - broad[1], held * share)
        near = max(AROUND, 2 * radius)
        want, have = (
            _blurred(each.square().mean(1, keepdim=True), near) + 1e-6 for each in (wanted, band)
        )
        bands += band * (want / have).sqrt().clamp(1, most)
        fresh, carried = broad
    return bands + torch.lerp(fresh, carried, share)


def _blurred(picture: Tensor, radius: int) -> Tensor:
    """A picture without detail of this radius."""
    return box_mean(box_mean(picture, radius), radius)
