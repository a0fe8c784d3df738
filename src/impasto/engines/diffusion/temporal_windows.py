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

More = Callable[[int], bool]
"""Whether there is a frame of that number, from 0 on."""
Begin = Callable[[int], Tensor]
"""The latents (channels, h, w) from which a frame starts; asked once for each, in their order."""
Predict = Callable[[int, int, Tensor], Tensor]
"""What the model predicts at a step, for the frames from a number on, (frames, channels, h, w)."""
Advance = Callable[[int, int, Tensor, Tensor], Tensor]
"""The step itself: its number, the first frame, the prediction, and the latents before it."""


def check_window(window: int, overlap: int, most: int) -> None:
    """Check the windows.

    Args:
        window: frames that are seen at once.
        overlap: frames that two neighbours share.
        most: frames that the motion adapter can see at once.

    Raises:
        KnobError: they do not fit.
    """
    if window > most:
        raise KnobError(
            f"window = {window}: the motion adapter sees at most {most} frames at once."
        )
    if not 0 < overlap <= window // 2:
        raise KnobError(
            f"overlap = {overlap} does not fit: windows of {window} frames share 1 to "
            f"{window // 2}."
        )


def ramp(count: int, overlap: int) -> list[float]:
    """Weights of a window's frames: up over its first ``overlap`` frames, and down over its last.

    Those of two windows that share just so many frames sum to 1 there: i / (overlap + 1) of one,
    and 1 - i / (overlap + 1) of the other. Where more is shared they are scaled to that sum.
    """
    return [min(i + 1, count - i, overlap + 1) / (overlap + 1) for i in range(count)]


def place(start: int, window: int, stride: int, shift: int, more: More) -> tuple[int, int, int]:
    """A window of a film: its first frame, the one after its last, and where the next one starts.

    Args:
        start: where it starts if the film is long enough; else it ends where the film does.
        window: frames in it.
        stride: from a window to the next.
        shift: from the first window to the second, if not the stride; 0: it is.
        more: how far the film goes.

    Returns:
        Three frame numbers; the last is -1 if there is no next window.
    """
    if more(start + window):
        return start, start + window, shift if shift and start == 0 else start + stride
    length = start + window
    while length > 0 and not more(length - 1):
        length -= 1
    return max(0, length - window), length, -1


class Wave:
    """The latents of a film, frame after frame, by windows.

    Args:
        window: frames that are seen at once.
        overlap: frames that two neighbours share, at most half of a window.
        steps: of the noise.
        more, begin, predict, advance: see their types.
        tick: called after every window.
    """

    def __init__(
        self,
        window: int,
        overlap: int,
        steps: int,
        *,
        more: More,
        begin: Begin,
        predict: Predict,
        advance: Advance,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._window, self._overlap, self._steps = window, overlap, steps
        self._more, self._begin, self._predict, self._advance = more, begin, predict, advance
        self._tick = tick
        self._levels: list[dict[int, Tensor]] = [{} for _ in range(steps + 1)]
        self._guesses: list[dict[int, list[tuple[float, Tensor]]]] = [{} for _ in range(steps)]
        self._next = [0] * steps  # where the next window of a step starts; -1: there is none
        self.done = [0] * (steps + 1)
        """Frames behind every step, the first 0."""

    def __call__(self, frame: int) -> Tensor:
        """The latents of a frame after the last step; every frame is asked for once, in order."""
        wanted = [0] * (self._steps + 1)
        wanted[-1] = frame + 1
        for step in reversed(range(self._steps)):
            wanted[step] = self._needed(step, wanted[step + 1])
        for step in range(self._steps):
            while self.done[step + 1] < wanted[step + 1]:
                self._run(step)
                self._tick()
        return self._levels[-1].pop(frame)

    @property
    def begun(self) -> int:
        """Frames that were asked for."""
        return self.done[1] + len(self._levels[0])

    def _place(self, step: int, start: int) -> tuple[int, int, int]:
        stride = self._window - self._overlap
        return place(start, self._window, stride, step % 2 * (stride // 2), self._more)

    def _needed(self, step: int, count: int) -> int:
        """Frames that must be there before a step so that so many are behind it."""
        start, done, end = self._next[step], self.done[step + 1], 0
        while done < count and start >= 0:
            _, end, start = self._place(step, start)
            done = end if start < 0 else self._place(step, start)[0]
        return end

    def _run(self, step: int) -> None:
        """The next window of a step, and the step of the frames that no later window sees."""
        first, end, start = self._place(step, self._next[step])
        before, guesses = self._levels[step], self._guesses[step]
        if step == 0:
            for frame in range(first, end):
                if frame not in before:
                    before[frame] = self._begin(frame)
        seen = torch.stack([before[frame] for frame in range(first, end)])
        predicted = self._predict(step, first, seen)
        for i, weight in enumerate(ramp(end - first, self._overlap)):
            guesses.setdefault(first + i, []).append((weight, predicted[i]))
        done = self.done[step + 1]
        until = end if start < 0 else self._place(step, start)[0]
        mixed = torch.stack([_mixed(guesses.pop(frame)) for frame in range(done, until)])
        latents = torch.stack([before.pop(frame) for frame in range(done, until)])
        after = self._advance(step, done, mixed, latents)
        self._levels[step + 1] |= {done + i: each for i, each in enumerate(after)}
        self.done[step + 1], self._next[step] = until, start

    def state(self) -> dict[str, Any]:
        """All that the next frame needs: tensors and numbers."""
        return {
            "next": list(self._next),
            "done": list(self.done),
            "levels": [_packed(level) for level in self._levels],
            "guesses": [
                {str(frame): [[weight, each.cpu()] for weight, each in found]
                 for frame, found in guesses.items()}
                for guesses in self._guesses
            ],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any], device: str) -> None:
        """Go on from a :meth:`state`, the latents on that device."""
        self._next, self.done = list(state["next"]), list(state["done"])
        self._levels = [
            {first + i: each.to(device) for i, each in enumerate(latents)}
            for first, latents in state["levels"]
        ]
        self._guesses = [
            {int(frame): [(weight, each.to(device)) for weight, each in found]
             for frame, found in guesses.items()}
            for guesses in state["guesses"]
        ]  # fmt: skip


def _packed(level: Mapping[int, Tensor]) -> list[Any]:
    """A level's first frame and its latents: they follow one another."""
    frames = sorted(level)
    return [frames[0], torch.stack([level[f].cpu() for f in frames])] if frames else [0, []]


def _mixed(guesses: list[tuple[float, Tensor]]) -> Tensor:
    """The mean of what windows predict for a frame; of a single one, that."""
    whole = sum(weight for weight, _ in guesses)
    first, *others = [weight / whole * each for weight, each in guesses]
    for other in others:
        first = first + other
    return first
