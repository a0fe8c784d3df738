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
from impasto.engines.diffusion.ip_adapter import ImagePromptEmbeds
from impasto.engines.diffusion.pipelines import LoadedPipeline
from impasto.engines.diffusion.resume import ResumableScheduler
from impasto.engines.diffusion.verbosity import silence_logging

State = Mapping[str, Any]
StepCallback = Callable[[int, int, Callable[[], Tensor], Callable[[], State]], None]
"""Called after a step with the steps done, the steps in all, and functions for the picture so far
and for what it takes to go on from here; a KeyboardInterrupt out of it stops the work."""


@dataclass(frozen=True, eq=False)
class ControlNetInput:
    """What a ControlNet is shown, and how much it counts.

    Attributes:
        image: (1, 3, height, width) in 0..1.
        scale: 0 not at all, 1 as it was trained.
        start, end: part of the steps, 0..1, in which it counts.
    """

    image: Tensor
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, eq=False)
class SamplingConfig:
    """What is to be sampled.

    Attributes:
        prompt, negative_prompt: texts of any length.
        height, width: in pixels; whole multiples of what the model takes.
        steps: as many as from pure noise.
        guidance: w of classifier-free guidance; 1 and less: none.
        seed: of the noise.
        scheduler: a name, or "model".
        denoising_strength: how far the picture is turned into noise first, above 0 to 1; 1: pure
        noise. init_image: (1, 3, height, width) in 0..1, where ``denoising_strength`` is below 1.
        image_embeds: references of the adapter; None: it sees nothing, and must not be loaded.
        style_weights: (references, height, width) or (references, 1, 1); what each counts.
        controlnet_inputs: in the order of the ControlNets.
    """

    prompt: str
    negative_prompt: str
    height: int
    width: int
    steps: int
    guidance: float
    seed: int
    scheduler: str = "model"
    denoising_strength: float = 1.0
    init_image: Tensor | None = None
    image_embeds: ImagePromptEmbeds | None = None
    style_weights: Tensor | None = None
    controlnet_inputs: Sequence[ControlNetInput] = field(default=())


class _StoppedError(Exception):
    """Out of a pipeline, when the work is to stop."""

    def __init__(self, latents: Tensor, state: State) -> None:
        self.latents, self.state = latents, state
        super().__init__()


@dataclass(frozen=True, eq=False)
class SamplingResult:
    """What came out.

    Attributes:
        image: (1, 3, height, width), float32 in 0..1.
        steps: done.
        finished: False if it was stopped before its end.
        decoded_in_fp32: half precision gave no numbers in the decoder, and fp32 did.
        state: what it takes to go on; empty if it is finished.
    """

    image: Tensor
    steps: int
    finished: bool
    decoded_in_fp32: bool
    state: State


@torch.no_grad()
def sample(
    pipeline: LoadedPipeline,
    config: SamplingConfig,
    callback: StepCallback,
    state: State | None = None,
) -> SamplingResult:
    """Sample a picture; with a ``state``, go on from there, to the bit.

    Raises:
        ResourceError: the model gives no numbers.
    """
    from_picture = config.denoising_strength < 1 and config.init_image is not None
    pipe = pipeline.get_pipeline(from_picture, config.scheduler)
    generator = torch.Generator("cpu").manual_seed(config.seed)
    # A U-Net that has learnt guidance is told of it, and asked once.
    guided = config.guidance > 1 and pipeline.unet.config.time_cond_proj_dim is None
    words = prompts.encode_prompt(pipe, config.prompt, config.negative_prompt)
    given: dict[str, Any] = {
        "prompt_embeds": words.positive,
        "num_inference_steps": config.steps,
        "guidance_scale": config.guidance,
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
        assert config.init_image is not None
        # A step at least is made of so many.
        given |= {
            "image": config.init_image,
            "strength": min(1.0, max(config.denoising_strength, 1.0001 / config.steps)),
        }
    if not from_picture or config.controlnet_inputs:
        given |= {"height": config.height, "width": config.width}
    given |= image_prompt_kwargs(config, guided) | _controlnet_kwargs(config, from_picture)
    trail, done = ResumableScheduler(pipe, generator, state), [0]

    def each(_: Any, index: int, __: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        done[0] = index + 1
        if done[0] <= trail.skipped_steps:
            return {}
        latents = inputs["latents"]
        now = latents if trail.predicted_original is None else trail.predicted_original
        here = functools.partial(trail.state, done[0], latents)
        try:
            callback(done[0], int(pipe.num_timesteps), lambda: pipeline.decode(now)[0], here)
        except KeyboardInterrupt as error:
            raise _StoppedError(now, here()) from error
        return {}

    later: State = {}
    try:
        with silence_logging():
            latents = pipe(**given, callback_on_step_end=each)[0]
    except _StoppedError as stopped:
        latents, later = stopped.latents, stopped.state
        pipe.maybe_free_model_hooks()
    finally:
        trail.restore_networks()
    picture, widened = pipeline.decode(latents)
    return SamplingResult(picture, done[0], not later, widened, later)


def image_prompt_kwargs(config: SamplingConfig, guided: bool) -> dict[str, Any]:
    """The references, as a pipeline takes them."""
    if config.image_embeds is None:
        return {}
    found: dict[str, Any] = {"ip_adapter_image_embeds": config.image_embeds.for_guidance(guided)}
    shares = torch.ones(1, 1, 1) if config.style_weights is None else config.style_weights
    if shares.shape[1:] != (config.height, config.width):
        shares = shares.expand(-1, config.height, config.width)
    masks = config.image_embeds.masks(shares)
    if masks is not None:
        found["cross_attention_kwargs"] = {"ip_adapter_masks": [masks]}
    return found


def _controlnet_kwargs(config: SamplingConfig, from_image: bool) -> dict[str, Any]:
    """The control pictures, as a pipeline takes them."""
    if not config.controlnet_inputs:
        return {}
    pictures = [_resize(c.image, config.height, config.width) for c in config.controlnet_inputs]
    single = len(pictures) == 1

    def one(values: list[Any]) -> Any:
        return values[0] if single else values

    return {
        "control_image" if from_image else "image": one(pictures),
        "controlnet_conditioning_scale": one([float(c.scale) for c in config.controlnet_inputs]),
        "control_guidance_start": one([float(c.start) for c in config.controlnet_inputs]),
        "control_guidance_end": one([float(c.end) for c in config.controlnet_inputs]),
    }


def _resize(picture: Tensor, height: int, width: int) -> Tensor:
    if picture.shape[2:] == (height, width):
        return picture
    return F.interpolate(picture, size=(height, width), mode="bilinear", antialias=True)
