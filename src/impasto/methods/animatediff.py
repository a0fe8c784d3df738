"""AnimateDiff: films by a diffusion model, from words or from a film, in the manner of pictures.

Guo et al., "AnimateDiff: Animate Your Personalized Text-to-Image Diffusion Models without Specific
Tuning", ICLR 2024; the style by an IP-Adapter (Ye et al. 2023), the drawing of a given film by
ControlNets (Zhang et al. 2023). It paints films alone: :mod:`impasto.video.animated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from impasto.core import devices, guards
from impasto.core.card import Card
from impasto.core.errors import KnobError
from impasto.core.knobs import knob, strength_knob, structure_knob
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Watch
from impasto.core.request import Painting, Request
from impasto.nets.diffusion import kit as kits
from impasto.nets.diffusion import memory, motion
from impasto.nets.diffusion.adapter import PRESETS, Blocks, check_blocks, known_blocks, parse_blocks
from impasto.nets.diffusion.kit import Kit
from impasto.nets.diffusion.lora import Use
from impasto.nets.diffusion.memory import STEPS, Step
from impasto.nets.diffusion.motion import Animation
from impasto.nets.diffusion.sampling import Job
from impasto.nets.diffusion.warn import prompt_warnings
from impasto.nets.diffusion.windows import check_window
from impasto.weights import hub
from impasto.weights.hub import Source
from impasto.weights.pairs import MODELS, check_motion

AUTO = "auto"
GUIDANCE = 7.5
"""w of classifier-free guidance, as the authors use it."""
FULL, FEWEST = 25, 6
"""Steps of a usual model, and of a distilled one."""
FEW = ("lcm", "lightning")
KEPT = 0.8
"""Part of the noising that structure 1 takes away."""
HELD = 1.2
"""Scale of the ControlNets at structure 1."""
SHARE = 0.9
"""Of the free memory, what the model may take."""


@dataclass(frozen=True)
class AnimateDiff:
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "animatediff"
    card: ClassVar[Card] = Card(
        title="Films by a diffusion model with a sense of motion",
        good_for="Short films from a prompt in the manner of a style picture, and clips that may "
        "be painted anew.",
        not_for="Pictures (it paints films alone), content that must stay as it is, and machines "
        "without a GPU.",
        paper="Guo et al.: AnimateDiff, ICLR 2024; Ye et al.: IP-Adapter, 2023",
        licence="code Apache-2.0; the weights' own licences are shown with the plan",
        weights=(),
        extra="diffusion",
        supports=("several styles", "strength", "structure", "video", "prompt", "fp16"),
    )

    prompt: str = knob("", "what is to be seen")
    negative: str = knob("", "what is not to be seen, things or manners")
    strength: float = strength_knob()
    structure: float = structure_knob()
    scale: float = knob(0.7, "λ of the IP-Adapter: how much of the style pictures", low=0, high=2)
    preset: str = knob(
        "all", "blocks that see the style; all but the first are InstantStyle's, for SDXL",
        choices=("all", *PRESETS),
    )  # fmt: skip
    blocks: str = knob(
        "", "instead of a preset, factors by block: up.block_1=0:1:0 down.block_2=0:1"
    )
    steps: int | None = knob(
        None, "from noise to film; unset: 25, or 6 of a distilled model", low=1, high=200
    )
    guidance: float | None = knob(
        None, "how closely the prompt is followed; unset: 7.5, or 1 of a distilled model", low=0,
        high=50,
    )  # fmt: skip
    scheduler: str = knob(
        "ddim", "how noise is taken away; lcm and lightning for distilled motion adapters",
        choices=tuple(motion.SCHEDULERS),
    )  # fmt: skip
    window: int = knob(16, "that are painted at once", low=2, high=64, unit="frames")
    overlap: int = knob(4, "that two windows share", low=1, high=32, unit="frames")
    paint_size: int | None = knob(
        None, "side of the square as large as what is painted; unset: the model's own", low=64,
        high=2048, unit="px",
    )  # fmt: skip
    model: str = knob(MODELS["sd15"], "folder, or name on the hub with @revision")
    motion: str = knob("", "motion adapter: folder or name on the hub; unset: the one that fits")
    ip_adapter: str = knob("", "file, or owner/name:file; unset: the one that fits")
    image_encoder: str = knob("", "folder, or owner/name:folder; unset: the adapter's own")
    lora: tuple[str, ...] = knob((), "LoRA files, or owner/name:file")
    lora_weights: tuple[float, ...] = knob((), "of each; unset: 1", low=-4, high=4)
    controls: tuple[str, ...] = knob(
        (), "what of the film ControlNets see", choices=("canny", "tile")
    )
    control_models: tuple[str, ...] = knob((), f"of each; {AUTO}: the usual one")
    control_scales: tuple[float, ...] = knob((), "of each; unset: from structure", low=0, high=2)
    memory: str = knob("auto", "how the model is fitted; auto: what is free decides",
                       choices=("auto", *STEPS))  # fmt: skip
    accept_licence: bool = knob(False, "take weights whose licence forbids commercial use")

    @classmethod
    def lacking(cls) -> str:
        """See :class:`impasto.core.request.Fetches`."""
        if kits.here(cls().model):
            return ""
        return f"Its weights are not on this machine: hf download {cls().model} fetches them."

    def parts(self, request: Request) -> tuple[Kit, Source]:
        """The parts that a request needs, checked; the second is the motion adapter.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        if request.weights:
            raise KnobError(
                "The method animatediff takes its weights by --model alone."
            )
        if not (request.styles or self.prompt or self.lora):
            raise KnobError("Nothing says the manner: give a style picture, --prompt or --lora.")
        for name, count, of in (
            ("lora_weights", len(self.lora), "--lora"),
            ("control_models", len(self.controls), "--controls"),
            ("control_scales", len(self.controls), "--controls"),
        ):
            if (given := len(getattr(self, name))) not in (0, count):
                raise KnobError(
                    f"{name} has {given} values for {count} {of}: give one each, or none."
                )
        if self.controls and request.content.blank:
            raise KnobError("The content is only a size, and --controls have nothing to look at.")
        names = self.control_models or (AUTO,) * len(self.controls)
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
        moving, most = check_motion(found.base, self.motion)
        licence = moving.licence()
        if hub.NON_COMMERCIAL.search(licence) and not self.accept_licence:
            raise KnobError(
                f"The licence of {moving.title} is {licence}: it does not allow commercial use. "
                "Say --accept-licence if yours is none."
            )
        check_window(self.window, self.overlap, most)
        self.mapping(found)
        return found, moving

    def _looks(self, request: Request) -> bool:
        """Whether the styles are looked at: scale 0 is no adapter."""
        return bool(request.styles) and self.scale > 0

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

    def steps_now(self) -> int:
        return self.steps or (FEWEST if self.scheduler in FEW else FULL)

    def guidance_now(self) -> float:
        """W of classifier-free guidance."""
        if self.guidance is not None:
            return self.guidance
        return 1.0 if self.scheduler in FEW else GUIDANCE

    def denoise(self, request: Request) -> float:
        """How far the frames are turned into noise: 0 not at all, 1 nothing of them is left."""
        if request.content.blank:
            return 1.0
        return self.strength * (1.0 if self.controls else 1.0 - KEPT * self.structure)

    def _canvas(self, kit: Kit, setting: Setting) -> Setting:
        height, width = kit.canvas(setting.height, setting.width, self.paint_size)
        return Setting(height, width, setting.device, setting.precision)

    def _fitted(self, kit: Kit, moving: Source, canvas: Setting) -> Step:
        """The first way of fitting it into memory that does."""
        guided, sizes = self.guidance_now() > 1, motion.weighed(kit, moving)
        free = int(SHARE * devices.available_bytes(canvas.device))
        if self.memory != "auto":
            return memory.choose(sizes, canvas, guided, free, self.memory)
        known = memory.steps_of(canvas.device)
        fits = (s for s in known if sizes.peak(canvas, s, guided, self.window) <= free)
        return next(fits, known[-1])

    def forecast(self, request: Request, setting: Setting) -> Forecast:
        """Of a frame, from the configurations: the model is neither loaded nor fetched."""
        if self.unchanged(request):
            return Forecast(0.0, devices.resident_bytes() + 48 * setting.height * setting.width)
        kit, moving = self.parts(request)
        canvas = self._canvas(kit, setting)
        passes = self.steps_now() * self.denoise(request) * self.window
        return motion.forecast(
            kit, moving, canvas, self._fitted(kit, moving, canvas),
            passes / (self.window - self.overlap), self.window, self.guidance_now() > 1,
        )  # fmt: skip

    def agreement(self, request: Request, device: str, precision: str) -> float:
        """1: published models are made for half precision, and are not loaded twice to compare."""
        return 1.0

    def notes(self, request: Request, setting: Setting) -> tuple[str, ...]:
        """See :class:`impasto.core.request.Fetches`."""
        if self.unchanged(request):
            return ("With strength 0 the film is given back.",)
        kit, moving = self.parts(request)
        canvas = self._canvas(kit, setting)
        return (
            *kits.told(kit),
            f"Motion by {moving.title}: licence {moving.licence() or 'not stated'}.",
            f"It paints at {canvas.width} x {canvas.height} px, {self.window} frames at once.",
            self._fitted(kit, moving, canvas).words,
        )

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes."""
        if self.unchanged(request):
            return ()
        kit, _ = self.parts(request)
        everywhere = self._looks(request) and self.mapping(kit) is None
        told = [guards.leaking_adapter(self._scale(request))] if everywhere else []
        if self.scheduler in FEW and self.guidance_now() > 2:
            told.append(
                f"A guidance of {self.guidance_now():g} burns the colours of a distilled model: "
                "1 is usual."
            )
        if request.content.blank and not self.prompt:
            told.append("No prompt: the model paints whatever the style suggests to it.")
        if self.negative and self.guidance_now() <= 1:
            told.append("Without guidance (1 or less), the negative prompt has no effect.")
        told += prompt_warnings(kit, self.prompt, self.negative)
        return tuple(w for w in told if w)

    def unchanged(self, request: Request) -> bool:
        """Whether the film is given back."""
        return self.strength == 0 and not request.content.blank

    def _scale(self, request: Request) -> float:
        """λ: where there is no film to give back, strength is the style's."""
        return self.scale * (self.strength if request.content.blank else 1.0)

    def paint(
        self, request: Request, plan: Plan, watch: Watch, state: Mapping[str, Any] | None = None
    ) -> Painting:
        """It paints films alone.

        Raises:
            KnobError: always.
        """
        raise KnobError(
            "The method animatediff paints films: impasto video CONTENT STYLE --method "
            "animatediff. For a picture there is --method sdxl."
        )

    def animation(self, request: Request, plan: Plan) -> Animation:
        """All that decides the frames of a film."""
        kit, moving = self.parts(request)
        canvas = self._canvas(kit, plan.setting)
        looks = self._looks(request)
        scales = self.control_scales or (HELD * self.structure,) * len(self.controls)
        weights = self.lora_weights or (1.0,) * len(self.lora)
        return Animation(
            kit=kit,
            motion=moving,
            canvas=canvas,
            step=self._fitted(kit, moving, canvas),
            job=Job(
                prompt=self.prompt,
                negative=self.negative,
                height=canvas.height,
                width=canvas.width,
                steps=self.steps_now(),
                guidance=self.guidance_now(),
                seed=request.seed,
                scheduler=self.scheduler,
                denoise=self.denoise(request),
                shares=torch.tensor(request.shares)[:, None, None] if looks else None,
            ),
            styles=[style.pixels for style in request.styles] if looks else [],
            scale=self._scale(request),
            blocks=self.mapping(kit),
            loras=[Use(f, w, {}) for f, w in zip(self.lora, weights, strict=True)],
            controls=list(zip(self.controls, scales, strict=True)),
            window=self.window,
            overlap=self.overlap,
        )
