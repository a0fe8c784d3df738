"""Shot cuts: where a frame and those after it are far from the frames before.

A frame is compared in small, after its brightness and contrast, so that a change of the light is no
cut. It begins a shot if it and the two after it all differ from the frame before it, and by much
more than neighbors differ before and after: then a flash, a strobe or a fast pan cuts nothing. A
fade is no cut either: what it uncovers, the flow does not trust.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from impasto.core.picture import Pixels
from impasto.video.source import Frame

SIDE = 24
"""Long side in pixels of what is compared."""
LOOKAHEAD_FRAMES = 2
"""Frames after a cut that must stay away from those before it."""
MIN_DISTANCE = 0.35
"""Least difference of a cut; that of two pictures that have nothing in common is about 1."""
CUT_FACTOR = 3.0
"""How many times the usual difference of neighbors a cut is."""
USUAL = 0.2
"""Share of the newest difference in the usual one."""
FLAT = 0.02
"""Contrast in 0..1 below which a picture counts as flat: there is no more to compare."""


@dataclass(frozen=True)
class FrameSignature:
    """A frame in small: luminance of zero mean and unit contrast, and colors."""

    light: Pixels
    color: Pixels


def detect_shots(
    frames: Iterator[Frame], find: bool = True
) -> Generator[tuple[Frame, bool], None, None]:
    """Every frame, and whether it begins a shot; the first always does.

    Args:
        frames: of a film.
        find: whether cuts are looked for.
    """
    waiting: deque[tuple[Frame, FrameSignature]] = deque()
    before: FrameSignature | None = None
    usual = 0.0

    def judged() -> tuple[Frame, bool]:
        nonlocal before, usual
        frame, seen = waiting.popleft()
        if before is None:
            before = seen
            return frame, True
        ahead = [seen, *(s for _, s in waiting)]
        steps = [signature_distance(before, other) for other in ahead]
        far = max(MIN_DISTANCE, CUT_FACTOR * usual)
        if min(steps) <= far < steps[0]:  # a flash: what comes is compared with before it
            return frame, False
        motion = [signature_distance(one, other) for one, other in pairwise(ahead)]
        cut = min(steps) > max(far, CUT_FACTOR * sum(motion) / max(1, len(motion)))
        usual = 0.0 if cut else usual + USUAL * (steps[0] - usual)
        before = seen
        return frame, cut

    for i, frame in enumerate(frames):
        if not find:
            yield frame, i == 0
            continue
        waiting.append((frame, frame_signature(frame.pixels)))
        if len(waiting) > LOOKAHEAD_FRAMES:
            yield judged()
    while waiting:
        yield judged()


def frame_signature(pixels: Pixels) -> FrameSignature:
    """A frame (H, W, 3) in small."""
    height, width = pixels.shape[:2]
    step = max(1, -(-max(height, width) // SIDE))
    rows, columns = -(-height // step), -(-width // step)
    fitted = np.pad(
        pixels, ((0, rows * step - height), (0, columns * step - width), (0, 0)), mode="edge"
    )
    small = fitted.reshape(rows, step, columns, step, 3).mean(axis=(1, 3))
    light = small @ np.array([0.299, 0.587, 0.114], np.float32)
    color = small / np.maximum(small.sum(axis=2, keepdims=True), FLAT)
    centered = light - light.mean()
    return FrameSignature(centered / max(float(light.std()), FLAT), color)


def signature_distance(one: FrameSignature, other: FrameSignature) -> float:
    """How far two frames are apart: 0 for the same scene in any light, about 1 for two scenes."""
    if one.light.shape != other.light.shape:
        return 1.0
    shape = float(np.square(one.light - other.light).mean()) / 2
    hue = float(np.abs(one.color - other.color).sum(axis=2).mean())
    return shape + hue
