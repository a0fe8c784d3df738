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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from impasto.core import devices
from impasto.core.card import Card
from impasto.core.errors import KnobError
from impasto.core.knobs import Search, knob
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Watch
from impasto.core.request import Painting, Request
from impasto.engines.diffusion import components as kits
from impasto.engines.diffusion import memory, pipelines, run
from impasto.engines.diffusion.base import AUTO, Steered, filled
from impasto.engines.diffusion.components import Kit
from impasto.engines.diffusion.controlnet import check_control
from impasto.engines.diffusion.memory import Step
from impasto.engines.diffusion.pipelines import SCHEDULERS
from impasto.engines.diffusion.run import Guide, Work
from impasto.engines.region_weights import parts
from impasto.nets import clip
from impasto.pictures import resize
from impasto.weights import hub


@dataclass(frozen=True)
class SDXL(Steered):
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
    GUIDANCE: ClassVar[Mapping[str, float]] = {"sdxl": 5.0, "sd15": 7.5}
    FULL: ClassVar[int] = 30
    FEWEST: ClassVar[int] = 4

    less: str = knob("", "what the style shows, in words: subtracted from what the adapter sees")
    less_scale: float = knob(0.5, "how much of that", low=0, high=2)
    leak: bool = knob(
        True, "let the style's things come in; else λ is lowered until CLIP sees none"
    )
    leak_limit: float = knob(0.25, "share of the style's things that may come in", low=0, high=1)
    clip: str = knob("", "the CLIP that looks for them, if it is here; unset: as impasto evaluate")
    steps: int | None = knob(
        None, "from noise to picture; unset: 30, or 4 of a distilled model", low=1, high=1000,
        search=Search(draft=12),
    )  # fmt: skip
    scheduler: str = knob(
        "model", "how noise is taken away; lcm and lightning for distilled models",
        choices=("model", *SCHEDULERS),
    )  # fmt: skip
    control_pictures: tuple[str, ...] = knob((), f"files shown instead; {AUTO}: made from content")
    controls_out: str = knob("", "folder in which the control pictures are written")

    def kit(self, request: Request) -> Kit:
        """The parts that a request needs, checked.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        self.check_count("control_pictures", len(self.controls), "--controls")
        kit = super().kit(request)
        for guide in self._guides():
            check_control(guide.kind, request.content.blank, guide.given, self.depth_model)
        if self.less and kit.adapter is not None and not self._one_space(kit):
            raise KnobError(
                "less is subtracted where pictures and words are of one space: with SDXL and the "
                "adapter sdxl_models/ip-adapter_sdxl.safetensors, whose encoder is CLIP ViT-bigG."
            )
        if self._lowers(kit) and hub.offline() and not clip.here(self.clip):
            clip.Clip(self.clip)  # which says how it is to be had
        return kit

    def _one_space(self, kit: Kit) -> bool:
        """Whether the adapter's vectors are of the space of the model's words."""
        if kit.base.kind != "sdxl" or kit.adapter is None or kit.adapter.plus:
            return False
        width = kit.base.source.json("text_encoder_2/config.json").get("projection_dim")
        return bool(width == kit.adapter.seen)

    def _lowers(self, kit: Kit) -> bool:
        """Whether leaks are looked for, and make λ smaller."""
        return not self.leak and kit.adapter is not None

    def depth(self) -> str:
        """The depth model that is needed, or ""."""
        made = zip(self.controls, filled(self.control_pictures, len(self.controls), AUTO),
                   strict=False)  # fmt: skip
        return self.depth_model if ("depth", AUTO) in made else ""

    def _fitted(self, kit: Kit, setting: Setting) -> tuple[Setting, Step]:
        """The setting in which the model works, and how it is fitted."""
        canvas = self.canvas(kit, setting)
        return canvas, self.fitted(kit.sizes, canvas, self.guidance_now(kit) > 1)

    def forecast(self, request: Request, setting: Setting) -> Forecast:
        """From the model's configurations: it is neither loaded nor fetched."""
        if self.unchanged(request):
            return Forecast(1.0, devices.resident_bytes() + 24 * setting.height * setting.width)
        kit = self.kit(request)
        canvas, step = self._fitted(kit, setting)
        steps = max(1, round(self.steps_now() * self.denoise(request)))
        guided, held = self.guidance_now(kit) > 1, pipelines.held(canvas.device)
        model = memory.forecast(kit.sizes, canvas, step, steps, guided, held)
        result = 24 * setting.height * setting.width
        looking = kit.adapter is not None and (not self.leak or clip.here(self.clip))
        more = result + (clip.BYTES if looking else 0)
        tries = run.ATTEMPTS if self._lowers(kit) else 1
        return Forecast(model.seconds * tries, model.peak_bytes + more)

    def notes(self, request: Request, setting: Setting) -> tuple[str, ...]:
        """See :class:`impasto.core.request.Fetches`."""
        if self.unchanged(request):
            return ("With strength 0 the content is given back.",)
        kit = self.kit(request)
        canvas, step = self._fitted(kit, setting)
        size = f"It paints at {canvas.width} x {canvas.height} px"
        if (canvas.height, canvas.width) != (setting.height, setting.width):
            known = "" if self.paint_size else ", as the model knows it"
            size += f"{known}, and the result is resized"
        told = [*kits.told(kit), f"{size}.", step.words]
        steps, denoise = self.steps_now(), self.denoise(request)
        if denoise < 1:
            done = max(1, int(steps * denoise))
            told.append(f"Of {steps} steps from noise it does the last {done}.")
        return tuple(told)

    def digests(self, request: Request, precision: str) -> Mapping[str, str]:
        """See :class:`impasto.core.request.Fetches`."""
        return {} if self.unchanged(request) else self.kit(request).digests(precision)

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes."""
        if self.unchanged(request):
            return ()
        kit = self.kit(request)
        return (*self.common_warnings(request, kit), *self._idle(request, kit))

    def _idle(self, request: Request, kit: Kit) -> Iterator[str]:
        """Knobs that were set, and have no effect."""
        idle = []
        if kit.adapter is None:
            unset = SDXL()
            names = ("preset", "blocks", "less", "leak", "image_encoder", "ip_adapter", "clip")
            idle += [n for n in names if getattr(self, n) != getattr(unset, n)]
        if not self.controls:
            idle += [n for n in ("controls_out",) if getattr(self, n)]
        if self.depth_model and not self.depth():
            idle.append("depth_model")
        for name in idle:
            flag = "--no-leak" if name == "leak" else f"--{name.replace('_', '-')}"
            yield f"{flag} has no effect here: there is nothing that it could act on."
        steps = max(1, int(self.steps_now() * self.denoise(request)))
        for kind, (start, end) in zip(self.controls, self.spans(), strict=True):
            # As diffusers counts: a step counts if it lies in the span from its begin to its end.
            if not any(i / steps >= start and (i + 1) / steps <= end for i in range(steps)):
                yield (
                    f"The control {kind} has no effect: none of {steps} steps lies between "
                    f"{start:g} and {end:g} of them."
                )

    def paint(
        self, request: Request, plan: Plan, watch: Watch, state: Mapping[str, Any] | None = None
    ) -> Painting:
        """Paint; if memory runs out, once more in a way that takes less."""
        setting = plan.setting
        if self.unchanged(request):
            same = resize(request.content.pixels, setting.height, setting.width)
            return Painting(np.asarray(same), {}, 0, True, {}, {})
        kit = self.kit(request)
        work, step = self.work(request, kit, setting), self._fitted(kit, setting)[1]
        return run.paint(work, step, watch, state)

    def work(self, request: Request, kit: Kit, setting: Setting) -> Work:
        """All that decides the picture."""
        canvas = self.canvas(kit, setting)
        looks = self.looks(request)
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
            loras=self.uses(),
            guides=self._guides(),
            controls_out=self.controls_out,
            depth_model=self.depth_model,
            leak_limit=self.leak_limit,
            no_leak=not self.leak,
            clip=self.clip,
        )

    def _guides(self) -> list[Guide]:
        given = filled(self.control_pictures, len(self.controls), AUTO)
        return [
            Guide(kind, "" if file == AUTO else file, self.control_scale(i), start, end)
            for i, (kind, file, (start, end)) in enumerate(
                zip(self.controls, given, self.spans(), strict=True)
            )
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
