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
from impasto.engines.diffusion.files import titled
from impasto.engines.diffusion.lora import Use
from impasto.engines.diffusion.memory import Sizes
from impasto.engines.diffusion.pipelines import Parts
from impasto.weights import compatibility, hub
from impasto.weights.compatibility import Adapter, Base
from impasto.weights.hub import Source

PACKAGES = ("diffusers", "transformers", "accelerate", "peft")
LICENCES = {
    "stabilityai/stable-diffusion-xl-base-1.0": "openrail++",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "creativeml-openrail-m",
    "h94/IP-Adapter": "apache-2.0",
    "stabilityai/sdxl-turbo": "sai-nc-community (non-commercial)",
    "stabilityai/sd-turbo": "sai-nc-community (non-commercial)",
}
"""Repository → licence, as its card says; for others the card is read."""


def require_extra() -> None:
    """Check that the optional packages are there.

    Raises:
        MissingExtraError: with the line that installs them.
    """
    if any(importlib.util.find_spec(name) is None for name in PACKAGES):
        raise MissingExtraError(
            'Diffusion models need an extra; run: pip install "impasto[diffusion]"'
        )


@dataclass(frozen=True)
class Kit:
    """Parts that fit each other.

    Attributes:
        base: the model.
        adapter, encoder: the IP-Adapter and its image encoder; None: without.
        controls: kind and place of every ControlNet, in order.
        loras: in order.
        licences: name of a part → its licence, as its card states it.
        motion: the motion adapter of a film, or None.
        frames: that it sees at once.
    """

    base: Base
    adapter: Adapter | None
    encoder: Source | None
    controls: tuple[tuple[str, Source], ...]
    loras: tuple[Source, ...]
    licences: tuple[tuple[str, str], ...]
    motion: Source | None = None
    frames: int = 1

    @functools.cached_property
    def sizes(self) -> Sizes:
        """Parameters of every part; a motion adapter becomes a part of the UNet."""
        found = memory.weigh(
            self.base,
            self.adapter,
            self.encoder,
            {f"{i} {k}": s for i, (k, s) in enumerate(self.controls)},
        )
        if self.motion is None:
            return found
        count = memory.counted("MotionAdapter", self.motion.json("config.json"))
        return Sizes({**found.parts, "unet": found.parts["unet"] + count}, self.base)

    def parts(self, device: str, precision: str, step: str) -> Parts:
        """As they are loaded."""
        adapter = None
        if self.adapter is not None and self.encoder is not None:
            adapter = (self.adapter.source, self.encoder)
        nets = tuple(source for _, source in self.controls)
        return Parts(
            self.base.source, self.base.kind, adapter, nets, device, precision, step, self.motion
        )

    def digests(self, precision: str) -> dict[str, str]:
        """Name → sha256 of all files that are loaded, for the recipe; they are fetched for it."""
        half = precision != "fp32"
        found = files.told(self.base.source, files.fetched_model(self.base.source, self.base, half))
        if self.adapter is not None and self.encoder is not None:
            place = self.adapter.source
            found |= files.told(place, files.fetched_file(place), file=True)
            found |= files.told(self.encoder, files.fetched_encoder(self.encoder))
        nets = [source for _, source in self.controls]
        for net in nets + ([self.motion] if self.motion else []):
            found |= files.told(net, files.fetched_net(net, half))
        for lora in self.loras:
            found |= files.told(lora, files.fetched_file(lora), file=True)
        return found

    def taken(self, uses: Sequence[Use]) -> list[Use]:
        """LoRAs as they are on this machine, in the kit's order."""
        found = []
        for use, source in zip(uses, self.loras, strict=True):
            root, (name,) = files.fetched_file(source)
            found.append(replace(use, file=root / name))
        return found

    @property
    def native(self) -> int:
        """Side in pixels of the square that the model was made for."""
        return int(self.base.unet.get("sample_size", 128)) * self.base.factor

    @property
    def align(self) -> int:
        """What both sides must be multiples of."""
        return self.base.factor << (len(self.base.unet["block_out_channels"]) - 1)

    def canvas(self, height: int, width: int, side: int | None) -> tuple[int, int]:
        """The (height, width) at which it paints: as large as a square, in these proportions."""
        area = (side or self.native) ** 2
        scale = (area / (height * width)) ** 0.5
        fit = self.align
        return (
            max(fit, round(height * scale / fit) * fit),
            max(fit, round(width * scale / fit) * fit),
        )


def find(
    *,
    model: str,
    adapter: str | None,
    encoder: str,
    controls: Sequence[tuple[str, str]],
    loras: Sequence[str],
    accept_licence: bool,
    motion: str | None = None,
    depth: str = "",
) -> Kit:
    """Find the parts and check that they fit.

    Args:
        model: a folder, or a name on the hub.
        adapter: the same of the IP-Adapter; "" is the one that fits; None: none is needed.
        encoder: the same of its image encoder; "" is the one that came with it.
        controls: kind of each ControlNet, and its name or "".
        loras: files or names.
        accept_licence: whether licences that forbid commercial use are accepted.
        motion: the motion adapter; "" is the one that fits; None: none is needed.
        depth: a folder or a name of a depth model; "": none is needed.

    Raises:
        MissingExtraError: the optional packages are not installed.
        WeightsError: a part that is missing or does not fit; says which would.
        KnobError: a licence that was not accepted.
    """
    require_extra()
    kit = _found(model, adapter, encoder, tuple(controls), tuple(loras), depth, motion)
    for title, licence in kit.licences:
        check_licence(title, licence, accept_licence)
    return kit


def check_licence(title: str, licence: str, accepted: bool) -> None:
    """Refuse a licence that forbids commercial use, unless it was accepted.

    Raises:
        KnobError: it was not.
    """
    if hub.NON_COMMERCIAL.search(licence) and not accepted:
        raise KnobError(
            f"The licence of {title} is {licence}: it does not allow commercial use. Say "
            "--accept-licence if yours is none."
        )


@functools.lru_cache(maxsize=8)
def _found(
    model: str,
    adapter: str | None,
    encoder: str,
    controls: tuple[tuple[str, str], ...],
    loras: tuple[str, ...],
    depth: str,
    motion: str | None,
) -> Kit:
    base = compatibility.look_at_model(hub.locate(model))
    seeing = eyes = None
    if adapter is not None:
        seeing = compatibility.look_at_adapter(adapter, base)
        eyes = compatibility.encoder_of(seeing, encoder)
        compatibility.check_adapter(base, seeing, eyes)
    nets = tuple((kind, compatibility.check_control(base, kind, name)) for kind, name in controls)
    taught = tuple(compatibility.check_lora(base, name) for name in loras)
    moving, frames = (None, 1) if motion is None else compatibility.check_motion(base, motion)
    sources = [base.source, *([seeing.source] if seeing else []), *([eyes] if eyes else [])]
    sources += [*(s for _, s in nets), *taught, *([moving] if moving else [])]
    if depth:
        sources.append(hub.locate(depth))
        sources[-1].json("config.json")
    licences = {_title(source): _licence(source) for source in sources}
    return Kit(base, seeing, eyes, nets, taught, tuple(licences.items()), moving, frames)


def _title(source: Source) -> str:
    return source.repo or source.name


def _licence(source: Source) -> str:
    return LICENCES.get(source.repo) or source.licence() or "not stated"


def forget() -> None:
    """Look at all parts anew next time."""
    _found.cache_clear()


def here(name: str) -> bool:
    """Whether a model is on this machine, as far as its first file shows."""
    try:
        root = hub.snapshot(hub.locate(name))
    except (WeightsError, MissingExtraError):
        return False
    return root is not None and (root / "model_index.json").is_file()


def told(kit: Kit) -> list[str]:
    """What a plan says of the parts, one sentence each."""
    notes = [f"The model is {kit.base.title}."]
    if kit.adapter is not None:
        notes.append(
            f"Styles are seen by {titled(kit.adapter.source)}/{kit.adapter.source.path()}."
        )
    if kit.motion is not None:
        notes.append(f"Motion is by {titled(kit.motion)}.")
    notes += [f"{title}: licence {licence}." for title, licence in kit.licences]
    return notes
