"""Compact encoders whose features are mapped: losses as of the full network's width."""

import dataclasses

import pytest
import torch
from tiny_models import CHANNELS, encoder_tensors, pixels

from impasto.losses.style import gram_matrix
from impasto.nets.vgg import VGG
from impasto.ops.convert import as_tensor
from impasto.weights.loading import LoadedWeights, Preprocessing
from impasto.weights.vgg_layers import BLOCK_CHANNELS, block_index

LAYERS = ("conv1_1", "conv3_1", "conv4_2", "conv5_1")


@pytest.fixture
def maps():
    """Layer → a random map M of its narrow features to full ones, (N, n)."""
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.randn(BLOCK_CHANNELS[block_index(name) - 1], CHANNELS[block_index(name) - 1],
                          generator=generator, dtype=torch.float64)
        for name in LAYERS
    }  # fmt: skip


@pytest.fixture
def weights(maps):
    """The encoder whose maps are S^½, S = MᵀM."""
    tensors = {name: t.double() for name, t in encoder_tensors().items()}
    for name, m in maps.items():
        values, vectors = torch.linalg.eigh(m.T @ m)
        tensors[f"{name}.map"] = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return LoadedWeights("tiny", "", "vgg19", tensors, Preprocessing((0.45,) * 3, (0.3,) * 3))


def features(weights, mapped, seed):
    return VGG(weights, map_features=mapped)(as_tensor(pixels(32, 48, seed)).double(), LAYERS)


def test_differences_are_those_of_the_full_features(weights, maps):
    ours = [features(weights, True, seed) for seed in (0, 1)]
    plain = [features(weights, False, seed) for seed in (0, 1)]
    for name, m in maps.items():
        full = [torch.einsum("oc,nchw->nohw", m, each[name]) for each in plain]
        wanted = (full[0] - full[1]).square().mean()
        found = (ours[0][name] - ours[1][name]).square().mean()
        torch.testing.assert_close(found, wanted)


def test_traces_of_gram_matrices_are_those_of_the_full_features(weights, maps):
    ours, plain = features(weights, True, 0), features(weights, False, 0)
    for name, m in maps.items():
        full = gram_matrix(torch.einsum("oc,nchw->nohw", m, plain[name]))
        found = gram_matrix(ours[name])
        torch.testing.assert_close(found.trace() / len(found), full.trace() / len(full))


def test_channels_are_counted_as_the_full_network_has_them(weights):
    mapped, plain = VGG(weights), VGG(weights, map_features=False)
    for name in LAYERS:
        narrow = CHANNELS[block_index(name) - 1]
        assert mapped.channels(name) == plain.channels(name) == narrow
        assert mapped.full_channels(name) == BLOCK_CHANNELS[block_index(name) - 1]
        assert plain.full_channels(name) == narrow


def test_without_maps_there_is_nothing_to_map(weights):
    bare = {n: t for n, t in weights.tensors.items() if not n.endswith(".map")}
    encoder = VGG(dataclasses.replace(weights, tensors=bare))
    assert not encoder.map_features
    assert encoder.full_channels("conv4_2") == CHANNELS[3]
