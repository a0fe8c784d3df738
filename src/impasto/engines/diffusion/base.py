"""What every diffusion method is steered by: words, style pictures, LoRAs and ControlNets.

One dataclass of knobs, and what follows from them for a request. The methods add their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from impasto.core import devices, pitfalls
from impasto.core.errors import KnobError
from impasto.core.knobs import Search, knob, strength_knob, structure_knob
from impasto.core.plan import Setting
from impasto.core.request import Request
from impasto.engines.diffusion import components as kits
from impasto.engines.diffusion import memory, pipelines
from impasto.engines.diffusion.components import Kit
from impasto.engines.diffusion.controlnet import KINDS
from impasto.engines.diffusion.ip_adapter import (
    PRESETS,
    Blocks,
    check_blocks,
    known_blocks,
    parse_blocks,
)
from impasto.engines.diffusion.lora import Use
from impasto.engines.diffusion.memory import STEPS, Sizes, Step
from impasto.engines.diffusion.pipelines import FEW
from impasto.engines.diffusion.pitfalls import prompt_warnings
from impasto.weights.compatibility import MODELS

T = TypeVar("T")

AUTO = "auto"
KEPT = 0.8
"""Part of the noising that structure 1 takes away."""
HELD = 1.2
"""Scale of the ControlNets at structure 1."""
SHARE = 0.9
"""Of the free memory, what the model may take."""


@dataclass(frozen=True)
class Steered:
    """The knobs that diffusion methods have in common."""

    name: ClassVar[str]
    GUIDANCE: ClassVar[Mapping[str, float]]
    """Kind of model → w of classifier-free guidance, as its authors use it."""
    FULL: ClassVar[int]
    """Steps of a usual model."""
    FEWEST: ClassVar[int]
    """Steps of a distilled one."""

    prompt: str = knob("", "what is to be seen")
    negative: str = knob("", "what is not to be seen, things or manners")
    strength: float = strength_knob()
    structure: float = structure_knob()
    scale: float = knob(
        0.7, "λ of the IP-Adapter: how much of the style pictures", low=0, high=2,
        search=Search(0.3, 1.0, first=(0.5,)),
    )  # fmt: skip
    preset: str = knob(
        "all", "blocks that see the style; all but the first are InstantStyle's, for SDXL",
        choices=("all", *PRESETS),
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
    paint_size: int | None = knob(
        None, "side of the square as large as what is painted; unset: the model's own", low=64,
        high=8192, unit="px",
    )  # fmt: skip
    model: str = knob(MODELS["sdxl"], "folder, or name on the hub with @revision")
    ip_adapter: str = knob("", "file, or owner/name:file; unset: the one that fits")
    image_encoder: str = knob("", "folder, or owner/name:folder; unset: the adapter's own")
    lora: tuple[str, ...] = knob((), "LoRA files, or owner/name:file")
    lora_weights: tuple[float, ...] = knob((), "of each; unset: 1", low=-4, high=4)
    lora_blocks: tuple[str, ...] = knob((), "of each, factors by block: up=1 down.block_2=0.5")
    controls: tuple[str, ...] = knob((), "what of the content ControlNets see", choices=KINDS)
    control_models: tuple[str, ...] = knob((), f"of each; {AUTO}: the usual one")
    control_scales: tuple[float, ...] = knob((), "of each; unset: from structure", low=0, high=2)
    control_start: tuple[float, ...] = knob((), "part of the steps from which on", low=0, high=1)
    control_end: tuple[float, ...] = knob((), "part of the steps up to which", low=0, high=1)
    depth_model: str = knob("", "makes depth pictures: folder or name on the hub")
    memory: str = knob("auto", "how the model is fitted; auto: what is free decides",
                       choices=("auto", *STEPS))  # fmt: skip
    accept_licence: bool = knob(False, "take weights whose licence forbids commercial use")

    def lacking(self) -> str:
        """See :class:`impasto.core.request.Fetches`."""
        if kits.here(self.model):
            return ""
        return (
            f"Its weights, {self.model}, are not on this machine: --method {self.name} fetches "
            "them, some GB."
        )

    def agreement(self, request: Request, device: str, precision: str) -> float:
        """1: published models are made for half precision, and are not loaded twice to compare."""
        return 1.0

    def kit(self, request: Request) -> Kit:
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
        if any(start >= end for start, end in self.spans()):
            raise KnobError("control_start must be below control_end.")
        names = filled(self.control_models, len(self.controls), AUTO)
        found = kits.find(
            model=self.model,
            adapter=self.ip_adapter if self.looks(request) else None,
            encoder=self.image_encoder,
            controls=[
                (k, "" if n == AUTO else n) for k, n in zip(self.controls, names, strict=True)
            ],
            loras=self.lora,
            accept_licence=self.accept_licence,
            motion=self.moving(),
            depth=self.depth(),
        )
        self.mapping(found)
        return found

    def moving(self) -> str | None:
        """The motion adapter of a film, "" for the usual one; None: it makes pictures."""
        return None

    def depth(self) -> str:
        """The depth model that is needed, or ""."""
        return ""

    def check_count(self, name: str, count: int, of: str) -> None:
        """A list has as many values as another, or none.

        Raises:
            KnobError: it has not.
        """
        given = len(getattr(self, name))
        if given not in (0, count):
            raise KnobError(f"{name} has {given} values for {count} {of}: give one each, or none.")

    def looks(self, request: Request) -> bool:
        """Whether the styles are looked at: scale 0 is no adapter."""
        return bool(request.styles) and self.scale > 0

    def unchanged(self, request: Request) -> bool:
        """Whether the content is given back."""
        return self.strength == 0 and not request.content.blank

    def mapping(self, kit: Kit) -> Blocks | None:
        """The blocks that see the style; None: all.

        Raises:
            KnobError: a mapping that does not fit the model.
        """
        if self.blocks and self.preset != "all":
            raise KnobError("preset and blocks both say which blocks see the style: give one.")
        known = known_blocks(kit.base.unet)
        if self.blocks:
            return check_blocks(parse_blocks(self.blocks), known)
        if self.preset == "all":
            return None
        if kit.base.kind != "sdxl":
            raise KnobError(
                f"The preset {self.preset} names blocks of SDXL, and the model is "
                f"{kit.base.title}: say --blocks instead; it has {', '.join(known)}."
            )
        return check_blocks(PRESETS[self.preset], known)

    def few(self) -> bool:
        """Whether a distilled model is asked for."""
        return self.scheduler in FEW

    def steps_now(self) -> int:
        """Steps from pure noise."""
        return self.steps or (self.FEWEST if self.few() else self.FULL)

    def guidance_now(self, kit: Kit) -> float:
        """W of classifier-free guidance."""
        if self.guidance is not None:
            return self.guidance
        return 1.0 if self.few() else self.GUIDANCE[kit.base.kind]

    def denoise(self, request: Request) -> float:
        """How far the content is turned into noise: 0 not at all, 1 nothing of it is left.

        ControlNets hold the drawing themselves; without them, the noise leaves so much of it.
        """
        if request.content.blank:
            return 1.0
        return self.strength * (1.0 if self.controls else 1.0 - KEPT * self.structure)

    def scale_now(self, request: Request) -> float:
        """λ: where there is no content to give back, strength is the style's."""
        return self.scale * (self.strength if request.content.blank else 1.0)

    def control_scale(self, index: int) -> float:
        """Scale of a ControlNet."""
        return self.control_scales[index] if self.control_scales else HELD * self.structure

    def spans(self) -> list[tuple[float, float]]:
        """Where each ControlNet starts and ends, in parts of the steps."""
        count = len(self.controls)
        starts, ends = filled(self.control_start, count, 0.0), filled(self.control_end, count, 1.0)
        return list(zip(starts, ends, strict=True))

    def uses(self) -> list[Use]:
        """The LoRAs, in order."""
        count = len(self.lora)
        weights = filled(self.lora_weights, count, 1.0)
        blocks = filled(self.lora_blocks, count, "")
        each = zip(self.lora, weights, map(_factors, blocks), strict=True)
        return [Use(file, weight, factors) for file, weight, factors in each]

    def canvas(self, kit: Kit, setting: Setting) -> Setting:
        """The setting in which the model works."""
        height, width = kit.canvas(setting.height, setting.width, self.paint_size)
        return Setting(height, width, setting.device, setting.precision)

    def fitted(self, sizes: Sizes, canvas: Setting, guided: bool, frames: int = 1) -> Step:
        """How the model is fitted into the memory that is free, or held by a model before it."""
        device = canvas.device
        free = int(SHARE * (devices.available_bytes(device) + pipelines.held(device)))
        return memory.choose(sizes, canvas, guided, free, self.memory, frames)

    def common_warnings(self, request: Request, kit: Kit) -> tuple[str, ...]:
        """Known mistakes with these knobs."""
        everywhere = self.looks(request) and self.mapping(kit) is None
        told = [pitfalls.leaking_adapter(self.scale_now(request))] if everywhere else []
        guidance = self.guidance_now(kit)
        if self.few() and guidance > 2:
            told.append(
                f"A guidance of {guidance:g} burns the colours of a distilled model: 1 is usual."
            )
        if self.few() and self.steps_now() > 12:
            told.append(f"{self.steps_now()} steps are more than a distilled model needs: 4 to 8.")
        if request.content.blank and not self.prompt:
            told.append("No prompt: the model paints whatever the style suggests to it.")
        if self.negative and guidance <= 1:
            told.append("Without guidance (1 or less), the negative prompt has no effect.")
        told += prompt_warnings(kit, self.prompt, self.negative)
        return tuple(w for w in told if w)


def filled(values: tuple[T, ...], count: int, default: T) -> tuple[T, ...]:
    """A list, or so many defaults where it is empty."""
    return values or (default,) * count


def _factors(text: str) -> dict[str, float]:
    """``up=1 down.block_2=0.5`` as a mapping."""
    try:
        pairs = (part.partition("=") for part in text.replace(";", " ").split())
        return {name: float(value) for name, _, value in pairs}
    except ValueError as error:
        raise KnobError(
            f"lora_blocks = {text!r} does not fit: write a factor for each block, as "
            "up=1 down.block_2=0.5."
        ) from error
