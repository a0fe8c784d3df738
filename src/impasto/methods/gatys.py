"""Gatys, Ecker & Bethge: the picture itself is optimized until its features fit.

"A Neural Algorithm of Artistic Style" (2015) and "Image Style Transfer Using Convolutional
Neural Networks" (CVPR 2016). A picture x is sought that minimizes

    L(x) = α L_content(x, content) + β L_style(x, style) + γ TV(x)         (2016, eq. 7)

where content is compared by the features of a deep VGG layer, and style by the Gram matrices
of five. With regions, every region has a guided Gram matrix of its own ("Controlling Perceptual
Factors in Neural Style Transfer", CVPR 2017, eq. 5 to 7). What is ours: the mean in place of the
sum in L_content, which lets α and β keep their meaning at every size; a price on colors outside
0..1, which no file can hold; the Laplacian pyramid as coordinates; coarse-to-fine for large
pictures; strength, which moves the style's target from the content's own statistics to the
style's; and first steps on a compact encoder, whose losses are nearly the full one's at a
fraction of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from impasto.core.card import MethodCard
from impasto.core.knobs import SearchRange, knob, strength_knob, structure_knob
from impasto.core.pitfalls import untuned_balance
from impasto.core.request import Request
from impasto.engines.optimization.base import (
    DEFAULT_WEIGHTS,
    STYLE_LAYERS,
    OptimizationMethod,
    weights_name,
)
from impasto.engines.optimization.run import COMPACT_WEIGHTS
from impasto.nets.vgg import layer_warning
from impasto.weights import store


@dataclass(frozen=True)
class Gatys(OptimizationMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "gatys"
    card: ClassVar[MethodCard] = MethodCard(
        title="Neural style transfer by optimization, the original method",
        good_for="One picture at the highest quality, with any style, when minutes do not matter.",
        not_for="Video and previews: every picture takes minutes on a processor.",
        paper="Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, "
        "CVPR 2016; A Neural Algorithm of Artistic Style, 2015",
        license="code Apache-2.0; weights as listed by `impasto weights list`",
        weights=(DEFAULT_WEIGHTS, "torchvision", COMPACT_WEIGHTS),
        supports=("several styles", "strength", "structure", "masks"),
        figures=(("512 x 341 px, 300 steps a scale, 2 cores with AMX", "96 s, 0.99 GB"),),
    )

    strength: float = strength_knob()
    structure: float = structure_knob()
    alpha: float = knob(1.0, "α, the weight of the content loss", low=0)
    beta: float | None = knob(None, "β, the weight of the style loss; unset: by structure", low=0)
    tv: float = knob(0.0, "γ, the weight of the total variation, which smooths", low=0)
    steps: int = knob(
        300,
        "steps of the optimizer at every scale",
        low=1,
        high=100_000,
        search=SearchRange(trial_value=30),
    )
    content_layers: tuple[str, ...] = knob(("conv4_2",), "layers whose features are the content")
    style_layers: tuple[str, ...] = knob(
        STYLE_LAYERS, "layers whose statistics are the style",
        search=SearchRange(values=(STYLE_LAYERS, STYLE_LAYERS[:4], STYLE_LAYERS[2:])),
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
    init: str = knob("content", "start from: content, noise, style (its colors), or a picture")
    optimizer: str = knob("lbfgs", "what minimizes the loss", choices=("lbfgs", "adam"))
    learning_rate: float | None = knob(
        None, "step length; unset: 1 for lbfgs, 0.02 for adam", low=1e-6, high=100
    )
    lbfgs_history: int = knob(12, "pairs of vectors that lbfgs remembers", low=1, high=1000)
    ema_decay: float = knob(
        0.0, "decay of the average of iterates that is the result; 0: the last", low=0, high=0.9999
    )
    style_size: int | None = knob(
        None, "long side of the style pictures; unset: the result's", low=16, high=30_000, unit="px"
    )
    style_scale: float = knob(
        1.0,
        "times the size of the strokes",
        low=0.1,
        high=10,
        search=SearchRange(0.4, 1.6, log=True),
    )
    min_size: int = knob(256, "px where coarse-to-fine begins; 0: full size", low=0, high=30_000)
    warmup_steps: int = knob(
        0, "steps on the compact encoder before all others", low=0, high=100_000
    )

    def warnings(self, request: Request) -> tuple[str, ...]:
        backbone = store.load_encoder(weights_name(request)).backbone
        moved = layer_warning(backbone, [*self.content_layers, *self.style_layers])
        strokes, cold = self._stroke_warning(request), self.warmup_warning(request)
        told = (moved, self._ratio_warning(), strokes, cold, *self.region_warnings(request))
        return tuple(w for w in told if w)

    def _ratio_warning(self) -> str | None:
        if self.alpha == 0 or self.strength == 0 or self.style_layer_weights:
            return None
        return untuned_balance(self.effective_beta() / self.alpha)

    def _stroke_warning(self, request: Request) -> str | None:
        side = (self.style_size or request.long_side) * self.style_scale
        small = [s for s in request.styles if s.long_side < round(side)]
        if not small or (self.style_scale <= 1 and self.style_size is None):
            return None
        s = small[0]
        return f"The style {s.name} has {s.long_side} px and is not enlarged to {side:.0f} px."
