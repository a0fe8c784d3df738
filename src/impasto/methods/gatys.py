"""Gatys, Ecker & Bethge: the picture itself is optimised until its features fit.

"A Neural Algorithm of Artistic Style" (2015) and "Image Style Transfer Using Convolutional
Neural Networks" (CVPR 2016). A picture x is sought that minimises

    L(x) = α L_content(x, content) + β L_style(x, style) + γ TV(x)         (2016, eq. 7)

where content is compared by the features of a deep VGG layer, and style by the Gram matrices
of five. What is ours: the mean in place of the sum in L_content, which lets α and β keep their
meaning at every size; a price on colours outside 0..1, which no file can hold; the Laplacian
pyramid as coordinates; coarse-to-fine for large pictures; and strength, which moves the
style's target from the content's own statistics to the style's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.core.card import Card
from impasto.core.devices import keep_freed_memory, resident_bytes
from impasto.core.errors import InputError, KnobError
from impasto.core.knobs import knob
from impasto.core.picture import Picture, Pixels
from impasto.core.plan import Forecast, Plan, Setting
from impasto.core.progress import Tick, Watch
from impasto.core.request import Painting, Request
from impasto.losses.descent import Descent
from impasto.losses.perceptual import PerceptualLoss, StyleLoss, weigh
from impasto.losses.pixels import out_of_gamut, total_variation
from impasto.losses.style import matrix_sqrt
from impasto.nets.canvas import Canvas, extend, upsample
from impasto.nets.cost import peak_bytes, seconds_per_megapixel
from impasto.nets.vgg import VGG, Padding, Pooling, layer_warning, place, resolve_layers
from impasto.pictures import fit_long_side, read, resize
from impasto.weights import store

STRUCTURE = ((0.0, 1e4), (0.25, 500.0), (0.5, 110.0), (0.75, 18.0), (1.0, 1.2))
"""structure → β / α, at equal steps in the share of the content loss that is spared. Measured
on three pairs that agreed within 0.1; benchmarks/knobs.py shows what the knob does."""
USEFUL_RATIO = (0.3, 1e5)
"""β / α outside of which only one of the two pictures is left; see docs/methods/gatys.md."""
GAMUT = 2.5e2
"""Price of colours that no file can hold, relative to β in units of 1/255. 10 and 0.1 times as
much do about as well (docs/performance.md)."""
INITS = ("content", "noise", "style")
WASSERSTEIN = 0.2
"""Weight of the Wasserstein loss at which the same β styles as much as with Gram matrices."""
LEVELS = 5
LEAST = 32
"""Sides shorter than this, in pixels, are extended by their edge: conv5_1 needs 16."""
THUMBNAIL = 128
"""Long side in pixels of the picture on which precisions are compared."""
START_SECONDS = 1.0
Size = tuple[int, int]
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
        weights=("oxford", "torchvision"),
        supports=("several styles", "strength", "structure"),
        figures=(
            ("512 x 341 px, 300 steps a scale, 2 cores with AMX", "96 s, 0.99 GB"),
        ),
    )

    strength: float = knob(1.0, "how much of the style: 0 gives the content back", low=0, high=1)
    structure: float = knob(
        0.5, "how much of the content's drawing is kept: stands for a beta", low=0, high=1
    )
    alpha: float = knob(1.0, "α, the weight of the content loss", low=0)
    beta: float | None = knob(None, "β, the weight of the style loss; unset: by structure", low=0)
    tv: float = knob(0.0, "γ, the weight of the total variation, which smooths", low=0)
    steps: int = knob(300, "steps of the optimiser at every scale", low=1, high=100_000)
    content_layers: tuple[str, ...] = knob(("conv4_2",), "layers whose features are the content")
    style_layers: tuple[str, ...] = knob(STYLE_LAYERS, "layers whose statistics are the style")
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
    style_scale: float = knob(1.0, "size of the style's strokes", low=0.1, high=10, unit="times")
    coarsest: int = knob(
        256, "long side where coarse-to-fine begins; 0: full size only", low=0, high=30_000
    )

    def beta_now(self) -> float:
        """β as given, or the one that ``structure`` stands for."""
        if self.beta is not None:
            return self.beta
        places, betas = zip(*STRUCTURE, strict=True)
        ratio = float(np.exp(np.interp(self.structure, places, np.log(betas))))
        return ratio * (self.alpha or 1.0)  # without a content loss, any beta is as good

    def warnings(self, request: Request) -> tuple[str, ...]:
        backbone = store.load(_weights(request)).backbone
        moved = layer_warning(backbone, [*self.content_layers, *self.style_layers])
        found = (moved, self._ratio_warning(), self._stroke_warning(request))
        return tuple(w for w in found if w)

    def _ratio_warning(self) -> str | None:
        if self.alpha == 0 or self.strength == 0 or self.style_layer_weights:
            return None
        ratio, (low, high) = self.beta_now() / self.alpha, USEFUL_RATIO
        if low <= ratio <= high:
            return None
        where, look = (
            ("below", "the picture will hardly differ from the content")
            if ratio < low
            else ("above", "the content will dissolve into the style's texture")
        )
        return f"beta / alpha = {ratio:.3g} is far {where} the useful {low:g} to {high:g}: {look}."

    def _stroke_warning(self, request: Request) -> str | None:
        side = (self.style_size or request.size or request.content.long_side) * self.style_scale
        small = [s for s in request.styles if s.long_side < round(side)]
        if not small or (self.style_scale <= 1 and self.style_size is None):
            return None
        s = small[0]
        return f"The style {s.name} has {s.long_side} px and is not enlarged to {side:.0f} px."

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
        speed = seconds_per_megapixel(
            _weights(request),
            setting.device,
            setting.precision,
            encoder.pooling,
            encoder.padding,
            deepest,
        )
        megapixels = sum(h * w for h, w in self.scales(setting)) / 1e6
        passes = self.steps + len(request.styles) + 2
        return Forecast(START_SECONDS + passes * megapixels * speed, peak)

    def paint(
        self, request: Request, plan: Plan, watch: Watch, state: Mapping[str, Any] | None = None
    ) -> Painting:
        keep_freed_memory()
        return _Sitting(self, request, plan.setting).paint(watch, state)

    def scales(self, setting: Setting) -> list[Size]:
        """Heights and widths from the coarsest to the full size, each about twice the last."""
        long_side = max(setting.height, setting.width)
        coarser = int(math.log2(long_side / self.coarsest)) if self.coarsest else 0
        sizes = [
            fit_long_side(setting.height, setting.width, long_side >> k)
            for k in range(max(coarser, 0), 0, -1)
        ]
        return [*sizes, (setting.height, setting.width)]

    def style_sizes(self, request: Request, setting: Setting, shrink: float) -> list[Size]:
        """Heights and widths of the styles at a scale: never larger than they are themselves."""
        wanted = (self.style_size or max(setting.height, setting.width)) * self.style_scale
        return [
            fit_long_side(s.height, s.width, max(LEAST, round(min(wanted, s.long_side) * shrink)))
            for s in request.styles
        ]

    def encoder(self, request: Request, setting: Setting) -> tuple[VGG, tuple[str, ...]]:
        """VGG as these knobs want it, and the layers that are asked of it."""
        encoder = VGG(
            store.load(_weights(request)),
            pooling=cast(Pooling, self.pooling),
            padding=cast(Padding, self.padding),
        )
        place(encoder, setting.device, setting.precision)
        both = (self.layer_weights(encoder, role) for role in ("content", "style"))
        return encoder, tuple(name for layers in both for name in layers)

    def layer_weights(self, encoder: VGG, role: str) -> dict[str, float]:
        """Content or style layer → its weight.

        Raises:
            KnobError: no style layer, an unknown one, one twice, or another number of weights.
        """
        names = resolve_layers(encoder.backbone, getattr(self, f"{role}_layers"))
        if not names and role == "style":
            raise KnobError("style_layers is empty: give at least one layer.")
        if role == "style" and self.style_loss == "gram":
            usual = [encoder.channels(name) ** -2.0 for name in names]
        else:
            usual = [(1.0 if role == "content" else WASSERSTEIN) / len(names) for _ in names]
        given: tuple[float, ...] = getattr(self, f"{role}_layer_weights")
        return weigh(names, given or usual, f"{role}_layers")


class _Sitting:
    """One run of the method: the encoder, the scales, and how far it has come."""

    def __init__(self, knobs: Gatys, request: Request, setting: Setting) -> None:
        self.knobs, self.request, self.setting = knobs, request, setting
        self.encoder, _ = knobs.encoder(request, setting)
        self.initial = None if knobs.init in INITS else _initial(knobs.init)
        # Once from whatever size they have; coarser scales are then cheap to make.
        self.content = resize(request.content.pixels, setting.height, setting.width)
        sizes = knobs.style_sizes(request, setting, 1.0)
        self.styles = [resize(s.pixels, *z) for s, z in zip(request.styles, sizes, strict=True)]
        self.scales = knobs.scales(setting)
        self.index = 0
        self.step = 0
        self.descent: Descent

    def paint(self, watch: Watch, state: Mapping[str, Any] | None) -> Painting:
        if state:
            self._begin(state["scale"], state["ground"])
            self.step = state["step"]
            self.descent.load(state["descent"])
        else:
            self._begin(0, self.start_picture(0))
        while True:
            while self.step < self.knobs.steps:
                terms = self.descent.step()
                self.step += 1
                try:
                    watch(self._tick(terms))
                except KeyboardInterrupt:
                    return self._painting(terms, self._state())
            losses = self.descent.settle()
            if self.index + 1 == len(self.scales):
                return self._painting(losses, {})
            self._begin(self.index + 1, self._carried(self.index + 1))

    def _begin(self, index: int, ground: Tensor) -> None:
        self.index, self.step = index, 0
        self.descent = Descent(
            Canvas(ground, LEVELS),
            self.objective(index),
            optimizer=self.knobs.optimizer,
            learning_rate=self.knobs.learning_rate,
            history=self.knobs.history,
            averaging=self.knobs.averaging,
        )

    def _carried(self, index: int) -> Tensor:
        """The picture so far, taken to a finer scale: only what was changed is stretched."""
        (h, w), (height, width) = self.scales[self.index], self.scales[index]
        change = (self.descent.picture() - self.start_picture(self.index))[..., :h, :w]
        start = self.start_picture(index)
        return start + extend(upsample(change, start[..., :height, :width]), LEAST)

    def start_picture(self, index: int) -> Tensor:
        """What ``init`` asks for, at a scale: shape (1, 3, H, W)."""
        size = self.scales[index]
        content = self._tensor(self.content, *size)
        if self.knobs.init == "content":
            return content
        if self.initial:
            return self._tensor(self.initial.pixels, *size)
        random = torch.Generator().manual_seed(self.request.seed + index)
        noise = torch.randn(content.shape, generator=random).to(content)
        return 0.5 + 0.1 * noise if self.knobs.init == "noise" else self._coloured(noise, index)

    def _coloured(self, noise: Tensor, index: int) -> Tensor:
        """White noise given the mean and covariance of the colours of the weightiest style."""
        pixels = max(self._styles(index), key=lambda part: part[0])[1].flatten(2)[0]
        root = matrix_sqrt(torch.cov(pixels))
        return torch.einsum("ij,njhw->nihw", root, noise) + pixels.mean(1).view(3, 1, 1)

    def _styles(self, index: int) -> list[tuple[float, Tensor]]:
        """The style pictures at a scale, each with its share."""
        shrink = max(self.scales[index]) / max(self.scales[-1])
        sizes = self.knobs.style_sizes(self.request, self.setting, shrink)
        pictures = zip(self.request.shares, self.styles, sizes, strict=True)
        return [(share, self._tensor(style, *size)) for share, style, size in pictures]

    def objective(self, index: int) -> Callable[[Tensor], dict[str, Tensor]]:
        """The loss of a picture at a scale: its terms, and "total" (eq. 7)."""
        knobs, beta = self.knobs, self.knobs.beta_now()
        content = self._tensor(self.content, *self.scales[index])
        styles = [(share * knobs.strength, style) for share, style in self._styles(index)]
        perceptual = PerceptualLoss(
            self.encoder,
            knobs.layer_weights(self.encoder, "content"),
            knobs.layer_weights(self.encoder, "style"),
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
        areas = [h * w for h, w in self.scales]
        done = sum(areas[: self.index]) + areas[self.index] * self.step / self.knobs.steps
        return Tick(
            step=self.index * self.knobs.steps + self.step,
            steps=len(self.scales) * self.knobs.steps,
            share=done / sum(areas),
            losses=terms,
            picture=lambda: self._pixels(self.descent.picture(), *self.scales[self.index]),
            state=self._state,
        )

    def _state(self) -> dict[str, Any]:
        return {
            "scale": self.index,
            "step": self.step,
            "ground": self.descent.canvas.ground,
            "descent": self.descent.state(),
        }

    def _painting(self, terms: Mapping[str, float], state: Mapping[str, Any]) -> Painting:
        last = len(self.scales) - 1
        picture = self.descent.picture() if self.index == last else self._carried(last)
        initial = {self.knobs.init: self.initial.sha256} if self.initial else {}
        return Painting(
            pixels=self._pixels(picture, *self.scales[last]),
            losses=dict(terms),
            steps=self.index * self.knobs.steps + self.step,
            finished=not state,
            files={**self.encoder.origin, **initial},
            state=state,
        )

    def _tensor(self, pixels: Pixels, height: int, width: int) -> Tensor:
        """A picture at a size, shape (1, 3, H, W); short sides are extended to ``LEAST``."""
        sized = torch.from_numpy(resize(pixels, height, width))
        tensor = sized.permute(2, 0, 1)[None].to(self.setting.device)
        return extend(tensor, LEAST).contiguous()

    @staticmethod
    def _pixels(picture: Tensor, height: int, width: int) -> Pixels:
        cut = picture.detach()[0, :, :height, :width].clamp(0, 1)
        return cut.permute(1, 2, 0).cpu().numpy().astype(np.float32)


def _initial(path: str) -> Picture:
    try:
        return read(path)
    except InputError as error:
        raise InputError(f"init is none of {', '.join(INITS)}, and as a file: {error}") from error


def _weights(request: Request) -> str:
    return request.weights or Gatys.card.weights[0]
