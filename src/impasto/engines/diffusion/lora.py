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
from impasto.core.knobs import closest_name
from impasto.engines.diffusion.lora_keys import (
    LORA_COMPONENTS,
    adaptable_layers,
    enclosing_blocks,
    layer_aliases,
)
from impasto.weights.lora import (
    BASE_MODELS,
    LoraHeader,
    LoraMatrices,
    describe_base,
    read_lora_header,
    read_matrices,
)

LayerKey = tuple[str, str]
"""A layer: the part of the pipeline, and its path there."""

_UNETS_WITH_LORAS: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""U-Nets that LoRAs are on."""


@dataclass(frozen=True)
class LoraConfig:
    """One LoRA and how much of it.

    Attributes:
        file: a .safetensors file, in kohya's, ComfyUI's, A1111's or diffusers' names.
        weight: 0 leaves the base as it is, 1 is the LoRA as it was trained; below 0 and above 1
            are allowed.
        block_scales: block → what the weight is multiplied by there; 1 where none is named. The
        nearest
            name counts: "down", "mid", "up", "up.block_0", "up.block_0.attentions_1", "text",
            "text.text_encoder_2".
    """

    file: str | Path
    weight: float = 1.0
    block_scales: Mapping[str, float] = field(default_factory=dict)


class LoraStack:
    """LoRAs on a pipeline, from now until :meth:`remove`.

    Args:
        pipeline: of diffusers, SD 1.5, SD 2 or SDXL: whatever has a ``unet``.
        configs: which LoRAs; all are checked before the first is put on.
        model_title: what the pipeline's model is called, for messages.

    A LoRA of weight 0 leaves every picture as it was, to the bit.

    Raises:
        WeightsError: a LoRA of another base, a damaged file, or one that is no LoRA. Also if
            LoRAs are on the pipeline already.
        KnobError: an unknown block, a weight or scale that is no number, or scales that silence a
            LoRA altogether.
    """

    def __init__(
        self, pipeline: Any, configs: Sequence[LoraConfig], model_title: str = "the model"
    ) -> None:
        if pipeline.unet in _UNETS_WITH_LORAS:
            raise WeightsError("LoRAs are on this pipeline already: remove() them first.")
        self._components: dict[str, nn.Module] = {
            part: module
            for part in LORA_COMPONENTS
            if (module := getattr(pipeline, part, None)) is not None
        }
        self.configs = tuple(configs)
        self._layer_aliases = {
            part: layer_aliases(part, module) for part, module in self._components.items()
        }
        self._layers = {part: adaptable_layers(module) for part, module in self._components.items()}
        found = self._read_matrices(model_title)
        self._deltas = {place: _LoraDelta(found.pop(place)) for place in list(found)}
        self._original_weights: dict[LayerKey, Tensor] = {}
        self._unet: nn.Module = pipeline.unet
        self._apply_weights()
        _UNETS_WITH_LORAS.add(self._unet)

    @property
    def fused(self) -> bool:
        """Whether the LoRAs are in the weights."""
        return bool(self._original_weights)

    def set_weights(self, weights: Sequence[float]) -> None:
        """Give the LoRAs other weights, in the order of ``uses``; fused ones are fused again.

        Raises:
            KnobError: not as many weights as LoRAs, or one that is no number.
        """
        if len(weights) != len(self.configs):
            raise KnobError(f"{len(weights)} weights for {len(self.configs)} LoRAs: give one each.")
        uses = tuple(
            LoraConfig(use.file, float(weight), use.block_scales)
            for use, weight in zip(self.configs, weights, strict=True)
        )
        for use in uses:
            _check_finite(use)
        fused = self.fused
        self._detach()
        self.configs = uses
        self._apply_weights()
        if fused:
            self.fuse()

    def fuse(self) -> None:
        """Add the LoRAs to the weights. The weights of before are kept in main memory.

        Raises:
            WeightsError: the weights are elsewhere, as with sequential offloading.
        """
        if self.fused:
            return
        adding = {place: added for place, added in self._deltas.items() if added.is_active}
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
                    self._original_weights[part, path] = weight.detach().to("cpu", copy=True)
                    weight.copy_(
                        (weight.float() + added.weight_delta(weight.device)).to(weight.dtype)
                    )
                    added.detach()
        except BaseException:  # as where the memory ends: not half of it
            self.unfuse()
            raise

    def unfuse(self) -> None:
        """Give the weights of before back, to the bit; the LoRAs stand beside them again."""
        if self.fused:
            self._restore_weights()
            self._attach_hooks()

    def remove(self) -> None:
        """Take all LoRAs off; the pipeline is as it was before, to the bit."""
        self._detach()
        _UNETS_WITH_LORAS.discard(self._unet)

    def _read_matrices(self, model: str) -> dict[LayerKey, list[tuple[int, LoraMatrices]]]:
        """Place in the pipeline → the number of each LoRA that changes it, and its matrices."""
        found: dict[LayerKey, list[tuple[int, LoraMatrices]]] = {}
        for number, use in enumerate(self.configs):
            pairs = self._read(use, model)
            _check_block_scales(use, {enclosing_blocks(*place) for place in pairs})
            for place, pair in pairs.items():
                found.setdefault(place, []).append((number, pair))
        return found

    def _read(self, use: LoraConfig, model: str) -> dict[LayerKey, LoraMatrices]:
        """Place in the pipeline → matrices."""
        header = read_lora_header(Path(use.file))
        theirs = getattr(self._components["unet"].config, "cross_attention_dim", None)
        if header.cross_attention_dim is not None and header.cross_attention_dim != theirs:
            raise _mismatch_error(header, model, theirs)
        found = {}
        for (part, name), pair in read_matrices(header).items():
            path = self._layer_aliases.get(part, {}).get(name)
            fitted = _reshape_to_layer(pair, self._layers[part][path]) if path else None
            if path is None or fitted is None:
                raise _mismatch_error(header, model, theirs, f"{part} {name}")
            found[part, path] = fitted
        return found

    def _apply_weights(self) -> None:
        for place, added in self._deltas.items():
            lies_in = enclosing_blocks(*place)
            added.set_weights(
                [
                    use.weight * _nearest_block_scale(use.block_scales, lies_in)
                    for use in self.configs
                ]
            )
        self._attach_hooks()

    def _attach_hooks(self) -> None:
        for (part, path), added in self._deltas.items():
            if added.is_active:
                added.attach(self._layers[part][path])

    def _detach(self) -> None:
        self._restore_weights()
        for added in self._deltas.values():
            added.detach()

    def _restore_weights(self) -> None:
        with torch.no_grad():
            for (part, path), weight in self._original_weights.items():
                self._layers[part][path].weight.copy_(weight)
        self._original_weights.clear()


class _LoraDelta:
    """What all LoRAs together add to one layer: the matrices of each, by its number."""

    def __init__(self, pairs: Sequence[tuple[int, LoraMatrices]]) -> None:
        self.down = torch.cat([pair.down for _, pair in pairs])
        self.up = torch.cat([pair.up for _, pair in pairs], dim=1)
        self._scales_and_ranks = [(number, pair.scale, pair.rank) for number, pair in pairs]
        self._scales = torch.zeros(len(self.down))
        self._handle: RemovableHandle | None = None
        self._device_cache: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def is_active(self) -> bool:
        """Whether anything is added."""
        return bool(self._scales.any())

    def set_weights(self, weights: Sequence[float]) -> None:
        """Take the weights of all LoRAs, by their numbers."""
        scales = [weights[number] * scale for number, scale, _ in self._scales_and_ranks]
        ranks = torch.tensor([rank for *_, rank in self._scales_and_ranks])
        self._scales = torch.tensor(scales).repeat_interleave(ranks)

    def attach(self, layer: nn.Module) -> None:
        self.detach()
        self._handle = layer.register_forward_hook(self._forward_hook)

    def detach(self) -> None:
        if self._handle:
            self._handle.remove()
        self._handle = self._device_cache = None

    def weight_delta(self, device: torch.device) -> Tensor:
        """What the weights get, in fp32."""
        up, down = self.up.to(device), self.down.to(device)
        scaled = up.flatten(1) * self._scales.to(device)
        return (scaled @ down.flatten(1)).view(up.shape[0], *down.shape[1:])

    def _forward_hook(self, layer: Any, args: tuple[Any, ...], out: Tensor) -> Tensor:
        x = args[0]
        down, up, scales = self._matrices_like(x, out.dtype)
        x = x.to(out.dtype)
        if down.dim() == 2:
            return out + F.linear(F.linear(x, down) * scales, up)
        thin = F.conv2d(x, down, None, layer.stride, layer.padding, layer.dilation)
        return out + F.conv2d(thin * scales[:, None, None], up)

    def _matrices_like(self, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        near = self._device_cache
        if near is None or near[0].device != x.device or near[0].dtype != dtype:
            down, up, scales = (m.to(x.device, dtype) for m in (self.down, self.up, self._scales))
            near = self._device_cache = (down, up, scales)
        return near


def _reshape_to_layer(pair: LoraMatrices, layer: nn.Linear | nn.Conv2d) -> LoraMatrices | None:
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
    return LoraMatrices(down, up, pair.alpha)


def _mismatch_error(header: LoraHeader, model: str, width: Any, layer: str = "") -> WeightsError:
    known = BASE_MODELS.get(header.cross_attention_dim or 0)
    if header.cross_attention_dim not in (None, width):
        ours = describe_base(width if isinstance(width, int) else None)
        why = (
            f"its words are {header.cross_attention_dim} wide, and those of {model} "
            f"({ours}) {width}"
        )
    else:
        why = f"{model} has no such layer as its {layer}"
    named = header.base + (f", such as {known[1]}" if known and known[1] != header.base else "")
    return WeightsError(
        f"{header.path} is a LoRA of {header.base} and does not fit: {why}. It fits {named}: "
        "take that model, or a LoRA of this one."
    )


def _nearest_block_scale(blocks: Mapping[str, float], enclosing: tuple[str, ...]) -> float:
    """The scale of the nearest block that is named."""
    return next((float(blocks[name]) for name in reversed(enclosing) if name in blocks), 1.0)


def _check_finite(config: LoraConfig) -> None:
    """Refuse a weight or scale that is no number."""
    told = {
        "weight": config.weight,
        **{f"scale of {n}": scale for n, scale in config.block_scales.items()},
    }
    for name, value in told.items():
        if not math.isfinite(value):
            raise KnobError(f"The {name} of {config.file} is {value}: give a number.")


def _check_block_scales(config: LoraConfig, known_blocks: set[tuple[str, ...]]) -> None:
    """Refuse blocks that the LoRA has nothing in, and scales that leave nothing of it."""
    _check_finite(config)
    known = sorted({name for lies_in in known_blocks for name in lies_in})
    for name in config.block_scales:
        if name not in known:
            near = closest_name(name, known)
            hint = f" Did you mean {near}?" if near else ""
            raise KnobError(
                f"{config.file} has nothing in a block {name!r}.{hint} It has {', '.join(known)}."
            )
    if (
        config.block_scales
        and config.weight
        and not any(_nearest_block_scale(config.block_scales, place) for place in known_blocks)
    ):
        raise KnobError(f"The block scales of {config.file} are all 0: leave it out instead.")
