"""The steps of a sampling: what each takes the picture to be, and how to begin in the middle.

A pipeline of diffusers knows only whole runs. To go on with one, it is run again with its networks
silent up to the step that was done last; there the latents, what the scheduler remembers and the
state of the noise are put back. From there on all is to the bit as if it had never been stopped.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

MEMORY = ("_step_index", "model_outputs", "timestep_list", "lower_order_nums", "last_sample",
          "this_order", "ets", "counter", "cur_model_output", "cur_sample")  # fmt: skip
"""What schedulers of diffusers remember from step to step, each some of it."""


class Trail:
    """Watches the steps of one run of a pipeline.

    Args:
        pipe: with a scheduler of its own.
        generator: of the noise.
        state: of :meth:`state`, to go on from; None: from the beginning.

    Attributes:
        guess: what the last step took the clean picture to be, if the scheduler says it.
        skipped: steps that were done in an earlier run.
    """

    def __init__(
        self, pipe: Any, generator: torch.Generator, state: Mapping[str, Any] | None = None
    ) -> None:
        self._scheduler, self._generator, self._state = pipe.scheduler, generator, state
        self.guess: Tensor | None = None
        self.skipped = self._left = int(state["done"]) if state else 0
        self._real = pipe.scheduler.step
        pipe.scheduler.step = functools.wraps(self._real)(functools.partial(self._step))
        self._silent = [_Silent(pipe.unet, lambda x, *_, **__: (torch.zeros_like(x),))]
        if (control := getattr(pipe, "controlnet", None)) is not None:
            self._silent.append(_Silent(control, lambda *_, **__: ([], None)))
        if self._left:
            for net in self._silent:
                net.on()

    def _step(self, output: Any, t: Any, sample: Tensor, *, return_dict: bool = True, **more: Any
              ) -> Any:  # fmt: skip
        if self._left:
            self._left -= 1
            return (sample if self._left else self._put_back(sample),)
        out = self._real(output, t, sample, return_dict=True, **more)
        guess = getattr(out, "pred_original_sample", None)
        guess = getattr(out, "denoised", None) if guess is None else guess
        if guess is not None:
            self.guess = guess
        return out if return_dict else (out.prev_sample,)

    def _put_back(self, sample: Tensor) -> Tensor:
        """The latents of then."""
        assert self._state is not None
        self.silence_off()
        for name, value in self._state["scheduler"].items():
            setattr(self._scheduler, name, _moved(value, sample.device))
        self._generator.set_state(self._state["noise"])
        latents: Tensor = self._state["latents"].to(sample)
        return latents

    def silence_off(self) -> None:
        """The networks speak again."""
        for net in self._silent:
            net.off()

    def state(self, done: int, latents: Tensor) -> dict[str, Any]:
        """What another run needs to go on after so many steps: tensors and numbers."""
        known = {n: getattr(self._scheduler, n) for n in MEMORY if hasattr(self._scheduler, n)}
        return {
            "done": done,
            "latents": latents.cpu(),
            "noise": self._generator.get_state(),
            "scheduler": {name: _moved(value, "cpu") for name, value in known.items()},
        }


class _Silent:
    """A network that can be kept from its work."""

    def __init__(self, net: Any, instead: Any) -> None:
        self._net, self._instead = net, instead
        self._before: Any = None

    def on(self) -> None:
        self._before = self._net.__dict__.get("forward", self)
        self._net.forward = self._instead

    def off(self) -> None:
        if self._before is self:
            del self._net.forward
        elif self._before is not None:
            self._net.forward = self._before
        self._before = None


def _moved(value: Any, device: Any) -> Any:
    """A tensor, or a list of such, on a device; of numbers, themselves."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (list, tuple)):
        return [_moved(each, device) for each in value]
    return value
