"""A CLIP that is narrow and random, as a folder, for tests without the hub."""

import json

import torch

SIDE = 32
"""Pixels of the square that it looks at."""
LONGEST = 24
"""Letters that it reads."""


def write_clip(folder, preprocessing=None):
    """Write the files that a folder of a CLIP has; ``preprocessing`` goes to its own file."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
    from transformers.utils import logging

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    narrow = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": 0.5,
    }
    text = {
        **narrow,
        "vocab_size": len(words),
        "max_position_embeddings": LONGEST,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = {**narrow, "image_size": SIDE, "patch_size": 8}
    config = CLIPConfig(
        text_config=text, vision_config=vision, projection_dim=12, initializer_factor=5.0
    )
    logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab={w: k for k, w in enumerate(words)}, merges=[]).save_pretrained(folder)
    if preprocessing:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder
