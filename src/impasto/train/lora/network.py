"""What is trained of a base: thin matrices beside the layers of its attention."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import KnobError, WeightsError
from impasto.core.knobs import closest_name
from impasto.engines.diffusion.lora_keys import enclosing_blocks, file_layer_names, kohya_key
from impasto.train.lora.frozen_base import FrozenDiffusionModel
from impasto.weights.lora import LayerKey, LoraMatrices

UNET_TARGET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
"""Layers of the U-Net's attention."""
TEXT_TARGET_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")
"""Layers of the text encoders' attention."""
_ADAPTER_NAME = "default"


class LoraNetwork(nn.Module):
    """The thin matrices alone; the base that they stand in is no part of the module.

    So a checkpoint, an average and an optimizer hold no more than what is trained.

    Args:
        base: gets the matrices, by the library peft. It paints as before until they are taught.
        rank: of the matrices.
        alpha: their product is multiplied by alpha / rank.
        blocks: of the U-Net that learn, such as "up.block_0"; none: all.
        train_text_encoders: whether the text encoders learn, too.
        seed: of what the matrices start from.

    Raises:
        KnobError: a block that has no attention, or that is unknown.
    """

    def __init__(
        self,
        base: FrozenDiffusionModel,
        rank: int,
        alpha: float,
        blocks: Sequence[str] = (),
        train_text_encoders: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.rank, self.alpha, self.train_text_encoders = rank, alpha, train_text_encoders
        self._base = _NoCopy(base)
        self.target_layers = _find_target_layers(base, blocks, train_text_encoders)
        self.matrices = nn.ParameterDict()
        peft = importlib.import_module("peft")
        parts = base.components()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for part in dict.fromkeys(part for part, _ in self.target_layers):
                paths = [path for other, path in self.target_layers if other == part]
                config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=paths)
                peft.inject_adapter_in_model(config, parts[part], adapter_name=_ADAPTER_NAME)
                parts[part].requires_grad_(False)
        for part, path in self.target_layers:
            layer = parts[part].get_submodule(path)
            for role, thin in (("down", layer.lora_A), ("up", layer.lora_B)):
                matrix = thin[_ADAPTER_NAME].weight
                matrix.requires_grad_(True)
                self.matrices[_parameter_name(part, path, role)] = matrix

    @property
    def base(self) -> FrozenDiffusionModel:
        return self._base.base

    def forward(
        self, noisy: Tensor, timesteps: Tensor, prompts: Sequence[str], time_ids: Tensor
    ) -> Tensor:
        """As :meth:`FrozenBase.predict`, of texts."""
        words = (
            self.base.encode_prompts(prompts)
            if self.train_text_encoders
            else self.base.cached_prompt_embeds(prompts)
        )
        return self.base.predict(noisy, timesteps, words, time_ids)

    def param_groups(self, text_encoder_lr_factor: float) -> list[dict[str, Any]]:
        """What is trained, and how many times the learning rate the text encoders have."""
        found: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, matrix in self.matrices.items():
            found[name.startswith("unet ")].append(matrix)
        groups = [{"params": found[True], "times": 1.0}]
        return (
            [*groups, {"params": found[False], "times": text_encoder_lr_factor}]
            if found[False]
            else groups
        )

    def load_matrices(self, pairs: Mapping[LayerKey, LoraMatrices], title: str) -> None:
        """Take the matrices of another LoRA over.

        Raises:
            WeightsError: it has other layers or another rank.
        """
        parts = self.base.components()
        known = {
            (part, name): path
            for part, path in self.target_layers
            for name in file_layer_names(part, path, parts[part])
        }
        found = {}
        for (part, name), pair in pairs.items():
            path = known.get((part, name))
            if path is None or pair.rank != self.rank:
                raise WeightsError(
                    f"{title} has rank {pair.rank} and {part} {name}: start from one of the same "
                    f"--rank ({self.rank}), --blocks and --train-text-encoders, or from none."
                )
            found[part, path] = pair
        if len(found) != len(self.target_layers):
            raise WeightsError(f"{title} leaves layers out that are taught here: see --blocks.")
        with torch.no_grad():
            for (part, path), pair in found.items():
                own = self.matrices[_parameter_name(part, path, "down")]
                own.copy_(pair.down.view_as(own))
                own = self.matrices[_parameter_name(part, path, "up")]
                own.copy_((pair.up * pair.scale * self.rank / self.alpha).view_as(own))

    @contextlib.contextmanager
    def disable_lora(self) -> Iterator[None]:
        """For a block, the base is as it was."""
        ups = [matrix for name, matrix in self.matrices.items() if name.endswith(" up")]
        kept = [up.detach().clone() for up in ups]
        with torch.no_grad():
            for up in ups:
                up.zero_()
            torch.clear_autocast_cache()  # which has them as they were
            try:
                yield
            finally:
                for up, value in zip(ups, kept, strict=True):
                    up.copy_(value)
                torch.clear_autocast_cache()

    def kohya_state_dict(self) -> dict[str, Tensor]:
        """The matrices by kohya's keys, as they are now."""
        found, parts = {}, self.base.components()
        for part, path in self.target_layers:
            key = kohya_key(part, path, parts[part], self.base.is_xl)
            for role in ("down", "up"):
                matrix = self.matrices[_parameter_name(part, path, role)]
                found[f"{key}.lora_{role}.weight"] = matrix.detach().cpu().clone()
            found[f"{key}.alpha"] = torch.tensor(float(self.alpha))
        return found


class _NoCopy:
    """Keeps the base out of the module's parts, and out of its copies."""

    def __init__(self, base: FrozenDiffusionModel) -> None:
        self.base = base

    def __deepcopy__(self, memo: object) -> _NoCopy:
        return self


def _parameter_name(component: str, path: str, role: str) -> str:
    """A name for a parameter, which may have no dots."""
    return f"{component} {path.replace('.', ' ')} {role}"


def _find_target_layers(
    base: FrozenDiffusionModel, blocks: Sequence[str], train_text_encoders: bool
) -> list[tuple[str, str]]:
    """Part and path of the layers that learn."""
    unet = [
        n for n, _ in base.unet.named_modules() if n.endswith(UNET_TARGET_LAYERS) and ".attn" in n
    ]
    known = sorted({name for path in unet for name in enclosing_blocks("unet", path)})
    for block in blocks:
        if block not in known:
            near = closest_name(block, known)
            hint = f"Did you mean {near}?" if near else f"There are {', '.join(known)}."
            raise KnobError(f"blocks: {block!r} has no attention in {base.name}. {hint}")
    chosen = set(blocks)
    places = [
        ("unet", p) for p in unet if not chosen or chosen.intersection(enclosing_blocks("unet", p))
    ]
    for part, encoder in base.components().items() if train_text_encoders else ():
        if part == "unet":
            continue
        paths = [n for n, _ in encoder.named_modules() if n.endswith(TEXT_TARGET_LAYERS)]
        if base.is_xl and part == "text_encoder":  # whose last layer SDXL does not look at
            last = f"layers.{encoder.config.num_hidden_layers - 1}."
            paths = [path for path in paths if last not in path]
        places += [(part, path) for path in paths]
    return places
