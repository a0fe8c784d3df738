"""The work on one request: load, look, sample, check, and what to do when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import ResourceError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.plan import ExecutionSettings
from impasto.core.progress import ProgressCallback, ProgressEvent
from impasto.core.request import MethodOutput
from impasto.engines.diffusion import content_leak, controlnet, memory, pipelines
from impasto.engines.diffusion.components import DiffusionComponents
from impasto.engines.diffusion.content_leak import ContentLeakMetric
from impasto.engines.diffusion.ip_adapter import (
    BlockScales,
    ImagePromptEmbeds,
    encode_image_prompts,
    set_ip_adapter_scale,
)
from impasto.engines.diffusion.lora import LoraConfig, LoraStack
from impasto.engines.diffusion.memory import MemoryMode, is_out_of_memory
from impasto.engines.diffusion.pipelines import LoadedPipeline
from impasto.engines.diffusion.sampling import (
    ControlNetInput,
    SamplingConfig,
    SamplingResult,
    State,
    sample,
)
from impasto.nets import clip
from impasto.pictures import resize
from impasto.weights.integrity import file_sha256

LEAK_SCALE_FACTOR, MAX_LEAK_ATTEMPTS = 0.7, 5
"""What a leak leaves of the adapter's scale, and how often it is tried at most."""


@dataclass(frozen=True)
class ControlNetSpec:
    """A ControlNet's picture, as it is asked for.

    Attributes:
        control_type: "canny", "depth" or "tile".
        file: a file that stands for it, or "".
        scale, start, end: see :class:`~impasto.engines.diffusion.sampling.ControlNetInput`.
    """

    control_type: str
    file: str
    scale: float
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class GenerationConfig:
    """All that decides a picture.

    Attributes:
        components: the parts.
        render_settings: the setting in which the model works.
        output_size: (height, width) of the result.
        content: the picture, or only a size.
        styles: that the adapter sees.
        style_weights: (styles, height, width) of the canvas, or (styles, 1, 1).
        prompt, negative_prompt, steps, guidance, seed, scheduler, denoising_strength: see
            :class:`~impasto.engines.diffusion.sampling.SamplingConfig`.
        ip_adapter_scale: λ.
        block_scales: the blocks that see the styles; None: all.
        subtract_text, subtract_scale: what is subtracted from what the adapter sees, in words, and
            how much.
        loras: in order, their files as names.
        controlnet_specs: the ControlNets' pictures, in order.
        controls_out: folder in which they are written, or "".
        depth_model: makes depth pictures.
        content_leak_limit: share of the styles' things that may come in.
        leak_guard: lower λ until no more of them do.
        clip: the CLIP that looks for them.
    """

    components: DiffusionComponents
    render_settings: ExecutionSettings
    output_size: tuple[int, int]
    content: Picture
    styles: Sequence[Raster]
    style_weights: Tensor | None
    prompt: str
    negative_prompt: str
    steps: int
    guidance: float
    seed: int
    scheduler: str
    denoising_strength: float
    ip_adapter_scale: float
    block_scales: BlockScales | None
    subtract_text: str
    subtract_scale: float
    loras: Sequence[LoraConfig]
    controlnet_specs: Sequence[ControlNetSpec]
    controls_out: str
    depth_model: str
    content_leak_limit: float
    leak_guard: bool
    clip: str


def generate(
    config: GenerationConfig,
    memory_mode: MemoryMode,
    callback: ProgressCallback,
    state: Mapping[str, Any] | None = None,
) -> MethodOutput:
    """Paint; if memory runs out, once more in a way that takes less.

    Of several threads, one paints at a time.

    Raises:
        ResourceError: memory ran out twice, or there is nothing that takes less.
        ImpastoError: parts that cannot be loaded.
    """
    with pipelines.PIPELINE_LOCK:
        return _generate_with_fallback(config, memory_mode, callback, state or {})


def _generate_with_fallback(
    config: GenerationConfig,
    memory_mode: MemoryMode,
    callback: ProgressCallback,
    state: Mapping[str, Any],
) -> MethodOutput:
    try:
        return _GenerationRun(config, memory_mode, callback, state).run()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        lower = memory.next_smaller_mode(memory_mode, config.render_settings.device)
    pipelines.unload_pipelines()
    if lower is None:
        raise _too_large_error(config)
    try:
        painting = _GenerationRun(config, lower, callback, state).run()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        pipelines.unload_pipelines()
        raise _too_large_error(config) from error
    said = f"Memory ran out, so it was painted in a way that takes less. {lower.description}"
    return replace(painting, notes=(said, *painting.notes))


def _too_large_error(config: GenerationConfig) -> ResourceError:
    side = round((config.render_settings.height * config.render_settings.width) ** 0.5)
    return ResourceError(
        f"{config.render_settings.width} x {config.render_settings.height} px do not fit into "
        f"the memory of "
        f"{config.render_settings.device}: use --render-size {side * 3 // 4}, a smaller model "
        f"(--model "
        "stable-diffusion-v1-5/stable-diffusion-v1-5), or close other programs."
    )


class _GenerationRun:
    def __init__(
        self,
        config: GenerationConfig,
        memory_mode: MemoryMode,
        callback: ProgressCallback,
        state: Mapping[str, Any],
    ) -> None:
        self.config, self.callback, self.state = config, callback, state
        self.notes: list[str] = []
        self.losses: dict[str, float] = {}
        self.leak_metric = self._make_leak_metric()
        kit, canvas = config.components, config.render_settings
        parts = kit.pipeline_spec(canvas.device, canvas.precision, memory_mode.name)
        self.files = kit.digests(canvas.precision)
        self.pipeline: LoadedPipeline = pipelines.load_pipeline(parts, kit.base, self.files)

    def run(self) -> MethodOutput:
        """The picture, at the request's size."""
        uses = self.config.components.local_loras(self.config.loras)
        pipe = self.pipeline.get_pipeline(self.config.denoising_strength < 1, self.config.scheduler)
        worn = LoraStack(pipe, uses, self.config.components.base.title) if uses else None
        try:
            found = self._sample_within_leak_limit(self._sampling_config(pipe))
        finally:
            if worn is not None:
                worn.remove()
        if found.decoded_in_fp32:
            self.notes.append("The decoder gave no numbers in half precision: fp32 was used there.")
        return MethodOutput(
            pixels=self._to_output_size(found.image),
            losses=self.losses,
            steps=found.steps,
            finished=found.finished,
            files=self.files,
            state=self.state if not found.finished else {},
            notes=tuple(self.notes),
        )

    def _sampling_config(self, pipe: object) -> SamplingConfig:
        work = self.config
        height, width = work.render_settings.height, work.render_settings.width
        content = np.asarray(resize(work.content.pixels, height, width))
        return SamplingConfig(
            prompt=work.prompt,
            negative_prompt=work.negative_prompt,
            height=height,
            width=width,
            steps=work.steps,
            guidance=work.guidance,
            seed=work.seed,
            scheduler=work.scheduler,
            denoising_strength=work.denoising_strength,
            init_image=_to_tensor(content) if work.denoising_strength < 1 else None,
            image_embeds=self._image_embeds(pipe),
            style_weights=work.style_weights,
            controlnet_inputs=self._controlnet_inputs(content),
        )

    def _image_embeds(self, pipe: object) -> ImagePromptEmbeds | None:
        adapter = self.config.components.adapter
        if adapter is None:
            return None
        less = self._subtract_embed(pipe) if self.config.subtract_text else None
        with self.pipeline.image_encoder_on_device() as encoder:
            return encode_image_prompts(encoder, self.config.styles, adapter.is_plus, less)

    def _subtract_embed(self, pipe: object) -> Tensor:
        """What the style shows, in words, as the adapter sees pictures (InstantStyle, eq. 2)."""
        from impasto.engines.diffusion import prompts

        words = prompts.encode_prompt(pipe, self.config.subtract_text, "")
        assert words.pooled is not None
        return self.config.subtract_scale * words.pooled

    def _controlnet_inputs(self, content: Pixels) -> list[ControlNetInput]:
        work = self.config
        height, width = content.shape[:2]
        made = []
        for guide in work.controlnet_specs:
            seen = controlnet.make_control_image(
                guide.control_type, content, height, width, guide.file, work.depth_model
            )
            made.append((guide.control_type, seen))
            if guide.file:
                path = Path(guide.file)
                self.files[f"control {guide.control_type} {path.name}"] = file_sha256(path)
        if work.controls_out:
            controlnet.write_control_images(work.controls_out, made)
        return [
            ControlNetInput(_to_tensor(seen), guide.scale, guide.start, guide.end)
            for guide, (_, seen) in zip(work.controlnet_specs, made, strict=True)
        ]

    def _make_leak_metric(self) -> ContentLeakMetric | None:
        """What looks for leaks; None where there can be none, or CLIP is not here.

        Raises:
            ImpastoError: λ is to be lowered by it, and it cannot be had.
        """
        work = self.config
        if work.components.adapter is None or not (work.leak_guard or clip.is_available(work.clip)):
            return None
        content = None if work.content.is_blank else work.content.pixels
        return ContentLeakMetric(
            content_leak.load_clip(work.clip), work.styles, content, work.prompt
        )

    def _sample_within_leak_limit(self, sampling: SamplingConfig) -> SamplingResult:
        """A picture; where leaks lower λ, as many as it takes."""
        work, check, scale = self.config, self.leak_metric, self.config.ip_adapter_scale
        if sampling.image_embeds is None or check is None:
            return self._sample_once(sampling, scale, 0, 1)
        attempts = MAX_LEAK_ATTEMPTS if work.leak_guard else 1
        first = int(self.state.get("attempt", 0))
        scale *= LEAK_SCALE_FACTOR**first
        for attempt in range(first, attempts):
            found = self._sample_once(sampling, scale, attempt, attempts)
            self.losses["leak"] = check(self._to_output_size(found.image))
            self.losses["scale"] = scale
            if self.losses["leak"] <= work.content_leak_limit or not found.finished:
                break
            if attempt + 1 < attempts:
                scale *= LEAK_SCALE_FACTOR
        if attempt and found.finished:
            self.notes.append(
                f"The style's things came in: the adapter's scale was lowered from "
                f"{work.ip_adapter_scale:g} "
                f"to {scale:.2g}."
            )
        if self.losses["leak"] > work.content_leak_limit and found.finished:
            self.notes.append(
                f"{self.losses['leak']:.0%} of the style's things are in the picture: try "
                + ("" if work.leak_guard else "--no-content-leak, ")
                + ("" if work.block_scales else "--preset style, ")
                + "a smaller --ip-adapter-scale, or say in --subtract-text what the style shows."
            )
        return found

    def _sample_once(
        self, sampling: SamplingConfig, scale: float, attempt: int, attempts: int
    ) -> SamplingResult:
        if sampling.image_embeds is not None:
            set_ip_adapter_scale(self.pipeline.unet, scale, self.config.block_scales)

        def later(now: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**now, "attempt": attempt}

        def told(
            done: int, steps: int, picture: Callable[[], Tensor], now: Callable[[], State]
        ) -> None:
            self.callback(
                ProgressEvent(
                    step=done,
                    steps=steps,
                    fraction=(attempt + done / steps) / attempts,
                    values=dict(self.losses),
                    image=lambda: self._to_output_size(picture()),
                    state=lambda: later(now()),
                )
            )

        begun = self.state if self.state and self.state["attempt"] == attempt else None
        found = sample(self.pipeline, sampling, told, begun)
        self.state = later(found.state)
        return found

    def _to_output_size(self, picture: Tensor) -> Pixels:
        """A picture (1, 3, h, w) at the request's size."""
        pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).float().cpu().numpy())
        return np.asarray(resize(pixels, *self.config.output_size))


def _to_tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)[None]
