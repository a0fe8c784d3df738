"""Gatys, Ecker & Bethge: the picture itself is optimised until its features fit.

"A Neural Algorithm of Artistic Style" (2015) and "Image Style Transfer Using Convolutional
Neural Networks" (CVPR 2016). A picture x is sought that minimises

    L(x) = α L_content(x, content) + β L_style(x, style) + γ TV(x)         (2016, eq. 7)

where content is compared by the features of a deep VGG layer, and style by the Gram matrices of
five. What is ours: the mean in place of the sum in L_content, which lets α and β keep their meaning
at every size; a price on colours outside 0..1, which no file can hold; the Laplacian pyramid as
coordinates; coarse-to-fine for large pictures; strength, which moves the style's target from the
content's own statistics to the style's; and first steps on a compact, much cheaper encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.core.card import Card
from impasto.core.devices import keep_freed_memory, resident_bytes
from impasto.core.errors import KnobError
from impasto.core.guards import untuned_balance
from impasto.core.knobs import Search, knob, strength_knob, structure_knob
from impasto.core.picture import Pixels, Raster
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Tick, Watch
from impasto.core.request import Painting, Request
from impasto.losses.balance import ratio_of
from impasto.losses.descent import Descent
from impasto.losses.perceptual import PerceptualLoss, StyleLoss, weigh
from impasto.losses.pixels import out_of_gamut, total_variation
from impasto.losses.start import coloured, initial, white
from impasto.nets.canvas import Canvas, extend, upsample
from impasto.nets.cost import peak_bytes, seconds_per_megapixel
from impasto.nets.stages import Route, Size, Stage, scales
from impasto.nets.tiles import as_pixels, as_tensor
from impasto.nets.vgg import VGG, Padding, Pooling, layer_warning, place
from impasto.pictures import fit_long_side, resize
from impasto.weights import store

GAMUT = 2.5e2
"""Price of colours that no file can hold, relative to β in units of 1/255. 10 and 0.1 times as
much do about as well (docs/performance.md)."""
WASSERSTEIN = 0.2
"""Weight of the Wasserstein loss at which the same β styles as much as with Gram matrices."""
LEVELS = 5
LEAST = 32
"""Sides shorter than this, in pixels, are extended by their edge: conv5_1 needs 16."""
THUMBNAIL = 128
"""Long side in pixels of the picture on which precisions are compared."""
START_SECONDS = 1.0
OXFORD, COMPACT = "oxford", "compact"
"""The default weights, and those of the encoder that is like them at a fraction of the cost."""
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@dataclass(frozen=True)
class Gatys:
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "gatys"
    card: ClassVar[Card] = Card(
        title="Neural style transfer by optimisation, the original method",
        good_for="One picture at the highest quality, with any style, when minutes do not matter.",
        not_for="Video and previews: every picture takes minutes on a processor.",
        paper="Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, "
        "CVPR 2016; A Neural Algorithm of Artistic Style, 2015",
        licence="code Apache-2.0; weights as listed by `impasto weights list`",
        weights=(OXFORD, "torchvision", COMPACT),
        supports=("several styles", "strength", "structure"),
        figures=(("512 x 341 px, 300 steps a scale, 2 cores with AMX", "96 s, 0.99 GB"),),
    )

    strength: float = strength_knob()
    structure: float = structure_knob()
    alpha: float = knob(1.0, "α, the weight of the content loss", low=0)
    beta: float | None = knob(None, "β, the weight of the style loss; unset: by structure", low=0)
    tv: float = knob(0.0, "γ, the weight of the total variation, which smooths", low=0)
    steps: int = knob(
        300, "steps of the optimiser at every scale", low=1, high=100_000, search=Search(draft=30)
    )
    content_layers: tuple[str, ...] = knob(("conv4_2",), "layers whose features are the content")
    style_layers: tuple[str, ...] = knob(
        STYLE_LAYERS, "layers whose statistics are the style",
        search=Search(values=(STYLE_LAYERS, STYLE_LAYERS[:4], STYLE_LAYERS[2:])),
    )  # fmt: skip
    content_layer_weights: tuple[float, ...] = knob(
        (), "a weight for each content layer; empty: equal, with the sum 1", low=0
    )
    style_layer_weights: tuple[float, ...] = knob(
        (), "a weight for each style layer; empty: 1 / channels², as the authors did", low=0
    )
    style_loss: str = knob("gram", "the statistics compared", choices=("gram", "wasserstein"))
    pooling: str = knob("max", "how VGG halves its maps", choices=("max", "average", "l2"))
    padding: str = knob("replicate", "what lies beyond the edges", choices=("replicate", "zeros"))
    init: str = knob("content", "start from: content, noise, style (its colours), or a picture")
    optimizer: str = knob("lbfgs", "what minimises the loss", choices=("lbfgs", "adam"))
    learning_rate: float | None = knob(
        None, "step length; unset: 1 for lbfgs, 0.02 for adam", low=1e-6, high=100
    )
    history: int = knob(12, "pairs of vectors that lbfgs remembers", low=1, high=1000)
    averaging: float = knob(
        0.0, "decay of the average of iterates that is the result; 0: the last", low=0, high=0.9999
    )
    style_size: int | None = knob(
        None, "long side of the style pictures; unset: the result's", low=16, high=30_000, unit="px"
    )
    style_scale: float = knob(
        1.0, "times the size of the strokes", low=0.1, high=10, search=Search(0.4, 1.6, log=True)
    )
    coarsest: int = knob(256, "px where coarse-to-fine begins; 0: full size", low=0, high=30_000)
    warm_steps: int = knob(0, "steps on the compact encoder before all others", low=0, high=100_000)

    def beta_now(self) -> float:
        """β as given, or the one that ``structure`` stands for."""
        if self.beta is not None:
            return self.beta
        # Without a content loss, any beta is as good.
        return ratio_of(self.structure) * (self.alpha or 1.0)

    def warnings(self, request: Request) -> tuple[str, ...]:
        backbone = store.load(_weights(request)).backbone
        moved = layer_warning(backbone, [*self.content_layers, *self.style_layers])
        strokes, cold = self._stroke_warning(request), self._cold_warning(request)
        return tuple(w for w in (moved, self._ratio_warning(), strokes, cold) if w)

    def _ratio_warning(self) -> str | None:
        if self.alpha == 0 or self.strength == 0 or self.style_layer_weights:
            return None
        return untuned_balance(self.beta_now() / self.alpha)

    def _stroke_warning(self, request: Request) -> str | None:
        side = (self.style_size or request.size or request.content.long_side) * self.style_scale
        small = [s for s in request.styles if s.long_side < round(side)]
        if not small or (self.style_scale <= 1 and self.style_size is None):
            return None
        s = small[0]
        return f"The style {s.name} has {s.long_side} px and is not enlarged to {side:.0f} px."

    def _cold_warning(self, request: Request) -> str | None:
        if not self.warm_steps:
            return None
        if (given := _weights(request)) != OXFORD:
            return f"warm_steps is left out: the compact encoder is like {OXFORD}, not {given}."
        try:
            VGG(store.load(COMPACT)).resolve([*self.content_layers, *self.style_layers])
        except KnobError as error:
            return f"warm_steps is left out: {error}"
        return None

    def agreement(self, request: Request, device: str, precision: str) -> float:
        """Cosine of the gradients in ``precision`` and in fp32, at the start of a thumbnail."""
        small = fit_long_side(request.content.height, request.content.width, THUMBNAIL)
        gradients = []
        for each in ("fp32", precision):
            sitting = _Sitting(self, request, Setting(*small, device, each))
            picture = sitting.start_picture(0).requires_grad_()
            sitting.objective(0)(picture)["total"].backward()  # type: ignore[no-untyped-call]
            assert picture.grad is not None
            gradients.append(picture.grad.flatten())
        return float(F.cosine_similarity(gradients[0], gradients[1], dim=0))

    def forecast(self, request: Request, setting: Setting) -> Forecast:
        encoder, layers = self.encoder(request, setting)
        vectors = 6 + (2 * self.history if self.optimizer == "lbfgs" else 4)
        styles = [h * w for h, w in self.style_sizes(request, setting, 1.0)]
        pixels = setting.height * setting.width
        peak = resident_bytes() + peak_bytes(encoder, layers, pixels, vectors, max(styles))
        deepest = max(layers, key=encoder.layers.index)
        how = (setting.device, setting.precision, encoder.pooling, encoder.padding, deepest)

        def work(weights: str, steps: int, sizes: list[Size]) -> float:
            megapixels = sum(h * w for h, w in sizes) / 1e6
            passes = steps + len(request.styles) + 2
            return passes * megapixels * seconds_per_megapixel(weights, *how)

        sizes = self.scales(setting)
        seconds = work(_weights(request), self.steps, sizes)
        if self.warm(request):
            seconds += work(COMPACT, self.warm(request), sizes[:1])
        return Forecast(START_SECONDS + seconds, peak)

    def paint(
        self, request: Request, plan: Plan, watch: Watch, state: Mapping[str, Any] | None = None
    ) -> Painting:
        keep_freed_memory()
        return _Sitting(self, request, plan.setting).paint(watch, state)

    def warm(self, request: Request) -> int:
        """Steps on the compact encoder: none where it does not stand in for the full one."""
        return 0 if self._cold_warning(request) else self.warm_steps

    def scales(self, setting: Setting) -> list[Size]:
        """Heights and widths from the coarsest to the full size; see :mod:`nets.stages`."""
        return scales((setting.height, setting.width), self.coarsest)

    def style_sizes(self, request: Request, setting: Setting, shrink: float) -> list[Size]:
        """Heights and widths of the styles at a scale: never larger than they are themselves."""
        wanted = (self.style_size or max(setting.height, setting.width)) * self.style_scale
        return [
            fit_long_side(s.height, s.width, max(LEAST, round(min(wanted, s.long_side) * shrink)))
            for s in request.styles
        ]

    def encoder(self, request: Request, setting: Setting) -> tuple[VGG, tuple[str, ...]]:
        """VGG as these knobs want it, and the layers that are asked of it."""
        encoder = self.vgg(_weights(request), setting)
        both = (self.layer_weights(encoder, role) for role in ("content", "style"))
        return encoder, tuple(name for layers in both for name in layers)

    def vgg(self, weights: str, setting: Setting) -> VGG:
        """An encoder pooled and padded as these knobs want it, in its place."""
        pooling, padding = cast(Pooling, self.pooling), cast(Padding, self.padding)
        encoder = VGG(store.load(weights), pooling=pooling, padding=padding)
        place(encoder, setting.device, setting.precision)
        return encoder

    def layer_weights(self, encoder: VGG, role: str) -> dict[str, float]:
        """Content or style layer → its weight.

        Raises:
            KnobError: no style layer, an unknown one, one twice, or another number of weights.
        """
        names = encoder.resolve(getattr(self, f"{role}_layers"))
        if not names and role == "style":
            raise KnobError("style_layers is empty: give at least one layer.")
        if role == "style" and self.style_loss == "gram":
            usual = [encoder.full_channels(name) ** -2.0 for name in names]
        else:
            usual = [(1.0 if role == "content" else WASSERSTEIN) / len(names) for _ in names]
        given: tuple[float, ...] = getattr(self, f"{role}_layer_weights")
        return weigh(names, given or usual, f"{role}_layers")


class _Sitting:
    """One run of the method: the encoders, scales and stages, and how far it has come."""

    def __init__(self, knobs: Gatys, request: Request, setting: Setting) -> None:
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
            Canvas(ground, LEVELS),
            self.objective(self.stage.scale, compact=self.stage.compact),
            optimizer=self.knobs.optimizer,
            learning_rate=self.knobs.learning_rate,
            history=self.knobs.history,
            averaging=self.knobs.averaging,
        )

    def _carried(self, scale: int) -> Tensor:
        """The picture so far, taken to a finer scale: only what was changed is stretched."""
        (h, w), (height, width) = self.scales[self.stage.scale], self.scales[scale]
        change = (self.descent.picture() - self.start_picture(self.stage.scale))[..., :h, :w]
        start = self.start_picture(scale)
        return start + extend(upsample(change, start[..., :height, :width]), LEAST)

    def start_picture(self, scale: int) -> Tensor:
        """What ``init`` asks for, at a scale: shape (1, 3, H, W)."""
        size = self.scales[scale]
        content = self._tensor(self.content, *size)
        if self.knobs.init == "content":
            return content
        if self.initial:
            return self._tensor(self.initial.pixels, *size)
        noise = white(content, self.request.seed + scale)
        if self.knobs.init == "noise":
            return 0.5 + 0.1 * noise
        return coloured(noise, max(self._styles(scale), key=lambda part: part[0])[1])

    def _styles(self, scale: int) -> list[tuple[float, Tensor]]:
        """The style pictures at a scale, each with its share."""
        shrink = max(self.scales[scale]) / max(self.scales[-1])
        sizes = self.knobs.style_sizes(self.request, self.setting, shrink)
        pictures = zip(self.request.shares, self.styles, sizes, strict=True)
        return [(share, self._tensor(style, *size)) for share, style, size in pictures]

    def objective(
        self, scale: int, *, compact: bool = False
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """The loss of a picture at a scale: its terms, and "total" (eq. 7)."""
        knobs, beta = self.knobs, self.knobs.beta_now()
        encoder = self.compact if compact and self.compact else self.encoder
        content = self._tensor(self.content, *self.scales[scale])
        styles = [(share * knobs.strength, style) for share, style in self._styles(scale)]
        perceptual = PerceptualLoss(
            encoder,
            knobs.layer_weights(encoder, "content"),
            knobs.layer_weights(encoder, "style"),
            cast(StyleLoss, knobs.style_loss),
        )
        perceptual.set_content(content)
        perceptual.set_style([(1 - knobs.strength, content), *styles])

        def loss(picture: Tensor) -> dict[str, Tensor]:
            terms = {**perceptual(picture), "gamut": out_of_gamut(picture) * 255**2}
            if knobs.tv:
                terms["tv"] = total_variation(picture) * 255**2
            weights = {
                "content": knobs.alpha,
                "style": beta,
                "tv": knobs.tv,
                "gamut": GAMUT * max(beta, knobs.alpha),
            }
            total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
            return {**terms, "total": total}

        return loss

    def _tick(self, terms: Mapping[str, float]) -> Tick:
        return Tick(
            step=self.route.done(self.index, self.step),
            steps=self.route.steps,
            share=self.route.share(self.index, self.step),
            losses=terms,
            picture=lambda: self._pixels(self.descent.picture(), *self.scales[self.stage.scale]),
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
            pixels=self._pixels(picture, *self.scales[last]),
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

    @staticmethod
    def _pixels(picture: Tensor, height: int, width: int) -> Pixels:
        return as_pixels(picture.detach()[..., :height, :width])


def _weights(request: Request) -> str:
    return request.weights or OXFORD
