"""What fits what, from configurations and headers alone, before anything large is fetched.

A UNet's cross-attention has a width: 768 in Stable Diffusion 1.5, 2048 in SDXL. Text encoders,
IP-Adapters, ControlNets and LoRAs are made for one; an IP-Adapter besides for one image encoder.
Whatever does not fit is an error that names what would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.core.errors import WeightsError
from impasto.weights import lora
from impasto.weights.hub import ModelSource, filter_names, list_files, locate

FAMILY_TITLES = {"sdxl": "SDXL", "sd15": "Stable Diffusion 1.5"}
FAMILY_BY_CROSS_ATTENTION_DIM = {
    768: "Stable Diffusion 1.5",
    1024: "Stable Diffusion 2",
    1280: "the SDXL refiner",
    2048: "SDXL",
}
"""Width of the cross-attention → whose it is."""
DEFAULT_MODELS = {
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
DEFAULT_IP_ADAPTERS = {
    "sdxl": "h94/IP-Adapter:sdxl_models/ip-adapter_sdxl.safetensors",
    "sd15": "h94/IP-Adapter:models/ip-adapter_sd15.safetensors",
}
DEFAULT_CONTROLNETS = {
    ("sdxl", "canny"): "diffusers/controlnet-canny-sdxl-1.0",
    ("sdxl", "depth"): "diffusers/controlnet-depth-sdxl-1.0",
    ("sdxl", "tile"): "xinsir/controlnet-tile-sdxl-1.0",
    ("sd15", "canny"): "lllyasviel/control_v11p_sd15_canny",
    ("sd15", "depth"): "lllyasviel/control_v11f1p_sd15_depth",
    ("sd15", "tile"): "lllyasviel/control_v11f1e_sd15_tile",
}
"""Kind of model, kind of control → the ControlNet that is taken where none is named."""
DEFAULT_MOTION_ADAPTERS = {
    "sdxl": "guoyww/animatediff-motion-adapter-sdxl-beta",
    "sd15": "guoyww/animatediff-motion-adapter-v1-5-3",
}
"""Kind of model → its motion adapter."""
IMAGE_ENCODERS = {
    (1024, 1280): ("CLIP ViT-H", "h94/IP-Adapter:models/image_encoder"),
    (1280, 1664): ("CLIP ViT-bigG", "h94/IP-Adapter:sdxl_models/image_encoder"),
    (768, 1024): ("CLIP ViT-L", "openai/clip-vit-large-patch14"),
}
"""Widths of an image encoder's embedding and of its patches → its name, and where it is."""
FAMILY_BY_PIPELINE = {
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusionXLControlNetPipeline": "sdxl",
    "StableDiffusionPipeline": "sd15",
    "StableDiffusionImg2ImgPipeline": "sd15",
    "StableDiffusionControlNetPipeline": "sd15",
}


@dataclass(frozen=True)
class BaseModelInfo:
    """A model, as its configurations describe it.

    Attributes:
        source: where it is.
        family: "sdxl", or "sd15" for all models with one text encoder.
        cross_attention_dim: of the cross-attention.
        unet, vae: their configurations.
        components: model_index.json: part → library and class.
    """

    source: ModelSource
    family: str
    cross_attention_dim: int
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    components: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.source.title} ({describe_width(self.cross_attention_dim, self.family)})"

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """Its text encoders."""
        return ("text_encoder", "text_encoder_2") if self.family == "sdxl" else ("text_encoder",)

    @property
    def vae_scale_factor(self) -> int:
        """Pixels to a latent, along each side."""
        return 1 << (len(self.vae["block_out_channels"]) - 1)


@dataclass(frozen=True)
class AdapterInfo:
    """An IP-Adapter, as its header describes it.

    Attributes:
        source: where it is; ``inside`` is the file.
        cross_attention_dim: of the cross-attention that it is made for.
        layer_widths: widths of the UNet's layers, in its order.
        is_plus: it looks at the encoder's patches, not at its embedding.
        encoder_dim: width of what it takes from the encoder.
        num_tokens: how many it makes of a picture.
    """

    source: ModelSource
    cross_attention_dim: int
    layer_widths: tuple[int, ...]
    is_plus: bool
    encoder_dim: int
    num_tokens: int


def describe_width(cross_attention_dim: int, family: str = "") -> str:
    """A width in words."""
    name = FAMILY_BY_CROSS_ATTENTION_DIM.get(cross_attention_dim) or (
        f"{FAMILY_TITLES[family]} of another width" if family else "no known model"
    )
    return f"{name}, cross-attention {cross_attention_dim}"


def inspect_model(source: ModelSource) -> BaseModelInfo:
    """A model's configurations.

    Raises:
        WeightsError: they are missing, or it is a model of another kind.
    """
    parts = source.read_json("model_index.json")
    named = str(parts.get("_class_name"))
    kind = FAMILY_BY_PIPELINE.get(named)
    fits = f"--model {DEFAULT_MODELS['sdxl']} and --model {DEFAULT_MODELS['sd15']} do."
    if kind is None:
        raise WeightsError(
            f"{source.title} is a {named}; the method sdxl takes models of the kinds SDXL and "
            f"Stable Diffusion 1.5: {fits}"
        )
    unet, vae = source.read_json("unet/config.json"), source.read_json("vae/config.json")
    width = int(unet.get("cross_attention_dim", 0))
    if unet.get("in_channels") != 4:
        raise WeightsError(
            f"{source.title} takes {unet.get('in_channels')} channels, as models for inpainting "
            f"do; 4 are needed: {fits}"
        )
    two = unet.get("addition_embed_type") == "text_time"
    if two != (kind == "sdxl") or (two and not parts.get("text_encoder", (None,))[0]):
        raise WeightsError(
            f"{source.title} is no base model ({describe_width(width)}), as a refiner is none: "
            f"{fits}"
        )
    base = BaseModelInfo(source, kind, width, unet, vae, parts)
    given = [
        int(source.read_json(f"{part}/config.json").get("hidden_size", 0))
        for part in base.text_encoders
    ]
    if sum(given) != width:
        raise WeightsError(
            f"{source.title} does not fit together: its text encoders give "
            f"{' + '.join(map(str, given))} and its UNet takes {width}. {source.fetch_command()}"
        )
    return base


def layer_widths(unet: Mapping[str, Any]) -> tuple[int, ...]:
    """Widths of a UNet's layers with cross-attention, in the order in which adapters number them.

    That is: down, up, middle (diffusers' ``attn_processors``).
    """
    out = [int(w) for w in unet["block_out_channels"]]
    downs, ups = list(unet["down_block_types"]), list(unet["up_block_types"])
    depth = _expand_per_block(unet.get("transformer_layers_per_block", 1), len(out))
    count = _expand_per_block(unet.get("layers_per_block", 2), len(out))
    found: list[int] = []
    for i, kind in enumerate(downs):
        if "CrossAttn" in kind:
            found += [out[i]] * (count[i] * depth[i])
    for i, kind in enumerate(ups):
        if "CrossAttn" in kind:
            found += [out[-1 - i]] * ((count[-1 - i] + 1) * depth[-1 - i])
    if "CrossAttn" in str(unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")):
        found += [out[-1]] * depth[-1]
    return tuple(found)


def _expand_per_block(value: Any, count: int) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)] * count


def inspect_adapter(name: str, base: BaseModelInfo) -> AdapterInfo:
    """An IP-Adapter's header; "" is the one for the model's kind.

    Raises:
        WeightsError: it is missing, or is no adapter of the kinds that are known.
    """
    source = locate(name or DEFAULT_IP_ADAPTERS[base.family])
    if not source.subpath.endswith(".safetensors"):
        source = source.sibling(_find_adapter_file(source, base.family))
    shapes = source.tensor_shapes()
    fits = f"--ip-adapter {DEFAULT_IP_ADAPTERS[base.family]} is one."
    keys = [k for k in shapes if k.startswith("ip_adapter.") and k.endswith("to_k_ip.weight")]
    if not keys:
        raise WeightsError(f"{source.path_in_repo()} of {source.title} holds no IP-Adapter: {fits}")
    keys.sort(key=lambda k: int(k.split(".")[1]))
    width = shapes[keys[0]][1]
    layers = tuple(shapes[k][0] for k in keys)
    if (proj := shapes.get("image_proj.proj.weight")) is not None:
        return AdapterInfo(source, width, layers, False, proj[1], proj[0] // width)
    if "image_proj.latents" in shapes and (proj := shapes.get("image_proj.proj_in.weight")):
        return AdapterInfo(source, width, layers, True, proj[1], shapes["image_proj.latents"][1])
    raise WeightsError(
        f"{source.path_in_repo()} of {source.title} is an adapter for faces, and no style: {fits}"
    )


def _find_adapter_file(source: ModelSource, family: str) -> str:
    """The adapter's file in a folder that was named without one."""
    names = list_files(source)
    usual = DEFAULT_IP_ADAPTERS[family].partition(":")[2]
    inside = [n for n in names if n.startswith(source.subpath) and n.endswith(".safetensors")]
    for wanted in (usual, PurePosixPath(usual).name):
        if wanted in names:
            return wanted
    single = filter_names(inside, "*ip-adapter*", "*ip_adapter*")
    if len(single) == 1:
        return single[0]
    told = ", ".join(single[:5]) or "none"
    raise WeightsError(
        f"Which file of {source.title} is the IP-Adapter? Name it, as "
        f"{DEFAULT_IP_ADAPTERS[family]}; it has "
        f"{told}."
    )


def image_encoder_source(adapter: AdapterInfo, name: str = "") -> ModelSource:
    """Where an adapter's image encoder is; "" looks where the published ones lie."""
    if name:
        return locate(name)
    place = PurePosixPath(adapter.source.subpath)
    if adapter.source.repo == "h94/IP-Adapter" and "vit-h" in place.name:
        return adapter.source.sibling("models/image_encoder")
    return adapter.source.sibling((place.parent / "image_encoder").as_posix())


def check_adapter(base: BaseModelInfo, adapter: AdapterInfo, encoder: ModelSource) -> None:
    """Refuse an adapter that does not fit the model, or an encoder that does not fit the adapter.

    Raises:
        WeightsError: says which, and the pair that fits.
    """
    if (
        adapter.cross_attention_dim != base.cross_attention_dim
        or adapter.layer_widths != layer_widths(base.unet)
    ):
        other = (
            f"--ip-adapter {DEFAULT_IP_ADAPTERS[base.family]} fits this model."
            if base.cross_attention_dim in FAMILY_BY_CROSS_ATTENTION_DIM
            else "Take one that was made for this model."
        )
        raise WeightsError(
            f"The IP-Adapter {adapter.source.path_in_repo()} is for "
            f"{describe_width(adapter.cross_attention_dim)} with "
            f"{len(adapter.layer_widths)} layers; the model {base.title} has "
            f"{len(layer_widths(base.unet))}. {other}"
        )
    config = encoder.read_json("config.json")
    config = config.get("vision_config", config) | {
        "projection_dim": config.get("projection_dim", 0)
    }
    have = (int(config["projection_dim"]), int(config.get("hidden_size", 0)))
    if have[1 if adapter.is_plus else 0] != adapter.encoder_dim:
        fitting = [place for widths, (_, place) in IMAGE_ENCODERS.items()
                   if widths[1 if adapter.is_plus else 0] == adapter.encoder_dim]  # fmt: skip
        title = IMAGE_ENCODERS.get(have, (f"of widths {have[0]} and {have[1]}",))[0]
        raise WeightsError(
            f"The image encoder {encoder.title} {encoder.path_in_repo()} ({title}) does not fit "
            f"the "
            f"IP-Adapter {adapter.source.path_in_repo()}, which takes vectors of "
            f"{adapter.encoder_dim}: "
            + (f"--image-encoder {fitting[0]} does." if fitting else "take the one it came with.")
        )


def check_controlnet(base: BaseModelInfo, control_type: str, name: str) -> ModelSource:
    """Where a ControlNet is; refuse one that does not fit the model.

    Args:
        base: the model.
        control_type: "canny", "depth" or "tile".
        name: "" is the one for the model's kind.

    Raises:
        WeightsError: it does not fit; names one that does.
    """
    usual = DEFAULT_CONTROLNETS[base.family, control_type]
    source = locate(name or usual)
    config = source.read_json("config.json")
    fits = f"--control-models {usual} fits {FAMILY_TITLES[base.family]}."
    if config.get("_class_name") != "ControlNetModel":
        raise WeightsError(
            f"{source.title} is a {config.get('_class_name')}, not one ControlNet: {fits}"
        )
    keys = ("cross_attention_dim", "block_out_channels", "addition_embed_type", "layers_per_block")
    for key in keys:
        have, wants = (_as_list(c.get(key)) for c in (config, base.unet))
        if have != wants:
            raise WeightsError(
                f"The ControlNet {source.title} is for "
                f"{describe_width(int(config['cross_attention_dim']))};"
                f" the model is {base.title} ({key} {have} and {wants}). {fits}"
            )
    return source


def check_motion_adapter(base: BaseModelInfo, name: str) -> tuple[ModelSource, int]:
    """Where a motion adapter is, and how many frames it sees at once; refuse one that does not fit.

    Args:
        base: the model.
        name: "" is the one for the model's kind.

    Raises:
        WeightsError: it does not fit; names the pair that does.
    """
    source = locate(name or DEFAULT_MOTION_ADAPTERS[base.family])
    config = source.read_json("config.json")
    fits = (
        f"--motion-adapter {DEFAULT_MOTION_ADAPTERS[base.family]} fits "
        f"{FAMILY_TITLES[base.family]}."
    )
    if config.get("_class_name") != "MotionAdapter":
        raise WeightsError(f"{source.title} is a {config.get('_class_name')}, no motion: {fits}")
    if config.get("conv_in_channels"):
        raise WeightsError(
            f"The motion adapter {source.title} wants {config['conv_in_channels']} channels, as "
            f"those that start from a picture do; 4 are needed: {fits}"
        )
    count = len(base.unet["block_out_channels"])
    have = (
        list(config["block_out_channels"]),
        _expand_per_block(config["motion_layers_per_block"], count),
    )
    wants = (
        list(base.unet["block_out_channels"]),
        _expand_per_block(base.unet.get("layers_per_block", 2), count),
    )
    if have != wants:
        other = [
            f"--model {DEFAULT_MODELS[k]}"
            for k, widths in _MOTION_BLOCK_CHANNELS.items()
            if widths == have[0]
        ]
        raise WeightsError(
            f"The motion adapter {source.title} has blocks of {_comma_list(have[0])} channels; the "
            f"model {base.title} has {_comma_list(wants[0])}. {fits}"
            + (f" {other[0]} fits the adapter." if other else "")
        )
    return source, int(config.get("motion_max_seq_length", 32))


_MOTION_BLOCK_CHANNELS = {"sd15": [320, 640, 1280, 1280], "sdxl": [320, 640, 1280]}


def _comma_list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def check_lora(base: BaseModelInfo, name: str) -> ModelSource:
    """Where a LoRA is; refuse one of another base.

    Raises:
        WeightsError: it is missing, no LoRA, or of another base.
    """
    source = locate(name)
    if not source.subpath:
        found = [n for n in list_files(source) if n.endswith(".safetensors")]
        if len(found) != 1:
            raise WeightsError(
                f"Which file of {source.title} is the LoRA? Name it, as "
                f"{source.name}:{found[0] if found else 'lora.safetensors'}."
            )
        source = source.sibling(found[0])
    width = lora.parse_lora_header(
        Path(source.path_in_repo()), source.tensor_shapes(), {}
    ).cross_attention_dim
    if width not in (None, base.cross_attention_dim):
        fits = lora.BASE_MODELS.get(width or 0, ("", "NAME of the model that it was taught on"))[1]
        raise WeightsError(
            f"The LoRA {source.path_in_repo()} was taught on {describe_width(width or 0)}; the "
            f"model is "
            f"{base.title}. --model {fits} fits it."
        )
    return source
