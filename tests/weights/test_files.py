"""A user's own files: torchvision's layout is recognized, and nothing else gets in."""

import os
import pickle

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from impasto.core.errors import WeightsError
from impasto.weights import store, vgg_layers


@pytest.fixture(autouse=True)
def small_widths(monkeypatch):
    monkeypatch.setattr(vgg_layers, "BLOCK_CHANNELS", (2, 3, 4, 5, 6))


def _torchvision(backbone):
    """Random tensors in torchvision's layout, with the classifier that such files also hold."""
    names = vgg_layers.torchvision_names(backbone)
    shapes = vgg_layers.tensor_shapes(backbone)
    tensors = {theirs: torch.rand(shapes[ours]) for ours, theirs in names.items()}
    return {**tensors, "classifier.0.weight": torch.rand(3, 3)}


def _save(tensors, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize(
    ("backbone", "ours", "theirs"),
    [
        ("vgg19", "conv1_1", 0),
        ("vgg19", "conv4_2", 21),
        ("vgg19", "conv5_4", 34),
        ("vgg16", "conv3_3", 14),
        ("vgg16", "conv5_3", 28),
    ],
)
def test_known_places_in_torchvisions_row(backbone, ours, theirs):
    names = vgg_layers.torchvision_names(backbone)
    assert names[f"{ours}.weight"] == f"features.{theirs}.weight"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".PT"])
@pytest.mark.parametrize("backbone", ["vgg19", "vgg16"])
def test_the_backbone_is_told_by_the_tensors(tmp_path, backbone, suffix):
    given = _torchvision(backbone)
    loaded = store.load_encoder(_save(given, tmp_path / f"mine{suffix}"))
    assert loaded.backbone == backbone
    assert loaded.name == f"mine{suffix}"
    assert len(loaded.sha256) == 64
    assert loaded.preprocessing.std == (0.229, 0.224, 0.225)
    names = vgg_layers.torchvision_names(backbone)
    assert loaded.tensors.keys() == names.keys()
    weights = [n for n in names if n.endswith("weight") and n != "conv1_1.weight"]
    assert all(torch.equal(loaded.tensors[n], given[names[n]]) for n in weights)


def test_every_activation_is_brought_to_the_scale_of_the_original_network(tmp_path):
    names = vgg_layers.torchvision_names("vgg16")
    given = {k: t / t[0].numel() for k, t in _torchvision("vgg16").items()}
    loaded = store.load_encoder(_save(given, tmp_path / "mine.safetensors")).tensors
    x = torch.rand(1, 3, 32, 32)
    theirs = ours = x
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        weight, bias = (given[names[f"{name}.{part}"]] for part in ("weight", "bias"))
        theirs = F.max_pool2d(F.relu(F.conv2d(theirs, weight, bias, padding=1)), 2)
        mine = F.conv2d(ours, loaded[f"{name}.weight"], loaded[f"{name}.bias"], padding=1)
        ours = F.max_pool2d(F.relu(mine), 2)
    factor = 255 * (0.229 + 0.224 + 0.225) / 3
    torch.testing.assert_close(ours, theirs * factor, rtol=1e-4, atol=1e-4)


def test_half_precision_becomes_float32(tmp_path):
    given = {k: t.half() for k, t in _torchvision("vgg16").items()}
    loaded = store.load_encoder(_save(given, tmp_path / "half.pth"))
    assert {t.dtype for t in loaded.tensors.values()} == {torch.float32}


def test_missing_and_misshapen_tensors_are_named(tmp_path):
    given = _torchvision("vgg19")
    del given["features.28.weight"]
    given["features.5.weight"] = torch.rand(3, 1, 3, 3)
    path = _save(given, tmp_path / "damaged.pth")
    with pytest.raises(WeightsError) as error:
        store.load_encoder(path)
    assert str(error.value) == (
        f"{path} is no VGG-19 in torchvision's layout: "
        "features.5.weight is (3, 1, 3, 3), not (3, 2, 3, 3); features.28.weight is missing."
    )


def test_another_network_is_refused(tmp_path):
    path = _save({"fc.weight": torch.rand(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"features.0.weight is missing.* and 28 more"):
        store.load_encoder(path)


class _Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o, 2))])
def test_a_malicious_pickle_runs_nothing(tmp_path, write):
    marker, path = tmp_path / "pwned", tmp_path / "evil.pth"
    write({"features.0.weight": _Evil(str(marker))}, path)
    with pytest.raises(WeightsError, match=r"evil.pth could not be read.*no code in it was run"):
        store.load_encoder(path)
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_truncated_empty_and_foreign_files(tmp_path, suffix):
    path = _save(_torchvision("vgg16"), tmp_path / f"cut{suffix}")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no weights at all"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="could not be read as weights"):
            store.load_encoder(path)


def test_a_list_is_no_set_of_weights(tmp_path):
    with pytest.raises(WeightsError, match="holds list, not tensors by name"):
        store.load_encoder(_save([torch.rand(1)], tmp_path / "list.pth"))
