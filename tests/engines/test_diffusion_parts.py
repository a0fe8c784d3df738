"""Adapter, blocks, control pictures, prompts, memory and the leak check, each by itself."""

import itertools

import numpy as np
import pytest
import torch
from tiny_clip import write_clip
from tiny_diffusion import unet_config
from tiny_models import pixels

from impasto.core.errors import KnobError, ResourceError, WeightsError
from impasto.core.plan import ExecutionSettings
from impasto.engines.diffusion import controlnet, memory
from impasto.engines.diffusion.ip_adapter import (
    BLOCK_PRESETS,
    cross_attention_blocks,
    encode_image_prompts,
    locate_attention,
    parse_block_scales,
    set_ip_adapter_scale,
    square_crops,
    validate_block_scales,
)
from impasto.weights import compatibility, hub

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def unet(tiny):
    from diffusers import StableDiffusionXLPipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(tiny["sdxl"], add_watermarker=False)
    file = hub.locate(tiny["adapter-sdxl"])
    pipe.load_ip_adapter(
        str(file.folder), subfolder="", weight_name=file.subpath, image_encoder_folder=None
    )
    return pipe.unet


# ---------------------------------------------------------------------------------- the blocks

SWITCHED = {
    "style": {("up.block_0", 1)},
    "layout": {("down.block_2", 1)},
    "style+layout": {("up.block_0", 1), ("down.block_2", 1)},
}


@pytest.mark.parametrize("preset", BLOCK_PRESETS)
def test_a_preset_switches_exactly_its_blocks(unet, preset):
    blocks = validate_block_scales(BLOCK_PRESETS[preset], cross_attention_blocks(unet.config))
    set_ip_adapter_scale(unet, 0.8, blocks)
    on = {
        locate_attention(n)
        for n, p in unet.attn_processors.items()
        if getattr(p, "scale", [0]) == [0.8]
    }
    off = {
        locate_attention(n)
        for n, p in unet.attn_processors.items()
        if getattr(p, "scale", 0) == [0.0]
    }
    assert on == SWITCHED[preset]
    assert not on & off
    everything = {
        (block, i) for block, n in cross_attention_blocks(unet.config).items() for i in range(n)
    }
    assert on | off == everything


@pytest.mark.parametrize("preset", BLOCK_PRESETS)
def test_a_preset_is_what_diffusers_makes_of_instantstyles_mapping(unet, preset, tiny):
    from diffusers import StableDiffusionXLPipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(tiny["sdxl"], unet=unet, add_watermarker=False)
    theirs = {}
    for name, values in BLOCK_PRESETS[preset].items():
        part, block = name.split(".")
        theirs.setdefault(part, {})[block] = list(values)
    pipe.set_ip_adapter_scale(theirs)
    wanted = {n: p.scale for n, p in unet.attn_processors.items() if hasattr(p, "to_k_ip")}
    wanted = {n: list(s) for n, s in wanted.items()}
    ours = set_ip_adapter_scale(
        unet, 1.0, validate_block_scales(BLOCK_PRESETS[preset], cross_attention_blocks(unet.config))
    )
    assert {n: [s] for n, s in ours.items()} == wanted


def test_without_a_mapping_all_layers_have_the_scale(unet):
    assert set(set_ip_adapter_scale(unet, 0.7).values()) == {0.7}
    assert len(set_ip_adapter_scale(unet, 0.7)) == len(compatibility.layer_widths(unet.config))


def test_the_blocks_of_a_model_are_known_from_its_configuration():
    assert cross_attention_blocks(unet_config("sdxl")) == {
        "down.block_1": 2, "down.block_2": 2, "mid": 1, "up.block_0": 3, "up.block_1": 3,
    }  # fmt: skip
    assert cross_attention_blocks(unet_config("sd15")) == {
        "down.block_0": 2, "down.block_1": 2, "mid": 1, "up.block_1": 3, "up.block_2": 3,
    }  # fmt: skip


def test_one_number_is_for_a_whole_block():
    known = cross_attention_blocks(unet_config("sdxl"))
    found = validate_block_scales(parse_block_scales("up.block_1=0.5; mid=1"), known)
    assert found == {"up.block_1": (0.5, 0.5, 0.5), "mid": (1.0,)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("up.block_0=0:1", "has 3 attentions, and 2 scales were given"),
        ("up.block_2=1", r"no block 'up.block_2'.*Did you mean up.block_\d"),
        ("down=1", "no block 'down'"),
        ("up.block_0=0 mid=0:0", "mid has 1 attentions, and 2"),
        ("up.block_0=0:0:0 mid=0", "every scale is 0"),
        ("", "every scale is 0"),
        ("up.block_0=nan", "finite"),
        ("up.block_0=x", "does not fit"),
        ("mid=1 mid=2", "write each block once"),
    ],
)
def test_a_mapping_that_diffusers_would_take_silently_is_an_error(text, message):
    with pytest.raises(KnobError, match=message):
        validate_block_scales(parse_block_scales(text), cross_attention_blocks(unet_config("sdxl")))


# ------------------------------------------------------------------------------ the references


@pytest.mark.parametrize("shape", [(64, 64), (40, 100), (100, 40), (32, 33), (20, 400), (7, 9)])
def test_squares_cover_the_whole_reference(shape):
    reference = np.zeros((*shape, 3), np.float32)
    reference[..., 0] = np.linspace(0, 1, shape[1])[None]
    reference[..., 1] = np.linspace(0, 1, shape[0])[:, None]
    cut = [np.asarray(square) / 255 for square in square_crops(reference, 32)]
    assert all(each.shape == (32, 32, 3) for each in cut)
    assert len(cut) <= 4
    for channel in (0, 1):  # from its one edge to the other
        assert min(each[..., channel].min() for each in cut) < 0.04
        assert max(each[..., channel].max() for each in cut) > 0.96
    if len(cut) > 1:  # no gap between one square and the next
        along = 0 if shape[1] > shape[0] else 1
        spans = [(each[..., along].min(), each[..., along].max()) for each in cut]
        step = 1 / (32 * len(cut)) + 0.05
        assert all(b[0] <= a[1] + step for a, b in itertools.pairwise(spans))


def test_what_is_at_the_edge_of_a_wide_reference_is_seen(tiny):
    from transformers import CLIPVisionModelWithProjection

    folder = hub.locate(tiny["adapter-sdxl"]).folder / "image_encoder"
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder)
    plain = np.full((32, 96, 3), 0.5, np.float32)
    marked = plain.copy()
    marked[:, :8] = 1
    one, other = (encode_image_prompts(encoder, [each], plus=False) for each in (plain, marked))
    assert one.embeds.shape == (1, 3, 16)
    assert not torch.allclose(one.embeds, other.embeds)
    assert [round(share, 3) for _, share in one.square_sources] == [0.333] * 3


def test_shares_become_masks_and_a_single_whole_reference_needs_none(tiny):
    from transformers import CLIPVisionModelWithProjection

    folder = hub.locate(tiny["adapter-sdxl"]).folder / "image_encoder"
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder)
    square, wide = np.zeros((8, 8, 3), np.float32), np.ones((8, 16, 3), np.float32)
    alone = encode_image_prompts(encoder, [square], plus=False)
    assert alone.masks(torch.ones(1, 1, 1)) is None
    both = encode_image_prompts(encoder, [square, wide], plus=True)
    assert both.embeds.shape == (1, 3, 17, 16)
    masks = both.masks(torch.tensor([0.25, 0.75])[:, None, None])
    assert torch.allclose(masks.flatten(), torch.tensor([0.25, 0.375, 0.375]))
    assert both.for_guidance(True)[0].shape == (2, 3, 17, 16)


# ------------------------------------------------------------------------------ control pictures


def test_canny_agrees_with_scikit_image():
    skimage = pytest.importorskip("skimage.feature")
    picture = pixels(64, 80, 3)
    luma = picture @ np.float32([0.299, 0.587, 0.114])
    ours = controlnet.canny(torch.from_numpy(picture).permute(2, 0, 1), 30, 60).numpy() > 0
    theirs = skimage.canny(luma, sigma=1.0, low_threshold=0.05, high_threshold=0.1)
    from scipy.ndimage import binary_dilation

    assert ours.any()
    near = np.ones((5, 5), bool)
    hit = (ours & binary_dilation(theirs, near)).sum() / ours.sum()
    found = (theirs & binary_dilation(ours, near)).sum() / theirs.sum()
    assert min(hit, found) > 0.7


def test_canny_finds_a_square_as_thin_lines_and_nothing_in_a_plane():
    picture = torch.zeros(3, 40, 40)
    assert controlnet.canny(picture).sum() == 0
    picture[:, 10:30, 10:30] = 1
    edges = controlnet.canny(picture)
    assert 70 <= edges.sum() <= 90
    assert edges[15:25, 15:25].sum() == 0


def test_of_a_faint_picture_the_control_shows_the_fainter_edges():
    from impasto.engines.diffusion.controlnet import canny, make_control_image

    y, x = np.mgrid[0:64, 0:64]
    checks = ((x // 8 + y // 8) % 2).astype(np.float32)[..., None].repeat(3, 2)
    strong, faint = 0.2 + 0.6 * checks, 0.5 + 0.1 * checks
    tensor = torch.from_numpy(faint).permute(2, 0, 1)
    assert canny(tensor).sum() == 0
    for each in (strong, faint):
        assert make_control_image("canny", each, 64, 64).mean() > 0.03
    assert not make_control_image("canny", np.full_like(faint, 0.5), 64, 64).any()


def test_a_weak_edge_stays_only_if_it_touches_a_strong_one():
    ramp = torch.zeros(3, 40, 40)
    ramp[:, :, 20:] = torch.linspace(0.1, 1, 40)[None, :, None]  # an edge that fades upwards
    full, strong, weak = (
        controlnet.canny(ramp, *t).sum() for t in ((60, 400), (400, 400), (60, 60))
    )
    assert strong < full <= weak
    alone = torch.zeros(3, 40, 40)
    alone[:, :, 20:] = 0.2
    assert controlnet.canny(alone, 60, 400).sum() == 0


def test_a_tile_keeps_what_is_large():
    noise = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    seen = controlnet.make_control_image("tile", noise, 64, 64)
    assert seen.shape == (64, 64, 3)
    assert seen.std() < 0.3 * noise.std()
    assert abs(seen.mean() - noise.mean()) < 0.02


def test_depth_by_a_model_of_transformers(tmp_path):
    from tiny_diffusion import write_depth

    write_depth(tmp_path)
    seen = controlnet.make_control_image("depth", pixels(24, 40), 24, 40, depth_model=str(tmp_path))
    assert seen.shape == (24, 40, 3)
    assert (seen.min(), seen.max()) == (0, 1)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="cannot be used as a depth model"):
        controlnet.make_control_image("depth", pixels(24, 40), 24, 40, depth_model=str(tmp_path))


# -------------------------------------------------------------------------------------- prompts


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
@pytest.mark.parametrize("negative", ["", "red"])
def test_a_short_prompt_is_read_as_diffusers_reads_it(tiny, kind, negative):
    from impasto.engines.diffusion import prompts

    name = "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline"
    more = {"add_watermarker": False} if kind == "sdxl" else {"safety_checker": None}
    pipe = getattr(diffusers, name).from_pretrained(tiny[kind], **more)
    found = prompts.encode_prompt(pipe, "a house", negative)
    if kind == "sdxl":
        theirs = pipe.encode_prompt("a house", negative_prompt=negative or None)
    else:
        theirs = pipe.encode_prompt("a house", "cpu", 1, True, negative_prompt=negative)
    ours = (found.positive, found.negative, found.pooled, found.negative_pooled)
    for one, other in zip(ours, theirs, strict=False):
        torch.testing.assert_close(one, other)
    assert found.chunks == 1


def test_a_long_prompt_is_read_in_chunks_and_nothing_is_cut(tiny):
    from impasto.engines.diffusion import prompts

    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(tiny["sdxl"], add_watermarker=False)
    long = "abcde " * 40  # 200 tokens
    assert [len(c) for c in prompts.chunk_tokens(pipe.tokenizer, long)] == [75, 75, 50]
    found = prompts.encode_prompt(pipe, long, "red")
    assert found.positive.shape == found.negative.shape == (1, 3 * 77, 32)
    other = prompts.encode_prompt(pipe, long[:-2] + "z", "red")  # the last letter counts too
    assert not torch.equal(found.positive, other.positive)
    assert torch.equal(found.positive[:, :154], other.positive[:, :154])


# --------------------------------------------------------------------------------------- memory


@pytest.fixture(scope="module")
def sizes(tiny):
    base = compatibility.inspect_model(hub.locate(tiny["sdxl"]))
    adapter = compatibility.inspect_adapter(tiny["adapter-sdxl"], base)
    nets = {"canny": hub.locate(tiny["control-sdxl"])}
    return memory.count_parameters(base, adapter, compatibility.image_encoder_source(adapter), nets)


def test_parameters_are_counted_without_loading(sizes, tiny):
    import safetensors.torch

    for part, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder_2", "model")):
        tensors = safetensors.torch.load_file(f"{tiny['sdxl']}/{part}/{stem}.safetensors")
        count = sum(t.numel() for t in tensors.values() if t.is_floating_point())
        assert sizes.counts[part] == count
    assert set(sizes.counts) == {
        "unet", "vae", "text_encoder", "text_encoder_2", "adapter", "encoder", "control 0 canny",
    }  # fmt: skip


def published(kind):
    """SDXL's figures, without its configuration files: parameters as published."""
    from impasto.weights.compatibility import BaseModelInfo

    unet = {"block_out_channels": [320, 640, 1280]}
    vae = {"block_out_channels": [128, 256, 512, 512]}
    base = BaseModelInfo(hub.ModelSource("x", None, "a/b"), kind, 2048, unet, vae, {})
    parts = {"unet": 2_567_463_684, "vae": 83_653_863, "text_encoder": 123_060_480,
             "text_encoder_2": 694_659_840}  # fmt: skip
    return memory.ParameterCounts(parts, base)


def test_every_step_down_takes_less():
    setting = ExecutionSettings(1024, 1024, "cuda", "fp16")
    peaks = [
        published("sdxl").peak_bytes(setting, s, True) / 1e9 for s in memory.MEMORY_MODES.values()
    ]
    assert peaks == sorted(peaks, reverse=True)
    assert 11 < peaks[0] < 13  # fp16 weights of 7 GB, and the decoder in fp32
    assert 5.5 < peaks[2] < 7
    assert peaks[3] < 3


def test_the_first_step_that_fits_is_taken():
    setting, sdxl = ExecutionSettings(1024, 1024, "cuda", "fp16"), published("sdxl")
    found = [
        memory.choose_memory_mode(sdxl, setting, True, int(gb * 1e9)).name
        for gb in (24, 9.5, 7, 4, 1)
    ]
    assert found == ["resident", "tiled", "offload", "sequential", "sequential"]
    assert memory.choose_memory_mode(sdxl, setting, True, 0, "resident").name == "resident"


def test_a_processor_has_nowhere_to_offload_to():
    assert [s.name for s in memory.available_modes("cpu")] == ["resident", "tiled"]
    assert memory.next_smaller_mode(memory.MEMORY_MODES["tiled"], "cpu") is None
    assert memory.next_smaller_mode(memory.MEMORY_MODES["tiled"], "cuda:1").name == "offload"
    setting = ExecutionSettings(64, 64, "cpu", "fp32")
    with pytest.raises(ResourceError, match="is for a GPU"):
        memory.choose_memory_mode(published("sdxl"), setting, True, 0, "offload")


def test_a_forecast_grows_with_steps_and_size(sizes):
    small, large = (ExecutionSettings(side, side, "cpu", "fp32") for side in (64, 256))
    step = memory.MEMORY_MODES["resident"]
    few, many = (memory.forecast(sizes, small, step, n, True) for n in (1, 100))
    assert few.seconds < many.seconds
    assert few.peak_bytes < memory.forecast(sizes, large, step, 1, True).peak_bytes


def test_operations_of_the_published_model_are_what_was_counted():
    sdxl = published("sdxl")
    setting = ExecutionSettings(1024, 1024, "cuda", "fp16")
    once = sdxl.operations(setting, 1, False) - sdxl.operations(setting, 0, False)
    assert once == pytest.approx(6.76e12, rel=0.05)


# ------------------------------------------------------------------------------------- the leak


class Staged:
    """A CLIP that sees what a picture's mean says: 0 the first thing of the list, 1 the last."""

    def embed_texts(self, texts):
        if len(texts) == 1:
            return torch.eye(len(self.words))[[self.words.index(texts[0])]]
        self.words = [t.removeprefix("a picture of ") for t in texts]
        return torch.eye(len(texts))

    def embed_images(self, images):
        places = [round(float(np.mean(p)) * (len(self.words) - 1)) for p in images]
        return torch.eye(len(self.words))[places]


def flat(value):
    return np.full((4, 4, 3), value, np.float32)


def test_a_leak_is_what_only_the_reference_shows():
    from impasto.engines.diffusion.content_leak import OBJECT_NAMES, ContentLeakMetric

    check = ContentLeakMetric(Staged(), [flat(0)], flat(1), "")
    assert check(flat(0)) == pytest.approx(1, abs=1e-3)
    assert check(flat(1)) == pytest.approx(0, abs=1e-3)
    asked = ContentLeakMetric(Staged(), [flat(0)], None, OBJECT_NAMES[0])
    assert asked(flat(0)) < 1e-3  # it was asked for
    assert len(set(OBJECT_NAMES)) == len(OBJECT_NAMES)


def test_the_leak_check_takes_a_real_clip(tmp_path):
    from impasto.engines.diffusion.content_leak import ContentLeakMetric
    from impasto.nets.clip import Clip

    clip = Clip(str(write_clip(tmp_path)), fetch=False)
    check = ContentLeakMetric(clip, [pixels(32, 32, 1)], pixels(32, 32, 2), "a cat")
    assert 0 <= check(pixels(32, 32, 1)) <= 1
