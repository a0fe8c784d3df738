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
from impasto.core.plan import ExecutionSettings, Forecast
from impasto.engines.diffusion.verbosity import silence_logging
from impasto.weights.compatibility import AdapterInfo, BaseModelInfo
from impasto.weights.hub import ModelSource

UNET_ACTIVATIONS_PER_CHANNEL = {"sdxl": 16.0, "sd15": 26.0}
"""Numbers alive at the peak of a UNet's pass, per latent pixel, picture and channel of its first
block."""
VAE_ACTIVATIONS_PER_CHANNEL = 6.0
"""The same of the decoder, per pixel of the picture."""
WORKSPACE_FACTOR = 1.5
"""Times so much, for what convolutions take besides."""
VAE_TILE_PX = 512
"""Side in pixels of the decoder's tiles."""
DEVICE_OVERHEAD_BYTES = 300e6
"""Bytes that a device keeps for itself."""
UNET_OPERATION_COEFFICIENTS = {"sdxl": (0.148, 7.9e-7), "sd15": (0.194, 8.5e-6)}
"""Of a UNet's pass per latent pixel and parameter, and besides per latent pixel squared."""
VAE_OPERATIONS_PER_LATENT = 4.84e8
"""Of the decoder, per latent pixel."""
MATMUL_EFFICIENCY = 0.4
"""Of a matrix product's speed, what a network reaches."""
DISK_BYTES_PER_SECOND = 1e9
"""Bytes a second that are read from disk."""
BYTES_PER_PARAMETER = {"fp32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True)
class MemoryMode:
    """A way to fit a model into memory; the next one takes less and more time.

    Attributes:
        name: what a user types.
        description: what a plan says.
        tiled: the picture is decoded in tiles.
        offload: "" all parts stay on the device; "model" only the part at work, "sequential" only
            the layer at work.
        slowdown: how many times as long a pass takes.
    """

    name: str
    description: str
    tiled: bool = False
    offload: str = ""
    slowdown: float = 1.0


MEMORY_MODES = {
    step.name: step
    for step in (
        MemoryMode("resident", "All of the model stays on the device."),
        MemoryMode("tiled", "The picture is decoded in tiles.", tiled=True),
        MemoryMode(
            "offload",
            "Only the part at work is on the device; decoded in tiles.",
            True,
            "model",
            1.2,
        ),
        MemoryMode(
            "sequential",
            "Only the layer at work is on the device, which is slow; decoded in tiles.",
            True,
            "sequential",
            8.0,
        ),
    )
}
"""From most memory to least."""


def available_modes(device: str) -> tuple[MemoryMode, ...]:
    """The steps that a device knows: on a processor there is nowhere to offload to."""
    return tuple(s for s in MEMORY_MODES.values() if not s.offload or device.startswith("cuda"))


def next_smaller_mode(mode: MemoryMode, device: str) -> MemoryMode | None:
    """The next step down; None: there is none."""
    known = available_modes(device)
    place = known.index(mode) + 1
    return known[place] if place < len(known) else None


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of every part.

    Attributes:
        counts: part → how many.
        base: the model.
    """

    counts: Mapping[str, int]
    base: BaseModelInfo

    def peak_bytes(
        self, setting: ExecutionSettings, mode: MemoryMode, guided: bool, frames: int = 1
    ) -> int:
        """Bytes on the device at the peak.

        Args:
            setting: of the picture.
            mode: how it is fitted.
            guided: whether every pass is of two pictures, with the prompt and without.
            frames: pictures in a pass; they are decoded one by one.
        """
        each = BYTES_PER_PARAMETER[setting.precision]
        weights = {name: count * each for name, count in self.counts.items()}
        area = setting.height * setting.width
        latent = frames * area / self.base.vae_scale_factor**2 * (2 if guided else 1)
        unet = (
            UNET_ACTIVATIONS_PER_CHANNEL[self.base.family]
            * latent
            * int(self.base.unet["block_out_channels"][0])
            * each
        )
        upcast = self.base.family == "sdxl" and self.base.vae.get("force_upcast", True)
        full = 4 if upcast and setting.precision == "fp16" else each
        seen = min(area, VAE_TILE_PX**2) if mode.tiled else area
        vae = (
            VAE_ACTIVATIONS_PER_CHANNEL * seen * int(self.base.vae["block_out_channels"][0]) * full
        )
        held_together = ("unet", "adapter", "control")
        nets = sum(n for name, n in weights.items() if name.startswith(held_together))
        if mode.offload == "sequential":
            held = max(0.1 * weights["unet"], weights["vae"])
            return int(DEVICE_OVERHEAD_BYTES + held + WORKSPACE_FACTOR * max(unet, vae))
        if mode.offload:
            parts = [nets + WORKSPACE_FACTOR * unet, weights["vae"] + WORKSPACE_FACTOR * vae]
            return int(DEVICE_OVERHEAD_BYTES + max(*parts, *weights.values()))
        return int(
            DEVICE_OVERHEAD_BYTES + sum(weights.values()) + WORKSPACE_FACTOR * max(unet, vae)
        )

    def operations(self, setting: ExecutionSettings, steps: int, guided: bool) -> float:
        """Of all passes of the UNet and its ControlNets, and of decoding."""
        latent = setting.height * setting.width / self.base.vae_scale_factor**2
        linear, square = UNET_OPERATION_COEFFICIENTS[self.base.family]
        nets = {n: c for n, c in self.counts.items() if n == "unet" or n.startswith("control")}
        passes = linear * sum(nets.values()) * latent + square * self.counts["unet"] * latent**2
        return steps * passes * (2 if guided else 1) + VAE_OPERATIONS_PER_LATENT * latent


def count_parameters(
    base: BaseModelInfo,
    adapter: AdapterInfo | None,
    encoder: ModelSource | None,
    controls: Mapping[str, ModelSource],
) -> ParameterCounts:
    """Count the parameters of a model, its adapter with the image encoder, and its ControlNets.

    Raises:
        WeightsError: a configuration is missing.
    """
    parts = {"unet": count_network_parameters("UNet2DConditionModel", base.unet),
             "vae": count_network_parameters("AutoencoderKL", base.vae)}  # fmt: skip
    for name in base.text_encoders:
        parts[name] = count_network_parameters(
            str(base.components[name][1]), base.source.read_json(f"{name}/config.json")
        )
    if adapter is not None:
        parts["adapter"] = 2 * sum(adapter.layer_widths) * adapter.cross_attention_dim
        parts["adapter"] += adapter.num_tokens * adapter.cross_attention_dim * adapter.encoder_dim
    if encoder is not None:
        parts["encoder"] = count_network_parameters(
            "CLIPVisionModelWithProjection", encoder.read_json("config.json")
        )
    for i, (kind, source) in enumerate(controls.items()):
        parts[f"control {i} {kind}"] = count_network_parameters(
            "ControlNetModel", source.read_json("config.json")
        )
    return ParameterCounts(parts, base)


def count_network_parameters(class_name: str, config: Mapping[str, Any]) -> int:
    """Parameters of a network of diffusers or transformers, from its configuration."""
    return _count_cached(class_name, json.dumps(dict(config), sort_keys=True))


@functools.lru_cache(maxsize=32)
def _count_cached(class_name: str, config: str) -> int:
    told = json.loads(config)
    with silence_logging(), torch.device("meta"):
        import diffusers
        import transformers

        if hasattr(diffusers, class_name):
            net = getattr(diffusers, class_name).from_config(told)
        else:
            made = getattr(transformers, class_name)
            net = made(made.config_class.from_dict(told))
    return sum(p.numel() for p in net.parameters())


def choose_memory_mode(
    counts: ParameterCounts,
    setting: ExecutionSettings,
    guided: bool,
    free_bytes: int,
    requested: str = "auto",
    frames: int = 1,
) -> MemoryMode:
    """The first step that fits, or else the last; or the one that is asked for.

    Args:
        counts: of the model.
        setting: of the picture.
        guided: as in :meth:`Sizes.peak`.
        free_bytes: bytes on the device.
        requested: "auto", or a step's name.
        frames: pictures in a pass.

    Raises:
        ResourceError: the device has no such step.
    """
    known = {step.name: step for step in available_modes(setting.device)}
    if requested != "auto":
        if requested not in known:
            raise ResourceError(
                f"memory = {requested!r} is for a GPU; on {setting.device} there is "
                f"{', '.join(known)}: use --memory auto."
            )
        return known[requested]
    fitting = (
        s for s in known.values() if counts.peak_bytes(setting, s, guided, frames) <= free_bytes
    )
    return next(fitting, list(known.values())[-1])


def forecast(
    counts: ParameterCounts,
    setting: ExecutionSettings,
    mode: MemoryMode,
    steps: int,
    guided: bool,
    reusable_bytes: int = 0,
) -> Forecast:
    """Time and memory of a picture; the time of reading the model is in it.

    Args:
        counts: of the model.
        setting: of the picture.
        mode: how it is fitted.
        steps: passes of the model.
        guided: as in :meth:`Sizes.peak`.
        reusable_bytes: bytes that this process holds for a model already, and would reuse.
    """
    each = BYTES_PER_PARAMETER[setting.precision]
    reading = sum(counts.counts.values()) * each / DISK_BYTES_PER_SECOND
    speed = MATMUL_EFFICIENCY * _matmul_speed(setting.device, setting.precision)
    seconds = reading + mode.slowdown * counts.operations(setting, steps, guided) / speed
    return Forecast(
        seconds, resident_bytes() - reusable_bytes + counts.peak_bytes(setting, mode, guided)
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or a processor."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error).lower()
    words = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(word in said for word in words)


@functools.cache
def _matmul_speed(device: str, precision: str) -> float:
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
