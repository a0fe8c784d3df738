"""Stable Diffusion 1.5 and SDXL at their published sizes, with random numbers in them.

Time and memory do not depend on what the numbers are, so that both can be measured where the real
weights are not at hand. The sizes are those of the configurations on the hub; only the tokenizer is
small, and spells. Run as a script, it writes one of the models into a folder in half precision.

    python benchmarks/shapes.py sd15|sdxl FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

TEXT_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
          "num_attention_heads": 12, "hidden_act": "quick_gelu", "projection_dim": 768}  # fmt: skip
"""CLIP ViT-L/14's text encoder."""
TEXT_BIG_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
              "num_attention_heads": 20, "hidden_act": "gelu", "projection_dim": 1280}  # fmt: skip
"""OpenCLIP ViT-bigG/14's."""
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
UNET: dict[str, dict[str, Any]] = {
    "sd15": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
SIDE = {"sd15": 512, "sdxl": 1024}
"""Of the square that a model paints."""


def write(kind: str, folder: Path) -> Path:
    """Write a pipeline of that kind into a folder, as the published ones lie there.

    Args:
        kind: "sd15" or "sdxl".
        folder: 2 or 7 GB are written there.
    """
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    words = {"vocab_size": 49408, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    scaling = {"sd15": 0.18215, "sdxl": 0.13025}[kind]
    parts: dict[str, Any] = {
        "unet": diffusers.UNet2DConditionModel(**UNET[kind]),
        "vae": diffusers.AutoencoderKL(
            **VAE, scaling_factor=scaling, sample_size=SIDE[kind], force_upcast=kind == "sdxl"
        ),
        "scheduler": diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading",
        ),
        "tokenizer": _speller(),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT_L, **words)),
    }  # fmt: skip
    if kind == "sdxl":
        second = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_BIG_G, **words))
        pipe: Any = diffusers.StableDiffusionXLPipeline(
            **parts, text_encoder_2=second, tokenizer_2=_speller(), add_watermarker=False
        )
    else:
        pipe = diffusers.StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipe.save_pretrained(folder, variant="fp16")
    return folder


def _speller() -> Any:
    """A tokenizer that has a token for each letter."""
    from transformers import CLIPTokenizer

    letters = [*(chr(code) for code in range(ord("a"), ord("z") + 1)), ","]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{each}</w>" for each in letters)]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(f"usage: shapes.py {'|'.join(UNET)} FOLDER   (nothing was written)")
    else:
        print(write(sys.argv[1], Path(sys.argv[2])))
