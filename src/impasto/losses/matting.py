"""Local affine models: in every window of a photograph, another picture is a mix of its colors.

In each window k of a guide I, a channel v is fitted by aₖ·Iᵢ + bₖ with a small price ε on aₖ. Two
things follow from these fits, both in a few box sums, without a matrix:

- :meth:`LocalModels.laplacian`, the product L v with the matting Laplacian of Levin, Lischinski &
  Weiss, "A Closed-Form Solution to Natural Image Matting", PAMI 2008 (eq. 12): vᵀ L v is what no
  mix of the guide's colors explains. Luan et al., "Deep Photo Style Transfer", CVPR 2017, put
  it as a price on a painting (eq. 2);
- :meth:`LocalModels.smooth`, the guided filter of He, Sun & Tang, "Guided Image Filtering", PAMI
  2013 (eq. 8), the mean of the fits at each pixel.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

LEVIN_EPSILON = 1e-7
"""ε of the Laplacian, added to the covariance of colors in 0..1; its authors add ε / |w|."""


class LocalAffineModels:
    """The windows of a guide, ready to fit any picture of its size.

    Everything is in float64: colors in a window may differ by less than float32 can tell.

    Args:
        guide: (1, 3, H, W), 0..1, at least 2 · radius + 1 on each side.
        radius: of the square windows, in pixels; they all lie within the picture.
        epsilon: ε, added to the covariance of a window's colors: the larger, the smoother.
    """

    def __init__(self, guide: Tensor, radius: int = 1, epsilon: float = LEVIN_EPSILON) -> None:
        self.guide, self.radius = guide.double(), radius
        self.guide_mean = self._window_mean(self.guide)
        self.window_count = self._sum_over_windows(torch.ones_like(self.guide_mean[:, :1]))
        pairs = self.guide[:, :, None] * self.guide[:, None]
        covariance = (
            self._window_mean(pairs) - self.guide_mean[:, :, None] * self.guide_mean[:, None]
        )
        eye = torch.eye(3, dtype=torch.float64, device=guide.device)[None, :, :, None, None]
        self.inverse_covariance = _inverse_3x3(covariance + epsilon * eye)

    def apply_laplacian(self, v: Tensor) -> Tensor:
        """L v for each channel of v (1, C, H, W), in float64."""
        v = v.double()
        return self.window_count * v - self._sum_of_fits(v)

    def smooth(self, v: Tensor) -> Tensor:
        """The guided filter of v (1, C, H, W), float64."""
        return self._sum_of_fits(v.double()) / self.window_count

    def mean_coefficients(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """At each pixel, the mean of its windows' slopes (1, C, 3, H, W) and offsets (1, C, H, W).

        He et al. 2013, eq. 9.
        """
        a, b = self.fit(v.double())
        return self._sum_over_windows(a) / self.window_count[:, None], self._sum_over_windows(
            b
        ) / self.window_count

    def _sum_of_fits(self, v: Tensor) -> Tensor:
        """The sum over the windows of each pixel of what they say of it: aₖ·Iᵢ + bₖ."""
        a, b = self.fit(v)
        return (self._sum_over_windows(a) * self.guide[:, None]).sum(2) + self._sum_over_windows(b)

    def fit(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The windows' slopes a (1, C, 3, h, w) and offsets b (1, C, h, w) for v (1, C, H, W)."""
        mean = self._window_mean(v)
        both = self._window_mean(v[:, :, None] * self.guide[:, None])
        covariance = both - mean[:, :, None] * self.guide_mean[:, None]
        a = torch.einsum("nijhw,ncjhw->ncihw", self.inverse_covariance, covariance)
        return a, mean - (a * self.guide_mean[:, None]).sum(2)

    def _window_mean(self, x: Tensor) -> Tensor:
        """The mean in each window that lies within the picture."""
        side = 2 * self.radius + 1
        return _box_sums(x, side) / side**2

    def _sum_over_windows(self, windows: Tensor) -> Tensor:
        """At each pixel, the sum over the windows that it lies in."""
        wide = 2 * self.radius
        return _box_sums(torch.nn.functional.pad(windows, (wide, wide, wide, wide)), wide + 1)


class MattingLaplacian:
    """The matting Laplacian of a photograph, as the weight of each pair of neighboring pixels.

    Σ_ij w_ij (v_i - v_j)² = vᵀ L v, where w_ij > 0 or < 0 sums over the 3 x 3 windows that hold
    both what Levin et al. 2008, eq. 12, have for each. Twelve maps of weights hold it all. A
    product takes an eighth of the time that :meth:`LocalModels.laplacian` takes, and differences
    of pixels leave nothing for float32 to cancel: it is off by some 1e-6.

    Args:
        guide: the photograph, (1, 3, H, W), 0..1, at least 3 px on each side.
        epsilon: ε; see :class:`LocalAffineModels`.
    """

    def __init__(self, guide: Tensor, epsilon: float = LEVIN_EPSILON) -> None:
        # In float64, which not every device has.
        models = LocalAffineModels(guide.cpu(), 1, epsilon)
        height, width = models.guide_mean.shape[2:]
        places = [(y, x) for y in range(3) for x in range(3)]
        centered = [
            models.guide[..., y : y + height, x : x + width] - models.guide_mean for y, x in places
        ]
        sides = [
            torch.einsum("nijhw,njhw->nihw", models.inverse_covariance, each) for each in centered
        ]
        weights: dict[tuple[int, int], Tensor] = {}
        for (one, (y, x)), (other, (b, a)) in combinations(enumerate(places), 2):
            pair = (1 + (centered[one] * sides[other]).sum(1)) / len(places)
            found = weights.setdefault((b - y, a - x), torch.zeros_like(models.window_count))
            found[0, :, y : y + height, x : x + width] += pair
        self.pair_weights = {step: each.to(guide.device, torch.float32) for step, each in
                        weights.items()}  # fmt: skip

    def apply_laplacian(self, v: Tensor) -> Tensor:
        """L v for each channel of v (1, C, H, W), in float32."""
        v = v.float()
        height, width = v.shape[2:]
        product = torch.zeros_like(v)
        for (down, across), weights in self.pair_weights.items():
            left = max(0, -across)
            here = (..., slice(height - down), slice(left, width - max(0, across)))
            there = (..., slice(down, height), slice(left + across, width - max(0, -across)))
            pull = (v[here] - v[there]) * weights[here]
            product[here] += pull
            product[there] -= pull
        return product


class _LaplacianForm(torch.autograd.Function):
    """vᵀ L v, whose derivative is 2 L v."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, models: LocalAffineModels | MattingLaplacian) -> Tensor:
        product = models.apply_laplacian(v)
        ctx.save_for_backward(2 * product)
        ctx.dtype = v.dtype
        return (v.to(product) * product).sum().to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return (grad.to(slope) * slope).to(ctx.dtype), None


def matting_loss(image: Tensor, models: LocalAffineModels | MattingLaplacian) -> Tensor:
    """What no mix of the photograph's colors, window by window, explains of a painting.

    Σ_c V_c[O]ᵀ L V_c[O] / pixels (Luan et al. 2017, eq. 2; theirs is the sum).

    Args:
        image: O, (1, C, H, W).
        models: of the photograph, of the same size. For many pictures :class:`MattingLaplacian` is
        the
            faster one.

    Returns:
        A scalar of the picture's type, at least 0 up to rounding.
    """
    total: Tensor = _LaplacianForm.apply(image, models)  # type: ignore[no-untyped-call]
    return total / image[0, 0].numel()


def guided_filter(
    change: Tensor, guide: Tensor, radius: int, epsilon: float, fine_guide: Tensor | None = None
) -> Tensor:
    """A change of a photograph, fitted by local affine models of it: the guided filter.

    Args:
        change: (1, C, H, W).
        guide: the photograph, (1, 3, H, W), 0..1.
        radius: of the windows; smaller where the guide is too small for it.
        epsilon: ε: variances of colors above it are edges.
        fine_guide: the photograph at another size: the models fitted to the guide are put to it,
        as He &
            Sun, "Fast Guided Filter", 2015, do.

    Returns:
        (1, C, h, w) of the size of ``fine_guide``, or of the guide; float32.
    """
    models = LocalAffineModels(guide, min(radius, (min(guide.shape[2:]) - 1) // 2), epsilon)
    if fine_guide is None:
        return models.smooth(change).float()
    slopes, offsets = (x.float() for x in models.mean_coefficients(change))
    fine_guide = fine_guide.float()
    size = fine_guide.shape[2:]
    slopes = torch.nn.functional.interpolate(slopes.flatten(1, 2), size, mode="bilinear")
    offsets = torch.nn.functional.interpolate(offsets, size, mode="bilinear")
    return (slopes.view(1, -1, 3, *size) * fine_guide[:, None]).sum(2) + offsets


def closed_form_smoothing(
    stylized: Tensor,
    guide: Tensor,
    *,
    fidelity: float = 1e-4,
    tolerance: float = 1e-4,
    max_steps: int = 2000,
) -> Tensor:
    """Smooth a painting along the photograph's edges: the second step of PhotoWCT, exactly.

    Li et al., "A Closed-form Solution to Photorealistic Image Stylization", ECCV 2018, eq. 4 and
    5: R = (1 - α)(1 - αS)⁻¹ Y with S = D^-½ W D^-½ of the matting affinity W = D - L and
    α = 1 / (1 + λ), found by conjugate gradients, which need S only as a product.

    Args:
        stylized: Y, (1, C, H, W).
        guide: the photograph, (1, 3, H, W), 0..1.
        fidelity: λ, how near to the painting it stays.
        tolerance: of the residual, relative to the start's.
        max_steps: most of them.

    Returns:
        R, float64, the same shape.
    """  # fmt: skip
    models = LocalAffineModels(guide)
    alpha = 1 / (1 + fidelity)
    root = models.window_count.sqrt()

    def system(x: Tensor) -> Tensor:
        smoothed = x - models.apply_laplacian(x / root) / root  # S x
        return x - alpha * smoothed

    wanted = (1 - alpha) * stylized.double()
    return _conjugate_gradients(system, wanted, stylized.double(), tolerance, max_steps)


def _conjugate_gradients(
    system: Any, target: Tensor, start: Tensor, tolerance: float, max_steps: int
) -> Tensor:
    """The x with system(x) = wanted, channel by channel (Hestenes & Stiefel 1952)."""
    x = start
    residual = target - system(x)
    direction = residual
    power = _dot(residual, residual)
    enough = tolerance**2 * _dot(target, target).clamp_min(torch.finfo(torch.float64).tiny)
    for _ in range(max_steps):
        if bool((power <= enough).all()):
            break
        product = system(direction)
        length = power / _dot(direction, product).clamp_min(torch.finfo(torch.float64).tiny)
        x = x + length * direction
        residual = residual - length * product
        after = _dot(residual, residual)
        direction = residual + after / power.clamp_min(torch.finfo(torch.float64).tiny) * direction
        power = after
    return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((2, 3), keepdim=True)


def _box_sums(x: Tensor, side: int) -> Tensor:
    """Sums over all windows of side x side within the last two axes, by running sums."""
    for axis in (-1, -2):
        if side <= 3:
            length = x.shape[axis] - side + 1
            x = sum(x.narrow(axis, shift, length) for shift in range(side))  # type: ignore[assignment]
            continue
        run = x.cumsum(axis)
        ends = run.narrow(axis, side - 1, x.shape[axis] - side + 1)
        starts = run.narrow(axis, 0, x.shape[axis] - side)
        x = torch.cat([ends.narrow(axis, 0, 1), ends.narrow(axis, 1, starts.shape[axis]) - starts],
                      axis)  # fmt: skip
    return x


def _inverse_3x3(m: Tensor) -> Tensor:
    """Of symmetric matrices (1, 3, 3, h, w), by the adjugate: ten times as fast as a solver."""
    a, b, c, d, e, f = m[:, 0, 0], m[:, 0, 1], m[:, 0, 2], m[:, 1, 1], m[:, 1, 2], m[:, 2, 2]
    rows = [
        [d * f - e * e, c * e - b * f, b * e - c * d],
        [c * e - b * f, a * f - c * c, b * c - a * e],
        [b * e - c * d, b * c - a * e, a * d - b * b],
    ]
    adjugate = torch.stack([torch.stack(row, 1) for row in rows], 1)
    determinant = a * rows[0][0] + b * rows[0][1] + c * rows[0][2]
    return adjugate / determinant[:, None, None]
