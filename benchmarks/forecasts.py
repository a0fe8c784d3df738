"""The table of docs/diffusion.md: how much memory the plan forecasts for diffusion models.

Nothing is measured or loaded here. Parameters are counted on networks without memory, of the sizes
that are published; what lives besides is :mod:`impasto.engines.diffusion.memory`'s.

    python benchmarks/forecasts.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import diffusers
import shapes
import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from impasto.core.plan import ExecutionSettings
from impasto.engines.diffusion.memory import MEMORY_MODES, ParameterCounts
from impasto.weights.compatibility import BaseModelInfo, layer_widths
from impasto.weights.hub import ModelSource

PAGE = Path(__file__).resolve().parents[1] / "docs" / "diffusion.md"
TITLES = {"sdxl": "SDXL", "sd15": "SD 1.5"}
SEEN = {
    "sdxl": {"hidden_size": 1664, "num_hidden_layers": 48, "num_attention_heads": 16,
             "intermediate_size": 8192, "projection_dim": 1280},
    "sd15": {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16,
             "intermediate_size": 5120, "projection_dim": 1024},
}  # fmt: skip
"""Image encoders of the IP-Adapters: CLIP ViT-bigG/14 and ViT-H/14."""
MOTION = {"block_out_channels": (320, 640, 1280, 1280), "motion_layers_per_block": 2,
          "motion_num_attention_heads": 8, "motion_max_seq_length": 32,
          "use_motion_mid_block": False}  # fmt: skip
"""AnimateDiff's adapter for SD 1.5, version 3."""
FRAMES = 16


def count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def parts(
    kind: str, adapter: bool = False, control: bool = False, motion: bool = False
) -> dict[str, int]:
    """Part → parameters."""
    with torch.device("meta"):
        unet: Any = diffusers.UNet2DConditionModel(**shapes.UNET[kind])
        found = {"unet": count(unet), "vae": count(diffusers.AutoencoderKL(**shapes.VAE)),
                 "text_encoder": count(CLIPTextModel(CLIPTextConfig(**shapes.TEXT_L)))}  # fmt: skip
        if kind == "sdxl":
            second = CLIPTextModelWithProjection(CLIPTextConfig(**shapes.TEXT_BIG_G))
            found["text_encoder_2"] = count(second)
        if adapter:
            seen = CLIPVisionConfig(image_size=224, patch_size=14, **SEEN[kind])
            found["encoder"] = count(CLIPVisionModelWithProjection(seen))
            width = unet.config.cross_attention_dim
            found["adapter"] = 2 * sum(layer_widths(unet.config)) * width
            found["adapter"] += 4 * width * SEEN[kind]["projection_dim"]
        if control:
            made = diffusers.ControlNetModel.from_unet(unet, load_weights_from_unet=False)
            found["control"] = count(made)
        if motion:
            found["unet"] += count(diffusers.MotionAdapter(**MOTION))
    return found


def row(title: str, kind: str, frames: int = 1, **worn: bool) -> str:
    """GB of a model in every way of fitting it on a GPU, and on a processor in two precisions."""
    base = BaseModelInfo(ModelSource("", None), kind, 0, shapes.UNET[kind], {**shapes.VAE}, {})
    sizes = ParameterCounts(parts(kind, **worn), base)
    side = shapes.SIDE[kind]
    peaks = [sizes.peak_bytes(ExecutionSettings(side, side, "cuda", "fp16"), step, True, frames)
             for step in MEMORY_MODES.values()]  # fmt: skip
    peaks += [
        sizes.peak_bytes(
            ExecutionSettings(side, side, "cpu", precision), MEMORY_MODES["resident"], True, frames
        )
        for precision in ("fp32", "bf16")
    ]
    return f"| {title} | " + " | ".join(f"{peak / 1e9:.1f}" for peak in peaks) + " |"


def table() -> str:
    heads = ("parts", *MEMORY_MODES, "processor, fp32", "processor, bf16")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for kind in ("sdxl", "sd15"):
        lines += [row(TITLES[kind], kind), row(f"{TITLES[kind]}, IP-Adapter", kind, adapter=True),
                  row(f"{TITLES[kind]}, IP-Adapter, one ControlNet", kind, adapter=True,
                      control=True)]  # fmt: skip
    film = {"frames": FRAMES, "motion": True}
    lines += [row(f"AnimateDiff on SD 1.5, {FRAMES} frames", "sd15", **film),
              row("AnimateDiff, IP-Adapter", "sd15", **film, adapter=True),
              row("AnimateDiff, IP-Adapter, one ControlNet", "sd15", **film, adapter=True,
                  control=True)]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    place = re.compile(r"(<!-- table: memory -->\n).*?(<!-- end -->)", re.DOTALL)
    text = PAGE.read_text("utf-8")
    PAGE.write_text(place.sub(lambda found: found[1] + table() + found[2], text), "utf-8")
    print(table())


if __name__ == "__main__":
    main()
