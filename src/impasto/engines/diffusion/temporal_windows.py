"""Films of any length by a model that sees a few frames at once: windows that overlap.

Every step of the noise is taken for all frames, a window of them at a time. Where windows
overlap, what they predict is mixed with weights that rise and fall linearly and sum to 1, so that
there is no seam (Bar-Tal et al., "MultiDiffusion: Fusing Diffusion Paths for Controlled Image
Generation", ICML 2023, here in time). Every other step the windows are moved by half a stride, so
that what one step could not see across, the next one does.

Ours: a frame depends on those near it alone, so the steps run after one another along the film like
waves. A frame comes out as soon as all that it depends on was read, and the memory is that of the
frames between the first wave and the last, however long the film is. The result is that of all
frames at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import KnobError

HasFrame = Callable[[int], bool]
"""Whether there is a frame of that number, from 0 on."""
InitialLatents = Callable[[int], Tensor]
"""The latents (channels, h, w) from which a frame starts; asked once for each, in their order."""
PredictNoise = Callable[[int, int, Tensor], Tensor]
"""What the model predicts at a step, for the frames from a number on, (frames, channels, h, w)."""
DenoiseStep = Callable[[int, int, Tensor, Tensor], Tensor]
"""The step itself: its number, the first frame, the prediction, and the latents before it."""


def check_window(window: int, overlap: int, max_frames: int) -> None:
    """Check the windows.

    Args:
        window: frames that are seen at once.
        overlap: frames that two neighbors share.
        max_frames: frames that the motion adapter can see at once.

    Raises:
        KnobError: they do not fit.
    """
    if window > max_frames:
        raise KnobError(
            f"window = {window}: the motion adapter sees at most {max_frames} frames at once."
        )
    if not 0 < overlap <= window // 2:
        raise KnobError(
            f"overlap = {overlap} does not fit: windows of {window} frames share 1 to "
            f"{window // 2}."
        )


def window_weights(count: int, overlap: int) -> list[float]:
    """Weights of a window's frames: up over its first ``overlap`` frames, and down over its last.

    Those of two windows that share just so many frames sum to 1 there: i / (overlap + 1) of one,
    and 1 - i / (overlap + 1) of the other. Where more is shared they are scaled to that sum.
    """
    return [min(i + 1, count - i, overlap + 1) / (overlap + 1) for i in range(count)]


def place_window(
    start: int, window: int, stride: int, shift: int, has_frame: HasFrame
) -> tuple[int, int, int]:
    """A window of a film: its first frame, the one after its last, and where the next one starts.

    Args:
        start: where it starts if the film is long enough; else it ends where the film does.
        window: frames in it.
        stride: from a window to the next.
        shift: from the first window to the second, if not the stride; 0: it is.
        has_frame: how far the film goes.

    Returns:
        Three frame numbers; the last is -1 if there is no next window.
    """
    if has_frame(start + window):
        return start, start + window, shift if shift and start == 0 else start + stride
    length = start + window
    while length > 0 and not has_frame(length - 1):
        length -= 1
    return max(0, length - window), length, -1


class WindowedSampler:
    """The latents of a film, frame after frame, by windows.

    Args:
        window: frames that are seen at once.
        overlap: frames that two neighbors share, at most half of a window.
        steps: of the noise.
        has_frame, initial_latents, predict_noise, denoise_step: see their types.
        callback: called after every window.
    """

    def __init__(
        self,
        window: int,
        overlap: int,
        steps: int,
        *,
        has_frame: HasFrame,
        initial_latents: InitialLatents,
        predict_noise: PredictNoise,
        denoise_step: DenoiseStep,
        callback: Callable[[], None] = lambda: None,
    ) -> None:
        self._window, self._overlap, self._steps = window, overlap, steps
        self._has_frame, self._initial_latents, self._predict_noise, self._denoise_step = (
            has_frame,
            initial_latents,
            predict_noise,
            denoise_step,
        )
        self._callback = callback
        self._latents_by_step: list[dict[int, Tensor]] = [{} for _ in range(steps + 1)]
        self._predictions: list[dict[int, list[tuple[float, Tensor]]]] = [{} for _ in range(steps)]
        self._next_starts = [0] * steps  # where the next window of a step starts; -1: there is none
        self.frames_done = [0] * (steps + 1)
        """Frames behind every step, the first 0."""

    def __call__(self, frame: int) -> Tensor:
        """The latents of a frame after the last step; every frame is asked for once, in order."""
        wanted = [0] * (self._steps + 1)
        wanted[-1] = frame + 1
        for step in reversed(range(self._steps)):
            wanted[step] = self._frames_needed(step, wanted[step + 1])
        for step in range(self._steps):
            while self.frames_done[step + 1] < wanted[step + 1]:
                self._run_window(step)
                self._callback()
        return self._latents_by_step[-1].pop(frame)

    @property
    def frames_requested(self) -> int:
        """Frames that were asked for."""
        return self.frames_done[1] + len(self._latents_by_step[0])

    def _place_window(self, step: int, start: int) -> tuple[int, int, int]:
        stride = self._window - self._overlap
        return place_window(start, self._window, stride, step % 2 * (stride // 2), self._has_frame)

    def _frames_needed(self, step: int, count: int) -> int:
        """Frames that must be there before a step so that so many are behind it."""
        start, done, end = self._next_starts[step], self.frames_done[step + 1], 0
        while done < count and start >= 0:
            _, end, start = self._place_window(step, start)
            done = end if start < 0 else self._place_window(step, start)[0]
        return end

    def _run_window(self, step: int) -> None:
        """The next window of a step, and the step of the frames that no later window sees."""
        first, end, start = self._place_window(step, self._next_starts[step])
        before, guesses = self._latents_by_step[step], self._predictions[step]
        if step == 0:
            for frame in range(first, end):
                if frame not in before:
                    before[frame] = self._initial_latents(frame)
        seen = torch.stack([before[frame] for frame in range(first, end)])
        predicted = self._predict_noise(step, first, seen)
        for i, weight in enumerate(window_weights(end - first, self._overlap)):
            guesses.setdefault(first + i, []).append((weight, predicted[i]))
        done = self.frames_done[step + 1]
        until = end if start < 0 else self._place_window(step, start)[0]
        mixed = torch.stack([_weighted_mean(guesses.pop(frame)) for frame in range(done, until)])
        latents = torch.stack([before.pop(frame) for frame in range(done, until)])
        after = self._denoise_step(step, done, mixed, latents)
        self._latents_by_step[step + 1] |= {done + i: each for i, each in enumerate(after)}
        self.frames_done[step + 1], self._next_starts[step] = until, start

    def state(self) -> dict[str, Any]:
        """All that the next frame needs: tensors and numbers."""
        return {
            "next": list(self._next_starts),
            "done": list(self.frames_done),
            "levels": [_pack_level(level) for level in self._latents_by_step],
            "guesses": [
                {str(frame): [[weight, each.cpu()] for weight, each in found]
                 for frame, found in guesses.items()}
                for guesses in self._predictions
            ],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any], device: str) -> None:
        """Go on from a :meth:`state`, the latents on that device."""
        self._next_starts, self.frames_done = list(state["next"]), list(state["done"])
        self._latents_by_step = [
            {first + i: each.to(device) for i, each in enumerate(latents)}
            for first, latents in state["levels"]
        ]
        self._predictions = [
            {int(frame): [(weight, each.to(device)) for weight, each in found]
             for frame, found in guesses.items()}
            for guesses in state["guesses"]
        ]  # fmt: skip


def _pack_level(level: Mapping[int, Tensor]) -> list[Any]:
    """A level's first frame and its latents: they follow one another."""
    frames = sorted(level)
    return [frames[0], torch.stack([level[f].cpu() for f in frames])] if frames else [0, []]


def _weighted_mean(guesses: list[tuple[float, Tensor]]) -> Tensor:
    """The mean of what windows predict for a frame; of a single one, that."""
    whole = sum(weight for weight, _ in guesses)
    first, *others = [weight / whole * each for weight, each in guesses]
    for other in others:
        first = first + other
    return first
