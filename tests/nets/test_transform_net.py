"""The fast network: its normalization, its table, and moments that are known."""

import numpy as np
import pytest
import torch
from tiny_models import fast_tensors

from impasto.nets.transform_net import (
    EPS,
    MomentAverages,
    TransformNet,
    _ConditionalInstanceNorm,
    _FixedMomentNorm,
    _MomentAveragingNorm,
    _MomentRecordingNorm,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = TransformNet(3, (4, 6, 8), 2)
    net.load_state_dict({n: t for n, t in fast_tensors().items() if not n.startswith("picture")})
    return net.eval().requires_grad_(False)


def by_hand(x, row, mean=None, variance=None):
    """Dumoulin et al. 2017, eq. 5, in numpy and float64."""
    x, row = x.double().numpy(), row.double().numpy()
    scale, shift = np.split(row[:, :, None, None], 2, axis=1)
    mean = x.mean((2, 3), keepdims=True) if mean is None else mean
    variance = x.var((2, 3), keepdims=True) if variance is None else variance
    return scale * (x - mean) / np.sqrt(variance + EPS) + shift


@pytest.mark.parametrize("batch", [1, 3])
def test_conditional_instance_normalization(batch):
    torch.manual_seed(1)
    x, rows = 3 * torch.randn(batch, 5, 6, 7) + 2, torch.randn(batch, 10)
    np.testing.assert_allclose(
        _ConditionalInstanceNorm()(x, rows), by_hand(x, rows), rtol=1e-4, atol=1e-5
    )


def test_with_known_moments_it_is_the_same_formula():
    torch.manual_seed(1)
    x, row, mean, variance = (
        torch.randn(1, 5, 6, 7),
        torch.randn(1, 10),
        torch.rand(5),
        torch.rand(5),
    )
    wanted = by_hand(x, row, *(m.double().numpy()[None, :, None, None] for m in (mean, variance)))
    found = _FixedMomentNorm([(mean, variance)])(x, row)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_averaged_moments_are_an_exponential_average():
    frames, row = torch.randn(3, 1, 5, 6, 7), torch.randn(1, 10)
    memory = MomentAverages(0.3)
    average = None
    for frame in frames:
        found = _MomentAveragingNorm(memory)(frame, row)
        each = frame.numpy().astype(np.float64)
        now = np.stack([f(each, axis=(2, 3), keepdims=True) for f in (np.mean, np.var)])
        average = now if average is None else 0.7 * average + 0.3 * now
        np.testing.assert_allclose(found, by_hand(frame, row, *average), rtol=1e-4, atol=1e-5)
    assert len(memory.moments) == 1


def test_seen_moments_are_numpys():
    x = torch.randn(1, 5, 6, 7)
    seen = _MomentRecordingNorm()
    seen(x, torch.ones(1, 10))
    ((mean, variance),) = seen.moments
    np.testing.assert_allclose(mean, x.numpy().mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(variance, x.numpy().var((0, 2, 3)), rtol=1e-5)


def test_a_batch_is_its_pictures_one_by_one(network):
    x = torch.rand(3, 3, 24, 32)
    rows = network.mix_styles(torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 0.2]]))
    single = torch.cat([network(x[i : i + 1], rows[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(x, rows), single, rtol=1e-4, atol=1e-5)


def test_a_picture_with_its_own_moments_is_the_same(network):
    x, row = torch.rand(1, 3, 24, 32), network.mix_styles(torch.tensor([[0.3, 0.7, 0]]))
    known = network.moments(x, row)
    assert [len(mean) for mean, _ in known] == network.channel_counts
    torch.testing.assert_close(network(x, row, known), network(x, row), rtol=1e-4, atol=1e-5)


def test_a_still_film_is_painted_as_its_picture(network):
    x, row = torch.rand(1, 3, 24, 32), network.mix_styles(torch.tensor([[0.3, 0.7, 0]]))
    memory = MomentAverages(0.2)
    for _ in range(3):
        found = network(x, row, averages=memory)
        torch.testing.assert_close(found, network(x, row), rtol=1e-4, atol=1e-5)


def test_with_a_memory_a_frame_s_moments_are_the_averages(network):
    row = network.mix_styles(torch.tensor([[0.3, 0.7, 0]]))
    frames, whole, parts = torch.rand(3, 1, 3, 24, 32), MomentAverages(0.4), MomentAverages(0.4)
    for frame in frames:
        known = network.moments(frame, row, parts)
        torch.testing.assert_close(
            network(frame, row, known), network(frame, row, averages=whole), rtol=1e-4, atol=1e-5
        )


def test_no_style_at_all_is_the_picture_itself(network):
    x = torch.rand(2, 3, 24, 32)
    torch.testing.assert_close(network(x, network.mix_styles(torch.zeros(2, 3))), x)


def test_a_mixture_is_linear(network):
    shares = torch.tensor([[0.25, 0.75, 0.0]])
    one, two = network.mix_styles(torch.eye(3))[:2]
    torch.testing.assert_close(network.mix_styles(shares)[0], 0.25 * one + 0.75 * two)
    half = network.mix_styles(torch.tensor([[0.5, 0, 0]]))[0]
    torch.testing.assert_close(half, (one + network.identity_row()) / 2)


def test_pictures_stay_exact_beside_bfloat16(network):
    x = torch.rand(1, 3, 24, 32)
    half = network.to(torch.bfloat16)
    assert torch.equal(half(x, half.mix_styles(torch.zeros(1, 3).bfloat16())), 0.5 + (x - 0.5))
