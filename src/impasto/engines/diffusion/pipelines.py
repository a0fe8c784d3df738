"""Pipelines of diffusers, built from checked parts and kept loaded for the next request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.devices import release_freed_memory
from impasto.core.errors import ResourceError
from impasto.engines.diffusion.files import (
    fetch_encoder_files,
    fetch_model_files,
    fetch_network_files,
    fetch_single_file,
    load_pretrained,
)
from impasto.engines.diffusion.memory import MEMORY_MODES
from impasto.engines.diffusion.verbosity import silence_logging
from impasto.weights.compatibility import BaseModelInfo
from impasto.weights.hub import ModelSource

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "lightning": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
}
"""Name → diffusers' class, and what is set in its configuration."""
DISTILLED_SCHEDULERS = ("lcm", "lightning")
"""Schedulers of distilled models: a few steps, and no guidance."""
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class PipelineSpec:
    """What a pipeline is made of; equal parts are loaded once.

    Attributes:
        base: where the model is.
        model_type: of the model, "sdxl" or "sd15".
        ip_adapter: where the IP-Adapter is, and its encoder; None: without.
        controlnets: where the ControlNets are.
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: "fp32", "fp16" or "bf16".
        memory_mode: name of a :class:`~impasto.engines.diffusion.memory.MemoryMode`.
        motion_adapter: where the motion adapter is; None: without.
    """

    base: ModelSource
    model_type: str
    ip_adapter: tuple[ModelSource, ModelSource] | None
    controlnets: tuple[ModelSource, ...]
    device: str
    precision: str
    memory_mode: str
    motion_adapter: ModelSource | None = None


class LoadedPipeline:
    """A model in memory, with its adapter and ControlNets, which may be changed for others.

    Attributes:
        spec: what it is made of now.
        image_encoder: the image encoder, or None.
        configured_for: the film whose LoRAs and scales it has, or None.
        lora_stack: LoRAs that a film left on, or None.
        files: name → sha256 of all that was read into it.
    """

    def __init__(self, spec: PipelineSpec, base: BaseModelInfo) -> None:
        self.spec = replace(spec, ip_adapter=None, controlnets=())
        self.image_encoder: Any = None
        self.configured_for: Any = None
        self.lora_stack: Any = None
        self.files: dict[str, str] = {}
        self._controlnets: dict[ModelSource, Any] = {}
        self._pipelines: dict[str, Any] = {}
        self._current = ""
        half = spec.precision != "fp32"
        with silence_logging():
            import diffusers

            root, names = fetch_model_files(spec.base, base, half)
            self._base_pipeline = load_pretrained(
                spec.base,
                getattr(diffusers, _PIPELINE_CLASSES[spec.model_type, False, False]),
                root,
                torch_dtype=DTYPES[spec.precision],
                variant="fp16" if any(".fp16." in name for name in names) else None,
                **({"safety_checker": None, "requires_safety_checker": False}
                   if spec.model_type == "sd15" else {"add_watermarker": False}),
            )  # fmt: skip
            self.scheduler_config = dict(self._base_pipeline.scheduler.config)
            if spec.motion_adapter is not None:  # it takes over what its U-Net wears
                self._load_adapter(spec.ip_adapter)
                moving = self._load_network(spec.motion_adapter, diffusers.MotionAdapter)
                unet = diffusers.UNetMotionModel.from_unet2d(self._base_pipeline.unet, moving)
                if spec.model_type == "sdxl":  # which from_unet2d leaves as it was drawn
                    unet.add_embedding.load_state_dict(self.unet.add_embedding.state_dict())
                self._base_pipeline.register_modules(unet=unet.eval())
                self.spec = replace(self.spec, ip_adapter=spec.ip_adapter)
        self._base_pipeline.vae.eval()
        self._set_memory_format(self.unet, self.vae)
        if MEMORY_MODES[spec.memory_mode].tiled:
            self._base_pipeline.vae.enable_tiling()

    def _set_memory_format(self, *nets: nn.Module) -> None:
        """Channels last in half precision, as convolutions want it there (docs/performance.md)."""
        if self.spec.precision != "fp32" and not self.spec.device.startswith("mps"):
            for net in nets:
                net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        release_freed_memory()

    def reconfigure(self, spec: PipelineSpec) -> None:
        """Change adapter and ControlNets for those of a request; what both have stays loaded.

        Raises:
            WeightsError: one cannot be had or read.
        """
        if spec == self.spec:
            return
        import diffusers

        for pipe in self._pipelines.values():
            pipe.remove_all_hooks()
        self._pipelines.clear()
        self._current, self.configured_for = "", None
        self.spec = replace(self.spec, controlnets=())
        with silence_logging():
            for gone in self._controlnets.keys() - set(spec.controlnets):
                del self._controlnets[gone]
            if spec.ip_adapter != self.spec.ip_adapter:
                self._unload_adapter()
                self._load_adapter(spec.ip_adapter)
            for source in spec.controlnets:
                if source not in self._controlnets:
                    self._controlnets[source] = self._load_network(
                        source, diffusers.ControlNetModel
                    )
                    self._set_memory_format(self._controlnets[source])
        self.spec = spec

    def _unload_adapter(self) -> None:
        """Without an adapter."""
        if self.spec.ip_adapter is not None:
            self._base_pipeline.unload_ip_adapter()
        self.image_encoder, self.spec = None, replace(self.spec, ip_adapter=None)

    def _load_adapter(self, adapter: tuple[ModelSource, ModelSource] | None) -> None:
        if adapter is None:
            return
        from transformers import CLIPVisionModelWithProjection

        place, encoder = adapter
        root, (name,) = fetch_single_file(place)
        self._base_pipeline.load_ip_adapter(
            str(root),
            subfolder="",
            weight_name=name,
            image_encoder_folder=None,
            local_files_only=True,
        )
        root, _ = fetch_encoder_files(encoder)
        self.image_encoder = load_pretrained(
            encoder,
            CLIPVisionModelWithProjection,
            root,
            dtype=DTYPES[self.spec.precision],
        ).eval()

    def _load_network(self, source: ModelSource, model_class: Any) -> Any:
        """A ControlNet or a motion adapter."""
        root, names = fetch_network_files(source, self.spec.precision != "fp32")
        return load_pretrained(
            source,
            model_class,
            root,
            torch_dtype=DTYPES[self.spec.precision],
            variant="fp16" if any(".fp16." in name for name in names) else None,
        ).eval()

    @property
    def unet(self) -> Any:
        return self._base_pipeline.unet

    @property
    def vae(self) -> Any:
        return self._base_pipeline.vae

    def get_pipeline(self, from_image: bool, scheduler: str = "model") -> Any:
        """The pipeline that starts from a picture, or from noise alone.

        Args:
            from_image: whether there is one.
            scheduler: a name in :data:`SCHEDULERS`, or "model" for the model's own.
        """
        import diffusers

        nets = [self._controlnets[source] for source in self.spec.controlnets]
        name = _PIPELINE_CLASSES[self.spec.model_type, bool(nets), from_image]
        if name not in self._pipelines:
            parts = dict(self._base_pipeline.components)
            if nets:
                parts["controlnet"] = nets if len(nets) > 1 else nets[0]
            if self.spec.model_type == "sd15":
                parts["requires_safety_checker"] = False
            else:
                zeros = self._base_pipeline.config.get("force_zeros_for_empty_prompt", True)
                parts |= {"add_watermarker": False, "force_zeros_for_empty_prompt": zeros}
            with silence_logging():
                self._pipelines[name] = getattr(diffusers, name)(**parts)
        pipe = self._pipelines[name]
        pipe.set_progress_bar_config(disable=True)
        if name != self._current:
            self._move_to_device(pipe)
            self._current = name
        pipe.scheduler = self.make_scheduler(scheduler)
        return pipe

    def _move_to_device(self, pipe: Any) -> None:
        """Put the parts where they belong."""
        device, offload = self.spec.device, MEMORY_MODES[self.spec.memory_mode].offload
        with silence_logging():
            if not offload:
                pipe.to(device)
                if self.image_encoder is not None:
                    self.image_encoder.to(device)
                return
            for other in self._pipelines.values():
                other.remove_all_hooks()
            if offload == "sequential":
                pipe.enable_sequential_cpu_offload(device=device)
            else:
                pipe.enable_model_cpu_offload(device=device)

    def make_scheduler(self, name: str) -> Any:
        """A scheduler anew, as it keeps where it is; "model" is the model's own."""
        import diffusers

        with silence_logging():
            if name == "model":
                kind = type(self._base_pipeline.scheduler)
                return kind.from_config(self.scheduler_config)
            title, settings = SCHEDULERS[name]
            return getattr(diffusers, title).from_config(self.scheduler_config, **settings)

    @contextlib.contextmanager
    def image_encoder_on_device(self) -> Iterator[Any]:
        """The image encoder on the device, and afterwards away again if parts are offloaded."""
        if not MEMORY_MODES[self.spec.memory_mode].offload:
            yield self.image_encoder
            return
        self.image_encoder.to(self.spec.device)
        try:
            yield self.image_encoder
        finally:
            self.image_encoder.to("cpu")

    @property
    def _vae_needs_fp32(self) -> bool:
        """Whether the autoencoder works in fp32, as that of SDXL overflows in half precision."""
        vae = self.vae
        upcast = self.spec.model_type == "sdxl" and vae.config.force_upcast
        return bool(vae.dtype == torch.float16 and upcast)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> tuple[Tensor, bool]:
        """Pictures from latents, and whether fp32 was needed, as half precision gave no numbers.

        Args:
            latents: (1, 4, h, w), scaled as the UNet has them.

        Returns:
            (1, 3, height, width), float32 in 0..1.

        Raises:
            ResourceError: the latents themselves are no numbers.
        """
        if not torch.isfinite(latents).all():
            raise ResourceError(
                f"The model gave no numbers in {self.spec.precision}: use --precision bf16, or "
                "fp32."
            )
        release_freed_memory()  # of the U-Net's passes
        with silence_logging():
            picture = self._decode(
                latents, torch.float32 if self._vae_needs_fp32 else self.vae.dtype
            )
            again = not bool(torch.isfinite(picture).all())
            if again:
                picture = self._decode(latents, torch.float32)
        return (picture.float() / 2 + 0.5).clamp(0, 1).cpu(), again

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """Latents of a picture (1, 3, height, width) in 0..1, scaled as the UNet has them."""
        vae, before, wide = self.vae, self.vae.dtype, self._vae_needs_fp32
        with silence_logging():
            if wide:
                vae.to(torch.float32)
            try:
                found = vae.encode((2 * image - 1).to(vae.dtype)).latent_dist.mode()
            finally:
                if wide:
                    vae.to(before)
        return torch.as_tensor(found * vae.config.scaling_factor)

    def _decode(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
        vae, config = self.vae, self.vae.config
        before = vae.dtype
        scaled = latents.to(dtype) / config.scaling_factor
        mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
        if mean is not None and std is not None:
            m, s = (scaled.new_tensor(list(v)).view(1, -1, 1, 1) for v in (mean, std))
            scaled = scaled * s + m
        if dtype == before:
            found: Tensor = vae.decode(scaled, return_dict=False)[0]
            return found
        vae.to(dtype)
        try:
            found = vae.decode(scaled, return_dict=False)[0]
        finally:
            vae.to(before)
        return found

    def close(self) -> None:
        """Give the memory back; whoever still refers to the networks finds them empty."""
        for pipe in self._pipelines.values():
            pipe.remove_all_hooks()
        for net in self._networks():
            nn.Module.to(net, "meta")
        self._pipelines.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def held_bytes(self, device: str) -> int:
        """Bytes of its numbers on a device."""
        kind = torch.device(device).type
        numbers = {p for net in self._networks() for p in net.parameters()}
        return sum(p.numel() * p.element_size() for p in numbers if p.device.type == kind)

    def _networks(self) -> list[nn.Module]:
        every = (
            *self._base_pipeline.components.values(),
            self.image_encoder,
            *self._controlnets.values(),
        )
        return [net for net in every if isinstance(net, nn.Module)]


_PIPELINE_CLASSES = {
    ("sdxl", False, False): "StableDiffusionXLPipeline",
    ("sdxl", False, True): "StableDiffusionXLImg2ImgPipeline",
    ("sdxl", True, False): "StableDiffusionXLControlNetPipeline",
    ("sdxl", True, True): "StableDiffusionXLControlNetImg2ImgPipeline",
    ("sd15", False, False): "StableDiffusionPipeline",
    ("sd15", False, True): "StableDiffusionImg2ImgPipeline",
    ("sd15", True, False): "StableDiffusionControlNetPipeline",
    ("sd15", True, True): "StableDiffusionControlNetImg2ImgPipeline",
}
"""Kind, ControlNets, from a picture → diffusers' class."""

_LOADED: dict[PipelineSpec, LoadedPipeline] = {}
PIPELINE_LOCK = threading.RLock()
"""Held by whoever loads a model or paints with it: one is in memory, and it wears one request's
scales, LoRAs and controls at a time."""


def load_pipeline(
    spec: PipelineSpec, base: BaseModelInfo, files: Mapping[str, str]
) -> LoadedPipeline:
    """A model in memory: that of the last request, if it can be changed into this one.

    To be called, and the model used, while :data:`PIPELINE_LOCK` is held. ``files`` are the sha256
    by name of what is to be loaded, as the files are now: others under these names are read anew.

    Raises:
        WeightsError: it cannot be had or read.
        ResourceError: it does not fit.
    """
    core = spec if spec.motion_adapter else replace(spec, ip_adapter=None)
    core = replace(core, controlnets=())
    kept = _LOADED.get(core)
    if kept is None or any(files.get(name, was) != was for name, was in kept.files.items()):
        unload_pipelines()
        _LOADED[core] = LoadedPipeline(spec, base)
    _LOADED[core].reconfigure(spec)
    _LOADED[core].files |= files
    return _LOADED[core]


def held_bytes(device: str) -> int:
    """Bytes on a device that the model of the last request holds, and the next one may have."""
    return sum(loaded.held_bytes(device) for loaded in _LOADED.values())


def unload_pipelines() -> None:
    """Forget the model that is kept."""
    while _LOADED:
        _LOADED.popitem()[1].close()
