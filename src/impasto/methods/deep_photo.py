"""Deep Photo Style Transfer: Gatys' optimization, with a price on all that no photograph would do.

Luan, Paris, Shechtman & Bala, "Deep Photo Style Transfer", CVPR 2017. A picture O is sought that
minimizes

    L = Σ_l α_l L_content,l + Γ Σ_l β_l L_s+,l + λ L_m                              (eq. 4)

where L_m = Σ_c V_c[O]ᵀ M V_c[O] with the matting Laplacian M of the photograph is small where, in
every small window, O is an affine function of the photograph's colors (eq. 2), and L_s+ compares
the Gram matrices region by region (eq. 3). The rest is as in :mod:`impasto.methods.gatys`.

What is ours: the mean in place of the sum in L_m, and λ in units of β, so that it means the same
at every size and structure; L_m of the change O - I instead of O, which is the same up to ε and
costs nothing at strength 0; local mixes of the photograph's colors as coordinates, in which one
stage finds lower losses sooner than the authors' two; what is carried to a finer scale, and what is
smoothed at the end, are fits of the change by local affine models of the photograph.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from impasto.core.card import MethodCard
from impasto.core.knobs import SearchRange, knob, strength_knob, structure_knob
from impasto.core.plan import ExecutionSettings
from impasto.core.request import Request
from impasto.engines.optimization.base import (
    DEFAULT_WEIGHTS,
    PYRAMID_LEVELS,
    STYLE_LAYERS,
    OptimizationMethod,
    weights_name,
)
from impasto.engines.optimization.parametrization import LaplacianPyramid, LocalColorPyramid
from impasto.engines.optimization.run import COMPACT_WEIGHTS, OptimizationRun
from impasto.losses.matting import MattingLaplacian, guided_filter, matting_loss
from impasto.nets.vgg import layer_warning
from impasto.weights import store

PHOTOREALIZM_SCALE = 1e3
"""λ of photorealism 1, relative to β in units of 1/255."""
LAPLACIAN_EPSILON = 1e-5
"""ε of the Laplacian: what of the photograph's colors is noise, as a variance."""
FILTER_EPSILON = 1e-4
"""ε of the smoothing at the end."""
FILTER_RADIUS_DIVISOR = 100
"""Its windows' radius is the long side by this."""


@dataclass(frozen=True)
class DeepPhoto(OptimizationMethod):
    """The knobs of the method, and the method itself."""

    name: ClassVar[str] = "deep-photo"
    card: ClassVar[MethodCard] = MethodCard(
        title="Light and colors of another photograph, by optimization",
        good_for="A photograph that stays one in another light, weather or season, at the highest "
        "quality, with regions where the two show different things.",
        not_for="Brushstrokes, and haste: photowct takes seconds.",
        paper="Luan, Paris, Shechtman, Bala: Deep Photo Style Transfer, CVPR 2017",
        license="code Apache-2.0; weights as listed by `impasto weights list`",
        weights=(DEFAULT_WEIGHTS, "torchvision", COMPACT_WEIGHTS),
        supports=("several styles", "strength", "structure", "masks", "photo"),
    )

    strength: float = strength_knob()
    structure: float = structure_knob()
    photorealism: float = knob(
        1.0, "λ, the price on what no local mix of the photograph's colors gives; 0: none",
        low=0, high=1e4, search=SearchRange(0.1, 10, log=True),
    )  # fmt: skip
    steps: int = knob(
        150,
        "steps of the optimizer at every scale",
        low=1,
        high=100_000,
        search=SearchRange(trial_value=30),
    )
    post_filter: bool = knob(True, "smooth the change along the photograph's edges at the end")
    content_layers: tuple[str, ...] = knob(("conv4_2",), "layers whose features are the content")
    style_layers: tuple[str, ...] = knob(STYLE_LAYERS, "layers whose statistics are the style")
    style_loss: str = knob("gram", "the statistics compared", choices=("gram", "wasserstein"))
    style_size: int | None = knob(
        None, "long side of the style pictures; unset: the result's", low=16, high=30_000, unit="px"
    )
    min_size: int = knob(256, "px where coarse-to-fine begins; 0: full size", low=0, high=30_000)
    warmup_steps: int = knob(
        0, "steps on the compact encoder before all others", low=0, high=100_000
    )

    def warnings(self, request: Request) -> tuple[str, ...]:
        backbone = store.load_encoder(weights_name(request)).backbone
        moved = layer_warning(backbone, [*self.content_layers, *self.style_layers])
        told = (moved, self.warmup_warning(request), *self.region_warnings(request))
        return tuple(w for w in told if w)

    def extra_terms(
        self, run: OptimizationRun, scale: int
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """λ L_m, of the change (eq. 2)."""
        if not self.photorealism:
            return lambda picture: {}
        photo = run.content_at(scale)
        models = MattingLaplacian(photo, LAPLACIAN_EPSILON)
        price = self.photorealism * PHOTOREALIZM_SCALE * 255**2 * self.effective_beta()
        return lambda picture: {"photo": price * matting_loss(picture - photo, models)}

    def parametrize(self, run: OptimizationRun, scale: int, base_image: Tensor) -> LaplacianPyramid:
        if not self.photorealism:
            return LaplacianPyramid(base_image, PYRAMID_LEVELS)
        return LocalColorPyramid(base_image, PYRAMID_LEVELS, run.content_at(scale))

    def upscale_change(self, change: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
        if not self.photorealism:
            return super().upscale_change(change, coarse, fine)
        return guided_filter(change, coarse, filter_radius(coarse), FILTER_EPSILON, fine)

    def output_image(self, run: OptimizationRun, scale: int, image: Tensor) -> Tensor:
        """The picture, its change smoothed along the photograph's edges."""
        if not (self.post_filter and self.photorealism):
            return image
        photo = run.content_at(scale)
        return photo + guided_filter(image - photo, photo, filter_radius(photo), FILTER_EPSILON)

    def extra_cost(self, setting: ExecutionSettings) -> tuple[float, float]:
        if not self.photorealism:
            return 0.0, 0.0
        return step_seconds_per_pixel(setting.device), EXTRA_BYTES_PER_PX


EXTRA_BYTES_PER_PX = 350.0
"""Memory for each pixel: weights of the Laplacian, and the maps of colors there and back."""
_PROBE_SIDE_PX = 192


@functools.cache
def step_seconds_per_pixel(device: str) -> float:
    """Time of one step's own part, measured now; remembered for the life of the process."""
    photo = torch.rand(1, 3, _PROBE_SIDE_PX, _PROBE_SIDE_PX, device=device)
    models, canvas = MattingLaplacian(photo), LocalColorPyramid(photo, PYRAMID_LEVELS, photo)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        matting_loss(canvas() - photo, models).backward()  # type: ignore[no-untyped-call]
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times) / _PROBE_SIDE_PX**2


def filter_radius(photo: Tensor) -> int:
    """Of the windows in which a change of a photograph (1, 3, H, W) is fitted."""
    return max(1, round(max(photo.shape[2:]) / FILTER_RADIUS_DIVISOR))
