"""LoRAs on a pipeline: several at once, each with a weight and scales of its blocks.

Every layer has one pair of thin matrices for all LoRAs together (their ranks stand side by side),
and adds their product beside itself. Fused, the product is added to the layer's weights once, which
is faster to run; the weights of before are kept, so that unfusing gives them back to the bit.
Subtracting the product again, as other tools do, would not.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from impasto.core.errors import KnobError, WeightsError
from impasto.core.knobs import nearest
from impasto.engines.diffusion.lora_keys import PARTS, aliases, block_of, layers
from impasto.weights.lora import BASES, Header, Pair, family, read_header, read_pairs

Place = tuple[str, str]
"""A layer: the part of the pipeline, and its path there."""

_WORN: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""U-Nets that LoRAs are on."""


@dataclass(frozen=True)
class Use:
    """One LoRA and how much of it.

    Attributes:
        file: a .safetensors file, in kohya's, ComfyUI's, A1111's or diffusers' names.
        weight: 0 leaves the base as it is, 1 is the LoRA as it was trained; below 0 and above 1
            are allowed.
        blocks: block → what the weight is multiplied by there; 1 where none is named. The nearest
            name counts: "down", "mid", "up", "up.block_0", "up.block_0.attentions_1", "text",
            "text.text_encoder_2".
    """

    file: str | Path
    weight: float = 1.0
    blocks: Mapping[str, float] = field(default_factory=dict)


class Loras:
    """LoRAs on a pipeline, from now until :meth:`remove`.

    Args:
        pipeline: of diffusers, SD 1.5, SD 2 or SDXL: whatever has a ``unet``.
        uses: which LoRAs; all are checked before the first is put on.
        model: what the pipeline's model is called, for messages.

    A LoRA of weight 0 leaves every picture as it was, to the bit.

    Raises:
        WeightsError: a LoRA of another base, a damaged file, or one that is no LoRA. Also if
            LoRAs are on the pipeline already.
        KnobError: an unknown block, a weight or scale that is no number, or scales that silence a
            LoRA altogether.
    """

    def __init__(self, pipeline: Any, uses: Sequence[Use], model: str = "the model") -> None:
        if pipeline.unet in _WORN:
            raise WeightsError("LoRAs are on this pipeline already: remove() them first.")
        self._parts: dict[str, nn.Module] = {
            part: module for part in PARTS if (module := getattr(pipeline, part, None)) is not None
        }
        self.uses = tuple(uses)
        self._names = {part: aliases(part, module) for part, module in self._parts.items()}
        self._layers = {part: layers(module) for part, module in self._parts.items()}
        found = self._read_all(model)
        self._added = {place: _Added(found.pop(place)) for place in list(found)}
        self._kept: dict[Place, Tensor] = {}
        self._unet: nn.Module = pipeline.unet
        self._put_on()
        _WORN.add(self._unet)

    @property
    def fused(self) -> bool:
        """Whether the LoRAs are in the weights."""
        return bool(self._kept)

    def weigh(self, weights: Sequence[float]) -> None:
        """Give the LoRAs other weights, in the order of ``uses``; fused ones are fused again.

        Raises:
            KnobError: not as many weights as LoRAs, or one that is no number.
        """
        if len(weights) != len(self.uses):
            raise KnobError(f"{len(weights)} weights for {len(self.uses)} LoRAs: give one each.")
        uses = tuple(
            Use(use.file, float(weight), use.blocks)
            for use, weight in zip(self.uses, weights, strict=True)
        )
        for use in uses:
            _check_numbers(use)
        fused = self.fused
        self._take_off()
        self.uses = uses
        self._put_on()
        if fused:
            self.fuse()

    def fuse(self) -> None:
        """Add the LoRAs to the weights. The weights of before are kept in main memory.

        Raises:
            WeightsError: the weights are elsewhere, as with sequential offloading.
        """
        if self.fused:
            return
        adding = {place: added for place, added in self._added.items() if added.counts}
        away = [path for (part, path) in adding if self._layers[part][path].weight.is_meta]
        if away:
            raise WeightsError(
                f"{away[0]} is offloaded, and nothing can be fused into it: fuse first, offload "
                "then, or leave the LoRAs unfused."
            )
        try:
            with torch.no_grad():
                for (part, path), added in adding.items():
                    weight = self._layers[part][path].weight
                    self._kept[part, path] = weight.detach().to("cpu", copy=True)
                    weight.copy_((weight.float() + added.product(weight.device)).to(weight.dtype))
                    added.off()
        except BaseException:  # as where the memory ends: not half of it
            self.unfuse()
            raise

    def unfuse(self) -> None:
        """Give the weights of before back, to the bit; the LoRAs stand beside them again."""
        if self.fused:
            self._give_back()
            self._stand_beside()

    def remove(self) -> None:
        """Take all LoRAs off; the pipeline is as it was before, to the bit."""
        self._take_off()
        _WORN.discard(self._unet)

    def _read_all(self, model: str) -> dict[Place, list[tuple[int, Pair]]]:
        """Place in the pipeline → the number of each LoRA that changes it, and its matrices."""
        found: dict[Place, list[tuple[int, Pair]]] = {}
        for number, use in enumerate(self.uses):
            pairs = self._read(use, model)
            _check(use, {block_of(*place) for place in pairs})
            for place, pair in pairs.items():
                found.setdefault(place, []).append((number, pair))
        return found

    def _read(self, use: Use, model: str) -> dict[Place, Pair]:
        """Place in the pipeline → matrices."""
        header = read_header(Path(use.file))
        theirs = getattr(self._parts["unet"].config, "cross_attention_dim", None)
        if header.width is not None and header.width != theirs:
            raise _misfit(header, model, theirs)
        found = {}
        for (part, name), pair in read_pairs(header).items():
            path = self._names.get(part, {}).get(name)
            fitted = _fitted(pair, self._layers[part][path]) if path else None
            if path is None or fitted is None:
                raise _misfit(header, model, theirs, f"{part} {name}")
            found[part, path] = fitted
        return found

    def _put_on(self) -> None:
        for place, added in self._added.items():
            lies_in = block_of(*place)
            added.weigh([use.weight * _scale(use.blocks, lies_in) for use in self.uses])
        self._stand_beside()

    def _stand_beside(self) -> None:
        for (part, path), added in self._added.items():
            if added.counts:
                added.on(self._layers[part][path])

    def _take_off(self) -> None:
        self._give_back()
        for added in self._added.values():
            added.off()

    def _give_back(self) -> None:
        with torch.no_grad():
            for (part, path), weight in self._kept.items():
                self._layers[part][path].weight.copy_(weight)
        self._kept.clear()


class _Added:
    """What all LoRAs together add to one layer: the matrices of each, by its number."""

    def __init__(self, pairs: Sequence[tuple[int, Pair]]) -> None:
        self.down = torch.cat([pair.down for _, pair in pairs])
        self.up = torch.cat([pair.up for _, pair in pairs], dim=1)
        self._sizes = [(number, pair.scale, pair.rank) for number, pair in pairs]
        self._scales = torch.zeros(len(self.down))
        self._handle: RemovableHandle | None = None
        self._near: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def counts(self) -> bool:
        """Whether anything is added."""
        return bool(self._scales.any())

    def weigh(self, weights: Sequence[float]) -> None:
        """Take the weights of all LoRAs, by their numbers."""
        scales = [weights[number] * scale for number, scale, _ in self._sizes]
        ranks = torch.tensor([rank for *_, rank in self._sizes])
        self._scales = torch.tensor(scales).repeat_interleave(ranks)

    def on(self, layer: nn.Module) -> None:
        self.off()
        self._handle = layer.register_forward_hook(self._add)

    def off(self) -> None:
        if self._handle:
            self._handle.remove()
        self._handle = self._near = None

    def product(self, device: torch.device) -> Tensor:
        """What the weights get, in fp32."""
        up, down = self.up.to(device), self.down.to(device)
        scaled = up.flatten(1) * self._scales.to(device)
        return (scaled @ down.flatten(1)).view(up.shape[0], *down.shape[1:])

    def _add(self, layer: Any, args: tuple[Any, ...], out: Tensor) -> Tensor:
        x = args[0]
        down, up, scales = self._on_device_of(x, out.dtype)
        x = x.to(out.dtype)
        if down.dim() == 2:
            return out + F.linear(F.linear(x, down) * scales, up)
        thin = F.conv2d(x, down, None, layer.stride, layer.padding, layer.dilation)
        return out + F.conv2d(thin * scales[:, None, None], up)

    def _on_device_of(self, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        near = self._near
        if near is None or near[0].device != x.device or near[0].dtype != dtype:
            down, up, scales = (m.to(x.device, dtype) for m in (self.down, self.up, self._scales))
            near = self._near = (down, up, scales)
        return near


def _fitted(pair: Pair, layer: nn.Linear | nn.Conv2d) -> Pair | None:
    """The matrices in the layer's own form, or None if they are not of its size."""
    down, up = pair.down, pair.up
    if isinstance(layer, nn.Linear):  # which some tools write as a convolution of one pixel
        if down.shape[2:].numel() != 1 or up.shape[2:].numel() != 1:
            return None
        down, up = down.flatten(1), up.flatten(1)
    elif layer.groups != 1 or up.shape[2:].numel() != 1:
        return None
    else:
        down, up = (m if m.dim() == 4 else m[:, :, None, None] for m in (down, up))
    if (up.shape[0], *down.shape[1:]) != tuple(layer.weight.shape):
        return None
    return Pair(down, up, pair.alpha)


def _misfit(header: Header, model: str, width: Any, layer: str = "") -> WeightsError:
    known = BASES.get(header.width or 0)
    if header.width not in (None, width):
        ours = family(width if isinstance(width, int) else None)
        why = f"its words are {header.width} wide, and those of {model} ({ours}) {width}"
    else:
        why = f"{model} has no such layer as its {layer}"
    named = header.base + (f", such as {known[1]}" if known and known[1] != header.base else "")
    return WeightsError(
        f"{header.path} is a LoRA of {header.base} and does not fit: {why}. It fits {named}: "
        "take that model, or a LoRA of this one."
    )


def _scale(blocks: Mapping[str, float], lies_in: tuple[str, ...]) -> float:
    """The scale of the nearest block that is named."""
    return next((float(blocks[name]) for name in reversed(lies_in) if name in blocks), 1.0)


def _check_numbers(use: Use) -> None:
    """Refuse a weight or scale that is no number."""
    told = {"weight": use.weight, **{f"scale of {n}": scale for n, scale in use.blocks.items()}}
    for name, value in told.items():
        if not math.isfinite(value):
            raise KnobError(f"The {name} of {use.file} is {value}: give a number.")


def _check(use: Use, places: set[tuple[str, ...]]) -> None:
    """Refuse blocks that the LoRA has nothing in, and scales that leave nothing of it."""
    _check_numbers(use)
    known = sorted({name for lies_in in places for name in lies_in})
    for name in use.blocks:
        if name not in known:
            near = nearest(name, known)
            hint = f" Did you mean {near}?" if near else ""
            raise KnobError(
                f"{use.file} has nothing in a block {name!r}.{hint} It has {', '.join(known)}."
            )
    if use.blocks and use.weight and not any(_scale(use.blocks, place) for place in places):
        raise KnobError(f"The block scales of {use.file} are all 0: leave it out instead.")
