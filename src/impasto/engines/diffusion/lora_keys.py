"""What the layers of a pipeline are called in LoRA files.

Kohya names the U-Net of SD 1.5 as diffusers does, and that of SDXL as its first publication did
(``input_blocks_4_1``); ComfyUI, A1111 and diffusers read these. We look up by both names and write
the one that is usual for the base.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

LORA_COMPONENTS = ("unet", "text_encoder", "text_encoder_2")
"""Of a pipeline, what a LoRA can change."""
_RESNET_NAMES = {
    "norm1": "in_layers_0",
    "conv1": "in_layers_2",
    "time_emb_proj": "emb_layers_1",
    "norm2": "out_layers_0",
    "conv2": "out_layers_3",
    "conv_shortcut": "skip_connection",
}
_TOP_LEVEL_NAMES = {
    "conv_in": "input_blocks_0_0",
    "conv_out": "out_2",
    "time_embedding.linear_1": "time_embed_0",
    "time_embedding.linear_2": "time_embed_2",
    "add_embedding.linear_1": "label_emb_0_0",
    "add_embedding.linear_2": "label_emb_0_2",
}


def adaptable_layers(module: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Path → every layer that a LoRA can change, in the module's order."""
    return {n: m for n, m in module.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}


def layer_aliases(component: str, module: nn.Module) -> dict[str, str]:
    """Name in a file, with underscores for dots → path of the layer."""
    found = {}
    for path in adaptable_layers(module):
        for name in file_layer_names(component, path, module):
            found[name] = path
    return found


def kohya_key(component: str, path: str, module: nn.Module, is_xl: bool) -> str:
    """What kohya's files call a layer.

    Args:
        component: one of :data:`LORA_COMPONENTS`.
        path: of the layer in ``module``.
        module: that part of the pipeline.
        is_xl: whether the base is SDXL.
    """
    if component == "unet":
        plain, *first = file_layer_names(component, path, module)
        return f"lora_unet_{first[0] if is_xl and first else plain}"
    prefix = {"text_encoder": "lora_te1" if is_xl else "lora_te", "text_encoder_2": "lora_te2"}[
        component
    ]
    names = file_layer_names(component, path, module)
    return f"{prefix}_{next(name for name in names if name.startswith('text_'))}"


def enclosing_blocks(component: str, path: str) -> tuple[str, ...]:
    """The blocks that a layer lies in, from the widest to the narrowest.

    As in ("up", "up.block_0", "up.block_0.attentions_1"), or ("text", "text.text_encoder_2").
    """
    if component != "unet":
        return "text", f"text.{component}"
    words = path.split(".")
    if words[0] == "mid_block":
        return ("mid",)
    if words[0] not in ("down_blocks", "up_blocks"):
        return ("rest",)
    side = words[0].removesuffix("_blocks")
    block = f"{side}.block_{words[1]}"
    return side, block, f"{block}.{words[2]}_{words[3]}"


def file_layer_names(component: str, path: str, module: nn.Module) -> Iterator[str]:
    """What files call a layer, without the part's prefix: diffusers' name first."""
    plain = path.replace(".", "_")
    yield plain
    if component == "unet":
        if first := _compvis_name(path, module):
            yield first
    elif plain.startswith("text_model_"):
        yield plain.removeprefix("text_model_")
    elif not plain.startswith("text_projection"):  # transformers 5 left the prefix out
        yield f"text_model_{plain}"


def _compvis_name(path: str, module: Any) -> str:
    """The name in the first publication of SD and SDXL, or "" if the layer has none there."""
    if path in _TOP_LEVEL_NAMES:
        return _TOP_LEVEL_NAMES[path]
    words = path.split(".")
    if words[0] == "mid_block":
        kind, number, *rest = words[1:]
        place = 1 if kind == "attentions" else 2 * int(number)
        return "_".join(("middle_block", str(place), *_compvis_inner_names(kind, rest)))
    if words[0] not in ("down_blocks", "up_blocks"):
        return ""
    block, kind, number, *rest = words[1:]
    per = int(module.config.layers_per_block) + 1
    inner = _compvis_inner_names(kind, rest)
    if words[0] == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks_{(int(block) + 1) * per}_0_op"
        place = 1 + int(block) * per + int(number)
        return "_".join(("input_blocks", str(place), "1" if kind == "attentions" else "0", *inner))
    if kind == "upsamplers":
        seat = 2 if hasattr(module.up_blocks[int(block)], "attentions") else 1
        return f"output_blocks_{int(block) * per + per - 1}_{seat}_conv"
    place = int(block) * per + int(number)
    return "_".join(("output_blocks", str(place), "1" if kind == "attentions" else "0", *inner))


def _compvis_inner_names(block_type: str, rest: list[str]) -> list[str]:
    return [_RESNET_NAMES.get(word, word) for word in rest] if block_type == "resnets" else rest
