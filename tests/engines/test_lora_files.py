"""LoRA files that are damaged or scaled in another way: read right, or refused in one line."""

import json

import pytest
import safetensors.torch
import tiny_diffusion
import torch
from torch import nn

from impasto.core.errors import WeightsError
from impasto.engines.diffusion.lora import LoraConfig, LoraStack
from impasto.weights.lora import read_lora_header, read_matrices

KEY = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
PEFT = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"


def written(file, down=(2, 24), up=(8, 2), *, alpha=None, metadata=None, value=1.0, peft=False):
    names = (f"{PEFT}.lora_A.weight", f"{PEFT}.lora_B.weight") if peft else (
        f"{KEY}.lora_down.weight", f"{KEY}.lora_up.weight")  # fmt: skip
    tensors = {names[0]: torch.full(down, value), names[1]: torch.ones(up)}
    if alpha is not None:
        tensors[f"{KEY}.alpha"] = alpha
    told = {name: text if isinstance(text, str) else json.dumps(text)
            for name, text in (metadata or {}).items()}  # fmt: skip
    safetensors.torch.save_file(tensors, file, told)
    return file


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"down": (2,)}, "do not fit"),
        ({"up": (8,)}, "do not fit"),
        ({"down": (0, 24), "up": (8, 0)}, "do not fit"),
        ({"down": (3, 24)}, "do not fit"),
        ({"alpha": torch.ones(2)}, "do not fit"),
        ({"alpha": torch.tensor(float("inf"))}, "is not finite"),
        ({"value": float("nan")}, "is not finite"),
        ({"metadata": {"impasto": "{"}}, "no mapping in JSON"),
        ({"metadata": {"impasto": "[]"}}, "no mapping in JSON"),
        ({"metadata": {"impasto": {"about": 3}}}, "of another form"),
        ({"metadata": {"lora_adapter_metadata": "[]"}}, "no mapping in JSON"),
        ({"metadata": {"lora_adapter_metadata": {"unet.lora_alpha": "x"}}}, "unet.lora_alpha"),
        ({"metadata": {"lora_adapter_metadata": {"unet.alpha_pattern": {"to_k": 4}}}},
         "has an alpha_pattern"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused(tmp_path, made, says):
    file = written(tmp_path / "a.safetensors", **made)
    with pytest.raises(WeightsError) as error:
        read_matrices(read_lora_header(file))
    assert says in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(("told", "scale"), [
    ({"unet.lora_alpha": 4}, 2.0),
    ({"unet.lora_alpha": 4, "unet.r": 8, "unet.rank_pattern": {"to_k": 2}}, 2.0),
    ({"unet.lora_alpha": 4, "unet.use_rslora": True}, 4 / 2**0.5),
    ({}, 1.0),
])  # fmt: skip
def test_diffusers_scales(tmp_path, told, scale):
    file = written(tmp_path / "a.safetensors", metadata={"lora_adapter_metadata": told}, peft=True)
    (pair,) = read_matrices(read_lora_header(file)).values()
    assert pair.scale == pytest.approx(scale)


def test_a_rank_stabilized_lora_paints_as_in_diffusers(tmp_path):
    from peft import LoraConfig as PeftConfig
    from peft.utils import get_peft_model_state_dict
    from test_lora_applied import paint

    theirs = tiny_diffusion.pipeline("sd15")
    config = PeftConfig(r=16, lora_alpha=16, use_rslora=True, target_modules=["to_q", "to_v"])
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs.unet.add_adapter(config)
        for name, parameter in theirs.unet.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.3)
    type(theirs).save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(theirs.unet),
        weight_name="r.safetensors",
        unet_lora_adapter_metadata=config.to_dict(),
    )
    ours = tiny_diffusion.pipeline("sd15")
    LoraStack(ours, [LoraConfig(tmp_path / "r.safetensors")])
    assert (paint(ours) - paint(theirs)).abs().max() < 1e-4
