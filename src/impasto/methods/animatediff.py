"""AnimateDiff: films by a diffusion model, from words or from a film, in the manner of pictures.

Guo et al., "AnimateDiff: Animate Your Personalized Text-to-Image Diffusion Models without Specific
Tuning", ICLR 2024; the style by an IP-Adapter (Ye et al. 2023), the drawing of a given film by
ControlNets (Zhang et al. 2023). It paints films alone: :mod:`impasto.video.diffusion_stylizer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from impasto.core import devices
from impasto.core.card import MethodCard
from impasto.core.errors import KnobError
from impasto.core.knobs import knob
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ProgressCallback
from impasto.core.request import MethodOutput, Request
from impasto.engines.diffusion import animatediff
from impasto.engines.diffusion import components as kits
from impasto.engines.diffusion.animatediff import AnimateDiffConfig
from impasto.engines.diffusion.base import DiffusionMethod
from impasto.engines.diffusion.components import DiffusionComponents
from impasto.engines.diffusion.memory import MemoryMode
from impasto.engines.diffusion.run import ControlNetSpec
from impasto.engines.diffusion.sampling import SamplingConfig
from impasto.engines.diffusion.temporal_windows import check_window
from impasto.weights.compatibility import DEFAULT_MODELS


@dataclass(frozen=True)
class AnimateDiff(DiffusionMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "animatediff"
    card: ClassVar[MethodCard] = MethodCard(
        title="Films by a diffusion model with a sense of motion",
        good_for="Short films from a prompt in the manner of a style picture, and clips that may "
        "be painted anew.",
        not_for="Pictures (it paints films alone), content that must stay as it is, and machines "
        "without a GPU.",
        paper="Guo et al.: AnimateDiff, ICLR 2024; Ye et al.: IP-Adapter, 2023",
        license="code Apache-2.0; the weights' own licenses are shown with the plan",
        weights=(),
        extra="diffusion",
        supports=("several styles", "strength", "structure", "video", "prompt", "fp16"),
    )

    DEFAULT_GUIDANCE: ClassVar[Mapping[str, float]] = {"sdxl": 7.5, "sd15": 7.5}
    DEFAULT_STEPS: ClassVar[int] = 25
    DISTILLED_STEPS: ClassVar[int] = 6

    steps: int | None = knob(
        None, "from noise to film; unset: 25, or 6 of a distilled model", low=1, high=200
    )
    scheduler: str = knob(
        "ddim", "how noise is taken away; lcm and lightning for distilled motion adapters",
        choices=tuple(animatediff.MOTION_SCHEDULERS),
    )  # fmt: skip
    window: int = knob(16, "that are painted at once", low=2, high=64, unit="frames")
    overlap: int = knob(4, "that two windows share", low=1, high=32, unit="frames")
    model: str = knob(DEFAULT_MODELS["sd15"], "folder, or name on the hub with @revision")
    motion_adapter: str = knob(
        "", "motion adapter: folder or name on the hub; unset: the one that fits"
    )

    def components(self, request: Request) -> DiffusionComponents:
        """The parts that a request needs, checked.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        if self.controls and request.content.is_blank:
            raise KnobError("The content is only a size, and --controls have nothing to look at.")
        if "depth" in self.controls and not self.depth_model:
            raise KnobError(
                "The control depth needs a model that makes depth pictures: --depth-model NAME, as "
                "Intel/dpt-hybrid-midas."
            )
        found = super().components(request)
        check_window(self.window, self.overlap, found.max_frames)
        return found

    def motion_adapter_name(self) -> str | None:
        """See :class:`~impasto.engines.diffusion.base.DiffusionMethod`."""
        return self.motion_adapter

    def required_depth_model(self) -> str:
        """See :class:`~impasto.engines.diffusion.base.DiffusionMethod`."""
        return self.depth_model if "depth" in self.controls else ""

    def _fit_to_device(
        self, kit: DiffusionComponents, setting: ExecutionSettings
    ) -> tuple[ExecutionSettings, MemoryMode]:
        """The setting in which the model works, and how it is fitted."""
        canvas = self.render_settings(kit, setting)
        return canvas, self.choose_memory_mode(
            kit.parameter_counts, canvas, self.effective_guidance(kit) > 1, self.window
        )

    def forecast(self, request: Request, setting: ExecutionSettings) -> Forecast:
        """Of a frame, from the configurations: the model is neither loaded nor fetched."""
        if self.returns_content(request):
            return Forecast(0.0, devices.resident_bytes() + 48 * setting.height * setting.width)
        kit = self.components(request)
        canvas, step = self._fit_to_device(kit, setting)
        model = animatediff.forecast(
            kit,
            canvas,
            step,
            self.effective_steps() * self.denoising_strength(request),
            self.window,
            self.overlap,
            self.effective_guidance(kit) > 1,
        )
        return Forecast(model.seconds, model.peak_bytes + 24 * setting.height * setting.width)

    def plan_notes(self, request: Request, setting: ExecutionSettings) -> tuple[str, ...]:
        """See :class:`impasto.core.request.RemoteWeights`."""
        if self.returns_content(request):
            return ("With strength 0 the film is given back.",)
        kit = self.components(request)
        canvas, step = self._fit_to_device(kit, setting)
        return (
            *kits.describe_components(kit),
            f"It paints at {canvas.width} x {canvas.height} px, {self.window} frames at once.",
            "The time is that of one frame.",
            step.description,
        )

    def digests(self, request: Request, precision: str) -> Mapping[str, str]:
        """See :class:`impasto.core.request.RemoteWeights`."""
        return {} if self.returns_content(request) else self.components(request).digests(precision)

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes."""
        return (
            ()
            if self.returns_content(request)
            else self.common_warnings(request, self.components(request))
        )

    def stylize(
        self,
        request: Request,
        plan: Plan,
        callback: ProgressCallback,
        state: Mapping[str, Any] | None = None,
    ) -> MethodOutput:
        """It paints films alone.

        Raises:
            KnobError: always.
        """
        raise KnobError(
            "The method animatediff paints films: impasto video CONTENT STYLE --method "
            "animatediff. For a picture there is --method sdxl."
        )

    def animation_config(self, request: Request, plan: Plan) -> AnimateDiffConfig:
        """All that decides the frames of a film."""
        kit = self.components(request)
        canvas, step = self._fit_to_device(kit, plan.setting)
        looks = self.uses_ip_adapter(request)
        return AnimateDiffConfig(
            components=kit,
            render_settings=canvas,
            memory_mode=step,
            sampling=SamplingConfig(
                prompt=self.prompt,
                negative_prompt=self.negative_prompt,
                height=canvas.height,
                width=canvas.width,
                steps=self.effective_steps(),
                guidance=self.effective_guidance(kit),
                seed=request.seed,
                scheduler=self.scheduler,
                denoising_strength=self.denoising_strength(request),
                style_weights=torch.tensor(request.normalized_style_weights)[:, None, None]
                if looks
                else None,
            ),
            styles=[style.pixels for style in request.styles] if looks else [],
            ip_adapter_scale=self.effective_ip_adapter_scale(request),
            block_scales=self.adapter_block_scales(kit),
            loras=self.lora_configs(),
            controlnet_specs=[
                ControlNetSpec(kind, "", self.control_scale(i), *span)
                for i, (kind, span) in enumerate(
                    zip(self.controls, self.control_intervals(), strict=True)
                )
            ],
            depth_model=self.depth_model,
            window=self.window,
            overlap=self.overlap,
        )
