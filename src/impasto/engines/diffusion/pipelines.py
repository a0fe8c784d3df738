"""Pipelines of diffusers, built from checked parts and kept loaded for the next request."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.devices import give_back_freed_memory
from impasto.core.errors import ResourceError
from impasto.engines.diffusion.files import (
    fetched_encoder,
    fetched_file,
    fetched_model,
    fetched_net,
    pretrained,
)
from impasto.engines.diffusion.memory import STEPS
from impasto.engines.diffusion.verbosity import hushed
from impasto.weights.compatibility import Base
from impasto.weights.hub import Source

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
FEW = ("lcm", "lightning")
"""Schedulers of distilled models: a few steps, and no guidance."""
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Parts:
    """What a pipeline is made of; equal parts are loaded once.

    Attributes:
        base: where the model is.
        kind: of the model, "sdxl" or "sd15".
        adapter: where the IP-Adapter is, and its encoder; None: without.
        controls: where the ControlNets are.
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: "fp32", "fp16" or "bf16".
        step: name of a :class:`~impasto.engines.diffusion.memory.Step`.
        motion: where the motion adapter is; None: without.
    """

    base: Source
    kind: str
    adapter: tuple[Source, Source] | None
    controls: tuple[Source, ...]
    device: str
    precision: str
    step: str
    motion: Source | None = None


class Loaded:
    """A model in memory, with its adapter and ControlNets, which may be changed for others.

    Attributes:
        parts: what it is made of now.
        encoder: the image encoder, or None.
        owner: the film whose LoRAs and scales it has, or None.
        worn: LoRAs that a film left on, or None.
        files: name → sha256 of all that was read into it.
    """

    def __init__(self, parts: Parts, base: Base) -> None:
        self.parts = replace(parts, adapter=None, controls=())
        self.encoder: Any = None
        self.owner: Any = None
        self.worn: Any = None
        self.files: dict[str, str] = {}
        self._nets: dict[Source, Any] = {}
        self._pipes: dict[str, Any] = {}
        self._current = ""
        half = parts.precision != "fp32"
        with hushed():
            import diffusers

            root, names = fetched_model(parts.base, base, half)
            self._base = pretrained(
                parts.base,
                getattr(diffusers, _CLASSES[parts.kind, False, False]),
                root,
                torch_dtype=DTYPES[parts.precision],
                variant="fp16" if any(".fp16." in name for name in names) else None,
                **({"safety_checker": None, "requires_safety_checker": False}
                   if parts.kind == "sd15" else {"add_watermarker": False}),
            )  # fmt: skip
            self.scheduler_config = dict(self._base.scheduler.config)
            if parts.motion is not None:  # it takes over what its U-Net wears
                self._adapt(parts.adapter)
                moving = self._single(parts.motion, diffusers.MotionAdapter)
                unet = diffusers.UNetMotionModel.from_unet2d(self._base.unet, moving)
                if parts.kind == "sdxl":  # which from_unet2d leaves as it was drawn
                    unet.add_embedding.load_state_dict(self.unet.add_embedding.state_dict())
                self._base.register_modules(unet=unet.eval())
                self.parts = replace(self.parts, adapter=parts.adapter)
        self._base.vae.eval()
        self._lay_out(self.unet, self.vae)
        if STEPS[parts.step].tiled:
            self._base.vae.enable_tiling()

    def _lay_out(self, *nets: nn.Module) -> None:
        """Channels last in half precision, as convolutions want it there (docs/performance.md)."""
        if self.parts.precision != "fp32" and not self.parts.device.startswith("mps"):
            for net in nets:
                net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        give_back_freed_memory()

    def wear(self, parts: Parts) -> None:
        """Change adapter and ControlNets for those of a request; what both have stays loaded.

        Raises:
            WeightsError: one cannot be had or read.
        """
        if parts == self.parts:
            return
        import diffusers

        for pipe in self._pipes.values():
            pipe.remove_all_hooks()
        self._pipes.clear()
        self._current, self.owner = "", None
        self.parts = replace(self.parts, controls=())
        with hushed():
            for gone in self._nets.keys() - set(parts.controls):
                del self._nets[gone]
            if parts.adapter != self.parts.adapter:
                self._unadapt()
                self._adapt(parts.adapter)
            for source in parts.controls:
                if source not in self._nets:
                    self._nets[source] = self._single(source, diffusers.ControlNetModel)
                    self._lay_out(self._nets[source])
        self.parts = parts

    def _unadapt(self) -> None:
        """Without an adapter."""
        if self.parts.adapter is not None:
            self._base.unload_ip_adapter()
        self.encoder, self.parts = None, replace(self.parts, adapter=None)

    def _adapt(self, adapter: tuple[Source, Source] | None) -> None:
        if adapter is None:
            return
        from transformers import CLIPVisionModelWithProjection

        place, encoder = adapter
        root, (name,) = fetched_file(place)
        self._base.load_ip_adapter(
            str(root),
            subfolder="",
            weight_name=name,
            image_encoder_folder=None,
            local_files_only=True,
        )
        root, _ = fetched_encoder(encoder)
        self.encoder = pretrained(
            encoder,
            CLIPVisionModelWithProjection,
            root,
            dtype=DTYPES[self.parts.precision],
        ).eval()

    def _single(self, source: Source, kind: Any) -> Any:
        """A ControlNet or a motion adapter."""
        root, names = fetched_net(source, self.parts.precision != "fp32")
        return pretrained(
            source,
            kind,
            root,
            torch_dtype=DTYPES[self.parts.precision],
            variant="fp16" if any(".fp16." in name for name in names) else None,
        ).eval()

    @property
    def unet(self) -> Any:
        return self._base.unet

    @property
    def vae(self) -> Any:
        return self._base.vae

    def pipe(self, picture: bool, scheduler: str = "model") -> Any:
        """The pipeline that starts from a picture, or from noise alone.

        Args:
            picture: whether there is one.
            scheduler: a name in :data:`SCHEDULERS`, or "model" for the model's own.
        """
        import diffusers

        nets = [self._nets[source] for source in self.parts.controls]
        name = _CLASSES[self.parts.kind, bool(nets), picture]
        if name not in self._pipes:
            parts = dict(self._base.components)
            if nets:
                parts["controlnet"] = nets if len(nets) > 1 else nets[0]
            if self.parts.kind == "sd15":
                parts["requires_safety_checker"] = False
            else:
                zeros = self._base.config.get("force_zeros_for_empty_prompt", True)
                parts |= {"add_watermarker": False, "force_zeros_for_empty_prompt": zeros}
            with hushed():
                self._pipes[name] = getattr(diffusers, name)(**parts)
        pipe = self._pipes[name]
        pipe.set_progress_bar_config(disable=True)
        if name != self._current:
            self._place(pipe)
            self._current = name
        pipe.scheduler = self.scheduler(scheduler)
        return pipe

    def _place(self, pipe: Any) -> None:
        """Put the parts where they belong."""
        device, offload = self.parts.device, STEPS[self.parts.step].offload
        with hushed():
            if not offload:
                pipe.to(device)
                if self.encoder is not None:
                    self.encoder.to(device)
                return
            for other in self._pipes.values():
                other.remove_all_hooks()
            if offload == "sequential":
                pipe.enable_sequential_cpu_offload(device=device)
            else:
                pipe.enable_model_cpu_offload(device=device)

    def scheduler(self, name: str) -> Any:
        """A scheduler anew, as it keeps where it is; "model" is the model's own."""
        import diffusers

        with hushed():
            if name == "model":
                kind = type(self._base.scheduler)
                return kind.from_config(self.scheduler_config)
            title, settings = SCHEDULERS[name]
            return getattr(diffusers, title).from_config(self.scheduler_config, **settings)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Any]:
        """The image encoder on the device, and afterwards away again if parts are offloaded."""
        if not STEPS[self.parts.step].offload:
            yield self.encoder
            return
        self.encoder.to(self.parts.device)
        try:
            yield self.encoder
        finally:
            self.encoder.to("cpu")

    @property
    def _wide(self) -> bool:
        """Whether the autoencoder works in fp32, as that of SDXL overflows in half precision."""
        vae = self.vae
        upcast = self.parts.kind == "sdxl" and vae.config.force_upcast
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
                f"The model gave no numbers in {self.parts.precision}: use --precision bf16, or "
                "fp32."
            )
        give_back_freed_memory()  # of the U-Net's passes
        with hushed():
            picture = self._decoded(latents, torch.float32 if self._wide else self.vae.dtype)
            again = not bool(torch.isfinite(picture).all())
            if again:
                picture = self._decoded(latents, torch.float32)
        return (picture.float() / 2 + 0.5).clamp(0, 1).cpu(), again

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        """Latents of a picture (1, 3, height, width) in 0..1, scaled as the UNet has them."""
        vae, before, wide = self.vae, self.vae.dtype, self._wide
        with hushed():
            if wide:
                vae.to(torch.float32)
            try:
                found = vae.encode((2 * picture - 1).to(vae.dtype)).latent_dist.mode()
            finally:
                if wide:
                    vae.to(before)
        return torch.as_tensor(found * vae.config.scaling_factor)

    def _decoded(self, latents: Tensor, dtype: torch.dtype) -> Tensor:
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
        for pipe in self._pipes.values():
            pipe.remove_all_hooks()
        for net in self._modules():
            nn.Module.to(net, "meta")
        self._pipes.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def held(self, device: str) -> int:
        """Bytes of its numbers on a device."""
        kind = torch.device(device).type
        numbers = {p for net in self._modules() for p in net.parameters()}
        return sum(p.numel() * p.element_size() for p in numbers if p.device.type == kind)

    def _modules(self) -> list[nn.Module]:
        every = (*self._base.components.values(), self.encoder, *self._nets.values())
        return [net for net in every if isinstance(net, nn.Module)]


_CLASSES = {
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

_KEPT: dict[Parts, Loaded] = {}
WORK = threading.RLock()
"""Held by whoever loads a model or paints with it: one is in memory, and it wears one request's
scales, LoRAs and controls at a time."""


def load(parts: Parts, base: Base, files: Mapping[str, str]) -> Loaded:
    """A model in memory: that of the last request, if it can be changed into this one.

    To be called, and the model used, while :data:`WORK` is held. ``files`` are the sha256 by name
    of what is to be loaded, as the files are now: others under these names are read anew.

    Raises:
        WeightsError: it cannot be had or read.
        ResourceError: it does not fit.
    """
    core = parts if parts.motion else replace(parts, adapter=None)
    core = replace(core, controls=())
    kept = _KEPT.get(core)
    if kept is None or any(files.get(name, was) != was for name, was in kept.files.items()):
        drop()
        _KEPT[core] = Loaded(parts, base)
    _KEPT[core].wear(parts)
    _KEPT[core].files |= files
    return _KEPT[core]


def held(device: str) -> int:
    """Bytes on a device that the model of the last request holds, and the next one may have."""
    return sum(loaded.held(device) for loaded in _KEPT.values())


def drop() -> None:
    """Forget the model that is kept."""
    while _KEPT:
        _KEPT.popitem()[1].close()
