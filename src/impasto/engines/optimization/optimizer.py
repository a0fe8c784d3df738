"""Descent: an optimiser that moves a canvas down a loss, and survives a bad step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.engines.optimization.parametrization import Canvas

BAD = 10.0
"""A loss this many times the best one so far is taken back, as is one that is not finite."""

LONGEST = 0.1
"""No step of L-BFGS changes a picture's values by more than this, as a root mean square. Those of
usual runs stay below half of it."""


class Descent:
    """L-BFGS or Adam over a canvas, one evaluation of the loss a step.

    L-BFGS goes without a line search: its own scaling of the step is nearly always right here,
    and a search would cost evaluations. Where the loss is concave, as near grey noise, that
    scaling knows no bounds, and the step is cut short. When the loss leaps all the same, the
    canvas goes back to where it was last good, the optimiser forgets its history, and goes on
    with a tenth of the step length, which doubles again with every good step.

    Args:
        canvas: what is moved.
        loss: terms of the loss of a picture (1, 3, H, W); "total" is what is minimised.
        optimizer: "lbfgs" or "adam".
        learning_rate: step length; None is 1 for lbfgs and 0.02 for adam.
        history: pairs that L-BFGS remembers.
        averaging: decay of the running average of the iterates that :meth:`picture` gives; 0 is
            the last iterate. The average is over those whose loss was seen and found good, and
            corrected for its start from zero as Adam's are.
    """

    def __init__(
        self,
        canvas: Canvas,
        loss: Callable[[Tensor], dict[str, Tensor]],
        *,
        optimizer: str = "lbfgs",
        learning_rate: float | None = None,
        history: int = 12,
        averaging: float = 0.0,
    ) -> None:
        self.canvas = canvas
        self._loss = loss
        self._kind = optimizer
        self._rate = learning_rate or {"lbfgs": 1.0, "adam": 0.02}[optimizer]
        self._caution = 1.0
        self._history = history
        self._decay = averaging
        self._average = torch.zeros_like(canvas.ground) if averaging else None
        self._averaged = 0
        self._best = math.inf
        self._good, self._good_total = self._copy(), math.inf
        self._optimizer = self._fresh()

    def _fresh(self) -> torch.optim.Optimizer:
        parameters = list(self.canvas.changes)
        if self._kind == "adam":
            return torch.optim.Adam(parameters)
        return torch.optim.LBFGS(
            parameters,
            max_iter=1,
            history_size=self._history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    def step(self) -> dict[str, float]:
        """Evaluate the loss where the canvas is, then move it; returns the terms found there."""
        found: dict[str, Tensor] = {}
        before = self._copy()
        picture = self.canvas.ground

        def closure() -> Tensor:
            nonlocal picture
            self._optimizer.zero_grad()
            picture = self.canvas()
            found.update(self._loss(picture))
            found["total"].backward()  # type: ignore[no-untyped-call]
            return found["total"]

        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * self._caution
        self._optimizer.step(closure)  # type: ignore[arg-type]
        if isinstance(self._optimizer, torch.optim.LBFGS):
            self._shorten(before, picture)
        terms = {name: value.item() for name, value in found.items()}
        if self._judge(terms["total"], before) and self._average is not None:
            self._averaged += 1
            self._average.lerp_(picture.detach(), 1 - self._decay)
        return terms

    @torch.no_grad()
    def settle(self) -> dict[str, float]:
        """The terms at :meth:`picture`; a last step that raised the loss is taken back first."""
        if self._average is not None:
            return self._terms(self.picture())
        terms = self._terms(self.canvas())
        if terms["total"] <= self._good_total:
            return terms
        self._set(self._good)
        return self._terms(self.canvas())

    @torch.no_grad()
    def picture(self) -> Tensor:
        """The picture as it is now, shape (1, 3, H, W), not clipped."""
        if self._average is None or not self._averaged:
            now: Tensor = self.canvas()
            return now
        return self._average / (1 - self._decay**self._averaged)

    def state(self) -> dict[str, Any]:
        """All that :meth:`load` needs to go on to the same bits.

        It shares its memory with the run: the next step changes it.
        """
        return {
            "changes": [p.detach() for p in self.canvas.changes],
            "good": self._good,
            "good total": self._good_total,
            "best": self._best,
            "caution": self._caution,
            "average": self._average,
            "averaged": self._averaged,
            "optimizer": self._optimizer.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state` of the same canvas."""
        self._set(state["changes"])
        self._good, self._good_total = list(state["good"]), float(state["good total"])
        self._best = float(state["best"])
        self._caution = float(state["caution"])
        self._average, self._averaged = state["average"], int(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])

    @torch.no_grad()
    def _shorten(self, before: list[Tensor], picture: Tensor) -> None:
        """Cut the step that led from ``before``, where ``picture`` was, to its longest."""
        length = (self.canvas() - picture).square().mean().sqrt().item()
        if length > LONGEST:
            share = LONGEST / length
            self._set([p.lerp(q, share) for p, q in zip(before, self.canvas.changes, strict=True)])
            self._optimizer.state[self.canvas.changes[0]]["t"] *= share  # L-BFGS reads it next time

    def _terms(self, picture: Tensor) -> dict[str, float]:
        return {name: value.item() for name, value in self._loss(picture).items()}

    def _judge(self, total: float, place: list[Tensor]) -> bool:
        """Remember ``place`` if the ``total`` found there is good, else go back; tells which."""
        good = math.isfinite(total) and total <= BAD * self._best
        if good:
            self._good, self._good_total = place, total
            self._best = min(self._best, total)
            self._caution = min(1.0, 2 * self._caution)
        else:
            self._set(self._good)
            self._caution /= 10
            self._optimizer = self._fresh()
        return good

    def _copy(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.canvas.changes]

    @torch.no_grad()
    def _set(self, changes: list[Tensor]) -> None:
        for parameter, value in zip(self.canvas.changes, changes, strict=True):
            parameter.copy_(value)
