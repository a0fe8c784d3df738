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
from impasto.core.card import Card
from impasto.core.errors import KnobError
from impasto.core.knobs import knob
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Watch
from impasto.core.request import Painting, Request
from impasto.engines.diffusion import animatediff
from impasto.engines.diffusion import components as kits
from impasto.engines.diffusion.animatediff import Animation
from impasto.engines.diffusion.base import Steered
from impasto.engines.diffusion.components import Kit
from impasto.engines.diffusion.memory import Step
from impasto.engines.diffusion.run import Guide
from impasto.engines.diffusion.sampling import Job
from impasto.engines.diffusion.temporal_windows import check_window
from impasto.weights.compatibility import MODELS


@dataclass(frozen=True)
class AnimateDiff(Steered):
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

    GUIDANCE: ClassVar[Mapping[str, float]] = {"sdxl": 7.5, "sd15": 7.5}
    FULL: ClassVar[int] = 25
    FEWEST: ClassVar[int] = 6

    steps: int | None = knob(
        None, "from noise to film; unset: 25, or 6 of a distilled model", low=1, high=200
    )
    scheduler: str = knob(
        "ddim", "how noise is taken away; lcm and lightning for distilled motion adapters",
        choices=tuple(animatediff.SCHEDULERS),
    )  # fmt: skip
    window: int = knob(16, "that are painted at once", low=2, high=64, unit="frames")
    overlap: int = knob(4, "that two windows share", low=1, high=32, unit="frames")
    model: str = knob(MODELS["sd15"], "folder, or name on the hub with @revision")
    motion: str = knob("", "motion adapter: folder or name on the hub; unset: the one that fits")

    def kit(self, request: Request) -> Kit:
        """The parts that a request needs, checked.

        Raises:
            ImpastoError: a knob, or a part that is missing or does not fit.
        """
        if self.controls and request.content.blank:
            raise KnobError("The content is only a size, and --controls have nothing to look at.")
        if "depth" in self.controls and not self.depth_model:
            raise KnobError(
                "The control depth needs a model that makes depth pictures: --depth-model NAME, as "
                "Intel/dpt-hybrid-midas."
            )
        found = super().kit(request)
        check_window(self.window, self.overlap, found.frames)
        return found

    def moving(self) -> str | None:
        """See :class:`~impasto.engines.diffusion.base.Steered`."""
        return self.motion

    def depth(self) -> str:
        """See :class:`~impasto.engines.diffusion.base.Steered`."""
        return self.depth_model if "depth" in self.controls else ""

    def _fitted(self, kit: Kit, setting: Setting) -> tuple[Setting, Step]:
        """The setting in which the model works, and how it is fitted."""
        canvas = self.canvas(kit, setting)
        return canvas, self.fitted(kit.sizes, canvas, self.guidance_now(kit) > 1, self.window)

    def forecast(self, request: Request, setting: Setting) -> Forecast:
        """Of a frame, from the configurations: the model is neither loaded nor fetched."""
        if self.unchanged(request):
            return Forecast(0.0, devices.resident_bytes() + 48 * setting.height * setting.width)
        kit = self.kit(request)
        canvas, step = self._fitted(kit, setting)
        model = animatediff.forecast(
            kit, canvas, step, self.steps_now() * self.denoise(request), self.window, self.overlap,
            self.guidance_now(kit) > 1,
        )  # fmt: skip
        return Forecast(model.seconds, model.peak_bytes + 24 * setting.height * setting.width)

    def notes(self, request: Request, setting: Setting) -> tuple[str, ...]:
        """See :class:`impasto.core.request.Fetches`."""
        if self.unchanged(request):
            return ("With strength 0 the film is given back.",)
        kit = self.kit(request)
        canvas, step = self._fitted(kit, setting)
        return (
            *kits.told(kit),
            f"It paints at {canvas.width} x {canvas.height} px, {self.window} frames at once.",
            "The time is that of one frame.",
            step.words,
        )

    def digests(self, request: Request, precision: str) -> Mapping[str, str]:
        """See :class:`impasto.core.request.Fetches`."""
        return {} if self.unchanged(request) else self.kit(request).digests(precision)

    def warnings(self, request: Request) -> tuple[str, ...]:
        """Known mistakes."""
        return () if self.unchanged(request) else self.common_warnings(request, self.kit(request))

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
        kit = self.kit(request)
        canvas, step = self._fitted(kit, plan.setting)
        looks = self.looks(request)
        return Animation(
            kit=kit,
            canvas=canvas,
            step=step,
            job=Job(
                prompt=self.prompt,
                negative=self.negative,
                height=canvas.height,
                width=canvas.width,
                steps=self.steps_now(),
                guidance=self.guidance_now(kit),
                seed=request.seed,
                scheduler=self.scheduler,
                denoise=self.denoise(request),
                shares=torch.tensor(request.shares)[:, None, None] if looks else None,
            ),
            styles=[style.pixels for style in request.styles] if looks else [],
            scale=self.scale_now(request),
            blocks=self.mapping(kit),
            loras=self.uses(),
            guides=[
                Guide(kind, "", self.control_scale(i), *span)
                for i, (kind, span) in enumerate(zip(self.controls, self.spans(), strict=True))
            ],
            depth_model=self.depth_model,
            window=self.window,
            overlap=self.overlap,
        )
