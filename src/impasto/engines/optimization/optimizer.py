"""Descent: an optimizer that moves a canvas down a loss, and survives a bad step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.engines.optimization.parametrization import LaplacianPyramid

MAX_LOSS_RATIO = 10.0
"""A loss this many times the best one so far is taken back, as is one that is not finite."""

MAX_STEP_RMS = 0.1
"""No step of L-BFGS changes a picture's values by more than this, as a root mean square. Those of
usual runs stay below half of it."""


class SafeguardedOptimizer:
    """L-BFGS or Adam over a canvas, one evaluation of the loss a step.

    L-BFGS goes without a line search: its own scaling of the step is nearly always right here,
    and a search would cost evaluations. Where the loss is concave, as near gray noise, that
    scaling knows no bounds, and the step is cut short. When the loss leaps all the same, the
    canvas goes back to where it was last good, the optimizer forgets its history, and goes on
    with a tenth of the step length, which doubles again with every good step.

    Args:
        pyramid: what is moved.
        loss: terms of the loss of a picture (1, 3, H, W); "total" is what is minimized.
        optimizer: "lbfgs" or "adam".
        learning_rate: step length; None is 1 for lbfgs and 0.02 for adam.
        lbfgs_history: pairs that L-BFGS remembers.
        ema_decay: decay of the running average of the iterates that :meth:`picture` gives; 0 is
            the last iterate. The average is over those whose loss was seen and found good, and
            corrected for its start from zero as Adam's are.
    """

    def __init__(
        self,
        pyramid: LaplacianPyramid,
        loss: Callable[[Tensor], dict[str, Tensor]],
        *,
        optimizer: str = "lbfgs",
        learning_rate: float | None = None,
        lbfgs_history: int = 12,
        ema_decay: float = 0.0,
    ) -> None:
        self.pyramid = pyramid
        self._loss = loss
        self._optimizer_name = optimizer
        self._learning_rate = learning_rate or {"lbfgs": 1.0, "adam": 0.02}[optimizer]
        self._step_scale = 1.0
        self._lbfgs_history = lbfgs_history
        self._ema_decay = ema_decay
        self._average = torch.zeros_like(pyramid.base_image) if ema_decay else None
        self._average_count = 0
        self._best_loss = math.inf
        self._last_good, self._last_good_loss = self._copy_coefficients(), math.inf
        self._optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Optimizer:
        parameters = list(self.pyramid.coefficients)
        if self._optimizer_name == "adam":
            return torch.optim.Adam(parameters)
        return torch.optim.LBFGS(
            parameters,
            max_iter=1,
            history_size=self._lbfgs_history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    def step(self) -> dict[str, float]:
        """Evaluate the loss where the canvas is, then move it; returns the terms found there."""
        found: dict[str, Tensor] = {}
        before = self._copy_coefficients()
        picture = self.pyramid.base_image

        def closure() -> Tensor:
            nonlocal picture
            self._optimizer.zero_grad()
            picture = self.pyramid()
            found.update(self._loss(picture))
            found["total"].backward()  # type: ignore[no-untyped-call]
            return found["total"]

        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * self._step_scale
        self._optimizer.step(closure)  # type: ignore[arg-type]
        if isinstance(self._optimizer, torch.optim.LBFGS):
            self._clip_step(before, picture)
        terms = {name: value.item() for name, value in found.items()}
        if self._accept_or_revert(terms["total"], before) and self._average is not None:
            self._average_count += 1
            self._average.lerp_(picture.detach(), 1 - self._ema_decay)
        return terms

    @torch.no_grad()
    def finalize(self) -> dict[str, float]:
        """The terms at :meth:`picture`; a last step that raised the loss is taken back first."""
        if self._average is not None:
            return self._terms(self.image())
        terms = self._terms(self.pyramid())
        if terms["total"] <= self._last_good_loss:
            return terms
        self._set_coefficients(self._last_good)
        return self._terms(self.pyramid())

    @torch.no_grad()
    def image(self) -> Tensor:
        """The picture as it is now, shape (1, 3, H, W), not clipped."""
        if self._average is None or not self._average_count:
            now: Tensor = self.pyramid()
            return now
        return self._average / (1 - self._ema_decay**self._average_count)

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load` needs to go on to the same bits.

        It shares its memory with the run: the next step changes it.
        """
        return {
            "changes": [p.detach() for p in self.pyramid.coefficients],
            "good": self._last_good,
            "good total": self._last_good_loss,
            "best": self._best_loss,
            "caution": self._step_scale,
            "average": self._average,
            "averaged": self._average_count,
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state` of the same canvas."""
        self._set_coefficients(state["changes"])
        self._last_good, self._last_good_loss = list(state["good"]), float(state["good total"])
        self._best_loss = float(state["best"])
        self._step_scale = float(state["caution"])
        self._average, self._average_count = state["average"], int(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])

    @torch.no_grad()
    def _clip_step(self, before: list[Tensor], picture: Tensor) -> None:
        """Cut the step that led from ``before``, where ``picture`` was, to its longest."""
        length = (self.pyramid() - picture).square().mean().sqrt().item()
        if length > MAX_STEP_RMS:
            share = MAX_STEP_RMS / length
            self._set_coefficients(
                [p.lerp(q, share) for p, q in zip(before, self.pyramid.coefficients, strict=True)]
            )
            self._optimizer.state[self.pyramid.coefficients[0]]["t"] *= (
                share  # L-BFGS reads it next time
            )

    def _terms(self, picture: Tensor) -> dict[str, float]:
        return {name: value.item() for name, value in self._loss(picture).items()}

    def _accept_or_revert(self, total: float, coefficients: list[Tensor]) -> bool:
        """Remember ``place`` if the ``total`` found there is good, else go back; tells which."""
        good = math.isfinite(total) and total <= MAX_LOSS_RATIO * self._best_loss
        if good:
            self._last_good, self._last_good_loss = coefficients, total
            self._best_loss = min(self._best_loss, total)
            self._step_scale = min(1.0, 2 * self._step_scale)
        else:
            self._set_coefficients(self._last_good)
            self._step_scale /= 10
            self._optimizer = self._new_optimizer()
        return good

    def _copy_coefficients(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.pyramid.coefficients]

    @torch.no_grad()
    def _set_coefficients(self, coefficients: list[Tensor]) -> None:
        for parameter, value in zip(self.pyramid.coefficients, coefficients, strict=True):
            parameter.copy_(value)
