"""Films by methods that optimize: the temporal loss, warped beginnings and long-term references.

Ruder, Dosovitskiy & Brox, "Artistic Style Transfer for Videos", GCPR 2016. The first frame of a
shot is painted as any picture is. Every later one starts from the painting before it, brought
along the flow, and pays for what differs from earlier paintings where they show the same thing:
the one before it, and for what was hidden there, older ones (eq. 7 to 9). What none of them shows
starts from the frame in the colors of the painting before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.picture import Picture, Pixels
from impasto.core.plan import Plan
from impasto.core.progress import ignore_progress
from impasto.core.request import Request, TemporalConstraint
from impasto.losses.temporal import long_term_weights, merge_targets
from impasto.ops.color import fit_color_transfer
from impasto.ops.convert import as_pixels, as_tensor
from impasto.ops.flow_estimation import FlowEstimator
from impasto.ops.motion_compensation import match_motion
from impasto.ops.warping import GainOffset, warp
from impasto.pictures import resize
from impasto.pipeline import color_preservation

REFERENCE_FRAMES = (1, 2, 4)
"""Frames back to the paintings that a frame holds on to. The authors have 1, 10, 20 and 40, which
needs as many frames of film in memory."""
STEPS_FRACTION = 0.5
"""Steps of a frame that starts from the painting before it, relative to the first one's."""
TEMPORAL_WEIGHT = 2.0
"""Of the temporal loss at stability 1; see :class:`impasto.core.request.TemporalConstraint`."""


class OptimizationStylizer:
    """Paints a film frame by frame; see :class:`impasto.video.runner.FrameStylizer`.

    Args:
        request: whose content is any frame of the film.
        plan: for it.
        stability: 0, every frame by itself, to 1.
        flow: who finds the motion; None: every frame starts from the painting before it as it is,
            and is not held to it.

    ``files`` are the weights in use, name → sha256; none before the first frame.
    """

    def __init__(
        self, request: Request, plan: Plan, *, stability: float, flow: FlowEstimator | None
    ) -> None:
        self._request, self._plan = color_preservation.preprocess(request), plan
        self._stability, self._flow = stability, flow
        self._size = plan.setting.height, plan.setting.width
        self._past: deque[tuple[Pixels, Pixels]] = deque(maxlen=max(REFERENCE_FRAMES))
        self.digests: Mapping[str, str] = {}

    def start_shot(self) -> None:
        """A new shot starts: forget everything."""
        self._past.clear()

    def __call__(self, frame: Pixels) -> Pixels:
        """Paint a frame (H, W, 3) in 0..1, at the plan's size."""
        if frame.shape[:2] != self._size:
            frame = np.asarray(resize(frame, *self._size))
        now = replace(self._request, content=Picture(frame))
        if self._past:
            memory = self._temporal_constraint(frame)
            now = replace(
                now, temporal_constraint=memory, method=self._with_fewer_steps(now.method)
            )
        painting = now.method.stylize(now, self._plan, ignore_progress)
        self.digests = painting.files
        painted = np.asarray(painting.pixels)
        if self._stability:
            self._past.appendleft((frame, painted))
        return np.asarray(color_preservation.postprocess(painted, now))

    def preview_frame(self, number: int, frame: Pixels) -> Pixels:
        """Paint a frame by itself."""
        self.start_shot()
        return self(frame)

    def set_callback(self, tick: Callable[[float], None]) -> None:
        """No frame is worked at ahead."""

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame needs, as tensors by name."""
        pairs = enumerate(self._past)
        return {
            f"{name}.{index}": torch.from_numpy(pixels)
            for index, pair in pairs
            for name, pixels in zip(("frame", "painted"), pair, strict=True)
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`; of an empty one: begin the film anew."""
        self.start_shot()
        for index in range(len(state) // 2):
            pair = (state[f"{name}.{index}"] for name in ("frame", "painted"))
            frame, painted = (torch.as_tensor(each).numpy() for each in pair)
            self._past.append((frame, painted))

    @staticmethod
    def _with_fewer_steps(method: Any) -> Any:
        """The knobs for a frame that starts where it nearly ends: few steps, at its full size."""
        steps = max(1, round(STEPS_FRACTION * method.steps))
        return replace(method, steps=steps, min_size=0, warmup_steps=0)

    @torch.inference_mode()
    def _temporal_constraint(self, frame: Pixels) -> TemporalConstraint:
        """The paintings before this frame, brought to its place."""
        if self._flow is None:
            painted = self._past[0][1]
            return TemporalConstraint(painted, painted, np.zeros(self._size, np.float32), 0.0)
        targets, weights = [], []
        for back in REFERENCE_FRAMES:
            if back <= len(self._past):
                target, weight = self._warped(frame, *self._past[back - 1], self._flow)
                targets.append(target)
                weights.append(weight)
        target, weight = merge_targets(targets, long_term_weights(weights))
        before, painted = self._past[0]
        ground = fit_color_transfer(before, painted, "covariance")(frame)
        start = torch.lerp(as_tensor(ground), target, weight.clamp(0, 1))
        trust = weight[0, 0].contiguous().numpy()
        return TemporalConstraint(
            as_pixels(start), as_pixels(target), trust, TEMPORAL_WEIGHT * self._stability
        )

    @staticmethod
    def _warped(
        frame: Pixels, before: Pixels, painted: Pixels, flow: FlowEstimator
    ) -> tuple[Tensor, Tensor]:
        """An earlier painting in this frame's place and light, and where it can be trusted."""
        way = match_motion(frame, before, flow)
        brought = warp(as_tensor(painted), way.flow, "bicubic")
        mean = brought.mean((2, 3), keepdim=True)
        lit = GainOffset(
            way.brightness.gain, mean, mean + way.brightness.mean_after - way.brightness.mean_before
        )
        return lit(brought), way.reliable
