"""Models that Impasto trained: written, read, and told from other files."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_models import CHANNELS, encoder_tensors
from torch import nn

from impasto.core.errors import WeightsError
from impasto.weights import model_files as module
from impasto.weights import store
from impasto.weights.model_files import MODEL_TITLES, read_model, read_model_header, write_model


def saved(path, kind="fast", tensors=None, about=None, **meta):
    about = {"styles": ["one"], "widths": [1, 2, 3], "blocks": 1} if about is None else about
    with path.open("wb") as file:
        write_model(file, kind, tensors or {"a": torch.ones(2)}, about, {"license": "x"})
    return path


def test_what_was_written_is_read(tmp_path):
    tensors = {"a": torch.rand(3, 4).T, "bytes": torch.arange(256, dtype=torch.uint8)}
    path = saved(tmp_path / "m.safetensors", tensors=tensors)
    model = read_model(path, "m", "sha", "fast")
    assert (model.name, model.sha256, model.model_type) == ("m", "sha", "fast")
    assert model.about["styles"] == ["one"]
    assert model.card == {"license": "x"}
    assert model.tensors["a"].dtype == torch.float32
    assert torch.equal(model.tensors["a"], tensors["a"].half().float())
    assert torch.equal(model.tensors["bytes"], tensors["bytes"])


def test_every_kind_is_refused_where_another_is_wanted(models):
    for kind, path in models.items():
        assert store.load_model(path, kind).model_type == kind
        for other in MODEL_TITLES.keys() - {kind}:
            with pytest.raises(WeightsError) as error:
                store.load_model(path, other)
            assert f"holds {MODEL_TITLES[kind]}; wanted is {MODEL_TITLES[other]}." in str(
                error.value
            )


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_plain_file_of_weights_is_no_model(tmp_path, suffix):
    path = tmp_path / f"vgg{suffix}"
    tensors = {"features.0.weight": torch.ones(2, 3, 3, 3)}
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(tensors, path)
    with pytest.raises(WeightsError, match="no model that Impasto trained; wanted is a fast net"):
        store.load_model(path, "fast")


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"format": 2, "kind": "fast"}, "of a later Impasto"),
        ({"format": 1, "kind": "slow", "about": {}}, "holds slow; wanted is a fast network"),
        ({"format": 1, "kind": "fast", "about": {"styles": []}}, "does not say its widths, blocks"),
        ({"kind": "fast"}, "could not be read"),
        ([], "could not be read"),
        (None, "no model that Impasto trained"),
        ("x", "could not be read"),
    ],
)
def test_headers_that_say_too_little(tmp_path, meta, says):
    path = tmp_path / "m.safetensors"
    data = safetensors.torch.save({"a": torch.ones(1)}, {"impasto": json.dumps(meta)})
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=says):
        store.load_model(path, "fast")


def test_a_damaged_file(tmp_path):
    path = saved(tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="could not be read as weights"):
        read_model_header(path)


def test_a_network_is_filled_by_its_own_names(tmp_path):
    layer = nn.Linear(2, 3)
    tensors = {f"part.{n}": t for n, t in layer.state_dict().items()}
    path = saved(tmp_path / "m.safetensors", tensors={**tensors, "more": torch.ones(1)})
    model = read_model(path, "m", "", "fast")
    other = nn.Linear(2, 3)
    model.load_into(other, "part.")
    torch.testing.assert_close(other.weight, layer.weight, rtol=1e-3, atol=1e-3)
    with pytest.raises(WeightsError, match=r"m is not whole: 'weight'"):
        model.load_into(other)
    with pytest.raises(WeightsError, match=r"m is not whole: size mismatch for"):
        model.load_into(nn.Linear(2, 4), "part.")


def test_a_decoder_comes_with_its_encoder(models, tmp_path):
    model, encoder = store.load_decoder(models["adain"], "adain")
    assert (model.model_type, encoder.name) == ("adain", Path(models["compact"]).name)
    assert encoder.backbone == "vgg19"
    about = {"encoder": "gone.safetensors", "channels": 1, "widths": [1]}
    path = saved(tmp_path / "lone.safetensors", "adain", about=about)
    with pytest.raises(WeightsError, match=r"that lone\.safetensors decodes: gone\.safetensors"):
        store.load_decoder(path, "adain")


def test_a_compact_encoder_is_loaded_like_any_other(models):
    loaded = store.load_encoder(models["compact"])
    assert loaded.tensors.keys() == encoder_tensors().keys()
    assert loaded.tensors["conv5_1.weight"].shape == (CHANNELS[4], CHANNELS[3], 3, 3)
    assert loaded.preprocessing.mean == (0.45,) * 3
    with pytest.raises(WeightsError, match="holds a decoder for AdaIN; wanted is a compact enc"):
        store.load_encoder(models["adain"])


def test_bundled_models_go_by_their_names(models, tmp_path, monkeypatch):
    (tmp_path / "fast.safetensors").write_bytes(Path(models["fast"]).read_bytes())
    monkeypatch.setattr(module, "BUNDLED_FOLDER", tmp_path)
    assert store.load_model("fast", "fast").name == "fast"
    with pytest.raises(WeightsError, match="'fats': did you mean fast"):
        store.load_model("fats", "fast")


def test_a_decoder_knows_which_encoder_it_decodes(models, tmp_path):
    model = store.load_model(models["adain"], "adain")
    path = tmp_path / "other.safetensors"
    about = {**model.about, "encoder sha256": "0" * 64}
    with path.open("wb") as file:
        write_model(file, "adain", model.tensors, about, {})
    with pytest.raises(WeightsError, match=r"decodes another .* than this one \(sha256 000000"):
        store.load_decoder(path, "adain")
