"""Statistics of a part of a feature map: those of what is cut out, and numpy's for soft masks."""

import numpy as np
import pytest
import torch

from impasto.ops import feature_transforms
from impasto.ops.feature_transforms import Statistics


def features(height=9, width=11, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    rows = torch.randn(height * width, 5, generator=generator, dtype=torch.float64) @ mixing + 3
    return rows.T.reshape(1, 5, height, width).to(dtype)


def close(found, wanted, **tolerances):
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), **tolerances)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_those_of_a_hard_mask_are_those_of_the_cut_out_bit_for_bit(dtype, diagonal, monkeypatch):
    monkeypatch.setattr(feature_transforms, "CHUNK_ROWS", 13)
    f = features(dtype=dtype)
    mask = torch.zeros(1, 1, 9, 11)
    mask[:, :, 2:7, 3:9] = 1
    found = Statistics.from_features(f, mask, diagonal=diagonal)
    wanted = Statistics.from_features(f[:, :, 2:7, 3:9], diagonal=diagonal)
    assert found.count == 30
    assert torch.equal(found.mean, wanted.mean)
    assert torch.equal(found.covariance, wanted.covariance)


def test_those_of_a_soft_mask_are_numpys(monkeypatch):
    monkeypatch.setattr(feature_transforms, "CHUNK_ROWS", 13)
    f = features()
    weights = torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(1))
    weights[:, :, :3] = 0
    found = Statistics.from_features(f, weights)
    diagonal = Statistics.from_features(f, weights, diagonal=True)
    rows, shares = f[0].flatten(1).numpy(), weights.flatten().numpy()
    covariance = np.cov(rows, aweights=shares, ddof=0)
    assert found.count == pytest.approx(shares.sum())
    close(found.mean, np.average(rows, axis=1, weights=shares), rtol=1e-12)
    close(found.covariance, covariance, rtol=1e-10, atol=1e-12)
    close(diagonal.variance, covariance.diagonal(), rtol=1e-10)


def test_a_position_of_weight_two_counts_as_two_positions():
    f = features()
    weights = torch.ones(1, 1, 9, 11)
    weights[:, :, 4:] = 2
    found = Statistics.from_features(f, weights)
    wanted = Statistics.from_features(torch.cat([f, f[:, :, 4:]], 2))
    assert found.count == wanted.count
    close(found.covariance, wanted.covariance, rtol=1e-11)


def test_the_parts_of_a_partition_merge_to_the_whole():
    f = features()
    share = torch.rand(1, 1, 9, 11, generator=torch.Generator().manual_seed(2)).double()
    found = feature_transforms.merge_statistics(
        Statistics.from_features(f, w) for w in (share, 1 - share)
    )
    wanted = Statistics.from_features(f)
    assert found.count == pytest.approx(wanted.count)
    close(found.mean, wanted.mean, rtol=1e-12)
    close(found.covariance, wanted.covariance, rtol=1e-10, atol=1e-12)


def test_a_part_without_a_position_is_an_error():
    with pytest.raises(ValueError, match="no statistics"):
        Statistics.from_features(features(), torch.zeros(1, 1, 9, 11))
