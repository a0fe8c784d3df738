"""Models of many files: where they are, whether they are whole, and what fits what."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from impasto.core.errors import WeightsError
from impasto.weights import compatibility, hub, integrity

pytest.importorskip("diffusers")


def base_of(tiny, kind="sdxl"):
    return compatibility.inspect_model(hub.locate(tiny[kind]))


def edited(folder, file, **changes):
    """Change a configuration."""
    path = Path(folder) / file
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(config))
    return str(folder)


@pytest.fixture
def copied(tiny, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(tiny["sdxl"], folder)
    return folder


@pytest.mark.parametrize(
    ("name", "repo", "revision", "inside"),
    [
        ("owner/name", "owner/name", "main", ""),
        ("owner/name@abc", "owner/name", "abc", ""),
        ("owner/name@abc:sub/file.safetensors", "owner/name", "abc", "sub/file.safetensors"),
        ("h94/IP-Adapter:models/a.safetensors", "h94/IP-Adapter",
         hub.PINNED_REVISIONS["h94/IP-Adapter"], "models/a.safetensors"),
    ],
)  # fmt: skip
def test_a_name_of_the_hub_is_taken_apart(name, repo, revision, inside):
    source = hub.locate(name)
    assert (source.repo, source.revision, source.subpath) == (repo, revision, inside)


def test_a_folder_and_a_file_are_where_they_are(tiny):
    assert hub.locate(tiny["sdxl"]).folder == Path(tiny["sdxl"])
    file = hub.locate(tiny["adapter-sdxl"])
    assert (file.folder, file.subpath) == (
        Path(tiny["adapter-sdxl"]).parent,
        Path(tiny["adapter-sdxl"]).name,
    )


@pytest.mark.parametrize("name", ["", "nowhere", "./no/folder", "a/b/c", "x/lora.safetensors"])
def test_what_is_neither_is_said(name):
    with pytest.raises(WeightsError, match="no folder or file here, and no name on the hub"):
        hub.locate(name)


def test_every_pinned_revision_is_a_commit():
    assert all(len(r) == 40 and int(r, 16) for r in hub.PINNED_REVISIONS.values())
    assert {compatibility.DEFAULT_MODELS["sdxl"], compatibility.DEFAULT_MODELS["sd15"]} <= set(
        hub.PINNED_REVISIONS
    )


def test_without_hub_and_cache_the_line_that_fetches_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        WeightsError, match=r"HF_HUB_OFFLINE.*hf download owner/none --revision main"
    ):
        compatibility.inspect_model(hub.locate("owner/none"))


def test_a_hub_out_of_reach_is_said(monkeypatch):
    import huggingface_hub

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def unreachable(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(WeightsError, match=r"the hub is out of reach.*hf download owner/none"):
        compatibility.inspect_model(hub.locate("owner/none"))


def in_cache(tiny, tmp_path, monkeypatch, revision="main"):
    """The tiny SDXL as the hub's cache has it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "models--tiny--sdxl"
    shutil.copytree(tiny["sdxl"], root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / revision).write_text(commit)
    return root / "snapshots" / commit


def test_the_offline_cache_is_enough(tiny, tmp_path, monkeypatch):
    import impasto

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = in_cache(tiny, tmp_path, monkeypatch)
    settings = {"method": "sdxl", "prompt": "a", "steps": 2, "device": "cpu", "precision": "fp32"}
    result = impasto.stylize("32x32", [], model="tiny/sdxl", **settings)
    name = f"tiny/sdxl@{snapshot.name}/unet/diffusion_pytorch_model.safetensors"
    assert name in result.recipe.files
    local = impasto.stylize("32x32", [], model=tiny["sdxl"], **settings)
    assert (result.pixels == local.pixels).all()


def test_a_cache_with_a_part_missing_is_refused_with_the_line(tiny, tmp_path, monkeypatch):
    from impasto.engines.diffusion.files import fetch_model_files

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = in_cache(tiny, tmp_path, monkeypatch, revision="part")
    (snapshot / "vae/diffusion_pytorch_model.safetensors").unlink()
    source = hub.locate("tiny/sdxl@part")
    with pytest.raises(WeightsError, match=r"no .safetensors.*for vae.*hf download tiny/sdxl"):
        fetch_model_files(source, compatibility.inspect_model(source), half=False)


def test_a_damaged_file_of_the_cache_is_told_the_line_that_mends_it(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = in_cache(tiny, tmp_path, monkeypatch, revision="cut")
    name = "unet/diffusion_pytorch_model.safetensors"
    data = (snapshot / name).read_bytes()
    (snapshot / name).write_bytes(data[:-9])
    source = hub.locate("tiny/sdxl@cut")
    line = rf"{len(data) - 9} of {len(data)} bytes.*hf download tiny/sdxl {name} .*--force-download"
    with pytest.raises(WeightsError, match=line):
        hub.fetch(source, [name])
    (snapshot / name).unlink()
    (tmp_path / "models--tiny--sdxl/blobs").mkdir()
    (tmp_path / "models--tiny--sdxl/blobs/ab.incomplete").write_bytes(b"")
    with pytest.raises(WeightsError, match=f"no {name} .ab.incomplete.*hf download tiny/sdxl"):
        hub.fetch(source, [name])


def test_a_long_prompt_is_told_of_a_model_in_the_cache_too(tiny, tmp_path, monkeypatch):
    import impasto

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    in_cache(tiny, tmp_path, monkeypatch, revision="long")
    given = {"method": "sdxl", "model": "tiny/sdxl@long", "prompt": "a " * 90, "device": "cpu"}
    plan = impasto.plan(impasto.request("32x32", [], **given))
    assert any("it is read in 2 chunks" in w for w in plan.warnings)


def test_a_blob_of_the_cache_is_named_by_its_sha256(tmp_path):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    name = "ab" * 32
    (blobs / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to(blobs / name)
    assert integrity.file_sha256(tmp_path / "link") == name
    assert integrity.file_sha256(blobs / name) == name


def test_a_file_that_changes_has_another_sha256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = integrity.file_sha256(path)
    path.write_bytes(b"two and more")
    assert integrity.file_sha256(path) != first


def test_a_half_copied_file_is_refused(copied):
    path = copied / "unet/diffusion_pytorch_model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match=r"only half here: \d+ of \d+ bytes"):
        hub.fetch(hub.locate(str(copied)), ["unet/diffusion_pytorch_model.safetensors"])


def test_a_broken_off_download_is_refused(copied):
    path = copied / "unet/diffusion_pytorch_model.safetensors"
    path.rename(path.with_name("abc.incomplete"))
    with pytest.raises(WeightsError, match=r"abc.incomplete is a download that was broken off"):
        hub.fetch(hub.locate(str(copied)), ["unet/diffusion_pytorch_model.safetensors"])


def test_what_is_no_safetensors_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x80\x04pickle" + b"\xff" * 50)
    with pytest.raises(WeightsError, match="no whole safetensors"):
        integrity.read_tensor_shapes(path)
    with pytest.raises(WeightsError, match=r"no .safetensors, which alone are read"):
        hub.ModelSource("x", tmp_path, subpath="model.ckpt").tensor_shapes()


def test_a_missing_shard_is_refused(copied):
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (copied / "unet/x.index.json").write_text(json.dumps(index))
    safetensors.torch.save_file({"a": torch.ones(2)}, copied / "unet/one.safetensors")
    with pytest.raises(WeightsError, match=r"has no unet/two.safetensors"):
        hub.fetch(hub.locate(str(copied)), ["unet/x.index.json"])


def test_a_folder_without_safetensors_is_refused(copied):
    from impasto.engines.diffusion.files import fetch_model_files

    for path in copied.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    source = hub.locate(str(copied))
    with pytest.raises(WeightsError, match=r"no .safetensors, which alone are loaded"):
        fetch_model_files(source, compatibility.inspect_model(source), half=False)


def test_files_of_fp16_are_taken_where_they_are_enough(tiny, copied):
    from impasto.engines.diffusion.files import select_model_files

    for path in list(copied.rglob("*.safetensors")):
        shutil.copy(path, path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    source = hub.locate(str(copied))
    base, listed = compatibility.inspect_model(source), hub.list_files(source)
    half, full = select_model_files(listed, base, True), select_model_files(listed, base, False)
    assert [n for n in half if n.endswith(".fp16.safetensors")] == [
        n.replace(".safetensors", ".fp16.safetensors") for n in full if n.endswith(".safetensors")
    ]


# ------------------------------------------------------------------------------ what fits what


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_the_parts_of_a_kind_fit(tiny, kind):
    base = base_of(tiny, kind)
    assert (base.family, base.vae_scale_factor) == (kind, 2)
    adapter = compatibility.inspect_adapter(tiny[f"adapter-{kind}"], base)
    assert (adapter.is_plus, adapter.num_tokens) == (False, 4)
    compatibility.check_adapter(base, adapter, compatibility.image_encoder_source(adapter))
    assert compatibility.check_controlnet(base, "canny", tiny[f"control-{kind}"])


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_layers_are_counted_as_diffusers_numbers_them(tiny, kind):
    from diffusers import UNet2DConditionModel
    from tiny_diffusion import unet_config

    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(kind))
    theirs = [
        unet.get_submodule(name.removesuffix(".processor")).inner_dim
        for name in unet.attn_processors
        if name.endswith("attn2.processor")
    ]
    assert list(compatibility.layer_widths(base_of(tiny, kind).unet)) == theirs


def test_layers_of_the_real_sdxl_and_sd15():
    xl = {
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "layers_per_block": 2,
    }
    sd = {
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "layers_per_block": 2,
    }
    assert (len(compatibility.layer_widths(xl)), len(compatibility.layer_widths(sd))) == (70, 16)


@pytest.mark.parametrize(("kind", "other"), [("sdxl", "sd15"), ("sd15", "sdxl")])
def test_an_adapter_of_the_other_kind_is_refused(tiny, kind, other):
    base = base_of(tiny, kind)
    adapter = compatibility.inspect_adapter(tiny[f"adapter-{other}"], base)
    with pytest.raises(WeightsError, match=r"The IP-Adapter .* is for .* the model .* has"):
        compatibility.check_adapter(base, adapter, compatibility.image_encoder_source(adapter))


def test_an_adapter_of_sd15_on_sdxl_is_told_the_pair_that_fits(tmp_path, tiny):
    from dataclasses import replace

    base = replace(base_of(tiny), cross_attention_dim=2048)
    adapter = replace(
        compatibility.inspect_adapter(tiny["adapter-sd15"], base_of(tiny, "sd15")),
        cross_attention_dim=768,
    )
    with pytest.raises(WeightsError) as caught:
        compatibility.check_adapter(base, adapter, compatibility.image_encoder_source(adapter))
    said = str(caught.value)
    assert "is for Stable Diffusion 1.5, cross-attention 768" in said
    assert f"--ip-adapter {compatibility.DEFAULT_IP_ADAPTERS['sdxl']} fits this model" in said


def test_an_image_encoder_of_another_width_is_told_the_one_that_fits(tiny):
    from dataclasses import replace

    base = base_of(tiny)
    adapter = replace(compatibility.inspect_adapter(tiny["adapter-sdxl"], base), encoder_dim=1024)
    with pytest.raises(
        WeightsError, match=r"takes vectors of 1024: --image-encoder h94/IP-Adapter"
    ):
        compatibility.check_adapter(base, adapter, compatibility.image_encoder_source(adapter))
    other = Path(tiny["adapter-sd15"]).parent / "image_encoder"
    fine = compatibility.inspect_adapter(tiny["adapter-sdxl"], base)
    with pytest.raises(WeightsError, match="does not fit the IP-Adapter"):
        compatibility.check_adapter(
            base, fine, compatibility.image_encoder_source(fine, str(other))
        )


@pytest.mark.parametrize(("kind", "other"), [("sdxl", "sd15"), ("sd15", "sdxl")])
def test_a_controlnet_of_the_other_kind_is_refused(tiny, kind, other):
    message = f"--control-models .* fits {compatibility.FAMILY_TITLES[kind]}"
    with pytest.raises(WeightsError, match=message):
        compatibility.check_controlnet(base_of(tiny, kind), "canny", tiny[f"control-{other}"])


def lora_file(
    path, width, prefix="lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2"
):
    tensors = {
        f"{prefix}_to_k.lora_down.weight": torch.zeros(2, width),
        f"{prefix}_to_k.lora_up.weight": torch.zeros(16, 2),
    }
    safetensors.torch.save_file(tensors, path)
    return str(path)


def test_a_lora_of_another_base_is_refused(tiny, tmp_path):
    base = base_of(tiny)
    assert compatibility.check_lora(
        base, lora_file(tmp_path / "fits.safetensors", base.cross_attention_dim)
    )
    wrong = lora_file(tmp_path / "wrong.safetensors", 768)
    with pytest.raises(WeightsError, match=r"taught on Stable Diffusion 1.5.*--model stable-diff"):
        compatibility.check_lora(base, wrong)
    with pytest.raises(WeightsError, match="holds no LoRA"):
        compatibility.check_lora(base, tiny["adapter-sdxl"])


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}, "is a FluxPipeline.*--model stab"),
        ("unet/config.json", {"in_channels": 9}, "takes 9 channels, as models for inpainting"),
        ("unet/config.json", {"addition_embed_type": None}, "is no base model"),
        ("unet/config.json", {"cross_attention_dim": 48}, r"give 16 \+ 16 and its UNet takes 48"),
    ],
)
def test_a_model_of_another_kind_is_refused(copied, file, changes, message):
    with pytest.raises(WeightsError, match=message):
        compatibility.inspect_model(hub.locate(edited(copied, file, **changes)))


def test_a_refiner_is_refused(copied):
    folder = edited(copied, "model_index.json", text_encoder=[None, None])
    with pytest.raises(WeightsError, match="refiner"):
        compatibility.inspect_model(hub.locate(folder))


def test_an_adapter_for_faces_is_refused(tiny, tmp_path):
    tensors = safetensors.torch.load_file(tiny["adapter-sdxl"])
    for name in [n for n in tensors if n.startswith("image_proj.proj")]:
        tensors[name.replace("proj.", "proj.0.", 2)] = tensors.pop(name)
    safetensors.torch.save_file(tensors, tmp_path / "face.safetensors")
    with pytest.raises(WeightsError, match="an adapter for faces"):
        compatibility.inspect_adapter(str(tmp_path / "face.safetensors"), base_of(tiny))


def test_a_folder_with_one_adapter_is_enough_and_with_two_is_asked(tiny, tmp_path):
    base = base_of(tiny)
    file = Path(tiny["adapter-sdxl"])
    shutil.copy(file, tmp_path / "my-ip-adapter.safetensors")
    assert (
        compatibility.inspect_adapter(str(tmp_path), base).source.subpath
        == "my-ip-adapter.safetensors"
    )
    shutil.copy(file, tmp_path / "another-ip-adapter.safetensors")
    with pytest.raises(WeightsError, match="Which file"):
        compatibility.inspect_adapter(str(tmp_path), base)
    shutil.copy(file, tmp_path / "ip-adapter_sdxl.safetensors")
    assert (
        compatibility.inspect_adapter(str(tmp_path), base).source.subpath
        == "ip-adapter_sdxl.safetensors"
    )


@pytest.mark.parametrize(
    ("license", "forbids"),
    [
        ("apache-2.0", False),
        ("openrail++", False),
        ("creativeml-openrail-m", False),
        ("cc-by-nc-4.0", True),
        ("flux-1-dev-non-commercial-license", True),
        ("sai-nc-community", True),
        ("fancy", False),
    ],
)
def test_licenses_that_forbid_commercial_use_are_known(license, forbids):
    assert bool(hub.NON_COMMERCIAL_PATTERN.search(license)) == forbids


def test_a_license_is_read_from_the_models_card(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: sai-nc\n---\n")
    assert hub.locate(str(tmp_path)).license() == "sai-nc"
    assert hub.locate(str(Path(__file__).parent)).license() == ""
