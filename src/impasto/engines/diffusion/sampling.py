"""One picture by a loaded pipeline: noise, steps, previews, and a stop in between."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.engines.diffusion import prompts
from impasto.engines.diffusion.ip_adapter import Looks
from impasto.engines.diffusion.pipelines import Loaded
from impasto.engines.diffusion.resume import Trail
from impasto.engines.diffusion.verbosity import hushed

State = Mapping[str, Any]
Told = Callable[[int, int, Callable[[], Tensor], Callable[[], State]], None]
"""Called after a step with the steps done, the steps in all, and functions for the picture so far
and for what it takes to go on from here; a KeyboardInterrupt out of it stops the work."""


@dataclass(frozen=True, eq=False)
class Control:
    """What a ControlNet is shown, and how much it counts.

    Attributes:
        picture: (1, 3, height, width) in 0..1.
        scale: 0 not at all, 1 as it was trained.
        start, end: part of the steps, 0..1, in which it counts.
    """

    picture: Tensor
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be sampled.

    Attributes:
        prompt, negative: texts of any length.
        height, width: in pixels; whole multiples of what the model takes.
        steps: as many as from pure noise.
        guidance: w of classifier-free guidance; 1 and less: none.
        seed: of the noise.
        scheduler: a name, or "model".
        denoise: how far the picture is turned into noise first, above 0 to 1; 1: pure noise.
        picture: (1, 3, height, width) in 0..1, where ``denoise`` is below 1.
        looks: references of the adapter; None: it sees nothing, and must not be loaded.
        shares: (references, height, width) or (references, 1, 1); what each counts.
        controls: in the order of the ControlNets.
    """

    prompt: str
    negative: str
    height: int
    width: int
    steps: int
    guidance: float
    seed: int
    scheduler: str = "model"
    denoise: float = 1.0
    picture: Tensor | None = None
    looks: Looks | None = None
    shares: Tensor | None = None
    controls: Sequence[Control] = field(default=())


class _StoppedError(Exception):
    """Out of a pipeline, when the work is to stop."""

    def __init__(self, latents: Tensor, state: State) -> None:
        self.latents, self.state = latents, state
        super().__init__()


@dataclass(frozen=True, eq=False)
class Sampled:
    """What came out.

    Attributes:
        picture: (1, 3, height, width), float32 in 0..1.
        steps: done.
        finished: False if it was stopped before its end.
        widened: half precision gave no numbers in the decoder, and fp32 did.
        state: what it takes to go on; empty if it is finished.
    """

    picture: Tensor
    steps: int
    finished: bool
    widened: bool
    state: State


@torch.no_grad()
def sample(loaded: Loaded, job: Job, told: Told, state: State | None = None) -> Sampled:
    """Sample a picture; with a ``state``, go on from there, to the bit.

    Raises:
        ResourceError: the model gives no numbers.
    """
    from_picture = job.denoise < 1 and job.picture is not None
    pipe = loaded.pipe(from_picture, job.scheduler)
    generator = torch.Generator("cpu").manual_seed(job.seed)
    # A U-Net that has learnt guidance is told of it, and asked once.
    guided = job.guidance > 1 and loaded.unet.config.time_cond_proj_dim is None
    words = prompts.read(pipe, job.prompt, job.negative)
    given: dict[str, Any] = {
        "prompt_embeds": words.positive,
        "num_inference_steps": job.steps,
        "guidance_scale": job.guidance,
        "generator": generator,
        "output_type": "latent",
        "return_dict": False,
    }
    if guided:
        given["negative_prompt_embeds"] = words.negative
    if words.pooled is not None:
        given["pooled_prompt_embeds"] = words.pooled
        if guided:
            given["negative_pooled_prompt_embeds"] = words.negative_pooled
    if from_picture:
        assert job.picture is not None
        # A step at least is made of so many.
        given |= {"image": job.picture, "strength": min(1.0, max(job.denoise, 1.0001 / job.steps))}
    if not from_picture or job.controls:
        given |= {"height": job.height, "width": job.width}
    given |= seen(job, guided) | _controlled(job, from_picture)
    trail, done = Trail(pipe, generator, state), [0]

    def each(_: Any, index: int, __: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        done[0] = index + 1
        if done[0] <= trail.skipped:
            return {}
        latents = inputs["latents"]
        now = latents if trail.guess is None else trail.guess
        here = functools.partial(trail.state, done[0], latents)
        try:
            told(done[0], int(pipe.num_timesteps), lambda: loaded.decode(now)[0], here)
        except KeyboardInterrupt as error:
            raise _StoppedError(now, here()) from error
        return {}

    later: State = {}
    try:
        with hushed():
            latents = pipe(**given, callback_on_step_end=each)[0]
    except _StoppedError as stopped:
        latents, later = stopped.latents, stopped.state
        pipe.maybe_free_model_hooks()
    finally:
        trail.silence_off()
    picture, widened = loaded.decode(latents)
    return Sampled(picture, done[0], not later, widened, later)


def seen(job: Job, guided: bool) -> dict[str, Any]:
    """The references, as a pipeline takes them."""
    if job.looks is None:
        return {}
    found: dict[str, Any] = {"ip_adapter_image_embeds": job.looks.for_guidance(guided)}
    shares = torch.ones(1, 1, 1) if job.shares is None else job.shares
    if shares.shape[1:] != (job.height, job.width):
        shares = shares.expand(-1, job.height, job.width)
    masks = job.looks.masks(shares)
    if masks is not None:
        found["cross_attention_kwargs"] = {"ip_adapter_masks": [masks]}
    return found


def _controlled(job: Job, from_picture: bool) -> dict[str, Any]:
    """The control pictures, as a pipeline takes them."""
    if not job.controls:
        return {}
    pictures = [_fitted(c.picture, job.height, job.width) for c in job.controls]
    single = len(pictures) == 1

    def one(values: list[Any]) -> Any:
        return values[0] if single else values

    return {
        "control_image" if from_picture else "image": one(pictures),
        "controlnet_conditioning_scale": one([float(c.scale) for c in job.controls]),
        "control_guidance_start": one([float(c.start) for c in job.controls]),
        "control_guidance_end": one([float(c.end) for c in job.controls]),
    }


def _fitted(picture: Tensor, height: int, width: int) -> Tensor:
    if picture.shape[2:] == (height, width):
        return picture
    return F.interpolate(picture, size=(height, width), mode="bilinear", antialias=True)
