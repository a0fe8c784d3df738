"""What every diffusion method is steered by: words, style pictures, LoRAs and ControlNets.

One dataclass of knobs, and what follows from them for a request. The methods add their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from impasto.core import devices, pitfalls
from impasto.core.errors import KnobError
from impasto.core.knobs import SearchRange, knob, strength_knob, structure_knob
from impasto.core.plan import ExecutionSettings
from impasto.core.request import Request
from impasto.engines.diffusion import components as kits
from impasto.engines.diffusion import memory, pipelines
from impasto.engines.diffusion.components import DiffusionComponents
from impasto.engines.diffusion.controlnet import CONTROL_TYPES
from impasto.engines.diffusion.ip_adapter import (
    BLOCK_PRESETS,
    BlockScales,
    cross_attention_blocks,
    parse_block_scales,
    validate_block_scales,
)
from impasto.engines.diffusion.lora import LoraConfig
from impasto.engines.diffusion.memory import MEMORY_MODES, MemoryMode, ParameterCounts
from impasto.engines.diffusion.pipelines import DISTILLED_SCHEDULERS
from impasto.engines.diffusion.pitfalls import prompt_warnings
from impasto.weights.compatibility import DEFAULT_MODELS

T = TypeVar("T")

AUTO = "auto"
MAX_NOISE_REDUCTION_FRACTION = 0.8
"""Part of the noising that structure 1 takes away."""
FULL_STRUCTURE_CONTROL_SCALE = 1.2
"""Scale of the ControlNets at structure 1."""
MAX_MEMORY_FRACTION = 0.9
"""Of the free memory, what the model may take."""


@dataclass(frozen=True)
class DiffusionMethod:
    """The knobs that diffusion methods have in common."""

    name: ClassVar[str]
    DEFAULT_GUIDANCE: ClassVar[Mapping[str, float]]
    """Kind of model → w of classifier-free guidance, as its authors use it."""
    DEFAULT_STEPS: ClassVar[int]
    """Steps of a usual model."""
    DISTILLED_STEPS: ClassVar[int]
    """Steps of a distilled one."""

    prompt: str = knob("", "what is to be seen")
    negative_prompt: str = knob("", "what is not to be seen, things or manners")
    strength: float = strength_knob()
    structure: float = structure_knob()
    ip_adapter_scale: float = knob(
        0.7, "λ of the IP-Adapter: how much of the style pictures", low=0, high=2,
        search=SearchRange(0.3, 1.0, initial_values=(0.5,)),
    )  # fmt: skip
    preset: str = knob(
        "all", "blocks that see the style; all but the first are InstantStyle's, for SDXL",
        choices=("all", *BLOCK_PRESETS),
    )  # fmt: skip
    blocks: str = knob(
        "", "instead of a preset, factors by block: up.block_0=0:1:0 down.block_2=0:1"
    )
    steps: int | None = knob(None, "from noise to picture", low=1, high=1000)
    guidance: float | None = knob(
        None, "how closely the prompt is followed; unset: the model's, 1: not at all more", low=0,
        high=50,
    )  # fmt: skip
    scheduler: str = knob("model", "how noise is taken away")
    render_size: int | None = knob(
        None, "side of the square as large as what is painted; unset: the model's own", low=64,
        high=8192, unit="px",
    )  # fmt: skip
    model: str = knob(DEFAULT_MODELS["sdxl"], "folder, or name on the hub with @revision")
    ip_adapter: str = knob("", "file, or owner/name:file; unset: the one that fits")
    image_encoder: str = knob("", "folder, or owner/name:folder; unset: the adapter's own")
    lora: tuple[str, ...] = knob((), "LoRA files, or owner/name:file")
    lora_weights: tuple[float, ...] = knob((), "of each; unset: 1", low=-4, high=4)
    lora_blocks: tuple[str, ...] = knob((), "of each, factors by block: up=1 down.block_2=0.5")
    controls: tuple[str, ...] = knob(
        (), "what of the content ControlNets see", choices=CONTROL_TYPES
    )
    control_models: tuple[str, ...] = knob((), f"of each; {AUTO}: the usual one")
    control_scales: tuple[float, ...] = knob((), "of each; unset: from structure", low=0, high=2)
    control_start: tuple[float, ...] = knob((), "part of the steps from which on", low=0, high=1)
    control_end: tuple[float, ...] = knob((), "part of the steps up to which", low=0, high=1)
    depth_model: str = knob("", "makes depth pictures: folder or name on the hub")
    memory_mode: str = knob("auto", "how the model is fitted; auto: what is free decides",
                       choices=("auto", *MEMORY_MODES))  # fmt: skip
    accept_license: bool = knob(False, "take weights whose license forbids commercial use")

    def missing_weights(self) -> str:
        """See :class:`impasto.core.request.RemoteWeights`."""
        if kits.is_model_local(self.model):
            return ""
        return (
            f"Its weights, {self.model}, are not on this machine: --method {self.name} fetches "
            "them, some GB."
        )

    def precision_agreement(self, request: Request, device: str, precision: str) -> float:
        """1: published models are made for half precision, and are not loaded twice to compare."""
        return 1.0

    def components(self, request: Request) -> DiffusionComponents:
        """The parts that a request needs, checked.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        if request.weights:
            raise KnobError(
                f"The method {self.name} takes its weights by --model, not by --weights."
            )
        if not (request.styles or self.prompt or self.lora):
            raise KnobError("Nothing says the manner: give a style picture, --prompt or --lora.")
        for name in ("lora_weights", "lora_blocks"):
            self.check_count(name, len(self.lora), "--lora")
        for name in ("control_models", "control_scales", "control_start", "control_end"):
            self.check_count(name, len(self.controls), "--controls")
        if any(start >= end for start, end in self.control_intervals()):
            raise KnobError("control_start must be below control_end.")
        names = values_or_default(self.control_models, len(self.controls), AUTO)
        found = kits.find_components(
            model=self.model,
            ip_adapter=self.ip_adapter if self.uses_ip_adapter(request) else None,
            image_encoder=self.image_encoder,
            controlnets=[
                (k, "" if n == AUTO else n) for k, n in zip(self.controls, names, strict=True)
            ],
            loras=self.lora,
            accept_license=self.accept_license,
            motion_adapter=self.motion_adapter_name(),
            depth_model=self.required_depth_model(),
        )
        self.adapter_block_scales(found)
        return found

    def motion_adapter_name(self) -> str | None:
        """The motion adapter of a film, "" for the usual one; None: it makes pictures."""
        return None

    def required_depth_model(self) -> str:
        """The depth model that is needed, or ""."""
        return ""

    def check_count(self, name: str, count: int, flag: str) -> None:
        """A list has as many values as another, or none.

        Raises:
            KnobError: it has not.
        """
        given = len(getattr(self, name))
        if given not in (0, count):
            raise KnobError(
                f"{name} has {given} values for {count} {flag}: give one each, or none."
            )

    def uses_ip_adapter(self, request: Request) -> bool:
        """Whether the styles are looked at: scale 0 is no adapter."""
        return bool(request.styles) and self.ip_adapter_scale > 0

    def returns_content(self, request: Request) -> bool:
        """Whether the content is given back."""
        return self.strength == 0 and not request.content.is_blank

    def adapter_block_scales(self, components: DiffusionComponents) -> BlockScales | None:
        """The blocks that see the style; None: all.

        Raises:
            KnobError: a mapping that does not fit the model.
        """
        if self.blocks and self.preset != "all":
            raise KnobError("preset and blocks both say which blocks see the style: give one.")
        known = cross_attention_blocks(components.base.unet)
        if self.blocks:
            return validate_block_scales(parse_block_scales(self.blocks), known)
        if self.preset == "all":
            return None
        if components.base.family != "sdxl":
            raise KnobError(
                f"The preset {self.preset} names blocks of SDXL, and the model is "
                f"{components.base.title}: say --blocks instead; it has {', '.join(known)}."
            )
        return validate_block_scales(BLOCK_PRESETS[self.preset], known)

    def is_distilled(self) -> bool:
        """Whether a distilled model is asked for."""
        return self.scheduler in DISTILLED_SCHEDULERS

    def effective_steps(self) -> int:
        """Steps from pure noise."""
        return self.steps or (self.DISTILLED_STEPS if self.is_distilled() else self.DEFAULT_STEPS)

    def effective_guidance(self, components: DiffusionComponents) -> float:
        """W of classifier-free guidance."""
        if self.guidance is not None:
            return self.guidance
        return 1.0 if self.is_distilled() else self.DEFAULT_GUIDANCE[components.base.family]

    def denoising_strength(self, request: Request) -> float:
        """How far the content is turned into noise: 0 not at all, 1 nothing of it is left.

        ControlNets hold the drawing themselves; without them, the noise leaves so much of it.
        """
        if request.content.is_blank:
            return 1.0
        return self.strength * (
            1.0 if self.controls else 1.0 - MAX_NOISE_REDUCTION_FRACTION * self.structure
        )

    def effective_ip_adapter_scale(self, request: Request) -> float:
        """λ: where there is no content to give back, strength is the style's."""
        return self.ip_adapter_scale * (self.strength if request.content.is_blank else 1.0)

    def control_scale(self, index: int) -> float:
        """Scale of a ControlNet."""
        return (
            self.control_scales[index]
            if self.control_scales
            else FULL_STRUCTURE_CONTROL_SCALE * self.structure
        )

    def control_intervals(self) -> list[tuple[float, float]]:
        """Where each ControlNet starts and ends, in parts of the steps."""
        count = len(self.controls)
        starts, ends = (
            values_or_default(self.control_start, count, 0.0),
            values_or_default(self.control_end, count, 1.0),
        )
        return list(zip(starts, ends, strict=True))

    def lora_configs(self) -> list[LoraConfig]:
        """The LoRAs, in order."""
        count = len(self.lora)
        weights = values_or_default(self.lora_weights, count, 1.0)
        blocks = values_or_default(self.lora_blocks, count, "")
        each = zip(self.lora, weights, map(_parse_factors, blocks), strict=True)
        return [LoraConfig(file, weight, factors) for file, weight, factors in each]

    def render_settings(
        self, components: DiffusionComponents, setting: ExecutionSettings
    ) -> ExecutionSettings:
        """The setting in which the model works."""
        height, width = components.render_resolution(
            setting.height, setting.width, self.render_size
        )
        return ExecutionSettings(height, width, setting.device, setting.precision)

    def choose_memory_mode(
        self,
        counts: ParameterCounts,
        render_settings: ExecutionSettings,
        guided: bool,
        frames: int = 1,
    ) -> MemoryMode:
        """How the model is fitted into the memory that is free, or held by a model before it."""
        device = render_settings.device
        free = int(
            MAX_MEMORY_FRACTION * (devices.available_bytes(device) + pipelines.held_bytes(device))
        )
        return memory.choose_memory_mode(
            counts, render_settings, guided, free, self.memory_mode, frames
        )

    def common_warnings(self, request: Request, components: DiffusionComponents) -> tuple[str, ...]:
        """Known mistakes with these knobs."""
        everywhere = self.uses_ip_adapter(request) and self.adapter_block_scales(components) is None
        told = (
            [pitfalls.leaking_adapter(self.effective_ip_adapter_scale(request))]
            if everywhere
            else []
        )
        guidance = self.effective_guidance(components)
        if self.is_distilled() and guidance > 2:
            told.append(
                f"A guidance of {guidance:g} burns the colors of a distilled model: 1 is usual."
            )
        if self.is_distilled() and self.effective_steps() > 12:
            told.append(
                f"{self.effective_steps()} steps are more than a distilled model needs: 4 to 8."
            )
        if request.content.is_blank and not self.prompt:
            told.append("No prompt: the model paints whatever the style suggests to it.")
        if self.negative_prompt and guidance <= 1:
            told.append("Without guidance (1 or less), the negative prompt has no effect.")
        told += prompt_warnings(components, self.prompt, self.negative_prompt)
        return tuple(w for w in told if w)


def values_or_default(values: tuple[T, ...], count: int, default: T) -> tuple[T, ...]:
    """A list, or so many defaults where it is empty."""
    return values or (default,) * count


def _parse_factors(text: str) -> dict[str, float]:
    """``up=1 down.block_2=0.5`` as a mapping."""
    try:
        pairs = (part.partition("=") for part in text.replace(";", " ").split())
        return {name: float(value) for name, _, value in pairs}
    except ValueError as error:
        raise KnobError(
            f"lora_blocks = {text!r} does not fit: write a factor for each block, as "
            "up=1 down.block_2=0.5."
        ) from error
