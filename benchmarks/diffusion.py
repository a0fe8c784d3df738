"""Seconds and memory of a picture by SDXL at 1024 px: ours against plain diffusers.

Both use the same weights, scheduler, steps, guidance, prompt, seed and precision, on a GPU. Each is
a process of its own, so that neither finds the other's memory: it loads, paints once to warm up,
then several times. Told are the median of seconds a picture and the GPU's peak. The aim is: no
slower, with less memory. Ours runs twice, fitted as the plan chooses and in tiles. The result goes
to docs/benchmarks/diffusion.json and diffusion.md.

Without a GPU or without the weights on this machine it says so and measures nothing.

    python benchmarks/diffusion.py [--steps 30] [--repeats 3] [--model FOLDER|NAME]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from impasto.core.errors import ImpastoError
from impasto.nets.diffusion import kit
from impasto.weights.pairs import MODELS

OUT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
PROMPT = "a lighthouse on a cliff above the sea, oil painting"
SIDE, GUIDANCE, SEED = 1024, 5.0, 0
WAYS = {"plain diffusers": "", "impasto": "auto", "impasto, tiled": "tiled"}


def lacking(model: str) -> str:
    """What is missing for measuring, in a sentence; "": nothing."""
    if not torch.cuda.is_available():
        return "There is no GPU of NVIDIA's here"
    try:
        kit.require_extra()
        kit.find(model=model, adapter=None, encoder="", controls=(), loras=(), accept_licence=True)
    except ImpastoError as error:
        return str(error).rstrip(".")
    return "" if kit.here(model) else f"The weights of {model} are not on this machine"


def plain(model: str, steps: int):
    """A painter as the documentation of diffusers makes one."""
    from diffusers import StableDiffusionXLPipeline

    from impasto.nets.diffusion.pipelines import fetched_model
    from impasto.weights import hub, pairs

    source = hub.locate(model)
    root, names = fetched_model(source, pairs.look_at_model(source), True)
    half = any(".fp16." in name for name in names)
    pipe = StableDiffusionXLPipeline.from_pretrained(
        root, torch_dtype=torch.float16, variant="fp16" if half else None, use_safetensors=True
    ).to("cuda")
    pipe.set_progress_bar_config(disable=True)

    def paint(seed: int) -> None:
        pipe(
            PROMPT, height=SIDE, width=SIDE, num_inference_steps=steps, guidance_scale=GUIDANCE,
            generator=torch.Generator("cpu").manual_seed(seed),
        )  # fmt: skip

    return paint


def ours(model: str, steps: int, memory: str):
    """The same by the method sdxl."""
    import impasto

    def paint(seed: int) -> None:
        impasto.stylize(
            f"{SIDE}x{SIDE}", [], method="sdxl", model=model, prompt=PROMPT, steps=steps,
            guidance=GUIDANCE, seed=seed, precision="fp16", device="cuda", memory=memory,
            accept_licence=True,
        )  # fmt: skip

    return paint


def measure(way: str, model: str, steps: int, repeats: int) -> dict:
    """Seconds and bytes of one way, in this process."""
    paint = ours(model, steps, WAYS[way]) if WAYS[way] else plain(model, steps)
    start = time.perf_counter()
    paint(SEED)
    torch.cuda.synchronize()
    first = time.perf_counter() - start
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for i in range(repeats):
        start = time.perf_counter()
        paint(SEED + i)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {
        "seconds": statistics.median(seconds),
        "all": seconds,
        "first": first,
        "bytes": torch.cuda.max_memory_allocated(),
    }


def table(report: dict) -> str:
    """The figures as a page."""
    lines = [
        f"{report['model']}, {SIDE} x {SIDE} px, {report['steps']} steps, guidance {GUIDANCE:g}, "
        f"fp16, {report['gpu']}; the median of {report['repeats']} pictures.",
        "",
        "| | seconds | GPU memory, GB |",
        "|---|---|---|",
        *(f"| {way} | {found['seconds']:.2f} | {found['bytes'] / 1e9:.2f} |"
          for way, found in report["ways"].items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODELS["sdxl"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.model, args.steps, args.repeats)))
        return
    if why := lacking(args.model):
        print(f"Nothing was measured. {why}.")
        return
    report = {
        "model": args.model, "steps": args.steps, "repeats": args.repeats,
        "gpu": torch.cuda.get_device_name(), "ways": {},
    }  # fmt: skip
    shared = ["--model", args.model, "--steps", str(args.steps), "--repeats", str(args.repeats)]
    for way in WAYS:
        line = [sys.executable, __file__, "--way", way, *shared]
        found = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout
        report["ways"][way] = json.loads(found.splitlines()[-1])
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "diffusion.json").write_text(json.dumps(report, indent=1) + "\n")
    (OUT / "diffusion.md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
