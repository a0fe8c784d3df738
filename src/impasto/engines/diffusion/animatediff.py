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
from impasto.core.plan import Forecast, Setting
from impasto.engines.diffusion import controlnet as seers
from impasto.engines.diffusion import memory, pipelines, prompts
from impasto.engines.diffusion.components import Kit
from impasto.engines.diffusion.files import told
from impasto.engines.diffusion.ip_adapter import Blocks, look, set_scales
from impasto.engines.diffusion.lora import Loras, Use
from impasto.engines.diffusion.memory import Step
from impasto.engines.diffusion.pipelines import Loaded
from impasto.engines.diffusion.run import Guide
from impasto.engines.diffusion.sampling import Job, seen
from impasto.engines.diffusion.verbosity import hushed
from impasto.pictures import resize
from impasto.weights import hub

TAUGHT: dict[str, Any] = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear", "steps_offset": 1,
    "timestep_spacing": "linspace", "clip_sample": False, "thresholding": False,
}  # fmt: skip
"""The noise that motion adapters were taught on, which is not that of the picture models."""
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lightning": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
}
"""Name → diffusers' class and what is set besides: those whose steps look at one step alone."""
PRIME = 1_000_003


@dataclass(frozen=True, eq=False)
class Animation:
    """All that decides a film's frames.

    Attributes:
        kit: the model, its motion adapter, IP-Adapter, ControlNets and LoRAs.
        canvas: the setting in which the model works.
        step: how it is fitted into memory.
        job: prompt, steps, guidance, seed, how far frames are turned into noise; of the whole film.
        styles: that the adapter sees.
        scale: λ.
        blocks: the blocks that see the styles; None: all.
        loras: in order.
        guides: what every ControlNet sees of the frames, and how much it counts when.
        depth_model: makes depth pictures, or "".
        window, overlap: frames that are seen at once, and shared by two windows.
    """

    kit: Kit
    canvas: Setting
    step: Step
    job: Job
    styles: Sequence[Raster]
    scale: float
    blocks: Blocks | None
    loras: Sequence[Use]
    guides: Sequence[Guide]
    depth_model: str
    window: int
    overlap: int


def forecast(
    kit: Kit, canvas: Setting, step: Step, steps: float, window: int, overlap: int, guided: bool
) -> Forecast:
    """Time of a frame, and memory of a film.

    Args:
        kit: the parts.
        canvas: the setting in which the model works.
        step: how it is fitted.
        steps: of every frame.
        window: frames that are seen at once.
        overlap: frames that two windows share.
        guided: whether every pass is of two pictures.
    """
    reading = sum(kit.sizes.parts.values()) * memory.BYTES[canvas.precision] / memory.READING
    decoded, once = (memory.forecast(kit.sizes, canvas, step, n, guided).seconds for n in (0, 1))
    stride = window - overlap
    passes = steps * window / stride
    on_their_way = (steps * stride + window) * canvas.height * canvas.width * 3 * len(kit.controls)
    return Forecast(
        max(0.0, decoded - reading) + passes * (once - decoded),
        resident_bytes()
        - pipelines.held(canvas.device)
        + kit.sizes.peak(canvas, step, guided, window)
        + int(on_their_way),
    )


class Animator:
    """A model that makes films. It is in use for moments only: other work may come in between.

    Attributes:
        files: sha256 by name, for the recipe; known before anything is loaded.
    """

    def __init__(self, animation: Animation) -> None:
        self._what = animation
        kit, canvas = animation.kit, animation.canvas
        self._parts = kit.parts(canvas.device, canvas.precision, animation.step.name)
        self.files = self._digests()
        self._guided = animation.job.guidance > 1
        self._pipe: Any = None
        self._scheduler: Any = None

    def _digests(self) -> dict[str, str]:
        """The sha256 of all that is loaded, as the files are now."""
        found = self._what.kit.digests(self._what.canvas.precision)
        if "depth" in (guide.kind for guide in self._what.guides):
            source = hub.locate(self._what.depth_model)
            found |= told(source, (hub.fetch(source, seers.DEPTH_FILES), list(seers.DEPTH_FILES)))
        return found

    @contextlib.contextmanager
    def _model(self) -> Iterator[Loaded]:
        """The model as this film wants it, and nobody else at work with it.

        Raises:
            WeightsError: it has to be loaded again, and its files are others by now.
        """
        with pipelines.WORK:
            loaded = pipelines.load(self._parts, self._what.kit.base, self.files)
            if loaded.owner is not self:
                if self._digests() != self.files:
                    raise WeightsError(
                        f"The files of {self._what.kit.base.title} or of what it wears changed "
                        "while the film was painted: put back those of before, or begin anew."
                    )
                self._dress(loaded)
            yield loaded

    def _dress(self, loaded: Loaded) -> None:
        """Give the model this film's LoRAs and scales."""
        loaded.owner, what = None, self._what
        if loaded.worn is not None:
            loaded.worn.remove()
        self._pipe, uses = loaded.pipe(False), what.kit.taken(what.loras)
        loaded.worn = Loras(self._pipe, uses, what.kit.base.title) if uses else None
        if what.kit.adapter is not None:
            set_scales(loaded.unet, what.scale, what.blocks)
        if self._scheduler is None:
            self._schedule(loaded)
            self._look(loaded)
        loaded.owner = self

    def _schedule(self, loaded: Loaded) -> None:
        """The steps, from the noise that the frames are given."""
        job = self._what.job
        title, settings = SCHEDULERS[job.scheduler]
        with hushed():
            import diffusers

            scheduler = getattr(diffusers, title).from_config(
                loaded.scheduler_config, **{**TAUGHT, **settings}
            )
        self._device = self._pipe._execution_device
        scheduler.set_timesteps(job.steps, device=self._device)
        self._times = scheduler.timesteps[job.steps - self.steps :]
        self._scheduler = scheduler

    @torch.no_grad()
    def _look(self, loaded: Loaded) -> None:
        """The prompt and the styles, as the model takes them."""
        job, adapter = self._what.job, self._what.kit.adapter
        words = prompts.read(self._pipe, job.prompt, job.negative)
        both = [words.negative, words.positive] if self._guided else [words.positive]
        dtype = loaded.unet.dtype
        self._words = torch.cat(both).to(self._device, dtype)
        self._added: dict[str, Any] = {}
        if words.pooled is not None:
            pooled = [words.negative_pooled, words.pooled] if self._guided else [words.pooled]
            texts = torch.cat([each for each in pooled if each is not None])
            size = [job.height, job.width, 0, 0, job.height, job.width]
            ids = torch.tensor([size] * len(texts), device=self._device, dtype=dtype)
            self._added = {"text_embeds": texts.to(self._device, dtype), "time_ids": ids}
        if adapter is not None:
            with loaded.at_work() as encoder:
                job = replace(job, looks=look(encoder, self._what.styles, adapter.plus))
        given = seen(job, self._guided)
        self._images = [
            each.to(self._device, dtype) for each in given.get("ip_adapter_image_embeds", ())
        ]
        self._masks = given.get("cross_attention_kwargs")

    @property
    def steps(self) -> int:
        """How many are done."""
        job = self._what.job
        return max(1, min(job.steps, int(job.steps * job.denoise)))

    def _generators(self, first: int, count: int, step: int) -> list[torch.Generator]:
        """For every frame one of its own, so that it matters not which are sampled together."""
        seeds = (
            ((self._what.job.seed * PRIME + first + i) * PRIME + step) % 2**62 for i in range(count)
        )
        return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

    @torch.no_grad()
    def begin(self, number: int, frame: Pixels | None) -> Tensor:
        """Latents (channels, h, w) of a frame turned into noise; of None, noise."""
        job, base = self._what.job, self._what.kit.base
        shape = (4, job.height // base.factor, job.width // base.factor)
        (generator,) = self._generators(number, 1, 0)
        noise = torch.randn(shape, generator=generator)
        with self._model() as loaded:
            noise = noise.to(self._device, loaded.unet.dtype)
            if frame is None or job.denoise >= 1:
                return torch.as_tensor(noise * self._scheduler.init_noise_sigma)
            known = loaded.encode(_tensor(frame)[None].to(self._device))
        noised: Tensor = self._scheduler.add_noise(known, noise[None], self._times[:1])[0]
        return noised.to(noise.dtype)

    @torch.no_grad()
    def predict(self, step: int, latents: Tensor, controls: Sequence[Tensor]) -> Tensor:
        """The noise in some frames.

        Args:
            step: from 0 on.
            latents: (frames, channels, h, w).
            controls: for every ControlNet (frames, 3, height, width), uint8.

        Returns:
            As the latents, float32.
        """
        with self._model() as loaded, hushed():
            time = self._times[step]
            self._at(step)
            batch = latents.permute(1, 0, 2, 3)[None].repeat(2 if self._guided else 1, 1, 1, 1, 1)
            given = self._scheduler.scale_model_input(batch, time).to(loaded.unet.dtype)
            words = self._words.repeat_interleave(len(latents), dim=0)
            more: dict[str, Any] = self._controlled(step, given, words, controls)
            added = self._added | ({"image_embeds": self._images} if self._images else {})
            found = loaded.unet(
                given,
                time,
                encoder_hidden_states=words,
                added_cond_kwargs=added or None,
                cross_attention_kwargs=self._masks,
                return_dict=False,
                **more,
            )[0].float()
        if self._guided:
            without, with_it = found.chunk(2)
            found = without + self._what.job.guidance * (with_it - without)
        return torch.as_tensor(found[0].permute(1, 0, 2, 3))

    def _controlled(
        self, step: int, given: Tensor, words: Tensor, controls: Sequence[Tensor]
    ) -> dict[str, Any]:
        """What the ControlNets add, those that count at this step."""
        begins, ends = step / self.steps, (step + 1) / self.steps
        scales = [
            float(guide.scale) * (guide.start <= begins and ends <= guide.end)
            for guide in self._what.guides
        ]
        if not any(scales):
            return {}
        times, frames = len(given), given.shape[2]
        flat = given.transpose(1, 2).flatten(0, 1)
        shown = [(each.to(flat) / 255).repeat(times, 1, 1, 1) for each in controls]
        single = len(shown) == 1
        added = {n: each.repeat_interleave(frames, dim=0) for n, each in self._added.items()}
        downs, middle = self._pipe.controlnet(
            flat,
            self._times[step],
            encoder_hidden_states=words,
            controlnet_cond=shown[0] if single else shown,
            conditioning_scale=scales[0] if single else scales,
            added_cond_kwargs=added or None,
            return_dict=False,
        )
        return {"down_block_additional_residuals": downs, "mid_block_additional_residual": middle}

    @torch.no_grad()
    def advance(self, step: int, number: int, predicted: Tensor, latents: Tensor) -> Tensor:
        """Frames after a step; the first is that of a number in the film."""
        self._at(step)
        options: dict[str, Any] = {}
        if type(self._scheduler).__name__ in ("EulerAncestralDiscreteScheduler", "LCMScheduler"):
            options["generator"] = self._generators(number, len(latents), step + 1)
        found = self._scheduler.step(
            predicted.to(latents.dtype), self._times[step], latents, return_dict=False, **options
        )
        return torch.as_tensor(found[0]).to(latents.dtype)

    def _at(self, step: int) -> None:
        """Tell the scheduler which step it is, as windows do not come in the order of steps."""
        if hasattr(self._scheduler, "_step_index"):
            self._scheduler._step_index = self._what.job.steps - self.steps + step

    def pixels(self, latents: Tensor, size: tuple[int, int]) -> Pixels:
        """A frame (height, width, 3) from its latents (channels, h, w)."""
        with self._model() as loaded:
            picture, _ = loaded.decode(latents[None])
        pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).float().numpy())
        return np.asarray(resize(pixels, *size))

    def controls(self, frame: Pixels) -> Tensor:
        """What the ControlNets are shown of a frame: uint8 (nets, 3, height, width)."""
        job, model = self._what.job, self._what.depth_model
        made = [
            _tensor(seers.control_picture(g.kind, frame, job.height, job.width, "", model))
            for g in self._what.guides
        ]
        return (torch.stack(made) * 255).round().to(torch.uint8)

    def fitted(self, frame: Pixels) -> Pixels:
        """A frame at the size at which the model works."""
        return np.asarray(resize(frame, self._what.job.height, self._what.job.width)).clip(0, 1)

    @property
    def needs_frames(self) -> bool:
        """Whether the film that is painted is looked at, or only its length counts."""
        return self.controlled or self._what.job.denoise < 1

    @property
    def controlled(self) -> bool:
        """Whether there are ControlNets."""
        return bool(self._what.guides)

    @property
    def window(self) -> tuple[int, int]:
        """Frames that are seen at once, and shared by two windows."""
        return self._what.window, self._what.overlap

    @property
    def device(self) -> str:
        return self._what.canvas.device


def _tensor(pixels: Raster) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)
