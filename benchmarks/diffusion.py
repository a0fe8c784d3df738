"""Seconds and memory of a picture by SDXL or SD 1.5: ours against plain diffusers.

All use the same weights, scheduler, steps, guidance, prompt and seed. Each way is a process of its
own, so that none finds another's memory: it loads, paints once to warm up, then several times. Told
are the median of seconds a picture, and the most memory: of the GPU, or of the process without the
files that it maps. Beside it stands what our plan forecast. The aim is: no slower, less memory.

Where the real weights are not on this machine, models of the published sizes with random numbers
are built (benchmarks/shapes.py): time and memory are the same, the pictures are noise. Without a
GPU the processor is measured, which says little of a GPU, and the result says so.

    python benchmarks/diffusion.py [--kind sdxl] [--model FOLDER|NAME] [--steps 30] [--repeats 3]
    python benchmarks/diffusion.py --kind sdxl --steps 2 --without fp32  # on a small machine

The result is added to docs/benchmarks/diffusion.json, and diffusion.md is made from that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import shapes
import torch

from impasto.core.errors import ImpastoError
from impasto.engines.diffusion import components
from impasto.weights.compatibility import DEFAULT_MODELS

OUT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
PROMPT = "a lighthouse on a cliff above the sea, oil painting"
SEED = 0
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
GUIDANCE = {"sdxl": 5.0, "sd15": 7.5}
WAYS: dict[str, tuple[str, str]] = (
    {"plain diffusers, fp16": ("fp16", ""), "impasto, fp16": ("fp16", "auto"),
     "impasto, fp16, tiled": ("fp16", "tiled")}
    if GPU
    else {"plain diffusers, fp32 (its default)": ("fp32", ""),
          "plain diffusers, bf16": ("bf16", ""), "impasto, as it chooses": ("auto", "auto"),
          "impasto, fp32": ("fp32", "auto"), "impasto, bf16, tiled": ("bf16", "tiled")}
)  # fmt: skip
"""Way → precision, and how ours is fitted into memory; "" is plain diffusers."""

Paint = Callable[[int], None]


def here(model: str) -> bool:
    """Whether a model's weights are on this machine."""
    components.require_extra()
    try:
        components.find_components(
            model=model,
            ip_adapter=None,
            image_encoder="",
            controlnets=(),
            loras=(),
            accept_license=True,
        )
    except ImpastoError:
        return False
    return components.is_model_local(model)


def plain(kind: str, model: str, steps: int, precision: str) -> Paint:
    """A painter as the documentation of diffusers makes one."""
    import diffusers

    from impasto.engines.diffusion.files import fetch_model_files
    from impasto.weights import compatibility, hub

    source = hub.locate(model)
    root, names = fetch_model_files(source, compatibility.inspect_model(source), True)
    name = "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline"
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    half = any(".fp16." in name for name in names)
    pipe: Any = getattr(diffusers, name).from_pretrained(
        root, torch_dtype=dtype, variant="fp16" if half else None, use_safetensors=True,
        **({} if kind == "sdxl" else {"safety_checker": None}),
    ).to(DEVICE)  # fmt: skip
    pipe.set_progress_bar_config(disable=True)

    def paint(seed: int) -> None:
        pipe(
            PROMPT, height=shapes.SIDE[kind], width=shapes.SIDE[kind], num_inference_steps=steps,
            guidance_scale=GUIDANCE[kind], generator=torch.Generator("cpu").manual_seed(seed),
        )  # fmt: skip

    return paint


def settings(kind: str, model: str, steps: int, precision: str, memory: str) -> dict[str, Any]:
    """The same for the method sdxl."""
    return {
        "method": "sdxl", "model": model, "prompt": PROMPT, "steps": steps,
        "guidance": GUIDANCE[kind], "precision": precision, "device": DEVICE, "memory": memory,
        "accept_license": True,
    }  # fmt: skip


def ours(asked: dict[str, Any], kind: str) -> Paint:
    import impasto

    size = f"{shapes.SIDE[kind]}x{shapes.SIDE[kind]}"

    def paint(seed: int) -> None:
        impasto.stylize(size, [], **asked, seed=seed)

    return paint


class Peak(threading.Thread):
    """The most memory of this process, looked at fifty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self._process = 0, psutil.Process()

    def run(self) -> None:
        while True:
            held = self._process.memory_info()
            self.bytes = max(self.bytes, held.rss - getattr(held, "shared", 0))
            time.sleep(0.02)


def measure(kind: str, model: str, steps: int, repeats: int, way: str) -> dict[str, Any]:
    """Seconds and bytes of one way, in this process."""
    import impasto

    precision, memory = WAYS[way]
    peak, found = Peak(), {}
    peak.start()
    if memory:
        asked = settings(kind, model, steps, precision, memory)
        size = f"{shapes.SIDE[kind]}x{shapes.SIDE[kind]}"
        plan = impasto.plan(impasto.request(size, [], **asked))
        found = {"forecast_bytes": plan.forecast.peak_bytes, "precision": plan.setting.precision,
                 "forecast_seconds": plan.forecast.seconds}  # fmt: skip
        paint = ours(asked, kind)
    else:
        paint = plain(kind, model, steps, precision)
    seconds = []
    for i in range(repeats + 1):  # the first warms up
        start = time.perf_counter()
        paint(SEED + i)
        if GPU:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {
        "seconds": statistics.median(seconds[1:]), "all": seconds[1:], "first": seconds[0],
        "bytes": torch.cuda.max_memory_allocated() if GPU else peak.bytes, **found,
    }  # fmt: skip


def table(reports: dict[str, Any]) -> str:
    """The figures as a page."""
    lines = ["Made by `benchmarks/diffusion.py`; the first of each table is what the others are "
             "divided by."]  # fmt: skip
    for report in reports.values():
        ways = report["ways"]
        first = next(iter(ways.values()))
        heads = "| | seconds | GB | forecast GB | time | memory |"
        lines += ["", f"## {report['title']}", "", report["about"], "", heads, "|---" * 6 + "|"]
        for way, found in ways.items():
            told = f"{found['forecast_bytes'] / 1e9:.1f}" if "forecast_bytes" in found else ""
            lines.append(
                f"| {way} | {found['seconds']:.1f} | {found['bytes'] / 1e9:.2f} | {told} | "
                f"{found['seconds'] / first['seconds']:.2f} | "
                f"{found['bytes'] / first['bytes']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def about(kind: str, args: argparse.Namespace, real: bool) -> str:
    side = shapes.SIDE[kind]
    place = torch.cuda.get_device_name() if GPU else f"{os.cpu_count()} cores, no GPU"
    numbers = f"the weights of {args.model}" if real else "random numbers at the published sizes"
    return (
        f"{side} x {side} px, {args.steps} steps, guidance {GUIDANCE[kind]:g}, {numbers}; {place}; "
        f"the median of {args.repeats} after one to warm up. PyTorch {torch.__version__}, "
        f"{platform.system()}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=shapes.UNET, default="sdxl" if GPU else "sd15")
    parser.add_argument("--model", default="")
    parser.add_argument("--steps", type=int, default=30 if GPU else 4)
    parser.add_argument("--repeats", type=int, default=3 if GPU else 1)
    parser.add_argument(
        "--without",
        default=None,
        metavar="WORD",
        help="Leave out ways of this word, as fp32 where memory is short.",
    )
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    kind: str = args.kind
    if args.way:
        print(json.dumps(measure(kind, args.model, args.steps, args.repeats, args.way)))
        return
    args.model = args.model or DEFAULT_MODELS[kind]
    real = here(args.model)
    with tempfile.TemporaryDirectory() as folder:
        model = args.model
        if not real:
            print(f"The weights of {args.model} are not on this machine: random ones are built.")
            script = Path(__file__).with_name("shapes.py")
            model = f"{folder}/{kind}"
            subprocess.run([sys.executable, script, kind, model], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        ways = {}
        for way in (w for w in WAYS if args.without is None or args.without not in w):
            shared = ["--kind", kind, "--model", model, "--steps", str(args.steps)]
            line = [sys.executable, __file__, "--way", way, *shared,
                    "--repeats", str(args.repeats)]  # fmt: skip
            done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
            ways[way] = json.loads(done.splitlines()[-1])
            print(f"{way}: {ways[way]['seconds']:.1f} s, {ways[way]['bytes'] / 1e9:.2f} GB")
    title = f"{'SDXL' if kind == 'sdxl' else 'Stable Diffusion 1.5'} on a {DEVICE.upper()}"
    OUT.mkdir(parents=True, exist_ok=True)
    place = OUT / "diffusion.json"
    reports = json.loads(place.read_text()) if place.is_file() else {}
    reports[f"{kind} {DEVICE}"] = {"title": title, "about": about(kind, args, real), "ways": ways}
    place.write_text(json.dumps(reports, indent=1) + "\n")
    (OUT / "diffusion.md").write_text(table(reports))


if __name__ == "__main__":
    main()
