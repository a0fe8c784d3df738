"""LoRAs on a pipeline: read in every tool's names, put on, weighed, fused, and taken off again."""

import json

import pytest
import safetensors.torch
import tiny_diffusion
import torch
from torch import nn

from impasto.core.errors import KnobError, WeightsError
from impasto.engines.diffusion.lora import LoraConfig, LoraStack
from impasto.engines.diffusion.lora_keys import (
    LORA_COMPONENTS,
    adaptable_layers,
    enclosing_blocks,
    kohya_key,
    layer_aliases,
)
from impasto.weights.lora import read_lora_header, read_matrices, write_lora

KINDS = ("sd15", "sdxl")


@pytest.fixture(scope="module", params=KINDS)
def base(request):
    return tiny_diffusion.pipeline(request.param)


@pytest.fixture(scope="module")
def bases():
    return {kind: tiny_diffusion.pipeline(kind) for kind in KINDS}


def paint(pipeline):
    """A picture in two steps, (height, width, 3)."""
    return pipeline(
        "a red bus",
        num_inference_steps=2,
        height=32,
        width=32,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images[0]


def wanted(part, path, text=True, conv=True):
    if part != "unet":
        return text and path.endswith(("q_proj", "k_proj", "v_proj", "out_proj"))
    return path.endswith(("to_q", "to_k", "to_v", "to_out.0", "proj_in", "net.2")) or (
        conv and path.endswith(("conv1", "downsamplers.0.conv", "time_emb_proj"))
    )


def matrices(pipeline, seed=0, rank=3, **kinds):
    """(part, path) → down and up, random, for the layers that are wanted."""
    random = torch.Generator().manual_seed(seed)
    found = {}
    for part in LORA_COMPONENTS:
        module = getattr(pipeline, part, None)
        for path, layer in adaptable_layers(module).items() if module is not None else ():
            if wanted(part, path, **kinds):
                out, *into = layer.weight.shape
                down = torch.randn(rank, *into, generator=random).half().float()
                up = torch.randn(out, rank, *[1] * (len(into) - 1), generator=random)
                found[part, path] = down / 8, (up / 2).half().float()
    return found


def write_kohya(file, pipeline, found, alpha=1.5, metadata=()):
    xl = hasattr(pipeline, "text_encoder_2")
    tensors = {}
    for (part, path), (down, up) in found.items():
        key = kohya_key(part, path, getattr(pipeline, part), xl)
        tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = down, up
        tensors[f"{key}.alpha"] = torch.tensor(alpha)
    with file.open("wb") as stream:
        write_lora(stream, tensors, dict(metadata))
    return file


def state(pipeline):
    return {
        (part, name): tensor.clone()
        for part in LORA_COMPONENTS
        if getattr(pipeline, part, None) is not None
        for name, tensor in getattr(pipeline, part).state_dict().items()
    }


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_diffusers_reads_our_file_and_paints_the_same(base, tmp_path):
    kind = "sdxl" if hasattr(base, "text_encoder_2") else "sd15"
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base, conv=False))
    plain = paint(base)
    ours = LoraStack(base, [LoraConfig(file)])
    mine = paint(base)
    ours.remove()
    other = tiny_diffusion.pipeline(kind)
    other.load_lora_weights(str(tmp_path), weight_name="a.safetensors")
    theirs = paint(other)
    assert (mine - plain).abs().max() > 0.01
    assert (mine - theirs).abs().max() < 1e-4


def test_fused_it_paints_the_same_and_unfused_the_base_is_back_to_the_bit(base, tmp_path):
    before, plain = state(base), paint(base)
    uses = [
        LoraConfig(write_kohya(tmp_path / "a.safetensors", base, matrices(base, 1)), 0.8),
        LoraConfig(write_kohya(tmp_path / "b.safetensors", base, matrices(base, 2, rank=5)), -0.5),
    ]
    loras = LoraStack(base, uses)
    beside = paint(base)
    assert same(before, state(base))
    loras.fuse()
    assert loras.fused
    assert (paint(base) - beside).abs().max() < 1e-4
    assert not same(before, state(base))
    loras.fuse()  # once is enough
    loras.unfuse()
    assert same(before, state(base))
    assert torch.equal(paint(base), beside)
    loras.fuse()
    loras.set_weights([0.1, 0.2])
    assert loras.fused
    loras.remove()
    assert same(before, state(base))
    assert torch.equal(paint(base), plain)


def test_half_precision_comes_back_to_the_bit_too(bases, tmp_path):
    base = tiny_diffusion.pipeline("sd15")
    base.unet.to(torch.bfloat16)
    before = state(base)
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base))
    loras = LoraStack(base, [LoraConfig(file, 0.37)])
    loras.fuse()
    loras.unfuse()
    loras.remove()
    assert same(before, state(base))


def test_several_add_up_and_weight_0_is_none(base, tmp_path):
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base))
    plain = paint(base)
    loras = LoraStack(base, [LoraConfig(file, 0.25), LoraConfig(file, 0.5)])
    twice = paint(base)
    loras.set_weights([0.75, 0])
    assert (paint(base) - twice).abs().max() < 1e-5
    loras.set_weights([0, 0])
    assert torch.equal(paint(base), plain)
    loras.remove()


def test_a_block_s_scale_counts_there_alone(base, tmp_path):
    found = matrices(base)
    file = write_kohya(tmp_path / "a.safetensors", base, found)
    inside = {place for place in found if "up.block_1" in enclosing_blocks(*place)}
    assert inside
    only = write_kohya(
        tmp_path / "b.safetensors", base, {place: found[place] for place in inside}, alpha=0.75
    )
    blocks = {"down": 0, "mid": 0, "up": 0, "rest": 0, "text": 0, "up.block_1": 0.5}
    known = {name for place in found for name in enclosing_blocks(*place)}
    blocks = {name: scale for name, scale in blocks.items() if name in known}
    scaled = LoraStack(base, [LoraConfig(file, block_scales=blocks)])
    first = paint(base)
    scaled.remove()
    alone = LoraStack(base, [LoraConfig(only)])
    assert (paint(base) - first).abs().max() < 1e-5
    alone.remove()


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ({"up.blok_1": 1}, "Did you mean up.block_1?"),
        ({"up.block_9": 1}, "nothing in a block 'up.block_9'"),
        ({"down": 0, "mid": 0, "up": 0, "text": 0}, "are all 0"),
    ],
)
def test_blocks_that_are_unknown_or_all_0_are_refused(bases, tmp_path, blocks, says):
    base = bases["sd15"]
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base))
    with pytest.raises(KnobError, match=None) as error:
        LoraStack(base, [LoraConfig(file, block_scales=blocks)])
    assert says in str(error.value)


def test_a_lora_of_another_base_is_refused_and_the_one_that_fits_named(bases, tmp_path):
    sdxl, sd15 = bases["sdxl"], bases["sd15"]
    told = {"impasto": json.dumps({"about": {"base": "stabilityai/sdxl"}})}
    file = write_kohya(tmp_path / "a.safetensors", sdxl, matrices(sdxl), metadata=told)
    with pytest.raises(WeightsError) as error:
        LoraStack(sd15, [LoraConfig(file)], "tiny-sd")
    assert "is a LoRA of stabilityai/sdxl and does not fit" in str(error.value)
    assert "words are 32 wide, and those of tiny-sd" in str(error.value)
    assert torch.equal(paint(sd15), paint(tiny_diffusion.pipeline("sd15")))
    text = {place: pair for place, pair in matrices(sdxl).items() if place[0] == "text_encoder_2"}
    file = write_kohya(tmp_path / "text.safetensors", sdxl, text)
    with pytest.raises(WeightsError, match="has no such layer as its text_encoder_2"):
        LoraStack(sd15, [LoraConfig(file)])


def test_the_real_bases_are_named(tmp_path):
    for width, name in ((768, "SD 1.5"), (2048, "SDXL")):
        key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
        file = tmp_path / f"{width}.safetensors"
        with file.open("wb") as stream:
            write_lora(
                stream,
                {f"{key}.lora_down.weight": torch.ones(2, width),
                 f"{key}.lora_up.weight": torch.ones(8, 2)},
                {},
            )  # fmt: skip
        header = read_lora_header(file)
        assert (header.cross_attention_dim, header.base) == (width, name)


def test_what_diffusers_writes_is_read(base, tmp_path):
    from peft import LoraConfig as PeftConfig
    from peft.utils import get_peft_model_state_dict

    kind = "sdxl" if hasattr(base, "text_encoder_2") else "sd15"
    other = tiny_diffusion.pipeline(kind)
    config = PeftConfig(r=4, lora_alpha=2, target_modules=["to_q", "to_v", "to_out.0"])
    with torch.random.fork_rng():
        torch.manual_seed(3)
        other.unet.add_adapter(config)
        other.text_encoder.add_adapter(PeftConfig(r=4, lora_alpha=2, target_modules=["q_proj"]))
        for name, parameter in (
            *other.unet.named_parameters(),
            *other.text_encoder.named_parameters(),
        ):
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.3)
    theirs = paint(other)
    type(other).save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(other.unet),
        text_encoder_lora_layers=get_peft_model_state_dict(other.text_encoder),
        weight_name="theirs.safetensors",
        unet_lora_adapter_metadata=config.to_dict(),
        text_encoder_lora_adapter_metadata=config.to_dict(),
    )
    loras = LoraStack(base, [LoraConfig(tmp_path / "theirs.safetensors")])
    mine = paint(base)
    loras.remove()
    assert (mine - theirs).abs().max() < 1e-4
    assert (mine - paint(base)).abs().max() > 0.01


def test_every_name_of_a_layer_leads_back_to_it(base):
    for part in LORA_COMPONENTS:
        if (module := getattr(base, part, None)) is None:
            continue
        known = layer_aliases(part, module)
        for path in adaptable_layers(module):
            key = (
                kohya_key(part, path, module, is_xl=part == "text_encoder_2")
                if (part != "text_encoder_2" or "text_projection" not in path)
                else ""
            )
            if key:
                name = key.split("_", 2)[2]
                assert known[name] == path


def test_the_first_names_of_sdxl():
    """As sd-scripts has them for the real SDXL (networks/lora.py, sdxl_original_unet)."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    keys = {path: kohya_key("unet", path, unet, is_xl=True) for path in adaptable_layers(unet)}
    assert len(set(keys.values())) == len(keys)
    attn = "transformer_blocks.0.attn1.to_q"
    for path, key in {
        f"down_blocks.1.attentions.0.{attn}": "input_blocks_4_1",
        f"down_blocks.2.attentions.1.{attn}": "input_blocks_8_1",
        f"mid_block.attentions.0.{attn}": "middle_block_1",
        f"up_blocks.0.attentions.1.{attn}": "output_blocks_1_1",
        f"up_blocks.1.attentions.2.{attn}": "output_blocks_5_1",
    }.items():
        assert keys[path] == f"lora_unet_{key}_transformer_blocks_0_attn1_to_q"
    for path, key in {
        "down_blocks.0.downsamplers.0.conv": "input_blocks_3_0_op",
        "down_blocks.1.resnets.0.conv_shortcut": "input_blocks_4_0_skip_connection",
        "up_blocks.0.upsamplers.0.conv": "output_blocks_2_2_conv",
        "mid_block.resnets.1.time_emb_proj": "middle_block_2_emb_layers_1",
        "conv_in": "input_blocks_0_0",
    }.items():
        assert keys[path] == f"lora_unet_{key}"


def test_a_second_set_waits_until_the_first_is_off(bases, tmp_path):
    base = bases["sd15"]
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base))
    loras = LoraStack(base, [LoraConfig(file)])
    with pytest.raises(WeightsError, match="on this pipeline already"):
        LoraStack(base, [LoraConfig(file)])
    with pytest.raises(KnobError, match="2 weights for 1 LoRAs"):
        loras.set_weights([1, 2])
    loras.remove()
    LoraStack(base, [LoraConfig(file)]).remove()


def broken(path, what):
    if what == "half":
        path.write_bytes(path.read_bytes()[:-40])
    elif what == "text":
        path.write_text("no weights")
    elif what == "missing":
        path.unlink()
    else:
        tensors = safetensors.torch.load_file(path)
        key = next(iter(tensors))
        if what == "lone":
            del tensors[key.rsplit(".lora", 1)[0].rsplit(".alpha", 1)[0] + ".lora_up.weight"]
        elif what == "lokr":
            tensors["lora_unet_mid_block_x.lokr_w1"] = torch.ones(2)
        elif what == "flux":
            tensors = {"transformer.single_blocks.0.lora_A.weight": torch.ones(2, 2)}
        safetensors.torch.save_file(tensors, path)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("half", "could not be read as a LoRA"),
        ("text", "could not be read as a LoRA"),
        ("missing", "There is no LoRA"),
        ("lone", "lacks a matrix"),
        ("lokr", "only LoRA and LoCon are"),
        ("flux", "holds no LoRA of SD 1.5, SD 2 or SDXL"),
    ],
)
def test_files_that_are_none_are_refused(bases, tmp_path, what, says):
    base = bases["sd15"]
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base, text=False))
    broken(file, what)
    with pytest.raises(WeightsError) as error:
        LoraStack(base, [LoraConfig(file)])
    assert says in str(error.value)
    assert str(file) in str(error.value)


def test_offloaded_weights_are_not_fused_into(bases, tmp_path):
    base = tiny_diffusion.pipeline("sd15")
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base, text=False))
    loras = LoraStack(base, [LoraConfig(file)])
    base.unet.to("meta")
    with pytest.raises(WeightsError, match="fuse first, offload then"):
        loras.fuse()


def test_pairs_keep_their_alpha(bases, tmp_path):
    base = bases["sd15"]
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base, rank=4), alpha=2)
    pairs = read_matrices(read_lora_header(file))
    assert {pair.scale for pair in pairs.values()} == {0.5}
    assert {pair.rank for pair in pairs.values()} == {4}


def test_a_fuse_that_failed_leaves_them_beside_the_weights(bases, tmp_path, monkeypatch):
    from impasto.engines.diffusion import lora

    base = bases["sd15"]
    before, plain = state(base), paint(base)
    loras = LoraStack(
        base, [LoraConfig(write_kohya(tmp_path / "a.safetensors", base, matrices(base)))]
    )
    beside, real, calls = paint(base), lora._LoraDelta.weight_delta, []

    def product(self, device):
        calls.append(self)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("too little memory")
        return real(self, device)

    monkeypatch.setattr(lora._LoraDelta, "weight_delta", product)
    with pytest.raises(torch.OutOfMemoryError):
        loras.fuse()
    assert not loras.fused
    assert torch.equal(paint(base), beside)
    loras.unfuse()
    assert torch.equal(paint(base), beside)
    loras.remove()
    assert same(before, state(base))
    assert torch.equal(paint(base), plain)


@pytest.mark.parametrize("use", [{"weight": float("nan")}, {"block_scales": {"up": float("inf")}}])
def test_weights_and_scales_are_numbers(bases, tmp_path, use):
    base = bases["sd15"]
    file = write_kohya(tmp_path / "a.safetensors", base, matrices(base, text=False))
    with pytest.raises(KnobError, match="give a number"):
        LoraStack(base, [LoraConfig(file, **use)])
    loras = LoraStack(base, [LoraConfig(file)])
    with pytest.raises(KnobError, match="give a number"):
        loras.set_weights([float("inf")])
    loras.remove()
