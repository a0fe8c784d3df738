"""AnimateDiff: a picture model that a motion adapter lets see several frames of a film at once.

Guo et al., "AnimateDiff: Animate Your Personalized Text-to-Image Diffusion Models without Specific
Tuning", ICLR 2024. The adapter's attention runs over time at every place. Styles are seen by an
IP-Adapter and the frames of a given film by ControlNets, as with a single picture; films of any
length by windows (:mod:`impasto.engines.diffusion.temporal_windows`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.devices import resident_bytes
from impasto.core.errors import WeightsError
from impasto.core.picture import Pixels, Raster
from impasto.core.plan import ExecutionSettings, Forecast
from impasto.engines.diffusion import controlnet as seers
from impasto.engines.diffusion import memory, pipelines, prompts
from impasto.engines.diffusion.components import DiffusionComponents
from impasto.engines.diffusion.files import component_digests
from impasto.engines.diffusion.ip_adapter import (
    BlockScales,
    encode_image_prompts,
    set_ip_adapter_scale,
)
from impasto.engines.diffusion.lora import LoraConfig, LoraStack
from impasto.engines.diffusion.memory import MemoryMode
from impasto.engines.diffusion.pipelines import LoadedPipeline
from impasto.engines.diffusion.run import ControlNetSpec
from impasto.engines.diffusion.sampling import SamplingConfig, image_prompt_kwargs
from impasto.engines.diffusion.verbosity import silence_logging
from impasto.pictures import resize
from impasto.weights import hub

MOTION_SCHEDULER_CONFIG: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear", "steps_offset": 1,
    "timestep_spacing": "linspace", "clip_sample": False, "thresholding": False,
}  # fmt: skip
"""The noise that motion adapters were taught on, which is not that of the picture models."""
MOTION_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lightning": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
}
"""Name → diffusers' class and what is set besides: those whose steps look at one step alone."""
SEED_PRIME = 1_000_003


@dataclass(frozen=True, eq=False)
class AnimateDiffConfig:
    """All that decides a film's frames.

    Attributes:
        components: the model, its motion adapter, IP-Adapter, ControlNets and LoRAs.
        render_settings: the setting in which the model works.
        memory_mode: how it is fitted into memory.
        sampling: prompt, steps, guidance, seed, how far frames are turned into noise; of the whole
            film.
        styles: that the adapter sees.
        ip_adapter_scale: λ.
        block_scales: the blocks that see the styles; None: all.
        loras: in order.
        controlnet_specs: what every ControlNet sees of the frames, and how much it counts when.
        depth_model: makes depth pictures, or "".
        window, overlap: frames that are seen at once, and shared by two windows.
    """

    components: DiffusionComponents
    render_settings: ExecutionSettings
    memory_mode: MemoryMode
    sampling: SamplingConfig
    styles: Sequence[Raster]
    ip_adapter_scale: float
    block_scales: BlockScales | None
    loras: Sequence[LoraConfig]
    controlnet_specs: Sequence[ControlNetSpec]
    depth_model: str
    window: int
    overlap: int


def forecast(
    components: DiffusionComponents,
    render_settings: ExecutionSettings,
    memory_mode: MemoryMode,
    steps: float,
    window: int,
    overlap: int,
    guided: bool,
) -> Forecast:
    """Time of a frame, and memory of a film.

    Args:
        components: the parts.
        render_settings: the setting in which the model works.
        memory_mode: how it is fitted.
        steps: of every frame.
        window: frames that are seen at once.
        overlap: frames that two windows share.
        guided: whether every pass is of two pictures.
    """
    reading = (
        sum(components.parameter_counts.counts.values())
        * memory.BYTES_PER_PARAMETER[render_settings.precision]
        / memory.DISK_BYTES_PER_SECOND
    )
    decoded, once = (
        memory.forecast(
            components.parameter_counts, render_settings, memory_mode, n, guided
        ).seconds
        for n in (0, 1)
    )
    stride = window - overlap
    passes = steps * window / stride
    on_their_way = (
        (steps * stride + window)
        * render_settings.height
        * render_settings.width
        * 3
        * len(components.controlnets)
    )
    return Forecast(
        max(0.0, decoded - reading) + passes * (once - decoded),
        resident_bytes()
        - pipelines.held_bytes(render_settings.device)
        + components.parameter_counts.peak_bytes(render_settings, memory_mode, guided, window)
        + int(on_their_way),
    )


class AnimateDiffModel:
    """A model that makes films. It is in use for moments only: other work may come in between.

    Attributes:
        files: sha256 by name, for the recipe; known before anything is loaded.
    """

    def __init__(self, config: AnimateDiffConfig) -> None:
        self._config = config
        kit, canvas = config.components, config.render_settings
        self._spec = kit.pipeline_spec(canvas.device, canvas.precision, config.memory_mode.name)
        self.files = self._digests()
        self._guided = config.sampling.guidance > 1
        self._pipe: Any = None
        self._scheduler: Any = None

    def _digests(self) -> dict[str, str]:
        """The sha256 of all that is loaded, as the files are now."""
        found = self._config.components.digests(self._config.render_settings.precision)
        if "depth" in (guide.control_type for guide in self._config.controlnet_specs):
            source = hub.locate(self._config.depth_model)
            found |= component_digests(
                source, (hub.fetch(source, seers.DEPTH_MODEL_FILES), list(seers.DEPTH_MODEL_FILES))
            )
        return found

    @contextlib.contextmanager
    def _acquire_pipeline(self) -> Iterator[LoadedPipeline]:
        """The model as this film wants it, and nobody else at work with it.

        Raises:
            WeightsError: it has to be loaded again, and its files are others by now.
        """
        with pipelines.PIPELINE_LOCK:
            loaded = pipelines.load_pipeline(self._spec, self._config.components.base, self.files)
            if loaded.configured_for is not self:
                if self._digests() != self.files:
                    raise WeightsError(
                        f"The files of {self._config.components.base.title} or of what it wears "
                        f"changed "
                        "while the film was painted: put back those of before, or begin anew."
                    )
                self._configure(loaded)
            yield loaded

    def _configure(self, pipeline: LoadedPipeline) -> None:
        """Give the model this film's LoRAs and scales."""
        pipeline.configured_for, what = None, self._config
        if pipeline.lora_stack is not None:
            pipeline.lora_stack.remove()
        self._pipe, uses = pipeline.get_pipeline(False), what.components.local_loras(what.loras)
        pipeline.lora_stack = (
            LoraStack(self._pipe, uses, what.components.base.title) if uses else None
        )
        if what.components.adapter is not None:
            set_ip_adapter_scale(pipeline.unet, what.ip_adapter_scale, what.block_scales)
        if self._scheduler is None:
            self._set_schedule(pipeline)
            self._encode_inputs(pipeline)
        pipeline.configured_for = self

    def _set_schedule(self, pipeline: LoadedPipeline) -> None:
        """The steps, from the noise that the frames are given."""
        job = self._config.sampling
        title, settings = MOTION_SCHEDULERS[job.scheduler]
        with silence_logging():
            import diffusers

            scheduler = getattr(diffusers, title).from_config(
                pipeline.scheduler_config, **{**MOTION_SCHEDULER_CONFIG, **settings}
            )
        self._device = self._pipe._execution_device
        scheduler.set_timesteps(job.steps, device=self._device)
        self._timesteps = scheduler.timesteps[job.steps - self.steps :]
        self._scheduler = scheduler

    @torch.no_grad()
    def _encode_inputs(self, pipeline: LoadedPipeline) -> None:
        """The prompt and the styles, as the model takes them."""
        job, adapter = self._config.sampling, self._config.components.adapter
        words = prompts.encode_prompt(self._pipe, job.prompt, job.negative_prompt)
        both = [words.negative, words.positive] if self._guided else [words.positive]
        dtype = pipeline.unet.dtype
        self._prompt_embeds = torch.cat(both).to(self._device, dtype)
        self._added_cond: dict[str, Any] = {}
        if words.pooled is not None:
            pooled = [words.negative_pooled, words.pooled] if self._guided else [words.pooled]
            texts = torch.cat([each for each in pooled if each is not None])
            size = [job.height, job.width, 0, 0, job.height, job.width]
            ids = torch.tensor([size] * len(texts), device=self._device, dtype=dtype)
            self._added_cond = {"text_embeds": texts.to(self._device, dtype), "time_ids": ids}
        if adapter is not None:
            with pipeline.image_encoder_on_device() as encoder:
                job = replace(
                    job,
                    image_embeds=encode_image_prompts(
                        encoder, self._config.styles, adapter.is_plus
                    ),
                )
        given = image_prompt_kwargs(job, self._guided)
        self._image_embeds = [
            each.to(self._device, dtype) for each in given.get("ip_adapter_image_embeds", ())
        ]
        self._attention_kwargs = given.get("cross_attention_kwargs")

    @property
    def steps(self) -> int:
        """How many are done."""
        job = self._config.sampling
        return max(1, min(job.steps, int(job.steps * job.denoising_strength)))

    def _generators(self, first: int, count: int, step: int) -> list[torch.Generator]:
        """For every frame one of its own, so that it matters not which are sampled together."""
        seeds = (
            ((self._config.sampling.seed * SEED_PRIME + first + i) * SEED_PRIME + step) % 2**62
            for i in range(count)
        )
        return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

    @torch.no_grad()
    def initial_latents(self, frame_index: int, frame: Pixels | None) -> Tensor:
        """Latents (channels, h, w) of a frame turned into noise; of None, noise."""
        job, base = self._config.sampling, self._config.components.base
        shape = (4, job.height // base.vae_scale_factor, job.width // base.vae_scale_factor)
        (generator,) = self._generators(frame_index, 1, 0)
        noise = torch.randn(shape, generator=generator)
        with self._acquire_pipeline() as loaded:
            noise = noise.to(self._device, loaded.unet.dtype)
            if frame is None or job.denoising_strength >= 1:
                return torch.as_tensor(noise * self._scheduler.init_noise_sigma)
            known = loaded.encode(_to_tensor(frame)[None].to(self._device))
        noised: Tensor = self._scheduler.add_noise(known, noise[None], self._timesteps[:1])[0]
        return noised.to(noise.dtype)

    @torch.no_grad()
    def predict_noise(self, step: int, latents: Tensor, controls: Sequence[Tensor]) -> Tensor:
        """The noise in some frames.

        Args:
            step: from 0 on.
            latents: (frames, channels, h, w).
            controls: for every ControlNet (frames, 3, height, width), uint8.

        Returns:
            As the latents, float32.
        """
        with self._acquire_pipeline() as loaded, silence_logging():
            time = self._timesteps[step]
            self._set_scheduler_step(step)
            batch = latents.permute(1, 0, 2, 3)[None].repeat(2 if self._guided else 1, 1, 1, 1, 1)
            given = self._scheduler.scale_model_input(batch, time).to(loaded.unet.dtype)
            words = self._prompt_embeds.repeat_interleave(len(latents), dim=0)
            more: dict[str, Any] = self._controlnet_residuals(step, given, words, controls)
            added = self._added_cond | (
                {"image_embeds": self._image_embeds} if self._image_embeds else {}
            )
            found = loaded.unet(
                given,
                time,
                encoder_hidden_states=words,
                added_cond_kwargs=added or None,
                cross_attention_kwargs=self._attention_kwargs,
                return_dict=False,
                **more,
            )[0].float()
        if self._guided:
            without, with_it = found.chunk(2)
            found = without + self._config.sampling.guidance * (with_it - without)
        return torch.as_tensor(found[0].permute(1, 0, 2, 3))

    def _controlnet_residuals(
        self, step: int, given: Tensor, words: Tensor, controls: Sequence[Tensor]
    ) -> dict[str, Any]:
        """What the ControlNets add, those that count at this step."""
        begins, ends = step / self.steps, (step + 1) / self.steps
        scales = [
            float(guide.scale) * (guide.start <= begins and ends <= guide.end)
            for guide in self._config.controlnet_specs
        ]
        if not any(scales):
            return {}
        times, frames = len(given), given.shape[2]
        flat = given.transpose(1, 2).flatten(0, 1)
        shown = [(each.to(flat) / 255).repeat(times, 1, 1, 1) for each in controls]
        single = len(shown) == 1
        added = {n: each.repeat_interleave(frames, dim=0) for n, each in self._added_cond.items()}
        downs, middle = self._pipe.controlnet(
            flat,
            self._timesteps[step],
            encoder_hidden_states=words,
            controlnet_cond=shown[0] if single else shown,
            conditioning_scale=scales[0] if single else scales,
            added_cond_kwargs=added or None,
            return_dict=False,
        )
        return {"down_block_additional_residuals": downs, "mid_block_additional_residual": middle}

    @torch.no_grad()
    def denoise_step(
        self, step: int, frame_index: int, predicted: Tensor, latents: Tensor
    ) -> Tensor:
        """Frames after a step; the first is that of a number in the film."""
        self._set_scheduler_step(step)
        options: dict[str, Any] = {}
        if type(self._scheduler).__name__ in ("EulerAncestralDiscreteScheduler", "LCMScheduler"):
            options["generator"] = self._generators(frame_index, len(latents), step + 1)
        found = self._scheduler.step(
            predicted.to(latents.dtype),
            self._timesteps[step],
            latents,
            return_dict=False,
            **options,
        )
        return torch.as_tensor(found[0]).to(latents.dtype)

    def _set_scheduler_step(self, step: int) -> None:
        """Tell the scheduler which step it is, as windows do not come in the order of steps."""
        if hasattr(self._scheduler, "_step_index"):
            self._scheduler._step_index = self._config.sampling.steps - self.steps + step

    def decode_frame(self, latents: Tensor, size: tuple[int, int]) -> Pixels:
        """A frame (height, width, 3) from its latents (channels, h, w)."""
        with self._acquire_pipeline() as loaded:
            picture, _ = loaded.decode(latents[None])
        pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).float().numpy())
        return np.asarray(resize(pixels, *size))

    def control_images(self, frame: Pixels) -> Tensor:
        """What the ControlNets are shown of a frame: uint8 (nets, 3, height, width)."""
        job, model = self._config.sampling, self._config.depth_model
        made = [
            _to_tensor(
                seers.make_control_image(g.control_type, frame, job.height, job.width, "", model)
            )
            for g in self._config.controlnet_specs
        ]
        return (torch.stack(made) * 255).round().to(torch.uint8)

    def resize_frame(self, frame: Pixels) -> Pixels:
        """A frame at the size at which the model works."""
        return np.asarray(
            resize(frame, self._config.sampling.height, self._config.sampling.width)
        ).clip(0, 1)

    @property
    def needs_frames(self) -> bool:
        """Whether the film that is painted is looked at, or only its length counts."""
        return self.has_controlnets or self._config.sampling.denoising_strength < 1

    @property
    def has_controlnets(self) -> bool:
        """Whether there are ControlNets."""
        return bool(self._config.controlnet_specs)

    @property
    def window_and_overlap(self) -> tuple[int, int]:
        """Frames that are seen at once, and shared by two windows."""
        return self._config.window, self._config.overlap

    @property
    def device(self) -> str:
        return self._config.render_settings.device


def _to_tensor(pixels: Raster) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)
