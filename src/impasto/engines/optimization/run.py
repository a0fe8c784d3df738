"""A sitting: one run of a method that optimises a picture, from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from impasto.core.picture import Pixels, Raster
from impasto.core.plan import Setting
from impasto.core.progress import Tick, Watch
from impasto.core.request import Painting, Request
from impasto.engines.optimization.init import coloured, initial, white
from impasto.engines.optimization.optimizer import Descent
from impasto.engines.optimization.parametrization import extend
from impasto.engines.optimization.schedule import Route, Stage
from impasto.engines.region_weights import cover, parts
from impasto.losses.perceptual import Look, Part, PerceptualLoss, StyleLoss
from impasto.losses.temporal import temporal_loss
from impasto.losses.total_variation import out_of_gamut, total_variation
from impasto.ops.convert import as_pixels, as_tensor
from impasto.pictures import resize
from impasto.pictures.masks import sized

if TYPE_CHECKING:
    from impasto.engines.optimization.base import Optimising

GAMUT = 2.5e2
"""Price of colours that no file can hold, relative to β in units of 1/255. 10 and 0.1 times as
much do about as well (docs/performance.md)."""
COMPACT = "compact"
"""The encoder that is like the default one at a fraction of the cost."""
LEAST = 32
"""Sides shorter than this, in pixels, are extended by their edge: conv5_1 needs 16."""


class Sitting:
    """One run of the method: the encoders, scales and stages, and how far it has come."""

    def __init__(self, knobs: Optimising, request: Request, setting: Setting) -> None:
        self.knobs, self.request, self.setting = knobs, request, setting
        self.encoder, _ = knobs.encoder(request, setting)
        self.initial = initial(knobs.init)
        # Once from whatever size they have; coarser scales are then cheap to make.
        self.content = resize(request.content.pixels, setting.height, setting.width)
        sizes = knobs.style_sizes(request, setting, 1.0)
        self.styles = [resize(s.pixels, *z) for s, z in zip(request.styles, sizes, strict=True)]
        self.scales = knobs.scales(setting)
        warm = knobs.warm(request)
        self.route = Route.over(self.scales, knobs.steps, warm)
        self.compact = knobs.vgg(COMPACT, setting) if warm else None
        size = setting.height, setting.width
        self.parts = np.asarray(parts(request, *size)) if request.regions else None
        self.cover = cover(request, *size) if request.rest == "keep" else None
        self.index = 0
        self.step = 0
        self.descent: Descent

    @property
    def stage(self) -> Stage:
        """The one it is at."""
        return self.route.stages[self.index]

    def paint(self, watch: Watch, state: Mapping[str, Any] | None) -> Painting:
        if state:
            self._begin(state["stage"], state["ground"])
            self.step = state["step"]
            self.descent.load(state["descent"])
        else:
            self._begin(0, self.start_picture(0))
        while True:
            while self.step < self.stage.steps:
                terms = self.descent.step()
                self.step += 1
                try:
                    watch(self._tick(terms))
                except KeyboardInterrupt:
                    return self._painting(terms, self._state())
            losses = self.descent.settle()
            if self.index + 1 == len(self.route.stages):
                return self._painting(losses, {})
            after = self.route.stages[self.index + 1]
            self._begin(self.index + 1, self._carried(after.scale))

    def _begin(self, index: int, ground: Tensor) -> None:
        self.index, self.step = index, 0
        self.descent = Descent(
            self.knobs.canvas(self, self.stage.scale, ground),
            self.objective(self.stage.scale, compact=self.stage.compact),
            optimizer=self.knobs.optimizer,
            learning_rate=self.knobs.learning_rate,
            history=self.knobs.history,
            averaging=self.knobs.averaging,
        )

    def _carried(self, scale: int) -> Tensor:
        """The picture so far, taken to a finer scale: only what was changed is stretched."""
        (h, w), (height, width) = self.scales[self.stage.scale], self.scales[scale]
        coarse, fine = self.start_picture(self.stage.scale), self.start_picture(scale)
        change = (self.descent.picture() - coarse)[..., :h, :w]
        larger = self.knobs.enlarged(change, coarse[..., :h, :w], fine[..., :height, :width])
        return fine + extend(larger, LEAST)

    def start_picture(self, scale: int) -> Tensor:
        """What ``init`` asks for, or the frame before it, at a scale: shape (1, 3, H, W)."""
        size = self.scales[scale]
        if self.request.memory:
            return self._tensor(self.request.memory.start, *size)
        content = self.content_at(scale)
        if self.knobs.init == "content":
            return content
        if self.initial:
            return self._tensor(self.initial.pixels, *size)
        noise = white(content, self.request.seed + scale)
        if self.knobs.init == "noise":
            return 0.5 + 0.1 * noise
        shares = self.request.shares
        return coloured(noise, self._styles(scale)[shares.index(max(shares))])

    def content_at(self, scale: int) -> Tensor:
        """The content at a scale, shape (1, 3, H, W)."""
        return self._tensor(self.content, *self.scales[scale])

    def _styles(self, scale: int) -> list[Tensor]:
        """The style pictures at a scale."""
        shrink = max(self.scales[scale]) / max(self.scales[-1])
        sizes = self.knobs.style_sizes(self.request, self.setting, shrink)
        pairs = zip(self.styles, sizes, strict=True)
        return [self._tensor(style, *size) for style, size in pairs]

    def _parts(self, scale: int, content: Tensor) -> list[Part]:
        """What the style of each part of the picture is compared with, at a scale.

        Strength moves the target from the content's own statistics there to those of the style.
        """
        strength, request = self.knobs.strength, self.request
        styles = self._styles(scale)
        whole = [Look(strength * s, p) for s, p in zip(request.shares, styles, strict=True)]
        if self.parts is None:
            return [Part([Look(1 - strength, content), *whole])]
        size = self.scales[scale]
        masks = [self._mask(channel, *size) for channel in np.moveaxis(self.parts, 2, 0)]
        found = []
        for region, mask in zip(request.regions, masks, strict=False):
            style, shown = styles[region.style], region.style_mask
            seen = None if shown is None else self._mask(shown, *style.shape[2:])
            own = Look(1 - strength, content, mask)
            found.append(Part([own, Look(strength, style, seen, inner=True)], mask))
        if request.rest == "style":
            found.append(Part([Look(1 - strength, content, masks[-1]), *whole], masks[-1]))
        return found

    def _mask(self, mask: Raster, height: int, width: int) -> Tensor:
        """A mask at a size, shape (1, 1, H, W); short sides are extended as those of pictures."""
        pixels = np.array(sized(mask, height, width), np.float32)
        return extend(torch.from_numpy(pixels)[None, None].to(self.setting.device), LEAST)

    def objective(
        self, scale: int, *, compact: bool = False
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """The loss of a picture at a scale: its terms, and "total" (Gatys et al. 2016, eq. 7)."""
        knobs, beta = self.knobs, self.knobs.beta_now()
        encoder = self.compact if compact and self.compact else self.encoder
        content = self.content_at(scale)
        perceptual = PerceptualLoss(
            encoder,
            knobs.layer_weights(encoder, "content"),
            knobs.layer_weights(encoder, "style"),
            cast(StyleLoss, knobs.style_loss),
        )
        perceptual.set_content(content)
        perceptual.set_parts(self._parts(scale, content))
        further, held = knobs.further(self, scale), self._held(scale)
        composed = self._composing(scale)

        def loss(picture: Tensor) -> dict[str, Tensor]:
            picture = composed(picture)
            terms = {**perceptual(picture), "gamut": out_of_gamut(picture) * 255**2}
            if knobs.tv:
                terms["tv"] = total_variation(picture) * 255**2
            weights = {
                "content": knobs.alpha,
                "style": beta,
                "tv": knobs.tv,
                "gamut": GAMUT * max(beta, knobs.alpha),
            }
            own = {**further(picture), **held(picture)}
            priced = [weights[name] * value for name, value in terms.items()]
            total = torch.stack([*priced, *own.values()]).sum()
            return {**terms, **own, "total": total}

        return loss

    def _held(self, scale: int) -> Callable[[Tensor], dict[str, Tensor]]:
        """What holds a frame of a film to those before it, at a scale: one term, or none."""
        memory = self.request.memory
        if memory is None:
            return lambda picture: {}
        size = self.scales[scale]
        target, weights = self._tensor(memory.target, *size), self._mask(memory.weights, *size)
        price = memory.price * self.knobs.beta_now() * 255**2
        return lambda picture: {"temporal": price * temporal_loss(picture, target, weights)}

    def _composing(self, scale: int) -> Callable[[Tensor], Tensor]:
        """What makes a picture at a scale the one that is shown: a rest that is kept is put in."""
        if self.cover is None:
            return lambda picture: picture
        size = self.scales[scale]
        content, mask = self.content_at(scale), self._mask(self.cover, *size)
        return lambda picture: torch.lerp(content, picture, mask)

    def _tick(self, terms: Mapping[str, float]) -> Tick:
        return Tick(
            step=self.route.done(self.index, self.step),
            steps=self.route.steps,
            share=self.route.share(self.index, self.step),
            losses=terms,
            picture=lambda: self._shown(self.descent.picture(), self.stage.scale),
            state=self._state,
        )

    def _state(self) -> dict[str, Any]:
        return {
            "stage": self.index,
            "step": self.step,
            "ground": self.descent.canvas.ground,
            "descent": self.descent.state(),
        }

    def _painting(self, terms: Mapping[str, float], state: Mapping[str, Any]) -> Painting:
        last = len(self.scales) - 1
        there = self.stage.scale == last
        picture = self.descent.picture() if there else self._carried(last)
        warm = self.compact.origin if self.compact else {}
        start = {self.knobs.init: self.initial.sha256} if self.initial else {}
        return Painting(
            pixels=self._pixels(self.knobs.finished(self, last, picture.detach()), last),
            losses=dict(terms),
            steps=self.route.done(self.index, self.step),
            finished=not state,
            files={**self.encoder.origin, **warm, **start},
            state=state,
        )

    def _tensor(self, pixels: Raster, height: int, width: int) -> Tensor:
        """A picture at a size, shape (1, 3, H, W); short sides are extended to ``LEAST``."""
        tensor = as_tensor(resize(pixels, height, width)).to(self.setting.device)
        return extend(tensor, LEAST).contiguous()

    def _shown(self, picture: Tensor, scale: int) -> Pixels:
        """A picture on the way as it would come out, with a rest that is kept."""
        finished = self.knobs.finished(self, scale, picture.detach()).clamp(0, 1)
        return self._pixels(self._composing(scale)(finished), scale)

    def _pixels(self, picture: Tensor, scale: int) -> Pixels:
        height, width = self.scales[scale]
        return as_pixels(picture[..., :height, :width])
