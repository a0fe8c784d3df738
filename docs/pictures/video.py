"""The animation in docs/video.md: a film, painted frame by frame, and painted steadily.

    python docs/pictures/video.py [--photo canal] [--style starry-night] [--frames 18] [--size 200]

The film is a slow pan over a photograph that lies in examples/ (see SOURCES.md there).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import impasto
from impasto.pictures import resize, write, write_animation
from impasto.video.options import VideoOptions
from impasto.video.runner import open_source

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
FPS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", default="canal")
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--frames", type=int, default=18)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--output", type=Path, default=HERE / "video.webp")
    args = parser.parse_args()
    photo = np.asarray(impasto.read(EXAMPLES / "photos" / f"{args.photo}.jpg").pixels)
    with tempfile.TemporaryDirectory() as folder:
        pan(photo, args.frames, args.size, Path(folder))
        films = [str(Path(folder) / "%03d.png")]
        for stability in (0.0, 1.0):
            painted = Path(folder) / f"{stability:g}.mkv"
            impasto.stylize_video(
                films[0], args.style, painted, stability=stability, fps=FPS, lossless=True
            )
            films.append(str(painted))
        sources = [open_source(film, VideoOptions(), None).frames() for film in films]
        shown = [
            np.concatenate([frame.pixels for frame in frames], axis=1)
            for frames in zip(*sources, strict=True)
        ]
    write_animation(shown, args.output, FPS)


def pan(photo: np.ndarray, count: int, size: int, folder: Path) -> None:
    """Numbered pictures: a square window of the photograph that moves to the right and closer."""
    height, width = photo.shape[:2]
    for i in range(count):
        side = int(0.7 * min(height, width) * (1 - 0.1 * i / count))
        left = int((width - side) * (0.3 + 0.1 * i / count))
        top = (height - side) // 2
        window = np.ascontiguousarray(photo[top : top + side, left : left + side])
        write(resize(window, size, size), folder / f"{i + 1:03d}.png")


if __name__ == "__main__":
    main()
