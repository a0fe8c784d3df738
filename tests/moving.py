"""Films whose motion is known: a textured ground, and a square that moves over it."""

import numpy as np
from PIL import Image


def texture(height, width, seed=0):
    """Soft blobs of a few pixels, float32 (height, width, 3) in 0..1."""
    random = np.random.default_rng(seed)
    small = random.integers(30, 225, (height // 4, width // 4, 3), np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32) / 255


def panning(frames, right=2, height=96, width=128):
    """The ground moves ``right`` pixels to the right a frame."""
    ground = texture(height, width + 4 * (right * frames // 4 + 4), seed=1)
    start = right * frames
    return [
        np.ascontiguousarray(ground[:, start - right * i : start - right * i + width])
        for i in range(frames)
    ]


def crossing(frames, right=4, height=96, width=128):
    """A square 32 px wide moves to the right over a ground that stands still."""
    film = []
    for i in range(frames):
        picture = texture(height, width, seed=1)
        x = 16 + right * i
        picture[32:64, x : x + 32] = texture(32, 32, seed=2)
        film.append(picture)
    return film
