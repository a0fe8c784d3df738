"""What a painting is made with: model, adapter, encoder, ControlNets and LoRAs, found and checked.

Only small files are read here. Nothing large is fetched before all parts are known to fit.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace

from impasto.core.errors import KnobError, MissingExtraError, WeightsError
from impasto.engines.diffusion import files, memory
from impasto.engines.diffusion.files import versioned_title
from impasto.engines.diffusion.lora import LoraConfig
from impasto.engines.diffusion.memory import ParameterCounts
from impasto.engines.diffusion.pipelines import PipelineSpec
from impasto.weights import compatibility, hub
from impasto.weights.compatibility import AdapterInfo, BaseModelInfo
from impasto.weights.hub import ModelSource

REQUIRED_PACKAGES = ("diffusers", "transformers", "accelerate", "peft")
LICENSES = {
    "stabilityai/stable-diffusion-xl-base-1.0": "openrail++",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
    "h94/IP-Adapter": "apache-2.0",
    "stabilityai/sdxl-turbo": "sai-nc-community (non-commercial)",
    "stabilityai/sd-turbo": "sai-nc-community (non-commercial)",
}
"""Repository → license, as its card says; for others the card is read."""


def require_extra() -> None:
    """Check that the optional packages are there.

    Raises:
        MissingExtraError: with the line that installs them.
    """
    if any(importlib.util.find_spec(name) is None for name in REQUIRED_PACKAGES):
        raise MissingExtraError(
            'Diffusion models need an extra; run: pip install "impasto[diffusion]"'
        )


@dataclass(frozen=True)
class DiffusionComponents:
    """Parts that fit each other.

    Attributes:
        base: the model.
        adapter, image_encoder: the IP-Adapter and its image encoder; None: without.
        controlnets: kind and place of every ControlNet, in order.
        loras: in order.
        licenses: name of a part → its license, as its card states it.
        motion_adapter: the motion adapter of a film, or None.
        max_frames: that it sees at once.
    """

    base: BaseModelInfo
    adapter: AdapterInfo | None
    image_encoder: ModelSource | None
    controlnets: tuple[tuple[str, ModelSource], ...]
    loras: tuple[ModelSource, ...]
    licenses: tuple[tuple[str, str], ...]
    motion_adapter: ModelSource | None = None
    max_frames: int = 1

    @functools.cached_property
    def parameter_counts(self) -> ParameterCounts:
        """Parameters of every part; a motion adapter becomes a part of the UNet."""
        found = memory.count_parameters(
            self.base,
            self.adapter,
            self.image_encoder,
            {f"{i} {k}": s for i, (k, s) in enumerate(self.controlnets)},
        )
        if self.motion_adapter is None:
            return found
        count = memory.count_network_parameters(
            "MotionAdapter", self.motion_adapter.read_json("config.json")
        )
        return ParameterCounts({**found.counts, "unet": found.counts["unet"] + count}, self.base)

    def pipeline_spec(self, device: str, precision: str, memory_mode: str) -> PipelineSpec:
        """As they are loaded."""
        adapter = None
        if self.adapter is not None and self.image_encoder is not None:
            adapter = (self.adapter.source, self.image_encoder)
        nets = tuple(source for _, source in self.controlnets)
        return PipelineSpec(
            self.base.source,
            self.base.family,
            adapter,
            nets,
            device,
            precision,
            memory_mode,
            self.motion_adapter,
        )

    def digests(self, precision: str) -> dict[str, str]:
        """Name → sha256 of all files that are loaded, for the recipe; they are fetched for it."""
        half = precision != "fp32"
        found = files.component_digests(
            self.base.source, files.fetch_model_files(self.base.source, self.base, half)
        )
        if self.adapter is not None and self.image_encoder is not None:
            place = self.adapter.source
            found |= files.component_digests(
                place, files.fetch_single_file(place), single_file=True
            )
            found |= files.component_digests(
                self.image_encoder, files.fetch_encoder_files(self.image_encoder)
            )
        nets = [source for _, source in self.controlnets]
        for net in nets + ([self.motion_adapter] if self.motion_adapter else []):
            found |= files.component_digests(net, files.fetch_network_files(net, half))
        for lora in self.loras:
            found |= files.component_digests(lora, files.fetch_single_file(lora), single_file=True)
        return found

    def local_loras(self, configs: Sequence[LoraConfig]) -> list[LoraConfig]:
        """LoRAs as they are on this machine, in the kit's order."""
        found = []
        for use, source in zip(configs, self.loras, strict=True):
            root, (name,) = files.fetch_single_file(source)
            found.append(replace(use, file=root / name))
        return found

    @property
    def native_size(self) -> int:
        """Side in pixels of the square that the model was made for."""
        return int(self.base.unet.get("sample_size", 128)) * self.base.vae_scale_factor

    @property
    def size_multiple(self) -> int:
        """What both sides must be multiples of."""
        return self.base.vae_scale_factor << (len(self.base.unet["block_out_channels"]) - 1)

    def render_resolution(
        self, height: int, width: int, render_size: int | None
    ) -> tuple[int, int]:
        """The (height, width) at which it paints: as large as a square, in these proportions."""
        area = (render_size or self.native_size) ** 2
        scale = (area / (height * width)) ** 0.5
        fit = self.size_multiple
        return (
            max(fit, round(height * scale / fit) * fit),
            max(fit, round(width * scale / fit) * fit),
        )


def find_components(
    *,
    model: str,
    ip_adapter: str | None,
    image_encoder: str,
    controlnets: Sequence[tuple[str, str]],
    loras: Sequence[str],
    accept_license: bool,
    motion_adapter: str | None = None,
    depth_model: str = "",
) -> DiffusionComponents:
    """Find the parts and check that they fit.

    Args:
        model: a folder, or a name on the hub.
        ip_adapter: the same of the IP-Adapter; "" is the one that fits; None: none is needed.
        image_encoder: the same of its image encoder; "" is the one that came with it.
        controlnets: kind of each ControlNet, and its name or "".
        loras: files or names.
        accept_license: whether licenses that forbid commercial use are accepted.
        motion_adapter: the motion adapter; "" is the one that fits; None: none is needed.
        depth_model: a folder or a name of a depth model; "": none is needed.

    Raises:
        MissingExtraError: the optional packages are not installed.
        WeightsError: a part that is missing or does not fit; says which would.
        KnobError: a license that was not accepted.
    """
    require_extra()
    kit = _find_cached(
        model,
        ip_adapter,
        image_encoder,
        tuple(controlnets),
        tuple(loras),
        depth_model,
        motion_adapter,
    )
    for title, license in kit.licenses:
        check_license(title, license, accept_license)
    return kit


def check_license(title: str, license: str, accepted: bool) -> None:
    """Refuse a license that forbids commercial use, unless it was accepted.

    Raises:
        KnobError: it was not.
    """
    if hub.NON_COMMERCIAL_PATTERN.search(license) and not accepted:
        raise KnobError(
            f"The license of {title} is {license}: it does not allow commercial use. Say "
            "--accept-license if yours is none."
        )


@functools.lru_cache(maxsize=8)
def _find_cached(
    model: str,
    adapter: str | None,
    encoder: str,
    controls: tuple[tuple[str, str], ...],
    loras: tuple[str, ...],
    depth: str,
    motion: str | None,
) -> DiffusionComponents:
    base = compatibility.inspect_model(hub.locate(model))
    seeing = eyes = None
    if adapter is not None:
        seeing = compatibility.inspect_adapter(adapter, base)
        eyes = compatibility.image_encoder_source(seeing, encoder)
        compatibility.check_adapter(base, seeing, eyes)
    nets = tuple(
        (kind, compatibility.check_controlnet(base, kind, name)) for kind, name in controls
    )
    taught = tuple(compatibility.check_lora(base, name) for name in loras)
    moving, frames = (
        (None, 1) if motion is None else compatibility.check_motion_adapter(base, motion)
    )
    sources = [base.source, *([seeing.source] if seeing else []), *([eyes] if eyes else [])]
    sources += [*(s for _, s in nets), *taught, *([moving] if moving else [])]
    if depth:
        sources.append(hub.locate(depth))
        sources[-1].read_json("config.json")
    licenses = {_source_name(source): _license(source) for source in sources}
    return DiffusionComponents(
        base, seeing, eyes, nets, taught, tuple(licenses.items()), moving, frames
    )


def _source_name(source: ModelSource) -> str:
    return source.repo or source.name


def _license(source: ModelSource) -> str:
    return LICENSES.get(source.repo) or source.license() or "not stated"


def clear_component_cache() -> None:
    """Look at all parts anew next time."""
    _find_cached.cache_clear()


def is_model_local(name: str) -> bool:
    """Whether a model is on this machine, as far as its first file shows."""
    try:
        root = hub.snapshot_folder(hub.locate(name))
    except (WeightsError, MissingExtraError):
        return False
    return root is not None and (root / "model_index.json").is_file()


def describe_components(components: DiffusionComponents) -> list[str]:
    """What a plan says of the parts, one sentence each."""
    notes = [f"The model is {components.base.title}."]
    if components.adapter is not None:
        notes.append(
            f"Styles are seen by "
            f"{versioned_title(components.adapter.source)}/{components.adapter.source.path_in_repo()}."
        )
    if components.motion_adapter is not None:
        notes.append(f"Motion is by {versioned_title(components.motion_adapter)}.")
    notes += [f"{title}: license {license}." for title, license in components.licenses]
    return notes
