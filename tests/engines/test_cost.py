"""The memory forecast, against the tensors that autograd really keeps."""

import pytest
import torch

from impasto.engines.optimization import cost
from impasto.engines.optimization.cost import (
    ALLOCATOR_OVERHEAD,
    activation_bytes_per_pixel,
    peak_bytes,
)
from impasto.nets.vgg import VGG, move_network
from impasto.weights import store, vgg_layers
from impasto.weights.loading import LoadedWeights, Preprocessing

SIDE = 64
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@pytest.fixture(scope="module")
def weights():
    """A VGG-19 of an eighth of the width, with random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg_layers, "BLOCK_CHANNELS", (8, 16, 32, 64, 64))
        tensors = {
            name: torch.randn(shape) / shape[-1] ** 2 if len(shape) > 1 else torch.zeros(shape)
            for name, shape in vgg_layers.tensor_shapes("vgg19").items()
        }
    return LoadedWeights("eighth", "", "vgg19", tensors, Preprocessing((0.5,) * 3, (1.0,) * 3))


def encoder_of(weights, precision="fp32", **settings):
    encoder = VGG(weights, **settings)
    move_network(encoder, "cpu", precision)
    return encoder


def kept_bytes(encoder, layers):
    """Bytes per pixel of all storages that one forward pass keeps for the way back."""
    parameters = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # alive: no address comes twice
        return tensor

    picture = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        found = encoder(picture, layers)
    assert found
    return sum(size for size, _ in kept.values()) / SIDE**2


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize(("precision", "each"), [("fp32", 4), ("bf16", 2)])
@pytest.mark.parametrize("layers", [STYLE, ("conv1_2",), ("conv3_1",)], ids="-".join)
def test_the_forecast_is_what_autograd_keeps(weights, pooling, padding, precision, each, layers):
    encoder = encoder_of(weights, precision, pooling=pooling, padding=padding)
    # The forecast adds three gradients of the widest layer, conv1_1, on the way back.
    forecast = (
        activation_bytes_per_pixel(encoder, layers, each) - 3 * encoder.channels("conv1_1") * each
    )
    assert forecast == pytest.approx(kept_bytes(encoder, layers), rel=0.25)


def test_deeper_layers_and_wider_numbers_take_more(weights):
    encoder = encoder_of(weights)
    found = [activation_bytes_per_pixel(encoder, (name,), 4) for name in encoder.layers]
    assert found == sorted(set(found))
    assert activation_bytes_per_pixel(encoder, STYLE, 4) == activation_bytes_per_pixel(
        encoder, ("conv5_1",), 4
    )
    assert activation_bytes_per_pixel(encoder, STYLE, 2) < activation_bytes_per_pixel(
        encoder, STYLE, 4
    )


def test_the_peak_grows_with_pixels_vectors_and_large_styles(weights):
    encoder = encoder_of(weights)
    base = peak_bytes(encoder, STYLE, 10_000, 30, 10_000)
    assert peak_bytes(encoder, STYLE, 20_000, 30, 10_000) > 1.5 * base
    more = peak_bytes(encoder, STYLE, 10_000, 31, 10_000) - base
    canvas = 10_000 * 3 * 4 * 4 / 3  # of three floats a pixel, and a third more for the pyramid
    assert more == pytest.approx(ALLOCATOR_OVERHEAD * canvas, abs=1)
    assert peak_bytes(encoder, STYLE, 10_000, 30, 10_000_000) > 10 * base
    numbers = sum(p.numel() for p in encoder.parameters())
    assert peak_bytes(encoder, STYLE, 0, 0, 0) == 8 * numbers


def test_the_speed_is_measured_once_for_every_setting(weights, monkeypatch):
    loaded = []
    monkeypatch.setattr(store, "load_encoder", lambda name: loaded.append(name) or weights)
    monkeypatch.setattr(cost, "_PROBE_SIDE_PX", 16)
    cost.seconds_per_megapixel.cache_clear()
    try:
        first = cost.seconds_per_megapixel("x", "cpu", "fp32", "max", "zeros", "conv2_1")
        again = cost.seconds_per_megapixel("x", "cpu", "fp32", "max", "zeros", "conv2_1")
        assert first == again > 0
        assert loaded == ["x"]
        cost.seconds_per_megapixel("x", "cpu", "fp32", "max", "zeros", "conv1_1")
        assert loaded == ["x", "x"]
    finally:
        cost.seconds_per_megapixel.cache_clear()
