"""What a diffusion model takes of a machine, from its configurations, before it is loaded.

Parameters are counted on networks without memory (PyTorch's "meta" device). What lives at the peak
of a pass besides was counted there too, tensor by tensor, for SDXL and Stable Diffusion 1.5 at 512
and 1024 px; it grows with the picture's area alone, as no attention map is ever whole.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from impasto.core.devices import resident_bytes
from impasto.core.errors import ResourceError
from impasto.core.plan import Forecast, Setting
from impasto.engines.diffusion.verbosity import hushed
from impasto.weights.compatibility import Adapter, Base
from impasto.weights.hub import Source

LIVE = {"sdxl": 16.0, "sd15": 26.0}
"""Numbers alive at the peak of a UNet's pass, per latent pixel, picture and channel of its first
block."""
LIVE_VAE = 6.0
"""The same of the decoder, per pixel of the picture."""
WORKSPACE = 1.5
"""Times so much, for what convolutions take besides."""
TILE = 512
"""Side in pixels of the decoder's tiles."""
START = 300e6
"""Bytes that a device keeps for itself."""
OPERATIONS = {"sdxl": (0.148, 7.9e-7), "sd15": (0.194, 8.5e-6)}
"""Of a UNet's pass per latent pixel and parameter, and besides per latent pixel squared."""
OPERATIONS_VAE = 4.84e8
"""Of the decoder, per latent pixel."""
SPEED = 0.4
"""Of a matrix product's speed, what a network reaches."""
READING = 1e9
"""Bytes a second that are read from disk."""
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True)
class Step:
    """A way to fit a model into memory; the next one takes less and more time.

    Attributes:
        name: what a user types.
        words: what a plan says.
        tiled: the picture is decoded in tiles.
        offload: "" all parts stay on the device; "model" only the part at work, "sequential" only
            the layer at work.
        slower: how many times as long a pass takes.
    """

    name: str
    words: str
    tiled: bool = False
    offload: str = ""
    slower: float = 1.0


STEPS = {
    step.name: step
    for step in (
        Step("resident", "All of the model stays on the device."),
        Step("tiled", "The picture is decoded in tiles.", tiled=True),
        Step("offload", "Only the part at work is on the device; decoded in tiles.", True,
             "model", 1.2),
        Step("sequential", "Only the layer at work is on the device, which is slow; decoded in "
             "tiles.", True, "sequential", 8.0),
    )
}  # fmt: skip
"""From most memory to least."""


def steps_of(device: str) -> tuple[Step, ...]:
    """The steps that a device knows: on a processor there is nowhere to offload to."""
    return tuple(s for s in STEPS.values() if not s.offload or device.startswith("cuda"))


def below(step: Step, device: str) -> Step | None:
    """The next step down; None: there is none."""
    known = steps_of(device)
    place = known.index(step) + 1
    return known[place] if place < len(known) else None


@dataclass(frozen=True)
class Sizes:
    """Parameters of every part.

    Attributes:
        parts: part → how many.
        base: the model.
    """

    parts: Mapping[str, int]
    base: Base

    def peak(self, setting: Setting, step: Step, guided: bool, frames: int = 1) -> int:
        """Bytes on the device at the peak.

        Args:
            setting: of the picture.
            step: how it is fitted.
            guided: whether every pass is of two pictures, with the prompt and without.
            frames: pictures in a pass; they are decoded one by one.
        """
        each = BYTES[setting.precision]
        weights = {name: count * each for name, count in self.parts.items()}
        area = setting.height * setting.width
        latent = frames * area / self.base.factor**2 * (2 if guided else 1)
        unet = LIVE[self.base.kind] * latent * int(self.base.unet["block_out_channels"][0]) * each
        upcast = self.base.kind == "sdxl" and self.base.vae.get("force_upcast", True)
        full = 4 if upcast and setting.precision == "fp16" else each
        seen = min(area, TILE**2) if step.tiled else area
        vae = LIVE_VAE * seen * int(self.base.vae["block_out_channels"][0]) * full
        held_together = ("unet", "adapter", "control")
        nets = sum(n for name, n in weights.items() if name.startswith(held_together))
        if step.offload == "sequential":
            held = max(0.1 * weights["unet"], weights["vae"])
            return int(START + held + WORKSPACE * max(unet, vae))
        if step.offload:
            parts = [nets + WORKSPACE * unet, weights["vae"] + WORKSPACE * vae]
            return int(START + max(*parts, *weights.values()))
        return int(START + sum(weights.values()) + WORKSPACE * max(unet, vae))

    def operations(self, setting: Setting, steps: int, guided: bool) -> float:
        """Of all passes of the UNet and its ControlNets, and of decoding."""
        latent = setting.height * setting.width / self.base.factor**2
        linear, square = OPERATIONS[self.base.kind]
        nets = {n: c for n, c in self.parts.items() if n == "unet" or n.startswith("control")}
        passes = linear * sum(nets.values()) * latent + square * self.parts["unet"] * latent**2
        return steps * passes * (2 if guided else 1) + OPERATIONS_VAE * latent


def weigh(
    base: Base,
    adapter: Adapter | None,
    encoder: Source | None,
    controls: Mapping[str, Source],
) -> Sizes:
    """Count the parameters of a model, its adapter with the image encoder, and its ControlNets.

    Raises:
        WeightsError: a configuration is missing.
    """
    parts = {"unet": counted("UNet2DConditionModel", base.unet),
             "vae": counted("AutoencoderKL", base.vae)}  # fmt: skip
    for name in base.texts:
        parts[name] = counted(str(base.parts[name][1]), base.source.json(f"{name}/config.json"))
    if adapter is not None:
        parts["adapter"] = 2 * sum(adapter.layers) * adapter.width
        parts["adapter"] += adapter.tokens * adapter.width * adapter.seen
    if encoder is not None:
        parts["encoder"] = counted("CLIPVisionModelWithProjection", encoder.json("config.json"))
    for i, (kind, source) in enumerate(controls.items()):
        parts[f"control {i} {kind}"] = counted("ControlNetModel", source.json("config.json"))
    return Sizes(parts, base)


def counted(kind: str, config: Mapping[str, Any]) -> int:
    """Parameters of a network of diffusers or transformers, from its configuration."""
    return _counted(kind, json.dumps(dict(config), sort_keys=True))


@functools.lru_cache(maxsize=32)
def _counted(kind: str, config: str) -> int:
    told = json.loads(config)
    with hushed(), torch.device("meta"):
        import diffusers
        import transformers

        if hasattr(diffusers, kind):
            net = getattr(diffusers, kind).from_config(told)
        else:
            made = getattr(transformers, kind)
            net = made(made.config_class.from_dict(told))
    return sum(p.numel() for p in net.parameters())


def choose(
    sizes: Sizes,
    setting: Setting,
    guided: bool,
    free: int,
    wanted: str = "auto",
    frames: int = 1,
) -> Step:
    """The first step that fits, or else the last; or the one that is asked for.

    Args:
        sizes: of the model.
        setting: of the picture.
        guided: as in :meth:`Sizes.peak`.
        free: bytes on the device.
        wanted: "auto", or a step's name.
        frames: pictures in a pass.

    Raises:
        ResourceError: the device has no such step.
    """
    known = {step.name: step for step in steps_of(setting.device)}
    if wanted != "auto":
        if wanted not in known:
            raise ResourceError(
                f"memory = {wanted!r} is for a GPU; on {setting.device} there is "
                f"{', '.join(known)}: use --memory auto."
            )
        return known[wanted]
    fitting = (s for s in known.values() if sizes.peak(setting, s, guided, frames) <= free)
    return next(fitting, list(known.values())[-1])


def forecast(
    sizes: Sizes, setting: Setting, step: Step, steps: int, guided: bool, held: int = 0
) -> Forecast:
    """Time and memory of a picture; the time of reading the model is in it.

    Args:
        sizes: of the model.
        setting: of the picture.
        step: how it is fitted.
        steps: passes of the model.
        guided: as in :meth:`Sizes.peak`.
        held: bytes that this process holds for a model already, and would reuse.
    """
    each = BYTES[setting.precision]
    reading = sum(sizes.parts.values()) * each / READING
    speed = SPEED * _speed(setting.device, setting.precision)
    seconds = reading + step.slower * sizes.operations(setting, steps, guided) / speed
    return Forecast(seconds, resident_bytes() - held + sizes.peak(setting, step, guided))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or a processor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error).lower()
    words = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(word in said for word in words)


@functools.cache
def _speed(device: str, precision: str) -> float:
    """Operations a second of a matrix product, measured now."""
    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    side = 4096 if device.startswith("cuda") else 512
    a = torch.rand(side, side, device=device, dtype=kinds[precision])
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        a @ a
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
