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
from impasto.core.card import MethodCard
from impasto.core.errors import KnobError
from impasto.core.knobs import SearchRange, knob
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ProgressCallback
from impasto.core.request import MethodOutput, Request
from impasto.engines.diffusion import components as kits
from impasto.engines.diffusion import memory, pipelines, run
from impasto.engines.diffusion.base import AUTO, DiffusionMethod, values_or_default
from impasto.engines.diffusion.components import DiffusionComponents
from impasto.engines.diffusion.controlnet import check_control_source
from impasto.engines.diffusion.memory import MemoryMode
from impasto.engines.diffusion.pipelines import SCHEDULERS
from impasto.engines.diffusion.run import ControlNetSpec, GenerationConfig
from impasto.engines.region_weights import region_weights
from impasto.nets import clip
from impasto.pictures import resize
from impasto.weights import hub


@dataclass(frozen=True)
class SDXL(DiffusionMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "sdxl"
    card: ClassVar[MethodCard] = MethodCard(
        title="Diffusion steered by words, style pictures, edges and LoRAs",
        good_for="Pictures from a prompt in the manner of a style picture, and content that may be "
        "painted anew; brands with a LoRA of their own.",
        not_for="Content that must stay as it is, haste without a GPU, and machines without room "
        "for several GB of weights.",
        paper="Podell et al.: SDXL, 2023; Ye et al.: IP-Adapter, 2023; Wang et al.: InstantStyle, "
        "2024; Zhang et al.: ControlNet, ICCV 2023",
        license="code Apache-2.0; the weights' own licenses are shown with the plan",
        weights=(),
        extra="diffusion",
        supports=("several styles", "strength", "structure", "masks", "prompt", "fp16"),
    )
    DEFAULT_GUIDANCE: ClassVar[Mapping[str, float]] = {"sdxl": 5.0, "sd15": 7.5}
    DEFAULT_STEPS: ClassVar[int] = 30
    DISTILLED_STEPS: ClassVar[int] = 4

    subtract_text: str = knob(
        "", "what the style shows, in words: subtracted from what the adapter sees"
    )
    subtract_scale: float = knob(0.5, "how much of that", low=0, high=2)
    content_leak: bool = knob(
        True, "let the style's things come in; else λ is lowered until CLIP sees none"
    )
    content_leak_limit: float = knob(
        0.25, "share of the style's things that may come in", low=0, high=1
    )
    clip: str = knob("", "the CLIP that looks for them, if it is here; unset: as impasto evaluate")
    steps: int | None = knob(
        None, "from noise to picture; unset: 30, or 4 of a distilled model", low=1, high=1000,
        search=SearchRange(trial_value=12),
    )  # fmt: skip
    scheduler: str = knob(
        "model", "how noise is taken away; lcm and lightning for distilled models",
        choices=("model", *SCHEDULERS),
    )  # fmt: skip
    control_pictures: tuple[str, ...] = knob((), f"files shown instead; {AUTO}: made from content")
    controls_out: str = knob("", "folder in which the control pictures are written")

    def components(self, request: Request) -> DiffusionComponents:
        """The parts that a request needs, checked.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        self.check_count("control_pictures", len(self.controls), "--controls")
        kit = super().components(request)
        for guide in self._controlnet_inputs():
            check_control_source(
                guide.control_type, request.content.is_blank, guide.file, self.depth_model
            )
        if self.subtract_text and kit.adapter is not None and not self._shares_embedding_space(kit):
            raise KnobError(
                "less is subtracted where pictures and words are of one space: with SDXL and the "
                "adapter sdxl_models/ip-adapter_sdxl.safetensors, whose encoder is CLIP ViT-bigG."
            )
        if self._checks_content_leak(kit) and hub.is_offline() and not clip.is_available(self.clip):
            clip.Clip(self.clip)  # which says how it is to be had
        return kit

    def _shares_embedding_space(self, kit: DiffusionComponents) -> bool:
        """Whether the adapter's vectors are of the space of the model's words."""
        if kit.base.family != "sdxl" or kit.adapter is None or kit.adapter.is_plus:
            return False
        width = kit.base.source.read_json("text_encoder_2/config.json").get("projection_dim")
        return bool(width == kit.adapter.encoder_dim)

    def _checks_content_leak(self, kit: DiffusionComponents) -> bool:
        """Whether leaks are looked for, and make λ smaller."""
        return not self.content_leak and kit.adapter is not None

    def required_depth_model(self) -> str:
        """The depth model that is needed, or ""."""
        made = zip(
            self.controls,
            values_or_default(self.control_pictures, len(self.controls), AUTO),
            strict=False,
        )
        return self.depth_model if ("depth", AUTO) in made else ""

    def _fit_to_device(
        self, kit: DiffusionComponents, setting: ExecutionSettings
    ) -> tuple[ExecutionSettings, MemoryMode]:
        """The setting in which the model works, and how it is fitted."""
        canvas = self.render_settings(kit, setting)
        return canvas, self.choose_memory_mode(
            kit.parameter_counts, canvas, self.effective_guidance(kit) > 1
        )

    def forecast(self, request: Request, setting: ExecutionSettings) -> Forecast:
        """From the model's configurations: it is neither loaded nor fetched."""
        if self.returns_content(request):
            return Forecast(1.0, devices.resident_bytes() + 24 * setting.height * setting.width)
        kit = self.components(request)
        canvas, step = self._fit_to_device(kit, setting)
        steps = max(1, round(self.effective_steps() * self.denoising_strength(request)))
        guided, held = self.effective_guidance(kit) > 1, pipelines.held_bytes(canvas.device)
        model = memory.forecast(kit.parameter_counts, canvas, step, steps, guided, held)
        result = 24 * setting.height * setting.width
        looking = kit.adapter is not None and (
            not self.content_leak or clip.is_available(self.clip)
        )
        more = result + (clip.MODEL_BYTES if looking else 0)
        tries = run.MAX_LEAK_ATTEMPTS if self._checks_content_leak(kit) else 1
        return Forecast(model.seconds * tries, model.peak_bytes + more)

    def plan_notes(self, request: Request, setting: ExecutionSettings) -> tuple[str, ...]:
        """See :class:`impasto.core.request.RemoteWeights`."""
        if self.returns_content(request):
            return ("With strength 0 the content is given back.",)
        kit = self.components(request)
        canvas, step = self._fit_to_device(kit, setting)
        size = f"It paints at {canvas.width} x {canvas.height} px"
        if (canvas.height, canvas.width) != (setting.height, setting.width):
            known = "" if self.render_size else ", as the model knows it"
            size += f"{known}, and the result is resized"
        told = [*kits.describe_components(kit), f"{size}.", step.description]
        steps, denoise = self.effective_steps(), self.denoising_strength(request)
        if denoise < 1:
            done = max(1, int(steps * denoise))
            told.append(f"Of {steps} steps from noise it does the last {done}.")
        return tuple(told)

    def digests(self, request: Request, precision: str) -> Mapping[str, str]:
        """See :class:`impasto.core.request.RemoteWeights`."""
        return {} if self.returns_content(request) else self.components(request).digests(precision)

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes."""
        if self.returns_content(request):
            return ()
        kit = self.components(request)
        return (*self.common_warnings(request, kit), *self._unused_knob_warnings(request, kit))

    def _unused_knob_warnings(self, request: Request, kit: DiffusionComponents) -> Iterator[str]:
        """Knobs that were set, and have no effect."""
        idle = []
        if kit.adapter is None:
            unset = SDXL()
            names = (
                "preset",
                "blocks",
                "subtract_text",
                "content_leak",
                "image_encoder",
                "ip_adapter",
                "clip",
            )
            idle += [n for n in names if getattr(self, n) != getattr(unset, n)]
        if not self.controls:
            idle += [n for n in ("controls_out",) if getattr(self, n)]
        if self.depth_model and not self.required_depth_model():
            idle.append("depth_model")
        for name in idle:
            flag = "--no-content-leak" if name == "content_leak" else f"--{name.replace('_', '-')}"
            yield f"{flag} has no effect here: there is nothing that it could act on."
        steps = max(1, int(self.effective_steps() * self.denoising_strength(request)))
        for kind, (start, end) in zip(self.controls, self.control_intervals(), strict=True):
            # As diffusers counts: a step counts if it lies in the span from its begin to its end.
            if not any(i / steps >= start and (i + 1) / steps <= end for i in range(steps)):
                yield (
                    f"The control {kind} has no effect: none of {steps} steps lies between "
                    f"{start:g} and {end:g} of them."
                )

    def stylize(
        self,
        request: Request,
        plan: Plan,
        callback: ProgressCallback,
        state: Mapping[str, Any] | None = None,
    ) -> MethodOutput:
        """Paint; if memory runs out, once more in a way that takes less."""
        setting = plan.setting
        if self.returns_content(request):
            same = resize(request.content.pixels, setting.height, setting.width)
            return MethodOutput(np.asarray(same), {}, 0, True, {}, {})
        kit = self.components(request)
        work, step = (
            self.generation_config(request, kit, setting),
            self._fit_to_device(kit, setting)[1],
        )
        return run.generate(work, step, callback, state)

    def generation_config(
        self, request: Request, kit: DiffusionComponents, setting: ExecutionSettings
    ) -> GenerationConfig:
        """All that decides the picture."""
        canvas = self.render_settings(kit, setting)
        looks = self.uses_ip_adapter(request)
        return GenerationConfig(
            components=kit,
            render_settings=canvas,
            output_size=(setting.height, setting.width),
            content=request.content,
            styles=[style.pixels for style in request.styles] if looks else [],
            style_weights=style_weight_maps(request, canvas.height, canvas.width)
            if looks
            else None,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            steps=self.effective_steps(),
            guidance=self.effective_guidance(kit),
            seed=request.seed,
            scheduler=self.scheduler,
            denoising_strength=self.denoising_strength(request),
            ip_adapter_scale=self.effective_ip_adapter_scale(request),
            block_scales=self.adapter_block_scales(kit),
            subtract_text=self.subtract_text,
            subtract_scale=self.subtract_scale,
            loras=self.lora_configs(),
            controlnet_specs=self._controlnet_inputs(),
            controls_out=self.controls_out,
            depth_model=self.depth_model,
            content_leak_limit=self.content_leak_limit,
            leak_guard=not self.content_leak,
            clip=self.clip,
        )

    def _controlnet_inputs(self) -> list[ControlNetSpec]:
        given = values_or_default(self.control_pictures, len(self.controls), AUTO)
        return [
            ControlNetSpec(kind, "" if file == AUTO else file, self.control_scale(i), start, end)
            for i, (kind, file, (start, end)) in enumerate(
                zip(self.controls, given, self.control_intervals(), strict=True)
            )
        ]


def style_weight_maps(request: Request, height: int, width: int) -> Tensor:
    """What each style counts at every place: (styles, height, width), or (styles, 1, 1)."""
    whole = torch.tensor(request.normalized_style_weights)[:, None, None]
    if not request.regions:
        return whole
    found = torch.from_numpy(np.asarray(region_weights(request, height, width))).permute(2, 0, 1)
    each = found[-1:] * whole
    for region, mask in zip(request.regions, found, strict=False):
        each[region.style_index] += mask
    return each
