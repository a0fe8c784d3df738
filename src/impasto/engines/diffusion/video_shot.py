"""One shot of a film by a motion model: windows of its frames, and what ControlNets see of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.core.picture import Pixels
from impasto.engines.diffusion.animatediff import AnimateDiffModel
from impasto.engines.diffusion.temporal_windows import WindowedSampler


class ShotSampler:
    """The frames of one shot, in their order.

    Args:
        model: makes them.
        first_frame: number of its first frame in the film, for the noise.
        has_frame: whether it has a frame of that number, from 0 on.
        read_frame: its frames; asked for once each, in their order.
        callback: called after every window.
    """

    def __init__(
        self,
        model: AnimateDiffModel,
        first_frame: int,
        has_frame: Callable[[int], bool],
        read_frame: Callable[[int], Pixels],
        callback: Callable[[], None],
    ) -> None:
        self._model, self._first_frame, self._read_frame = model, first_frame, read_frame
        self._control_images: dict[int, Tensor] = {}
        self._sampler = WindowedSampler(
            *model.window_and_overlap,
            model.steps,
            has_frame=has_frame,
            initial_latents=self._initial_latents,
            predict_noise=self._predict_noise,
            denoise_step=lambda step, at, *both: model.denoise_step(step, first_frame + at, *both),
            callback=callback,
        )

    def __call__(self, frame: int) -> Tensor:
        """The latents of a frame, numbered from 0 on."""
        latents = self._sampler(frame)
        done = self._sampler.frames_done[-1]
        self._control_images = {
            at: shown for at, shown in self._control_images.items() if at >= done
        }
        return latents

    def _initial_latents(self, number: int) -> Tensor:
        frame = self._read_frame(
            number
        )  # also where it is not looked at: it is held until it is taken
        if not self._model.needs_frames:
            return self._model.initial_latents(self._first_frame + number, None)
        pixels = self._model.resize_frame(frame)
        if self._model.has_controlnets:
            self._control_images[number] = self._model.control_images(pixels)
        return self._model.initial_latents(self._first_frame + number, pixels)

    def _predict_noise(self, step: int, first: int, latents: Tensor) -> Tensor:
        if not self._control_images:
            return self._model.predict_noise(step, latents, ())
        shown = torch.stack([self._control_images[first + i] for i in range(len(latents))], dim=1)
        return self._model.predict_noise(step, latents, list(shown))

    def state(self) -> dict[str, Any]:
        """All that the next frame needs, but for what is made of the film's frames."""
        return self._sampler.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`; frames that were begun are asked for again."""
        self._sampler.restore(state, self._model.device)
        for number in range(self._sampler.frames_requested):
            frame = self._read_frame(number)
            if self._model.has_controlnets and number >= self._sampler.frames_done[-1]:
                self._control_images[number] = self._model.control_images(
                    self._model.resize_frame(frame)
                )
