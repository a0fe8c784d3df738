"""What every method that optimizes a picture does with a request: weigh it, plan it, sit for it.

A method gives the knobs, and terms of its own if it has some; all else is here and in
:mod:`impasto.engines.optimization.run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch.nn.functional as F
from torch import Tensor

from impasto.core.card import MethodCard
from impasto.core.devices import keep_freed_memory, resident_bytes
from impasto.core.errors import KnobError
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.progress import ProgressCallback
from impasto.core.request import MethodOutput, Request
from impasto.engines.optimization.balance import style_content_ratio
from impasto.engines.optimization.cost import peak_bytes, seconds_per_megapixel
from impasto.engines.optimization.parametrization import LaplacianPyramid, upsample
from impasto.engines.optimization.run import COMPACT_WEIGHTS, MIN_SIDE_PX, OptimizationRun
from impasto.engines.optimization.schedule import Size, scale_sizes
from impasto.engines.region_weights import small_region_warnings
from impasto.losses.perceptual import layer_weights
from impasto.nets.vgg import VGG, Padding, Pooling, move_network
from impasto.pictures import fit_long_side
from impasto.weights import store
from impasto.weights.vgg_layers import block_index

WASSERSTEIN_WEIGHT = 0.2
"""Weight of the Wasserstein loss at which the same β styles as much as with Gram matrices."""
PYRAMID_LEVELS = 5
"""Of the pyramid that a picture is optimized as."""
PROBE_SIDE_PX = 128
"""Long side in pixels of the picture on which precisions are compared."""
START_SECONDS = 1.0
DEFAULT_WEIGHTS = "oxford"
"""The default weights."""
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


class OptimizationMethod:
    """A method that optimizes a picture, which is all that it says for itself.

    A subclass is a frozen dataclass of knobs, as :class:`impasto.core.request.Method` has it. What
    is none of its knobs has the value that stands here.
    """

    name: ClassVar[str]
    card: ClassVar[MethodCard]

    strength: float = 1.0
    structure: float = 0.5
    alpha: float = 1.0
    beta: float | None = None
    tv: float = 0.0
    steps: int = 300
    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_layer_weights: tuple[float, ...] = ()
    style_layer_weights: tuple[float, ...] = ()
    style_loss: str = "gram"
    pooling: str = "max"
    padding: str = "replicate"
    init: str = "content"
    optimizer: str = "lbfgs"
    learning_rate: float | None = None
    lbfgs_history: int = 12
    ema_decay: float = 0.0
    style_size: int | None = None
    style_scale: float = 1.0
    min_size: int = 256
    warmup_steps: int = 0

    def extra_terms(
        self, run: OptimizationRun, scale: int
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """Terms of the method's own at a scale, of a picture (1, 3, H, W), each weighted; none."""
        return lambda picture: {}

    def parametrize(self, run: OptimizationRun, scale: int, base_image: Tensor) -> LaplacianPyramid:
        """The coordinates in which a picture is optimized at a scale, from a ground."""
        return LaplacianPyramid(base_image, PYRAMID_LEVELS)

    def upscale_change(self, change: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        """A change of the start picture at a coarse scale, as one of that at a finer scale."""
        return upsample(change, fine)

    def output_image(self, run: OptimizationRun, scale: int, image: Tensor) -> Tensor:
        """What is shown of an optimized picture (1, 3, H, W): all of it, as it is."""
        return image

    def extra_cost(self, setting: ExecutionSettings) -> tuple[float, float]:
        """Of :meth:`further` and :meth:`canvas`: seconds a step and bytes, both per pixel."""
        return 0.0, 0.0

    def effective_beta(self) -> float:
        """β as given, or the one that ``structure`` stands for."""
        if self.beta is not None:
            return self.beta
        # Without a content loss, any beta is as good.
        return style_content_ratio(self.structure) * (self.alpha or 1.0)

    def region_warnings(self, request: Request) -> tuple[str, ...]:
        """What to know of small regions, for :meth:`warnings`."""
        if not request.regions:
            return ()
        names = VGG(store.load_encoder(weights_name(request))).resolve(self.style_layers)
        stride = int(2 ** (max(map(block_index, names), default=1) - 1))
        return small_region_warnings(request, stride, fallback_roles=("style",))

    def warmup_warning(self, request: Request) -> str | None:
        """Why the compact encoder cannot stand in, if it is asked to."""
        if not self.warmup_steps:
            return None
        if (given := weights_name(request)) != DEFAULT_WEIGHTS:
            return (
                f"warmup_steps is left out: the compact encoder is like "
                f"{DEFAULT_WEIGHTS}, not {given}."
            )
        try:
            VGG(store.load_encoder(COMPACT_WEIGHTS)).resolve(
                [*self.content_layers, *self.style_layers]
            )
        except KnobError as error:
            return f"warmup_steps is left out: {error}"
        return None

    def precision_agreement(self, request: Request, device: str, precision: str) -> float:
        """Cosine of the gradients in ``precision`` and in fp32, at the start of a thumbnail."""
        small = fit_long_side(request.content.height, request.content.width, PROBE_SIDE_PX)
        gradients = []
        for each in ("fp32", precision):
            sitting = OptimizationRun(self, request, ExecutionSettings(*small, device, each))
            picture = sitting.start_image(0).requires_grad_()
            sitting.objective(0)(picture)["total"].backward()  # type: ignore[no-untyped-call]
            assert picture.grad is not None
            gradients.append(picture.grad.flatten())
        return float(F.cosine_similarity(gradients[0], gradients[1], dim=0))

    def forecast(self, request: Request, setting: ExecutionSettings) -> Forecast:
        encoder, layers = self.load_encoder(request, setting)
        vectors = 6 + (2 * self.lbfgs_history if self.optimizer == "lbfgs" else 4)
        styles = [h * w for h, w in self.style_sizes(request, setting, 1.0)]
        pixels = setting.height * setting.width
        own_seconds, own_bytes = self.extra_cost(setting)
        peak = resident_bytes() + peak_bytes(encoder, layers, pixels, vectors, max(styles))
        deepest = max(layers, key=encoder.layers.index)
        how = (setting.device, setting.precision, encoder.pooling, encoder.padding, deepest)

        def work(weights: str, steps: int, sizes: list[Size]) -> float:
            area = sum(h * w for h, w in sizes)
            passes = steps + len(request.styles) + 2
            own = steps * area * own_seconds
            return own + passes * area / 1e6 * seconds_per_megapixel(weights, *how)

        sizes = self.scale_sizes(setting)
        seconds = work(weights_name(request), self.steps, sizes)
        if self.effective_warmup_steps(request):
            seconds += work(COMPACT_WEIGHTS, self.effective_warmup_steps(request), sizes[:1])
        return Forecast(START_SECONDS + seconds, peak + round(own_bytes * pixels))

    def stylize(
        self,
        request: Request,
        plan: Plan,
        callback: ProgressCallback,
        state: Mapping[str, Any] | None = None,
    ) -> MethodOutput:
        keep_freed_memory()
        return OptimizationRun(self, request, plan.setting).run(callback, state)

    def effective_warmup_steps(self, request: Request) -> int:
        """Steps on the compact encoder: none where it does not stand in for the full one."""
        return 0 if self.warmup_warning(request) else self.warmup_steps

    def scale_sizes(self, setting: ExecutionSettings) -> list[Size]:
        """Heights and widths from the coarsest to the full size; see :mod:`nets.stages`."""
        return scale_sizes((setting.height, setting.width), self.min_size)

    def style_sizes(
        self, request: Request, setting: ExecutionSettings, shrink: float
    ) -> list[Size]:
        """Heights and widths of the styles at a scale: never larger than they are themselves."""
        wanted = (self.style_size or max(setting.height, setting.width)) * self.style_scale
        return [
            fit_long_side(
                s.height, s.width, max(MIN_SIDE_PX, round(min(wanted, s.long_side) * shrink))
            )
            for s in request.styles
        ]

    def load_encoder(
        self, request: Request, setting: ExecutionSettings
    ) -> tuple[VGG, tuple[str, ...]]:
        """VGG as these knobs want it, and the layers that are asked of it."""
        encoder = self.load_vgg(weights_name(request), setting)
        both = (self.layer_weights(encoder, role) for role in ("content", "style"))
        return encoder, tuple(name for layers in both for name in layers)

    def load_vgg(self, weights: str, setting: ExecutionSettings) -> VGG:
        """An encoder pooled and padded as these knobs want it, in its place."""
        pooling, padding = cast(Pooling, self.pooling), cast(Padding, self.padding)
        encoder = VGG(store.load_encoder(weights), pooling=pooling, padding=padding)
        move_network(encoder, setting.device, setting.precision)
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
            usual = [(1.0 if role == "content" else WASSERSTEIN_WEIGHT) / len(names) for _ in names]
        given: tuple[float, ...] = getattr(self, f"{role}_layer_weights")
        return layer_weights(names, given or usual, f"{role}_layers")


def weights_name(request: Request) -> str:
    """Name or file of the weights: as asked, or the default."""
    return request.weights or DEFAULT_WEIGHTS
