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

SCHEDULER_STATE_ATTRIBUTES = (
    "_step_index",
    "model_outputs",
    "timestep_list",
    "lower_order_nums",
    "last_sample",
    "this_order",
    "ets",
    "counter",
    "cur_model_output",
    "cur_sample",
)
"""What schedulers of diffusers remember from step to step, each some of it."""


class ResumableScheduler:
    """Watches the steps of one run of a pipeline.

    Args:
        pipe: with a scheduler of its own.
        generator: of the noise.
        state: of :meth:`state`, to go on from; None: from the beginning.

    Attributes:
        predicted_original: what the last step took the clean picture to be, if the scheduler says
            it.
        skipped_steps: steps that were done in an earlier run.
    """

    def __init__(
        self, pipe: Any, generator: torch.Generator, state: Mapping[str, Any] | None = None
    ) -> None:
        self._scheduler, self._generator, self._state = pipe.scheduler, generator, state
        self.predicted_original: Tensor | None = None
        self.skipped_steps = self._steps_to_skip = int(state["done"]) if state else 0
        self._scheduler_step = pipe.scheduler.step
        pipe.scheduler.step = functools.wraps(self._scheduler_step)(functools.partial(self._step))
        self._stubs = [_NetworkStub(pipe.unet, lambda x, *_, **__: (torch.zeros_like(x),))]
        if (control := getattr(pipe, "controlnet", None)) is not None:
            self._stubs.append(_NetworkStub(control, lambda *_, **__: ([], None)))
        if self._steps_to_skip:
            for net in self._stubs:
                net.install()

    def _step(self, output: Any, t: Any, sample: Tensor, *, return_dict: bool = True, **more: Any
              ) -> Any:  # fmt: skip
        if self._steps_to_skip:
            self._steps_to_skip -= 1
            return (sample if self._steps_to_skip else self._restore_state(sample),)
        out = self._scheduler_step(output, t, sample, return_dict=True, **more)
        guess = getattr(out, "pred_original_sample", None)
        guess = getattr(out, "denoised", None) if guess is None else guess
        if guess is not None:
            self.predicted_original = guess
        return out if return_dict else (out.prev_sample,)

    def _restore_state(self, sample: Tensor) -> Tensor:
        """The latents of then."""
        assert self._state is not None
        self.restore_networks()
        for name, value in self._state["scheduler"].items():
            setattr(self._scheduler, name, _to_device(value, sample.device))
        self._generator.set_state(self._state["noise"])
        latents: Tensor = self._state["latents"].to(sample)
        return latents

    def restore_networks(self) -> None:
        """The networks speak again."""
        for net in self._stubs:
            net.uninstall()

    def state(self, steps_done: int, latents: Tensor) -> dict[str, Any]:
        """What another run needs to go on after so many steps: tensors and numbers."""
        known = {
            n: getattr(self._scheduler, n)
            for n in SCHEDULER_STATE_ATTRIBUTES
            if hasattr(self._scheduler, n)
        }
        return {
            "done": steps_done,
            "latents": latents.cpu(),
            "noise": self._generator.get_state(),
            "scheduler": {name: _to_device(value, "cpu") for name, value in known.items()},
        }


class _NetworkStub:
    """A network that can be kept from its work."""

    def __init__(self, net: Any, replacement: Any) -> None:
        self._net, self._replacement = net, replacement
        self._original_forward: Any = None

    def install(self) -> None:
        self._original_forward = self._net.__dict__.get("forward", self)
        self._net.forward = self._replacement

    def uninstall(self) -> None:
        if self._original_forward is self:
            del self._net.forward
        elif self._original_forward is not None:
            self._net.forward = self._original_forward
        self._original_forward = None


def _to_device(value: Any, device: Any) -> Any:
    """A tensor, or a list of such, on a device; of numbers, themselves."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (list, tuple)):
        return [_to_device(each, device) for each in value]
    return value
