"""IP-Adapter: pictures as prompts, in all blocks or, as InstantStyle does, in chosen ones.

Ye, Zhang, Liu, Han & Yang, "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image
Diffusion Models", 2023: cross-attention Z = Attention(Q, K, V) + λ Attention(Q, K', V') (eq. 8),
where K' and V' come from a picture. Wang, Wang, Bai, Qin & Chen, "InstantStyle: Free Lunch towards
Style-Preserving in Text-to-Image Generation", 2024: λ is not 0 only where style is (section 3.3),
and what the picture shows is subtracted in words (section 3.2).

Ours: the whole reference is seen, as squares that cover it; several references are a sum of
attentions with their shares, which may differ from place to place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.core.errors import KnobError
from impasto.core.knobs import closest_name
from impasto.core.picture import Raster
from impasto.nets.clip import IMAGE_MEAN, IMAGE_STD
from impasto.pictures import resize

BlockScales = Mapping[str, tuple[float, ...]]

BLOCK_PRESETS: dict[str, BlockScales] = {
    "style": {"up.block_0": (0.0, 1.0, 0.0)},
    "layout": {"down.block_2": (0.0, 1.0)},
    "style+layout": {"up.block_0": (0.0, 1.0, 0.0), "down.block_2": (0.0, 1.0)},
}
"""InstantStyle's blocks of SDXL: one scale for each of a block's attentions."""
MAX_SQUARES = 4
"""Squares of one reference; a longer strip is squeezed to so many."""


def cross_attention_blocks(unet: Mapping[str, Any]) -> dict[str, int]:
    """A UNet's blocks that have cross-attention → how many attentions, from its configuration."""
    count = unet.get("layers_per_block", 2)
    downs, ups = unet["down_block_types"], unet["up_block_types"]
    each = list(count) if isinstance(count, (list, tuple)) else [count] * len(downs)
    found = {f"down.block_{i}": each[i] for i, kind in enumerate(downs) if "CrossAttn" in kind}
    if "CrossAttn" in str(unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")):
        found["mid"] = 1
    ups_here = {
        f"up.block_{i}": each[-1 - i] + 1 for i, kind in enumerate(ups) if "CrossAttn" in kind
    }
    return found | ups_here


def parse_block_scales(text: str) -> BlockScales:
    """A mapping as ``up.block_0=0:1:0 down.block_2=0:1``; a single number is for a whole block.

    Raises:
        KnobError: it is no such mapping.
    """
    found: dict[str, tuple[float, ...]] = {}
    for part in text.replace(";", " ").split():
        name, equals, values = part.partition("=")
        try:
            if not equals or name in found:
                raise ValueError
            found[name] = tuple(float(value) for value in values.split(":"))
        except ValueError as error:
            raise KnobError(
                f"blocks = {text!r} does not fit: write each block once with a scale for each of "
                "its attentions, as up.block_0=0:1:0 down.block_2=0:1."
            ) from error
    return found


def validate_block_scales(blocks: BlockScales, known: Mapping[str, int]) -> BlockScales:
    """The mapping with a scale for every attention; others have none.

    Raises:
        KnobError: an unknown block, a wrong number of scales, or nothing but zeros.
    """
    whole: dict[str, tuple[float, ...]] = {}
    for name, values in blocks.items():
        if name not in known:
            near = closest_name(name, known)
            hint = f"Did you mean {near}? " if near else ""
            raise KnobError(
                f"blocks: this model has no block {name!r} with cross-attention. {hint}It has "
                f"{', '.join(f'{n} ({count})' for n, count in known.items())}."
            )
        count = known[name]
        if len(values) not in (1, count):
            raise KnobError(
                f"blocks: {name} has {count} attentions, and {len(values)} scales were given: give "
                f"{count}, or one for all."
            )
        if not all(np.isfinite(value) for value in values):
            raise KnobError(f"blocks: the scales of {name} must be finite numbers.")
        whole[name] = tuple(values) * (count if len(values) == 1 else 1)
    if not any(any(values) for values in whole.values()):
        raise KnobError(
            "blocks: every scale is 0, so that no style would be seen: give one above 0."
        )
    return whole


def set_ip_adapter_scale(
    unet: Any, scale: float, blocks: BlockScales | None = None
) -> dict[str, float]:
    """Set λ of every layer, by its block.

    Args:
        unet: with an adapter.
        scale: λ.
        blocks: block → factors of its attentions, checked; None: 1 everywhere.

    Returns:
        Layer → its λ.
    """
    found = {}
    for name, processor in unet.attn_processors.items():
        if hasattr(processor, "to_k_ip"):
            block, attention = locate_attention(name)
            factors = None if blocks is None else blocks.get(block, ())
            factor = 1.0 if factors is None else (factors[attention] if factors else 0.0)
            processor.scale = [scale * factor] * len(processor.scale)
            found[name] = scale * factor
    return found


def locate_attention(name: str) -> tuple[str, int]:
    """``up_blocks.0.attentions.1.…`` → ("up.block_0", 1); the middle block is "mid"."""
    words = name.split(".")
    attention = int(words[words.index("attentions") + 1])
    if words[0] == "mid_block":
        return "mid", attention
    return f"{words[0].removesuffix('_blocks')}.block_{words[1]}", attention


@dataclass(frozen=True, eq=False)
class ImagePromptEmbeds:
    """References as the adapter takes them.

    Attributes:
        embeds: (1, squares, width), or (1, squares, patches, width) for one that sees patches.
        uncond_embeds: the same for no picture.
        square_sources: of each square, the index of its reference and its share of it.
    """

    embeds: Tensor
    uncond_embeds: Tensor
    square_sources: tuple[tuple[int, float], ...]

    def for_guidance(self, guided: bool) -> list[Tensor]:
        """As ``ip_adapter_image_embeds`` of a pipeline wants them."""
        return [torch.cat([self.uncond_embeds, self.embeds]) if guided else self.embeds]

    def masks(self, style_weights: Tensor) -> Tensor | None:
        """What every square counts at every place.

        Args:
            style_weights: (references, height, width), or (references, 1, 1) if alike everywhere.

        Returns:
            (1, squares, height, width); None for a single one that counts 1 everywhere.
        """
        if len(self.square_sources) == 1 and bool((style_weights == 1).all()):
            return None
        return torch.stack([style_weights[i] * share for i, share in self.square_sources])[None]


@torch.inference_mode()
def encode_image_prompts(
    encoder: Any, references: Sequence[Raster], plus: bool, subtract_embed: Tensor | None = None
) -> ImagePromptEmbeds:
    """References by an image encoder; each is seen whole.

    Args:
        encoder: a CLIP vision model with projection.
        references: RGB 0..1, (height, width, 3) each.
        plus: the adapter takes patches instead of the embedding.
        subtract_embed: (1, width), subtracted from every embedding: what the reference shows, in
        words.
    """
    side = int(encoder.config.image_size)
    cut = [square_crops(reference, side) for reference in references]
    device = getattr(getattr(encoder, "_hf_hook", None), "execution_device", None) or encoder.device
    pixels = torch.stack([_preprocess(square) for squares_ in cut for square in squares_])
    pixels = pixels.to(device, encoder.dtype)
    if plus:
        vectors = encoder(pixels, output_hidden_states=True).hidden_states[-2]
        black = torch.zeros_like(pixels[:1])
        nothing = encoder(black, output_hidden_states=True).hidden_states[-2]
        empty = nothing.expand_as(vectors)
    else:
        vectors = encoder(pixels).image_embeds
        if subtract_embed is not None:
            vectors = vectors - subtract_embed.to(vectors)
        empty = torch.zeros_like(vectors)
    owners = tuple((i, 1 / len(each)) for i, each in enumerate(cut) for _ in each)
    return ImagePromptEmbeds(vectors[None], empty[None], owners)


def square_crops(pixels: Raster, crop_size: int) -> list[Image.Image]:
    """Squares of ``crop_size`` pixels that cover a picture, evenly laid, its proportions kept.

    What is longer than ``MAX_SQUARES`` squares is squeezed to that.
    """
    height, width = pixels.shape[:2]
    short, long = min(height, width), max(height, width)
    length = min(MAX_SQUARES * crop_size, max(crop_size, round(crop_size * long / short)))
    size = (crop_size, length) if width >= height else (length, crop_size)
    small = np.asarray(resize(pixels, *size)).clip(0, 1)
    image = Image.fromarray((small * 255).round().astype(np.uint8))
    count = -(-(length - round(0.02 * crop_size)) // crop_size)
    starts = np.linspace(0, length - crop_size, max(1, count)).round().astype(int)
    return [
        image.crop(
            (s, 0, s + crop_size, crop_size)
            if width >= height
            else (0, s, crop_size, s + crop_size)
        )
        for s in map(int, starts)
    ]


def _preprocess(square: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.asarray(square, np.float32) / 255).permute(2, 0, 1)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    return (pixels - mean) / std
