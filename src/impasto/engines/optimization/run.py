"""An optimization run: one run of a method that optimizes a picture, from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from impasto.core.picture import Pixels, Raster
from impasto.core.plan import ExecutionSettings
from impasto.core.progress import ProgressCallback, ProgressEvent
from impasto.core.request import MethodOutput, Request
from impasto.engines.optimization.init import colored_noise, read_init_picture, white_noise
from impasto.engines.optimization.optimizer import SafeguardedOptimizer
from impasto.engines.optimization.parametrization import pad_to_min_side
from impasto.engines.optimization.schedule import ScaleSchedule, Stage
from impasto.engines.region_weights import region_coverage, region_weights
from impasto.losses.perceptual import PerceptualLoss, StyleLossName, StyleRegion, StyleSource
from impasto.losses.temporal import temporal_loss
from impasto.losses.total_variation import out_of_gamut, total_variation
from impasto.ops.convert import as_pixels, as_tensor
from impasto.pictures import resize
from impasto.pictures.masks import resize_mask

if TYPE_CHECKING:
    from impasto.engines.optimization.base import OptimizationMethod

GAMUT_WEIGHT = 2.5e2
"""Price of colors that no file can hold, relative to β in units of 1/255. 10 and 0.1 times as
much do about as well (docs/performance.md)."""
COMPACT_WEIGHTS = "compact"
"""The encoder that is like the default one at a fraction of the cost."""
MIN_SIDE_PX = 32
"""Sides shorter than this, in pixels, are extended by their edge: conv5_1 needs 16."""


class OptimizationRun:
    """One run of the method: the encoders, scales and stages, and how far it has come."""

    def __init__(
        self, method: OptimizationMethod, request: Request, setting: ExecutionSettings
    ) -> None:
        self.method, self.request, self.setting = method, request, setting
        self.encoder, _ = method.load_encoder(request, setting)
        self.init_picture = read_init_picture(method.init)
        # Once from whatever size they have; coarser scales are then cheap to make.
        self.content = resize(request.content.pixels, setting.height, setting.width)
        sizes = method.style_sizes(request, setting, 1.0)
        self.styles = [resize(s.pixels, *z) for s, z in zip(request.styles, sizes, strict=True)]
        self.scale_sizes = method.scale_sizes(setting)
        warm = method.effective_warmup_steps(request)
        self.schedule = ScaleSchedule.from_sizes(self.scale_sizes, method.steps, warm)
        self.compact_encoder = method.load_vgg(COMPACT_WEIGHTS, setting) if warm else None
        size = setting.height, setting.width
        self.region_weights = (
            np.asarray(region_weights(request, *size)) if request.regions else None
        )
        self.coverage = region_coverage(request, *size) if request.background == "keep" else None
        self.stage_index = 0
        self.step = 0
        self.optimizer: SafeguardedOptimizer

    @property
    def stage(self) -> Stage:
        """The one it is at."""
        return self.schedule.stages[self.stage_index]

    def run(self, callback: ProgressCallback, state: Mapping[str, Any] | None) -> MethodOutput:
        if state:
            self._start_stage(state["stage"], state["ground"])
            self.step = state["step"]
            self.optimizer.load_state_dict(state["descent"])
        else:
            self._start_stage(0, self.start_image(0))
        while True:
            while self.step < self.stage.steps:
                terms = self.optimizer.step()
                self.step += 1
                try:
                    callback(self._progress_event(terms))
                except KeyboardInterrupt:
                    return self._output(terms, self._state_dict())
            losses = self.optimizer.finalize()
            if self.stage_index + 1 == len(self.schedule.stages):
                return self._output(losses, {})
            after = self.schedule.stages[self.stage_index + 1]
            self._start_stage(self.stage_index + 1, self._upscaled_image(after.scale))

    def _start_stage(self, index: int, base_image: Tensor) -> None:
        self.stage_index, self.step = index, 0
        self.optimizer = SafeguardedOptimizer(
            self.method.parametrize(self, self.stage.scale, base_image),
            self.objective(self.stage.scale, compact=self.stage.compact),
            optimizer=self.method.optimizer,
            learning_rate=self.method.learning_rate,
            lbfgs_history=self.method.lbfgs_history,
            ema_decay=self.method.ema_decay,
        )

    def _upscaled_image(self, scale: int) -> Tensor:
        """The picture so far, taken to a finer scale: only what was changed is stretched."""
        (h, w), (height, width) = self.scale_sizes[self.stage.scale], self.scale_sizes[scale]
        coarse, fine = self.start_image(self.stage.scale), self.start_image(scale)
        change = (self.optimizer.image() - coarse)[..., :h, :w]
        larger = self.method.upscale_change(change, coarse[..., :h, :w], fine[..., :height, :width])
        return fine + pad_to_min_side(larger, MIN_SIDE_PX)

    def start_image(self, scale: int) -> Tensor:
        """What ``init`` asks for, or the frame before it, at a scale: shape (1, 3, H, W)."""
        size = self.scale_sizes[scale]
        if self.request.temporal_constraint:
            return self._image_tensor(self.request.temporal_constraint.initial_image, *size)
        content = self.content_at(scale)
        if self.method.init == "content":
            return content
        if self.init_picture:
            return self._image_tensor(self.init_picture.pixels, *size)
        noise = white_noise(content, self.request.seed + scale)
        if self.method.init == "noise":
            return 0.5 + 0.1 * noise
        shares = self.request.normalized_style_weights
        return colored_noise(noise, self._styles_at(scale)[shares.index(max(shares))])

    def content_at(self, scale: int) -> Tensor:
        """The content at a scale, shape (1, 3, H, W)."""
        return self._image_tensor(self.content, *self.scale_sizes[scale])

    def _styles_at(self, scale: int) -> list[Tensor]:
        """The style pictures at a scale."""
        shrink = max(self.scale_sizes[scale]) / max(self.scale_sizes[-1])
        sizes = self.method.style_sizes(self.request, self.setting, shrink)
        pairs = zip(self.styles, sizes, strict=True)
        return [self._image_tensor(style, *size) for style, size in pairs]

    def _style_regions(self, scale: int, content: Tensor) -> list[StyleRegion]:
        """What the style of each part of the picture is compared with, at a scale.

        Strength moves the target from the content's own statistics there to those of the style.
        """
        strength, request = self.method.strength, self.request
        styles = self._styles_at(scale)
        whole = [
            StyleSource(strength * s, p)
            for s, p in zip(request.normalized_style_weights, styles, strict=True)
        ]
        if self.region_weights is None:
            return [StyleRegion([StyleSource(1 - strength, content), *whole])]
        size = self.scale_sizes[scale]
        masks = [
            self._mask_tensor(channel, *size) for channel in np.moveaxis(self.region_weights, 2, 0)
        ]
        found = []
        for region, mask in zip(request.regions, masks, strict=False):
            style, shown = styles[region.style_index], region.style_mask
            seen = None if shown is None else self._mask_tensor(shown, *style.shape[2:])
            own = StyleSource(1 - strength, content, mask)
            found.append(StyleRegion([own, StyleSource(strength, style, seen, eroded=True)], mask))
        if request.background == "style":
            found.append(
                StyleRegion([StyleSource(1 - strength, content, masks[-1]), *whole], masks[-1])
            )
        return found

    def _mask_tensor(self, mask: Raster, height: int, width: int) -> Tensor:
        """A mask at a size, shape (1, 1, H, W); short sides are extended as those of pictures."""
        pixels = np.array(resize_mask(mask, height, width), np.float32)
        return pad_to_min_side(
            torch.from_numpy(pixels)[None, None].to(self.setting.device), MIN_SIDE_PX
        )

    def objective(
        self, scale: int, *, compact: bool = False
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """The loss of a picture at a scale: its terms, and "total" (Gatys et al. 2016, eq. 7)."""
        knobs, beta = self.method, self.method.effective_beta()
        encoder = self.compact_encoder if compact and self.compact_encoder else self.encoder
        content = self.content_at(scale)
        perceptual = PerceptualLoss(
            encoder,
            knobs.layer_weights(encoder, "content"),
            knobs.layer_weights(encoder, "style"),
            cast(StyleLossName, knobs.style_loss),
        )
        perceptual.set_content(content)
        perceptual.set_style_regions(self._style_regions(scale, content))
        further, held = knobs.extra_terms(self, scale), self._temporal_term(scale)
        composed = self._compositing(scale)

        def loss(picture: Tensor) -> dict[str, Tensor]:
            picture = composed(picture)
            terms = {**perceptual(picture), "gamut": out_of_gamut(picture) * 255**2}
            if knobs.tv:
                terms["tv"] = total_variation(picture) * 255**2
            weights = {
                "content": knobs.alpha,
                "style": beta,
                "tv": knobs.tv,
                "gamut": GAMUT_WEIGHT * max(beta, knobs.alpha),
            }
            own = {**further(picture), **held(picture)}
            priced = [weights[name] * value for name, value in terms.items()]
            total = torch.stack([*priced, *own.values()]).sum()
            return {**terms, **own, "total": total}

        return loss

    def _temporal_term(self, scale: int) -> Callable[[Tensor], dict[str, Tensor]]:
        """What holds a frame of a film to those before it, at a scale: one term, or none."""
        memory = self.request.temporal_constraint
        if memory is None:
            return lambda picture: {}
        size = self.scale_sizes[scale]
        target, weights = (
            self._image_tensor(memory.target, *size),
            self._mask_tensor(memory.confidence, *size),
        )
        price = memory.weight * self.method.effective_beta() * 255**2
        return lambda picture: {"temporal": price * temporal_loss(picture, target, weights)}

    def _compositing(self, scale: int) -> Callable[[Tensor], Tensor]:
        """What makes a picture at a scale the one that is shown: a rest that is kept is put in."""
        if self.coverage is None:
            return lambda picture: picture
        size = self.scale_sizes[scale]
        content, mask = self.content_at(scale), self._mask_tensor(self.coverage, *size)
        return lambda picture: torch.lerp(content, picture, mask)

    def _progress_event(self, terms: Mapping[str, float]) -> ProgressEvent:
        return ProgressEvent(
            step=self.schedule.steps_done(self.stage_index, self.step),
            steps=self.schedule.total_steps,
            fraction=self.schedule.work_fraction(self.stage_index, self.step),
            values=terms,
            image=lambda: self._preview(self.optimizer.image(), self.stage.scale),
            state=self._state_dict,
        )

    def _state_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage_index,
            "step": self.step,
            "ground": self.optimizer.pyramid.base_image,
            "descent": self.optimizer.state_dict(),
        }

    def _output(self, terms: Mapping[str, float], state: Mapping[str, Any]) -> MethodOutput:
        last = len(self.scale_sizes) - 1
        there = self.stage.scale == last
        picture = self.optimizer.image() if there else self._upscaled_image(last)
        warm = self.compact_encoder.digests if self.compact_encoder else {}
        start = {self.method.init: self.init_picture.sha256} if self.init_picture else {}
        return MethodOutput(
            pixels=self._image_pixels(self.method.output_image(self, last, picture.detach()), last),
            losses=dict(terms),
            steps=self.schedule.steps_done(self.stage_index, self.step),
            finished=not state,
            files={**self.encoder.digests, **warm, **start},
            state=state,
        )

    def _image_tensor(self, pixels: Raster, height: int, width: int) -> Tensor:
        """A picture at a size, shape (1, 3, H, W); short sides are extended to ``MIN_SIDE_PX``."""
        tensor = as_tensor(resize(pixels, height, width)).to(self.setting.device)
        return pad_to_min_side(tensor, MIN_SIDE_PX).contiguous()

    def _preview(self, picture: Tensor, scale: int) -> Pixels:
        """A picture on the way as it would come out, with a rest that is kept."""
        finished = self.method.output_image(self, scale, picture.detach()).clamp(0, 1)
        return self._image_pixels(self._compositing(scale)(finished), scale)

    def _image_pixels(self, picture: Tensor, scale: int) -> Pixels:
        height, width = self.scale_sizes[scale]
        return as_pixels(picture[..., :height, :width])
