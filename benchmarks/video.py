"""Films: how steady, how much style, how fast and in how much memory, in one run.

Every clip is painted frame by frame, with the flow, by the stable network, and by Gatys with and
without the temporal loss; each in a process of its own, by the command line, as a user would. The
films are kept without loss and measured as ``impasto evaluate --video`` does. Then the stable
network paints a short and a long clip of 640 x 360: its speed is that of the frames between them,
with reading and writing and without the start, and its memory is to be the same.

    python benchmarks/video.py CLIP [CLIP …] [--style starry-night] [--frames 48] [--size 480]
    python benchmarks/video.py CLIP --quick

A clip is a film or a folder of numbered pictures. Rows that are done are kept, and a run that was
broken off goes on; --force measures anew. The results go to docs/benchmarks/video.json and video.md
(of --quick, to build/video).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from impasto.evaluation.video import evaluate_video
from impasto.pictures import fit_long_side, resize
from impasto.video.options import VideoOptions
from impasto.video.runner import open_source

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "video"
RATE = 24
SPEED_SIZE = (360, 640)
SPEED_FRAMES = (60, 300)
REQUIRED = {"warping": 0.5, "style": 0.10, "speed": 12.0, "memory": 1.1}
"""Warping error and style error relative to frame by frame, frames a second, growth of memory."""


@dataclass(frozen=True)
class Way:
    """One way to paint a film: its flags, the way that it is compared with, and its frames."""

    flags: tuple[str, ...]
    plain: str = ""
    frames: int | None = None


SLOW_FRAMES = 8
GATYS = ("--method", "gatys", "--steps", "100")
FAST = ("--method", "fast", "--weights", "fast")
WAYS = {
    "fast, frame by frame": Way((*FAST, "--stability", "0")),
    "fast, with flow": Way((*FAST, "--flow", "dis"), "fast, frame by frame"),
    "stable network": Way(
        ("--method", "fast", "--weights", "fast-stable", "--flow", "none"), "fast, frame by frame"
    ),
    "stable network, with flow": Way(
        ("--method", "fast", "--weights", "fast-stable", "--flow", "dis"), "fast, frame by frame"
    ),
    "adain, frame by frame": Way(("--method", "adain", "--stability", "0")),
    "adain, with flow": Way(("--method", "adain"), "adain, frame by frame"),
    "wct, frame by frame": Way(("--method", "wct", "--stability", "0")),
    "wct, with flow": Way(("--method", "wct"), "wct, frame by frame"),
    "gatys, frame by frame": Way((*GATYS, "--stability", "0"), frames=SLOW_FRAMES),
    "gatys, temporal loss": Way(GATYS, "gatys, frame by frame", frames=SLOW_FRAMES),
}


def cut(clip: str, frames: int, size: int) -> Path:
    """The first frames of a clip, small, as a film without loss."""
    source = open_source(clip, VideoOptions(), None)
    pixels = []
    for frame in source.frames():
        height, width = frame.pixels.shape[:2]
        size_now = fit_long_side(height, width, min(size, max(height, width)))
        pixels.append(np.asarray(resize(frame.pixels, *(n - n % 2 for n in size_now))))
        if len(pixels) == frames:
            break
    return written(pixels, f"{name_of(clip)}-{len(pixels)}-{size}")


def written(pixels: list[np.ndarray], name: str) -> Path:
    path = FOLDER / f"{name}.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264rgb", rate=RATE)
        stream.height, stream.width = pixels[0].shape[:2]
        stream.pix_fmt, stream.options = "rgb24", {"crf": "0", "preset": "veryfast"}
        for each in pixels:
            frame = av.VideoFrame.from_ndarray(np.uint8(np.rint(255 * each)), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def name_of(clip: str) -> str:
    path = Path(clip)
    return path.parent.name if path.name == "frames" else path.stem


def painted(film: Path, style: str, out: Path, flags: tuple[str, ...]) -> tuple[float, int]:
    """Paint a film by the command line; seconds, and bytes at the peak of the process."""
    command = [sys.executable, "-m", "impasto", "video", str(film), style, "-o", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, *flags, "-q"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(flags)}: {said}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def measured(clip: str, way: str, style: str, args: argparse.Namespace) -> dict:
    how = WAYS[way]
    frames = min(args.frames, how.frames or args.frames)
    film = cut(clip, frames, args.size)
    out = FOLDER / f"{film.stem}-{way.replace(', ', '-').replace(' ', '-')}.mkv"
    picture = ROOT / "examples" / "styles" / f"{style}.jpg"
    shown = style if "fast" in how.flags else str(picture)
    seconds, peak = painted(film, shown, out, (*how.flags, *args.steps_of(way), "--lossless"))
    scores = evaluate_video(str(film), [str(picture)], str(out), size=None)
    return {
        "clip": name_of(clip), "way": way, "frames": scores.frames, "seconds": seconds,
        "peak": peak, **scores.values,
    }  # fmt: skip


def speed(clip: str, style: str, counts: tuple[int, int]) -> dict:
    """Frames a second of the stable network, and its memory for a short and a long film."""
    some = [
        frame.pixels
        for frame, _ in zip(
            open_source(clip, VideoOptions(), None).frames(), range(48), strict=False
        )
    ]
    some = [np.asarray(resize(each, *SPEED_SIZE)) for each in some]
    runs = []
    for count in counts:
        there_and_back = [*some, *some[-2:0:-1]]
        pixels = [there_and_back[i % len(there_and_back)] for i in range(count)]
        film = written(pixels, f"speed-{count}")
        out = film.with_name(f"speed-{count}-painted.mp4")
        seconds, peak = painted(film, style, out, WAYS["stable network"].flags)
        runs.append({"frames": count, "seconds": seconds, "peak": peak})
    short, long = runs
    rate = (long["frames"] - short["frames"]) / (long["seconds"] - short["seconds"])
    return {"runs": runs, "rate": rate, "growth": long["peak"] / short["peak"]}


def table(report: dict) -> str:
    rows = {(row["clip"], row["way"]): row for row in report["rows"]}
    clips = list(dict.fromkeys(clip for clip, _ in rows))
    lines = [
        "| clip | way | warping error | at 5 frames | drift | style error | frames/s | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kept: dict[str, list[tuple[float, float]]] = {}
    for clip in clips:
        for way, how in WAYS.items():
            row, plain = rows.get((clip, way)), rows.get((clip, how.plain))
            if not row:
                continue

            def cell(name: str, row: dict = row, plain: dict | None = plain) -> str:
                if name not in row:
                    return "–"
                less = f" ({row[name] / plain[name]:.2f})" if plain and name in plain else ""
                return f"{row[name]:.4f}{less}"

            if plain:
                ratios = tuple(row[n] / plain[n] for n in ("warping_1", "style_error"))
                kept.setdefault(way, []).append(ratios)
            figures = " | ".join(map(cell, ("warping_1", "warping_5", "drift", "style_error")))
            lines.append(
                f"| {clip} | {way} | {figures} | {row['frames'] / row['seconds']:.2f} "
                f"| {row['peak'] / 1e9:.2f} GB |"
            )
    lines += [
        "", "In brackets: relative to the same frame by frame. Frames a second are of the whole "
        "run, with its start. The warping errors are in 0..1, the range of pixels.", "",
        "| way | clips | warping error, mean (worst) | style error, mean (worst) | required |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for way, pairs in kept.items():
        warping, style = zip(*pairs, strict=True)
        met = max(warping) <= REQUIRED["warping"] and max(style) <= 1 + REQUIRED["style"]
        lines.append(
            f"| {way} | {len(pairs)} | {statistics.fmean(warping):.2f} ({max(warping):.2f}) "
            f"| {statistics.fmean(style):.2f} ({max(style):.2f}) | {'met' if met else 'not met'} |"
        )
    lines += ["", "Required on every clip: warping error at most 0.50, style error at most 1.10, "
              "both relative to frame by frame."]  # fmt: skip
    if found := report.get("speed"):
        short, long = found["runs"]
        enough = found["rate"] >= REQUIRED["speed"]
        flat = found["growth"] <= REQUIRED["memory"]
        lines += [
            "",
            f"The stable network at 640 x 360, with reading and writing: **{found['rate']:.1f} "
            f"frames a second** (required: 12, aim: 24; {'met' if enough else 'not met'}). Memory "
            f"for {short['frames']} and for {long['frames']} frames: {short['peak'] / 1e9:.2f} and "
            f"{long['peak'] / 1e9:.2f} GB ({'flat' if flat else 'it grows'}).",
        ]
    return "\n".join(lines) + "\n"


def fingerprint(clip: str, way: str, args: argparse.Namespace) -> str:
    """What a row is of; another one is measured anew."""
    how = (way, WAYS[way].flags, args.style, args.frames, args.size, args.quick, name_of(clip))
    return hashlib.sha256(repr(how).encode()).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--style", default="starry-night")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=int, default=480)
    parser.add_argument(
        "--ways",
        nargs="*",
        default=list(WAYS),
        metavar="WAY",
        help="only ways that begin so, as fast or gatys; or speed",
    )
    parser.add_argument("--force", action="store_true", help="measure rows anew")
    parser.add_argument("--quick", action="store_true", help="a few small frames, to try it")
    args = parser.parse_args()
    if args.quick:
        args.frames, args.size = min(args.frames, 8), min(args.size, 160)
    args.steps_of = lambda way: ("--steps", "10") if args.quick and "gatys" in way else ()
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = FOLDER if args.quick else ROOT / "docs" / "benchmarks"
    place = folder / "video.json"
    report = json.loads(place.read_text()) if place.exists() else {"rows": []}

    def save() -> None:
        place.write_text(json.dumps(report, indent=1) + "\n")
        place.with_suffix(".md").write_text(table(report))

    for way in [w for w in WAYS if w.startswith(tuple(args.ways))]:
        for clip in args.clips:
            mark = fingerprint(clip, way, args)
            if any(row["mark"] == mark for row in report["rows"]) and not args.again:
                continue
            row = {**measured(clip, way, args.style, args), "mark": mark}
            same = (row["clip"], way)
            others = [r for r in report["rows"] if (r["clip"], r["way"]) != same]
            report["rows"] = [*others, row]
            save()
            print(row, flush=True)
    wanted = "speed" in args.ways or args.ways == list(WAYS)
    if wanted and ("speed" not in report or args.again):
        counts = (8, 24) if args.quick else SPEED_FRAMES
        report["speed"] = speed(args.clips[0], args.style, counts)
    save()
    print(table(report))


if __name__ == "__main__":
    main()
