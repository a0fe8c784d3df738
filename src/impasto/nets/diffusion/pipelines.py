"""Pipelines of diffusers, built from checked parts and kept loaded for the next request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import ResourceError, WeightsError
from impasto.nets.diffusion.memory import STEPS
from impasto.nets.diffusion.quiet import hushed
from impasto.weights import hub
from impasto.weights.hub import Source
from impasto.weights.pairs import Adapter, Base
from impasto.weights.whole import digests

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
        step: name of a :class:`~impasto.nets.diffusion.memory.Step`.
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
    """A model in memory, with its adapter and ControlNets.

    Attributes:
        parts: what it was made of.
        files: sha256 by name, for the recipe.
        encoder: the image encoder, or None.
        worn: LoRAs that a film left on, or None.
    """

    def __init__(self, parts: Parts, base: Base, adapter: Adapter | None) -> None:
        self.parts = parts
        self.files: dict[str, str] = {}
        self.encoder: Any = None
        self.worn: Any = None
        self._pipes: dict[str, Any] = {}
        self._current = ""
        half = parts.precision != "fp32"
        with hushed():
            import diffusers

            root, names = fetched_model(parts.base, base, half)
            self.files |= digests(root, names, titled(parts.base))
            self._base = _pretrained(
                parts.base,
                getattr(diffusers, _CLASSES[parts.kind, False, False]),
                root,
                torch_dtype=DTYPES[parts.precision],
                variant="fp16" if any(".fp16." in name for name in names) else None,
                **({"safety_checker": None, "requires_safety_checker": False}
                   if parts.kind == "sd15" else {"add_watermarker": False}),
            )  # fmt: skip
            self.scheduler_config = dict(self._base.scheduler.config)
            if parts.adapter is not None and adapter is not None:
                self._adapt(*parts.adapter)
            self._nets = [self._single(s, diffusers.ControlNetModel) for s in parts.controls]
            if parts.motion is not None:
                moving = self._single(parts.motion, diffusers.MotionAdapter)
                unet = diffusers.UNetMotionModel.from_unet2d(self._base.unet, moving)
                if parts.kind == "sdxl":  # which from_unet2d leaves as it was drawn
                    unet.add_embedding.load_state_dict(self.unet.add_embedding.state_dict())
                self._base.register_modules(unet=unet.eval())
        self._base.vae.eval()
        if STEPS[parts.step].tiled:
            self._base.vae.enable_tiling()

    def _adapt(self, place: Source, encoder: Source) -> None:
        from transformers import CLIPVisionModelWithProjection

        root = hub.fetch(place, [place.path()])
        self.files |= digests(root, [place.path()], titled(place))
        file = Path(place.path())
        self._base.load_ip_adapter(
            str(root),
            subfolder="" if str(file.parent) == "." else file.parent.as_posix(),
            weight_name=file.name,
            image_encoder_folder=None,
            local_files_only=True,
        )
        names = [encoder.path("config.json"), encoder.path("model.safetensors")]
        root = hub.fetch(encoder, names)
        self.files |= digests(root, names, titled(encoder))
        self.encoder = _pretrained(
            encoder,
            CLIPVisionModelWithProjection,
            root / encoder.inside,
            dtype=DTYPES[self.parts.precision],
        ).eval()

    def _single(self, source: Source, kind: Any) -> Any:
        """A ControlNet or a motion adapter."""
        stem = "diffusion_pytorch_model"
        listed, half = hub.names_of(source), self.parts.precision != "fp32"
        variant = half and source.path(f"{stem}.fp16.safetensors") in listed
        file = f"{stem}.fp16.safetensors" if variant else f"{stem}.safetensors"
        names = [source.path("config.json"), source.path(file)]
        root = hub.fetch(source, names)
        self.files |= digests(root, names, titled(source))
        return _pretrained(
            source,
            kind,
            root / source.inside,
            torch_dtype=DTYPES[self.parts.precision],
            variant="fp16" if variant else None,
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

        name = _CLASSES[self.parts.kind, bool(self._nets), picture]
        if name not in self._pipes:
            parts = dict(self._base.components)
            if self._nets:
                parts["controlnet"] = self._nets if len(self._nets) > 1 else self._nets[0]
            if self.parts.kind == "sd15":
                parts["requires_safety_checker"] = False
            else:
                parts["add_watermarker"] = False
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

    @torch.inference_mode()
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
        vae = self.vae
        wide = vae.dtype == torch.float16 and vae.config.force_upcast
        picture = self._decoded(latents, torch.float32 if wide else vae.dtype)
        again = not bool(torch.isfinite(picture).all())
        if again:
            picture = self._decoded(latents, torch.float32)
        return (picture.float() / 2 + 0.5).clamp(0, 1).cpu(), again

    @torch.inference_mode()
    def encode(self, picture: Tensor) -> Tensor:
        """Latents of a picture (1, 3, height, width) in 0..1, scaled as the UNet has them."""
        vae, config, before = self.vae, self.vae.config, self.vae.dtype
        wide = before == torch.float16 and config.force_upcast
        vae.to(torch.float32 if wide else before)
        try:
            found = vae.encode((2 * picture - 1).to(vae.dtype)).latent_dist.mode()
        finally:
            vae.to(before)
        return torch.as_tensor(found * config.scaling_factor)

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
        for net in (*self._base.components.values(), self.encoder, *self._nets):
            if isinstance(net, nn.Module):
                nn.Module.to(net, "meta")
        self._pipes.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


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


def load(parts: Parts, base: Base, adapter: Adapter | None) -> Loaded:
    """A model in memory: the one of the last request if it is of the same parts.

    Raises:
        WeightsError: it cannot be had or read.
        ResourceError: it does not fit.
    """
    if parts in _KEPT:
        return _KEPT[parts]
    drop()
    _KEPT[parts] = Loaded(parts, base, adapter)
    return _KEPT[parts]


def drop() -> None:
    """Forget the model that is kept."""
    while _KEPT:
        _KEPT.popitem()[1].close()


def stepped(parts: Parts, step: str) -> Parts:
    """The same parts, fitted another way."""
    return replace(parts, step=step)


def titled(source: Source) -> str:
    """What a recipe calls a source: with its commit, if it is of the hub."""
    if source.folder is not None:
        return source.folder.name
    return f"{source.repo}@{hub.commit(source) or source.revision}"


def fetched_model(source: Source, base: Base, half: bool) -> tuple[Path, list[str]]:
    """A model's folder on this machine, and the files that are loaded from it.

    Raises:
        WeightsError: it is not to be had, or not whole.
    """
    names = wanted(hub.names_of(source), base, half)
    root = hub.fetch(source, names)
    return root, names


def wanted(listed: Sequence[str], base: Base, half: bool) -> list[str]:
    """The files of a model that are loaded: of fp16, if there are such and that is enough.

    Raises:
        WeightsError: it has no safetensors.
    """
    nets = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
    nets |= dict.fromkeys(base.texts, "model")
    kinds = (".fp16", "") if half else ("",)
    for kind in kinds:
        files = [_weights(listed, part, stem, kind) for part, stem in nets.items()]
        if all(files):
            others = [
                n for n in listed if _small(n, (*nets, "scheduler", "tokenizer", "tokenizer_2"))
            ]
            return sorted({"model_index.json", *(f for f in files if f), *others})
    lacking = [part for part, stem in nets.items() if not _weights(listed, part, stem, "")]
    raise WeightsError(
        f"{base.source.title} has no .safetensors, which alone are loaded, for "
        f"{', '.join(lacking)}. {base.source.again()}"
    )


def _weights(listed: Sequence[str], part: str, stem: str, kind: str) -> str:
    """The file of a part's weights, or the index of several; "" if there is none."""
    names = (f"{part}/{stem}{kind}.safetensors", f"{part}/{stem}.safetensors.index{kind}.json")
    return next((name for name in names if name in listed), "")


def _small(name: str, parts: Sequence[str]) -> bool:
    folder, _, file = name.partition("/")
    return folder in parts and file.endswith((".json", ".txt")) and "index" not in file


def _pretrained(source: Source, kind: Any, folder: Path, **how: Any) -> Any:
    """``from_pretrained`` of a local folder, its errors in our words."""
    given = {
        name: value for name, value in how.items() if value is not None or name == "safety_checker"
    }
    try:
        return kind.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, **given
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the libraries' own errors are of a dozen kinds
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{source.title} cannot be loaded: {why} {source.again()}") from error
