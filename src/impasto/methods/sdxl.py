"""Diffusion: SDXL (or Stable Diffusion 1.5) with pictures and words as prompts.

Podell et al., "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis", 2023;
Ye et al., "IP-Adapter", 2023; Wang et al., "InstantStyle", 2024; Zhang et al., "Adding Conditional
Control to Text-to-Image Diffusion Models", ICCV 2023; Hu et al., "LoRA", ICLR 2022.

The content is turned into noise so far as ``strength`` and ``structure`` say (SDEdit, Meng et al.,
ICLR 2022), and the noise into a picture by the model, which a prompt, an IP-Adapter that sees the
styles, ControlNets that see the content, and LoRAs steer. Where the content is only a size, the
picture is made from noise alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from impasto.core import devices, guards
from impasto.core.card import Card
from impasto.core.errors import KnobError
from impasto.core.knobs import Search, knob, strength_knob, structure_knob
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Watch
from impasto.core.request import Painting, Request
from impasto.nets.diffusion import kit as kits
from impasto.nets.diffusion import memory, studio
from impasto.nets.diffusion.adapter import PRESETS, Blocks, check_blocks, known_blocks, parse_blocks
from impasto.nets.diffusion.controls import KINDS
from impasto.nets.diffusion.kit import Kit
from impasto.nets.diffusion.lora import Use
from impasto.nets.diffusion.memory import STEPS, Step
from impasto.nets.diffusion.pipelines import FEW, SCHEDULERS
from impasto.nets.diffusion.studio import Guide, Work
from impasto.nets.diffusion.warn import prompt_warnings
from impasto.pictures import resize
from impasto.pictures.masks import parts
from impasto.weights.pairs import MODELS

T = TypeVar("T")

AUTO = "auto"
GUIDANCE = {"sdxl": 5.0, "sd15": 7.5}
"""w of classifier-free guidance, as the models' authors use it."""
FULL, FEWEST = 30, 4
"""Steps of a usual model, and of a distilled one."""
KEPT = 0.8
"""Part of the noising that structure 1 takes away."""
HELD = 1.2
"""Scale of the ControlNets at structure 1."""
SHARE = 0.9
"""Of the free memory, what the model may take."""


@dataclass(frozen=True)
class SDXL:
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "sdxl"
    card: ClassVar[Card] = Card(
        title="Diffusion steered by words, style pictures, edges and LoRAs",
        good_for="Pictures from a prompt in the manner of a style picture, and content that may be "
        "painted anew; brands with a LoRA of their own.",
        not_for="Content that must stay as it is, haste without a GPU, and machines without room "
        "for several GB of weights.",
        paper="Podell et al.: SDXL, 2023; Ye et al.: IP-Adapter, 2023; Wang et al.: InstantStyle, "
        "2024; Zhang et al.: ControlNet, ICCV 2023",
        licence="code Apache-2.0; the weights' own licences are shown with the plan",
        weights=(),
        extra="diffusion",
        supports=("several styles", "strength", "structure", "masks", "prompt", "fp16"),
    )

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
    less: str = knob("", "what the style shows, in words: subtracted from what the adapter sees")
    less_scale: float = knob(0.5, "how much of that", low=0, high=2)
    leak: bool = knob(
        True, "let the style's things come in; else λ is lowered until CLIP sees none"
    )
    leak_limit: float = knob(0.25, "share of the style's things that may come in", low=0, high=1)
    clip: str = knob("", "the CLIP that looks for them; unset: as impasto evaluate")
    steps: int | None = knob(
        None, "from noise to picture; unset: 30, or 4 of a distilled model", low=1, high=1000,
        search=Search(draft=12),
    )  # fmt: skip
    guidance: float | None = knob(
        None, "how closely the prompt is followed; unset: the model's, 1: not at all more", low=0,
        high=50,
    )  # fmt: skip
    scheduler: str = knob(
        "model", "how noise is taken away; lcm and lightning for distilled models",
        choices=("model", *SCHEDULERS),
    )  # fmt: skip
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
    control_pictures: tuple[str, ...] = knob((), f"files shown instead; {AUTO}: made from content")
    control_scales: tuple[float, ...] = knob((), "of each; unset: from structure", low=0, high=2)
    control_start: tuple[float, ...] = knob((), "part of the steps from which on", low=0, high=1)
    control_end: tuple[float, ...] = knob((), "part of the steps up to which", low=0, high=1)
    controls_out: str = knob("", "folder in which the control pictures are written")
    depth_model: str = knob("", "makes depth pictures: folder or name on the hub")
    memory: str = knob("auto", "how the model is fitted; auto: what is free decides",
                       choices=("auto", *STEPS))  # fmt: skip
    accept_licence: bool = knob(False, "take weights whose licence forbids commercial use")

    @classmethod
    def lacking(cls) -> str:
        """See :class:`impasto.core.request.Fetches`."""
        if kits.here(cls().model):
            return ""
        return f"Its weights are not on this machine: hf download {cls().model} fetches them."

    def kit(self, request: Request) -> Kit:
        """The parts that a request needs, checked.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        if request.weights:
            raise KnobError("The method sdxl takes its weights by --model, not by --weights.")
        if not (request.styles or self.prompt or self.lora):
            raise KnobError("Nothing says the manner: give a style picture, --prompt or --lora.")
        self._check_lists()
        names = _filled(self.control_models, len(self.controls), AUTO)
        found = kits.find(
            model=self.model,
            adapter=self.ip_adapter if self._looks(request) else None,
            encoder=self.image_encoder,
            controls=[
                (k, "" if n == AUTO else n) for k, n in zip(self.controls, names, strict=True)
            ],
            loras=self.lora,
            accept_licence=self.accept_licence,
        )
        self.mapping(found)
        return found

    def _looks(self, request: Request) -> bool:
        """Whether the styles are looked at: scale 0 is no adapter."""
        return bool(request.styles) and self.scale > 0

    def _check_lists(self) -> None:
        for name, count, of in (
            ("lora_weights", len(self.lora), "--lora"),
            ("lora_blocks", len(self.lora), "--lora"),
            *((f"control_{n}", len(self.controls), "--controls")
              for n in ("models", "pictures", "scales", "start", "end")),
        ):  # fmt: skip
            given = len(getattr(self, name))
            if given not in (0, count):
                raise KnobError(
                    f"{name} has {given} values for {count} {of}: give one each, or none."
                )
        ends = zip(
            _filled(self.control_start, len(self.controls), 0.0),
            _filled(self.control_end, len(self.controls), 1.0),
            strict=True,
        )
        if any(start >= end for start, end in ends):
            raise KnobError("control_start must be below control_end.")

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
        return self.steps or (FEWEST if self.few() else FULL)

    def guidance_now(self, kit: Kit) -> float:
        """W of classifier-free guidance."""
        if self.guidance is not None:
            return self.guidance
        return 1.0 if self.few() else GUIDANCE[kit.base.kind]

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

    def canvas(self, request: Request, kit: Kit, setting: Setting) -> Setting:
        """The setting in which the model works."""
        height, width = kit.canvas(setting.height, setting.width, self.paint_size)
        return Setting(height, width, setting.device, setting.precision)

    def _fitted(self, kit: Kit, setting: Setting) -> Step:
        free = devices.available_bytes(setting.device)
        guided = self.guidance_now(kit) > 1
        return memory.choose(kit.sizes, setting, guided, int(SHARE * free), self.memory)

    def forecast(self, request: Request, setting: Setting) -> Forecast:
        """From the model's configurations: it is neither loaded nor fetched."""
        if self._unchanged(request):
            return Forecast(1.0, devices.resident_bytes() + 24 * setting.height * setting.width)
        kit = self.kit(request)
        canvas = self.canvas(request, kit, setting)
        step = self._fitted(kit, canvas)
        steps = max(1, round(self.steps_now() * self.denoise(request)))
        return memory.forecast(kit.sizes, canvas, step, steps, self.guidance_now(kit) > 1)

    def agreement(self, request: Request, device: str, precision: str) -> float:
        """1: published models are made for half precision, and are not loaded twice to compare."""
        return 1.0

    def notes(self, request: Request, setting: Setting) -> tuple[str, ...]:
        """See :class:`impasto.core.request.Fetches`."""
        if self._unchanged(request):
            return ("With strength 0 the content is given back.",)
        kit = self.kit(request)
        canvas = self.canvas(request, kit, setting)
        size = f"It paints at {canvas.width} x {canvas.height} px"
        if (canvas.height, canvas.width) != (setting.height, setting.width):
            known = "" if self.paint_size else ", as the model knows it"
            size += f"{known}, and the result is resized"
        return (*kits.told(kit), f"{size}.", self._fitted(kit, canvas).words)

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes."""
        if self._unchanged(request):
            return ()
        kit = self.kit(request)
        everywhere = self._looks(request) and self.mapping(kit) is None
        told = [guards.leaking_adapter(self.scale_now(request))] if everywhere else []
        if self.few() and self.guidance_now(kit) > 2:
            told.append(
                f"A guidance of {self.guidance_now(kit):g} burns the colours of a distilled model: "
                "1 is usual."
            )
        if self.few() and self.steps_now() > 12:
            told.append(f"{self.steps_now()} steps are more than a distilled model needs: 4 to 8.")
        if request.content.blank and not self.prompt:
            told.append("No prompt: the model paints whatever the style suggests to it.")
        if self.negative and self.guidance_now(kit) <= 1:
            told.append("Without guidance (1 or less), the negative prompt has no effect.")
        told += prompt_warnings(kit, self.prompt, self.negative)
        return tuple(w for w in told if w)

    def _unchanged(self, request: Request) -> bool:
        return self.strength == 0 and not request.content.blank

    def paint(
        self, request: Request, plan: Plan, watch: Watch, state: Mapping[str, Any] | None = None
    ) -> Painting:
        """Paint; if memory runs out, once more in a way that takes less."""
        setting = plan.setting
        if self._unchanged(request):
            same = resize(request.content.pixels, setting.height, setting.width)
            return Painting(np.asarray(same), {}, 0, True, {}, {})
        kit = self.kit(request)
        canvas = self.canvas(request, kit, setting)
        return studio.paint(self.work(request, kit, setting), self._fitted(kit, canvas), watch)

    def work(self, request: Request, kit: Kit, setting: Setting) -> Work:
        """All that decides the picture."""
        canvas = self.canvas(request, kit, setting)
        looks = self._looks(request)
        return Work(
            kit=kit,
            canvas=canvas,
            size=(setting.height, setting.width),
            content=request.content,
            styles=[style.pixels for style in request.styles] if looks else [],
            shares=shares(request, canvas.height, canvas.width) if looks else None,
            prompt=self.prompt,
            negative=self.negative,
            steps=self.steps_now(),
            guidance=self.guidance_now(kit),
            seed=request.seed,
            scheduler=self.scheduler,
            denoise=self.denoise(request),
            scale=self.scale_now(request),
            blocks=self.mapping(kit),
            less=self.less,
            less_scale=self.less_scale,
            loras=self._loras(),
            guides=self._guides(),
            controls_out=self.controls_out,
            depth_model=self.depth_model,
            no_leak=None if self.leak else self.leak_limit,
            clip=self.clip,
        )

    def _loras(self) -> list[Use]:
        count = len(self.lora)
        weights = _filled(self.lora_weights, count, 1.0)
        blocks = _filled(self.lora_blocks, count, "")
        each = zip(self.lora, weights, map(_factors, blocks), strict=True)
        return [Use(file, weight, factors) for file, weight, factors in each]

    def _guides(self) -> list[Guide]:
        count = len(self.controls)
        given = _filled(self.control_pictures, count, AUTO)
        starts, ends = (
            _filled(self.control_start, count, 0.0),
            _filled(self.control_end, count, 1.0),
        )
        return [
            Guide(
                kind,
                "" if given[i] == AUTO else given[i],
                self.control_scale(i),
                starts[i],
                ends[i],
            )
            for i, kind in enumerate(self.controls)
        ]


def shares(request: Request, height: int, width: int) -> Tensor:
    """What each style counts at every place: (styles, height, width), or (styles, 1, 1)."""
    whole = torch.tensor(request.shares)[:, None, None]
    if not request.regions:
        return whole
    found = torch.from_numpy(np.asarray(parts(request, height, width))).permute(2, 0, 1)
    each = found[-1:] * whole
    for region, mask in zip(request.regions, found, strict=False):
        each[region.style] += mask
    return each


def _filled(values: tuple[T, ...], count: int, default: T) -> tuple[T, ...]:
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
