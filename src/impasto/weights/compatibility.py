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
from impasto.weights.hub import Source, locate, matching, names_of

TITLES = {"sdxl": "SDXL", "sd15": "Stable Diffusion 1.5"}
WIDTHS = {768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 1280: "the SDXL refiner",
          2048: "SDXL"}  # fmt: skip
"""Width of the cross-attention → whose it is."""
MODELS = {
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
ADAPTERS = {
    "sdxl": "h94/IP-Adapter:sdxl_models/ip-adapter_sdxl.safetensors",
    "sd15": "h94/IP-Adapter:models/ip-adapter_sd15.safetensors",
}
CONTROLS = {
    ("sdxl", "canny"): "diffusers/controlnet-canny-sdxl-1.0",
    ("sdxl", "depth"): "diffusers/controlnet-depth-sdxl-1.0",
    ("sdxl", "tile"): "xinsir/controlnet-tile-sdxl-1.0",
    ("sd15", "canny"): "lllyasviel/control_v11p_sd15_canny",
    ("sd15", "depth"): "lllyasviel/control_v11f1p_sd15_depth",
    ("sd15", "tile"): "lllyasviel/control_v11f1e_sd15_tile",
}
"""Kind of model, kind of control → the ControlNet that is taken where none is named."""
MOTIONS = {
    "sdxl": "guoyww/animatediff-motion-adapter-sdxl-beta",
    "sd15": "guoyww/animatediff-motion-adapter-v1-5-3",
}
"""Kind of model → its motion adapter."""
ENCODERS = {
    (1024, 1280): ("CLIP ViT-H", "h94/IP-Adapter:models/image_encoder"),
    (1280, 1664): ("CLIP ViT-bigG", "h94/IP-Adapter:sdxl_models/image_encoder"),
    (768, 1024): ("CLIP ViT-L", "openai/clip-vit-large-patch14"),
}
"""Widths of an image encoder's embedding and of its patches → its name, and where it is."""
PIPELINES = {
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLImg2ImgPipeline": "sdxl",
    "StableDiffusionXLControlNetPipeline": "sdxl",
    "StableDiffusionPipeline": "sd15",
    "StableDiffusionImg2ImgPipeline": "sd15",
    "StableDiffusionControlNetPipeline": "sd15",
}


@dataclass(frozen=True)
class Base:
    """A model, as its configurations describe it.

    Attributes:
        source: where it is.
        kind: "sdxl", or "sd15" for all models with one text encoder.
        width: of the cross-attention.
        unet, vae: their configurations.
        parts: model_index.json: part → library and class.
    """

    source: Source
    kind: str
    width: int
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    parts: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.source.title} ({whose(self.width, self.kind)})"

    @property
    def texts(self) -> tuple[str, ...]:
        """Its text encoders."""
        return ("text_encoder", "text_encoder_2") if self.kind == "sdxl" else ("text_encoder",)

    @property
    def factor(self) -> int:
        """Pixels to a latent, along each side."""
        return 1 << (len(self.vae["block_out_channels"]) - 1)


@dataclass(frozen=True)
class Adapter:
    """An IP-Adapter, as its header describes it.

    Attributes:
        source: where it is; ``inside`` is the file.
        width: of the cross-attention that it is made for.
        layers: widths of the UNet's layers, in its order.
        plus: it looks at the encoder's patches, not at its embedding.
        seen: width of what it takes from the encoder.
        tokens: how many it makes of a picture.
    """

    source: Source
    width: int
    layers: tuple[int, ...]
    plus: bool
    seen: int
    tokens: int


def whose(width: int, kind: str = "") -> str:
    """A width in words."""
    name = WIDTHS.get(width) or (f"{TITLES[kind]} of another width" if kind else "no known model")
    return f"{name}, cross-attention {width}"


def look_at_model(source: Source) -> Base:
    """A model's configurations.

    Raises:
        WeightsError: they are missing, or it is a model of another kind.
    """
    parts = source.json("model_index.json")
    named = str(parts.get("_class_name"))
    kind = PIPELINES.get(named)
    fits = f"--model {MODELS['sdxl']} and --model {MODELS['sd15']} do."
    if kind is None:
        raise WeightsError(
            f"{source.title} is a {named}; the method sdxl takes models of the kinds SDXL and "
            f"Stable Diffusion 1.5: {fits}"
        )
    unet, vae = source.json("unet/config.json"), source.json("vae/config.json")
    width = int(unet.get("cross_attention_dim", 0))
    if unet.get("in_channels") != 4:
        raise WeightsError(
            f"{source.title} takes {unet.get('in_channels')} channels, as models for inpainting "
            f"do; 4 are needed: {fits}"
        )
    two = unet.get("addition_embed_type") == "text_time"
    if two != (kind == "sdxl") or (two and not parts.get("text_encoder", (None,))[0]):
        raise WeightsError(
            f"{source.title} is no base model ({whose(width)}), as a refiner is none: {fits}"
        )
    base = Base(source, kind, width, unet, vae, parts)
    given = [int(source.json(f"{part}/config.json").get("hidden_size", 0)) for part in base.texts]
    if sum(given) != width:
        raise WeightsError(
            f"{source.title} does not fit together: its text encoders give "
            f"{' + '.join(map(str, given))} and its UNet takes {width}. {source.again()}"
        )
    return base


def layer_widths(unet: Mapping[str, Any]) -> tuple[int, ...]:
    """Widths of a UNet's layers with cross-attention, in the order in which adapters number them.

    That is: down, up, middle (diffusers' ``attn_processors``).
    """
    out = [int(w) for w in unet["block_out_channels"]]
    downs, ups = list(unet["down_block_types"]), list(unet["up_block_types"])
    depth = _each(unet.get("transformer_layers_per_block", 1), len(out))
    count = _each(unet.get("layers_per_block", 2), len(out))
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


def _each(value: Any, count: int) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)] * count


def look_at_adapter(name: str, base: Base) -> Adapter:
    """An IP-Adapter's header; "" is the one for the model's kind.

    Raises:
        WeightsError: it is missing, or is no adapter of the kinds that are known.
    """
    source = locate(name or ADAPTERS[base.kind])
    if not source.inside.endswith(".safetensors"):
        source = source.beside(_adapter_file(source, base.kind))
    shapes = source.shapes()
    fits = f"--ip-adapter {ADAPTERS[base.kind]} is one."
    keys = [k for k in shapes if k.startswith("ip_adapter.") and k.endswith("to_k_ip.weight")]
    if not keys:
        raise WeightsError(f"{source.path()} of {source.title} holds no IP-Adapter: {fits}")
    keys.sort(key=lambda k: int(k.split(".")[1]))
    width = shapes[keys[0]][1]
    layers = tuple(shapes[k][0] for k in keys)
    if (proj := shapes.get("image_proj.proj.weight")) is not None:
        return Adapter(source, width, layers, False, proj[1], proj[0] // width)
    if "image_proj.latents" in shapes and (proj := shapes.get("image_proj.proj_in.weight")):
        return Adapter(source, width, layers, True, proj[1], shapes["image_proj.latents"][1])
    raise WeightsError(
        f"{source.path()} of {source.title} is an adapter for faces, and no style: {fits}"
    )


def _adapter_file(source: Source, kind: str) -> str:
    """The adapter's file in a folder that was named without one."""
    names = names_of(source)
    usual = ADAPTERS[kind].partition(":")[2]
    inside = [n for n in names if n.startswith(source.inside) and n.endswith(".safetensors")]
    for wanted in (usual, PurePosixPath(usual).name):
        if wanted in names:
            return wanted
    single = matching(inside, "*ip-adapter*", "*ip_adapter*")
    if len(single) == 1:
        return single[0]
    told = ", ".join(single[:5]) or "none"
    raise WeightsError(
        f"Which file of {source.title} is the IP-Adapter? Name it, as {ADAPTERS[kind]}; it has "
        f"{told}."
    )


def encoder_of(adapter: Adapter, name: str = "") -> Source:
    """Where an adapter's image encoder is; "" looks where the published ones lie."""
    if name:
        return locate(name)
    place = PurePosixPath(adapter.source.inside)
    if adapter.source.repo == "h94/IP-Adapter" and "vit-h" in place.name:
        return adapter.source.beside("models/image_encoder")
    return adapter.source.beside((place.parent / "image_encoder").as_posix())


def check_adapter(base: Base, adapter: Adapter, encoder: Source) -> None:
    """Refuse an adapter that does not fit the model, or an encoder that does not fit the adapter.

    Raises:
        WeightsError: says which, and the pair that fits.
    """
    if adapter.width != base.width or adapter.layers != layer_widths(base.unet):
        other = (
            f"--ip-adapter {ADAPTERS[base.kind]} fits this model."
            if base.width in WIDTHS
            else "Take one that was made for this model."
        )
        raise WeightsError(
            f"The IP-Adapter {adapter.source.path()} is for {whose(adapter.width)} with "
            f"{len(adapter.layers)} layers; the model {base.title} has "
            f"{len(layer_widths(base.unet))}. {other}"
        )
    config = encoder.json("config.json")
    config = config.get("vision_config", config) | {
        "projection_dim": config.get("projection_dim", 0)
    }
    have = (int(config["projection_dim"]), int(config.get("hidden_size", 0)))
    if have[1 if adapter.plus else 0] != adapter.seen:
        fitting = [place for widths, (_, place) in ENCODERS.items()
                   if widths[1 if adapter.plus else 0] == adapter.seen]  # fmt: skip
        title = ENCODERS.get(have, (f"of widths {have[0]} and {have[1]}",))[0]
        raise WeightsError(
            f"The image encoder {encoder.title} {encoder.path()} ({title}) does not fit the "
            f"IP-Adapter {adapter.source.path()}, which takes vectors of {adapter.seen}: "
            + (f"--image-encoder {fitting[0]} does." if fitting else "take the one it came with.")
        )


def check_control(base: Base, kind: str, name: str) -> Source:
    """Where a ControlNet is; refuse one that does not fit the model.

    Args:
        base: the model.
        kind: "canny", "depth" or "tile".
        name: "" is the one for the model's kind.

    Raises:
        WeightsError: it does not fit; names one that does.
    """
    usual = CONTROLS[base.kind, kind]
    source = locate(name or usual)
    config = source.json("config.json")
    fits = f"--control-models {usual} fits {TITLES[base.kind]}."
    if config.get("_class_name") != "ControlNetModel":
        raise WeightsError(
            f"{source.title} is a {config.get('_class_name')}, not one ControlNet: {fits}"
        )
    keys = ("cross_attention_dim", "block_out_channels", "addition_embed_type", "layers_per_block")
    for key in keys:
        have, wants = (_plain(c.get(key)) for c in (config, base.unet))
        if have != wants:
            raise WeightsError(
                f"The ControlNet {source.title} is for {whose(int(config['cross_attention_dim']))};"
                f" the model is {base.title} ({key} {have} and {wants}). {fits}"
            )
    return source


def check_motion(base: Base, name: str) -> tuple[Source, int]:
    """Where a motion adapter is, and how many frames it sees at once; refuse one that does not fit.

    Args:
        base: the model.
        name: "" is the one for the model's kind.

    Raises:
        WeightsError: it does not fit; names the pair that does.
    """
    source = locate(name or MOTIONS[base.kind])
    config = source.json("config.json")
    fits = f"--motion {MOTIONS[base.kind]} fits {TITLES[base.kind]}."
    if config.get("_class_name") != "MotionAdapter":
        raise WeightsError(f"{source.title} is a {config.get('_class_name')}, no motion: {fits}")
    if config.get("conv_in_channels"):
        raise WeightsError(
            f"The motion adapter {source.title} wants {config['conv_in_channels']} channels, as "
            f"those that start from a picture do; 4 are needed: {fits}"
        )
    count = len(base.unet["block_out_channels"])
    have = (list(config["block_out_channels"]), _each(config["motion_layers_per_block"], count))
    wants = (
        list(base.unet["block_out_channels"]),
        _each(base.unet.get("layers_per_block", 2), count),
    )
    if have != wants:
        other = [f"--model {MODELS[k]}" for k, widths in _MOVED.items() if widths == have[0]]
        raise WeightsError(
            f"The motion adapter {source.title} has blocks of {_listed(have[0])} channels; the "
            f"model {base.title} has {_listed(wants[0])}. {fits}"
            + (f" {other[0]} fits the adapter." if other else "")
        )
    return source, int(config.get("motion_max_seq_length", 32))


_MOVED = {"sd15": [320, 640, 1280, 1280], "sdxl": [320, 640, 1280]}


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def check_lora(base: Base, name: str) -> Source:
    """Where a LoRA is; refuse one of another base.

    Raises:
        WeightsError: it is missing, no LoRA, or of another base.
    """
    source = locate(name)
    if not source.inside:
        found = [n for n in names_of(source) if n.endswith(".safetensors")]
        if len(found) != 1:
            raise WeightsError(
                f"Which file of {source.title} is the LoRA? Name it, as "
                f"{source.name}:{found[0] if found else 'lora.safetensors'}."
            )
        source = source.beside(found[0])
    width = lora.header_of(Path(source.path()), source.shapes(), {}).width
    if width not in (None, base.width):
        fits = lora.BASES.get(width or 0, ("", "NAME of the model that it was taught on"))[1]
        raise WeightsError(
            f"The LoRA {source.path()} was taught on {whose(width or 0)}; the model is "
            f"{base.title}. --model {fits} fits it."
        )
    return source
