"""Diffusion models that are tiny and random, as folders in the published layout, for tests.

The blocks are those of SDXL and SD 1.5 in their order, so that names of blocks mean what they mean
there; only the widths are small.
"""

import torch

SIDE = 32
"""Pixels of the pictures that the tiny vision encoder looks at."""
WIDTHS = {"sdxl": 32, "sd15": 24}
"""Kind → what its cross-attention takes."""
_PROJECTION = {"sdxl": 16, "sd15": 12}


def write_all(folder):
    """Part → its folder or file: models, adapters with their encoders, ControlNets."""
    places = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for kind in WIDTHS:
            places[kind] = write_model(folder / kind, kind)
            places[f"adapter-{kind}"] = write_adapter(folder / "adapter", kind)
            places[f"control-{kind}"] = write_control(folder / f"control-{kind}", kind)
            places[f"motion-{kind}"] = write_motion(folder / f"motion-{kind}")
    return {name: str(place) for name, place in places.items()}


def unet_config(kind):
    """What the UNet is built from."""
    shared = {
        "block_out_channels": (8, 16, 16),
        "norm_num_groups": 4,
        "layers_per_block": 2,
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "cross_attention_dim": WIDTHS[kind],
    }
    if kind == "sd15":
        return {
            **shared,
            "attention_head_dim": 4,
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        }
    return {
        **shared,
        "attention_head_dim": (1, 2, 4),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 8 * 6 + 16,
    }


def write_model(folder, kind):
    """A whole pipeline, as ``save_pretrained`` writes it."""
    _build(kind).save_pretrained(folder)
    return folder


def pipeline(kind, seed=0):
    """A pipeline "sd15" or "sdxl" for text to picture; the same seed, the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipe = _build(kind)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _build(kind):
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    parts = {
        "unet": UNet2DConditionModel(**unet_config(kind)),
        "vae": AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=32,
        ),
        "scheduler": EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading",
        ),
        "tokenizer": tokenizer(),
    }  # fmt: skip
    if kind == "sdxl":
        parts |= {
            "text_encoder": CLIPTextModel(_text(16)),
            "text_encoder_2": CLIPTextModelWithProjection(_text(16)),
            "tokenizer_2": tokenizer(),
        }
        return StableDiffusionXLPipeline(**parts, add_watermarker=False)
    parts |= {"text_encoder": CLIPTextModel(_text(WIDTHS[kind]))}
    return StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def tokenizer():
    """One that spells: a token a letter."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [","]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocab = {w: k for k, w in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def _text(width):
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=56, hidden_size=width, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=77, projection_dim=16,
        bos_token_id=0, eos_token_id=1, pad_token_id=1, initializer_range=0.5,
    )  # fmt: skip


FILES = {
    "sdxl": "sdxl_models/ip-adapter_sdxl.safetensors",
    "sd15": "models/ip-adapter_sd15.safetensors",
}


def write_adapter(folder, kind, projection=None, strength=2.0):
    """An IP-Adapter with the published names of its tensors, and its vision encoder beside it."""
    import safetensors.torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    width, tensors, place = WIDTHS[kind], {}, folder / FILES[kind]
    projection = projection or _PROJECTION[kind]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(kind))
    number = 1
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            module = unet.get_submodule(name.removesuffix(".processor"))
            for each in ("to_k", "to_v"):
                shape = (module.inner_dim, width)
                tensors[f"ip_adapter.{number}.{each}_ip.weight"] = strength * torch.randn(shape)
            number += 2
    tensors["image_proj.proj.weight"] = torch.randn(4 * width, projection)
    tensors["image_proj.proj.bias"] = torch.randn(4 * width)
    tensors["image_proj.norm.weight"] = torch.ones(width)
    tensors["image_proj.norm.bias"] = torch.zeros(width)
    place.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(tensors, place)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        image_size=SIDE, patch_size=8, projection_dim=projection, initializer_range=0.5,
        initializer_factor=5.0,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(place.parent / "image_encoder")
    return place


def write_control(folder, kind, seed=3):
    """A ControlNet whose last layers are not zero, as they are before any training."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(**unet_config(kind))
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8))
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    net.save_pretrained(folder)
    return folder


def write_motion(folder, channels=(8, 16, 16), length=32):
    """A motion adapter that has learnt something, if only noise."""
    from diffusers import MotionAdapter

    adapter = MotionAdapter(
        block_out_channels=channels, motion_layers_per_block=2, motion_num_attention_heads=2,
        motion_norm_num_groups=4, motion_max_seq_length=length, use_motion_mid_block=False,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in adapter.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
    adapter.save_pretrained(folder)
    return folder


def write_lora(file, kind, blocks=("down_blocks_1",), strength=3.0):
    """A LoRA by kohya's names, of one layer in each of some blocks."""
    import safetensors.torch

    generator, found = torch.Generator().manual_seed(0), {}
    for block in blocks:
        stem = f"lora_unet_{block}_attentions_0_transformer_blocks_0_attn2_to_k"
        for name, shape in (("down", (2, WIDTHS[kind])), ("up", (16, 2))):
            values = strength * torch.randn(shape, generator=generator)
            found[f"{stem}.lora_{name}.weight"] = values
    safetensors.torch.save_file(found, file)
    return file


def write_depth(folder):
    """A depth model of transformers."""
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3], is_hybrid=False,
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, reassemble_factors=[4, 2, 1, 0.5],
    )  # fmt: skip
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)
