"""AnimateDiff: a picture model that a motion adapter lets see several frames of a film at once.

Guo et al., "AnimateDiff: Animate Your Personalized Text-to-Image Diffusion Models without Specific
Tuning", ICLR 2024. The adapter's attention runs over time at every place. Styles are seen by an
IP-Adapter and the frames of a given film by ControlNets, as with a single picture; films of any
length by windows (:mod:`impasto.nets.diffusion.windows`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.devices import resident_bytes
from impasto.core.picture import Pixels, Raster
from impasto.core.plan import Forecast, Setting
from impasto.nets.diffusion import memory, pipelines, prompts
from impasto.nets.diffusion.adapter import Blocks, Looks, look, set_scales
from impasto.nets.diffusion.controls import control_picture
from impasto.nets.diffusion.kit import Kit
from impasto.nets.diffusion.lora import Loras, Use
from impasto.nets.diffusion.memory import Step
from impasto.nets.diffusion.quiet import hushed
from impasto.nets.diffusion.sampling import Job, seen
from impasto.nets.diffusion.windows import Wave
from impasto.pictures import resize
from impasto.weights.hub import Source

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
        kit: the model, its adapter, ControlNets and LoRAs.
        motion: the motion adapter.
        canvas: the setting in which the model works.
        step: how it is fitted into memory.
        job: prompt, steps, guidance, seed, how far frames are turned into noise; of the whole film.
        styles: that the adapter sees.
        scale: λ.
        blocks: the blocks that see the styles; None: all.
        loras: in order.
        controls: kind and scale of every ControlNet.
        window, overlap: frames that are seen at once, and shared by two windows.
    """

    kit: Kit
    motion: Source
    canvas: Setting
    step: Step
    job: Job
    styles: Sequence[Raster]
    scale: float
    blocks: Blocks | None
    loras: Sequence[Use]
    controls: Sequence[tuple[str, float]]
    window: int
    overlap: int


def forecast(
    kit: Kit, motion: Source, canvas: Setting, step: Step, passes: float, window: int, guided: bool
) -> Forecast:
    """Time of a frame, and memory of a film.

    Args:
        kit: the parts.
        motion: the motion adapter.
        canvas: the setting in which the model works.
        step: how it is fitted.
        passes: of the model for every frame.
        window: frames at once.
        guided: whether every pass is of two pictures.
    """
    sizes = weighed(kit, motion)
    one = memory.forecast(sizes, canvas, step, 1, guided)
    reading = sum(sizes.parts.values()) * memory.BYTES[canvas.precision] / memory.READING
    peak = sizes.peak(canvas, step, guided, window)
    return Forecast(
        passes * max(0.0, one.seconds - reading),
        resident_bytes() + peak,
    )


def weighed(kit: Kit, motion: Source) -> memory.Sizes:
    """Parameters of every part; the motion adapter becomes a part of the UNet."""
    count = memory.counted("MotionAdapter", motion.json("config.json"))
    parts = dict(kit.sizes.parts)
    return memory.Sizes(parts | {"unet": parts["unet"] + count}, kit.sizes.base)


class Animator:
    """A loaded model that makes films.

    Attributes:
        files: sha256 by name, for the recipe.
    """

    def __init__(self, animation: Animation) -> None:
        self._what = animation
        kit, canvas = animation.kit, animation.canvas
        parts = kit.parts(canvas.device, canvas.precision, animation.step.name)
        parts = replace(parts, motion=animation.motion)
        self._loaded = pipelines.load(parts, kit.base)
        self.files = kit.digests(canvas.precision, animation.motion)
        self._pipe: Any = self._loaded.pipe(False)
        if (worn := self._loaded.worn) is not None:
            worn.remove()
        uses = kit.taken(animation.loras)
        self._loaded.worn = Loras(self._pipe, uses, kit.base.title) if uses else None
        job = animation.job
        self._guided = job.guidance > 1
        self._schedule(job)
        self._read(replace(job, looks=self._looks()))

    def _looks(self) -> Looks | None:
        adapter = self._what.kit.adapter
        if adapter is None:
            return None
        set_scales(self._loaded.unet, self._what.scale, self._what.blocks)
        with self._loaded.at_work() as encoder:
            return look(encoder, self._what.styles, adapter.plus)

    def _schedule(self, job: Job) -> None:
        """The steps, from the noise that the frames are given."""
        title, settings = SCHEDULERS[job.scheduler]
        with hushed():
            import diffusers

            self._scheduler = getattr(diffusers, title).from_config(
                self._loaded.scheduler_config, **{**TAUGHT, **settings}
            )
        self._device = self._pipe._execution_device
        self._scheduler.set_timesteps(job.steps, device=self._device)
        self._skipped = job.steps - max(1, min(job.steps, int(job.steps * job.denoise)))
        self._times = self._scheduler.timesteps[self._skipped :]

    @torch.inference_mode()
    def _read(self, job: Job) -> None:
        """The prompt and the styles, as the model takes them."""
        words = prompts.read(self._pipe, job.prompt, job.negative)
        both = [words.negative, words.positive] if self._guided else [words.positive]
        dtype = self._loaded.unet.dtype
        self._words = torch.cat(both).to(self._device, dtype)
        self._added: dict[str, Any] = {}
        if words.pooled is not None:
            pooled = [words.negative_pooled, words.pooled] if self._guided else [words.pooled]
            texts = torch.cat([each for each in pooled if each is not None])
            size = [job.height, job.width, 0, 0, job.height, job.width]
            ids = torch.tensor([size] * len(texts), device=self._device, dtype=dtype)
            self._added = {"text_embeds": texts.to(self._device, dtype), "time_ids": ids}
        given = seen(job, self._guided)
        self._images = [
            each.to(self._device, dtype) for each in given.get("ip_adapter_image_embeds", ())
        ]
        self._masks = given.get("cross_attention_kwargs")

    @property
    def steps(self) -> int:
        """How many are done."""
        return len(self._times)

    def wave(
        self,
        first: int,
        more: Callable[[int], bool],
        frame: Callable[[int], Pixels],
        tick: Callable[[], None],
    ) -> Shot:
        """The frames of a shot.

        Args:
            first: number of its first frame in the film, for the noise.
            more: whether it has a frame of that number, from 0 on.
            frame: its frames; asked for once each, in their order.
            tick: called after every window.
        """
        return Shot(self, first, more, frame, tick)

    def _generators(self, first: int, count: int, step: int) -> list[torch.Generator]:
        """For every frame one of its own, so that it matters not which are sampled together."""
        seeds = (
            ((self._what.job.seed * PRIME + first + i) * PRIME + step) % 2**62 for i in range(count)
        )
        return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

    @torch.inference_mode()
    def begin(self, number: int, frame: Pixels | None) -> Tensor:
        """Latents (channels, h, w) of a frame turned into noise; of None, noise."""
        job, base = self._what.job, self._what.kit.base
        shape = (4, job.height // base.factor, job.width // base.factor)
        (generator,) = self._generators(number, 1, 0)
        noise = torch.randn(shape, generator=generator).to(self._device, self._loaded.unet.dtype)
        if frame is None or job.denoise >= 1:
            return torch.as_tensor(noise * self._scheduler.init_noise_sigma)
        known = self._loaded.encode(_tensor(frame)[None].to(self._device))
        noised: Tensor = self._scheduler.add_noise(known, noise[None], self._times[:1])[0]
        return noised.to(noise.dtype)

    @torch.inference_mode()
    def predict(self, step: int, latents: Tensor, controls: Sequence[Tensor]) -> Tensor:
        """The noise in some frames.

        Args:
            step: from 0 on.
            latents: (frames, channels, h, w).
            controls: for every ControlNet (frames, 3, height, width) in 0..1.

        Returns:
            As the latents, float32.
        """
        time, frames = self._times[step], len(latents)
        self._at(step)
        batch = latents.permute(1, 0, 2, 3)[None].repeat(2 if self._guided else 1, 1, 1, 1, 1)
        given = self._scheduler.scale_model_input(batch, time).to(self._loaded.unet.dtype)
        words = self._words.repeat_interleave(frames, dim=0)
        more: dict[str, Any] = self._controlled(step, given, words, controls)
        added = self._added | ({"image_embeds": self._images} if self._images else {})
        with hushed():
            found = self._loaded.unet(
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
        """What the ControlNets add."""
        if not controls:
            return {}
        times, frames = len(given), given.shape[2]
        flat = given.transpose(1, 2).flatten(0, 1)
        shown = [each.to(flat).repeat(times, 1, 1, 1) for each in controls]
        scales = [float(scale) for _, scale in self._what.controls]
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

    @torch.inference_mode()
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
            self._scheduler._step_index = self._skipped + step

    def pixels(self, latents: Tensor, size: tuple[int, int]) -> Pixels:
        """A frame (height, width, 3) from its latents (channels, h, w)."""
        picture, _ = self._loaded.decode(latents[None])
        pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).float().numpy())
        return np.asarray(resize(pixels, *size))

    def controls(self, frame: Pixels) -> Tensor:
        """What the ControlNets are shown of a frame: uint8 (nets, 3, height, width)."""
        job = self._what.job
        kinds = [kind for kind, _ in self._what.controls]
        made = [_tensor(control_picture(k, frame, job.height, job.width)) for k in kinds]
        return (torch.stack(made) * 255).round().to(torch.uint8)

    def fitted(self, frame: Pixels) -> Pixels:
        """A frame at the size at which the model works."""
        return np.asarray(resize(frame, self._what.job.height, self._what.job.width)).clip(0, 1)

    @property
    def needs_frames(self) -> bool:
        """Whether the film that is painted is looked at, or only its length counts."""
        return bool(self._what.controls) or self._what.job.denoise < 1

    @property
    def window(self) -> tuple[int, int]:
        """Frames that are seen at once, and shared by two windows."""
        return self._what.window, self._what.overlap

    @property
    def device(self) -> str:
        return str(self._device)


class Shot:
    """The frames of one shot, in their order; see :meth:`Animator.wave`."""

    def __init__(
        self,
        animator: Animator,
        first: int,
        more: Callable[[int], bool],
        frame: Callable[[int], Pixels],
        tick: Callable[[], None],
    ) -> None:
        self._animator, self._first, self._frame = animator, first, frame
        self._shown: dict[int, Tensor] = {}
        self._wave = Wave(
            *animator.window,
            animator.steps,
            more=more,
            begin=self._begin,
            predict=self._predict,
            advance=lambda step, at, *both: animator.advance(step, first + at, *both),
            tick=tick,
        )

    def __call__(self, frame: int) -> Tensor:
        """The latents of a frame, numbered from 0 on."""
        latents = self._wave(frame)
        done = self._wave.done[-1]
        self._shown = {at: shown for at, shown in self._shown.items() if at >= done}
        return latents

    def _begin(self, frame: int) -> Tensor:
        if not self._animator.needs_frames:
            return self._animator.begin(self._first + frame, None)
        pixels = self._animator.fitted(self._frame(frame))
        if self._animator._what.controls:
            self._shown[frame] = self._animator.controls(pixels)
        return self._animator.begin(self._first + frame, pixels)

    def _predict(self, step: int, first: int, latents: Tensor) -> Tensor:
        if not self._shown:
            return self._animator.predict(step, latents, ())
        shown = torch.stack([self._shown[first + i] for i in range(len(latents))], dim=1)
        return self._animator.predict(step, latents, [each.float() / 255 for each in shown])

    def state(self) -> dict[str, Any]:
        """All that the next frame needs."""
        shown = {str(at): each for at, each in self._shown.items()}
        return {"first": self._first, "wave": self._wave.state(), "shown": shown}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self._shown = {int(at): torch.as_tensor(each) for at, each in state["shown"].items()}
        self._wave.restore(state["wave"], self._animator.device)


def _tensor(pixels: Raster) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)
