"""One shot of a film by a motion model: windows of its frames, and what ControlNets see of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.core.picture import Pixels
from impasto.engines.diffusion.animatediff import Animator
from impasto.engines.diffusion.temporal_windows import Wave


class Shot:
    """The frames of one shot, in their order.

    Args:
        animator: makes them.
        first: number of its first frame in the film, for the noise.
        more: whether it has a frame of that number, from 0 on.
        frame: its frames; asked for once each, in their order.
        tick: called after every window.
    """

    def __init__(
        self,
        animator: Animator,
        first: int,
        more: Callable[[int], bool],
        frame: Callable[[int], Pixels],
        tick: Callable[[], None],
    ) -> None:
        self._animator, self._first, self._frame = animator, first, frame
        self._shown: dict[int, Tensor] = {}
        self._wave = Wave(
            *animator.window,
            animator.steps,
            more=more,
            begin=self._begin,
            predict=self._predict,
            advance=lambda step, at, *both: animator.advance(step, first + at, *both),
            tick=tick,
        )

    def __call__(self, frame: int) -> Tensor:
        """The latents of a frame, numbered from 0 on."""
        latents = self._wave(frame)
        done = self._wave.done[-1]
        self._shown = {at: shown for at, shown in self._shown.items() if at >= done}
        return latents

    def _begin(self, number: int) -> Tensor:
        frame = self._frame(number)  # also where it is not looked at: it is held until it is taken
        if not self._animator.needs_frames:
            return self._animator.begin(self._first + number, None)
        pixels = self._animator.fitted(frame)
        if self._animator.controlled:
            self._shown[number] = self._animator.controls(pixels)
        return self._animator.begin(self._first + number, pixels)

    def _predict(self, step: int, first: int, latents: Tensor) -> Tensor:
        if not self._shown:
            return self._animator.predict(step, latents, ())
        shown = torch.stack([self._shown[first + i] for i in range(len(latents))], dim=1)
        return self._animator.predict(step, latents, list(shown))

    def state(self) -> dict[str, Any]:
        """All that the next frame needs, but for what is made of the film's frames."""
        return self._wave.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`; frames that were begun are asked for again."""
        self._wave.restore(state, self._animator.device)
        for number in range(self._wave.begun):
            frame = self._frame(number)
            if self._animator.controlled and number >= self._wave.done[-1]:
                self._shown[number] = self._animator.controls(self._animator.fitted(frame))
