"""Feature transforms against numpy, scipy, closed forms and everything degenerate."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.ops import feature_transforms
from impasto.ops.feature_transforms import (
    MAX_GAIN,
    Affine,
    Statistics,
    adain,
    blend,
    merge_statistics,
    wct,
)

KINDS = ["wct", "transport"]


def features(channels=6, height=20, width=30, *, seed=0, dtype=torch.float64):
    """Correlated channels of different means and deviations, of full rank if there is room."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mixing = normal(channels, channels) / channels**0.5 + torch.eye(channels).double()
    rows = normal(height * width, channels) @ mixing * (1 + normal(channels).square()) + 3
    return rows.T.reshape(1, channels, height, width).to(dtype)


def pair(*, dtype=torch.float64):
    return features(seed=1, dtype=dtype), features(height=17, seed=2, dtype=dtype) + 1


def statistics(*maps):
    return [Statistics.from_features(f) for f in maps]


def numpys(f):
    rows = f.double()[0].flatten(1).numpy()
    return rows.mean(1), np.cov(rows, bias=True)


def close(found, wanted, **tolerances):
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), **tolerances)


# Statistics


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_statistics_are_numpys(dtype, memory, monkeypatch):
    monkeypatch.setattr(feature_transforms, "CHUNK_ROWS", 50)
    f = features(dtype=dtype).contiguous(memory_format=memory)
    mean, covariance = numpys(f)
    found, diagonal = Statistics.from_features(f), Statistics.from_features(f, diagonal=True)
    assert found.count == diagonal.count == 600
    assert found.mean.dtype == found.covariance.dtype == torch.float64
    close(found.mean, mean, rtol=1e-12)
    close(found.covariance, covariance, rtol=1e-10, atol=1e-12)
    close(found.variance, covariance.diagonal(), rtol=1e-10)
    close(diagonal.mean, mean, rtol=1e-12)
    close(diagonal.covariance, covariance.diagonal(), rtol=1e-10)


def test_a_large_mean_does_not_drown_the_variance():
    f = features() + 1e6
    close(Statistics.from_features(f).covariance, numpys(features())[1], rtol=1e-6, atol=1e-6)


def test_several_pictures_count_as_one():
    f = features()
    close(
        Statistics.from_features(torch.cat(f.chunk(2, 2))).covariance,
        Statistics.from_features(f).covariance,
    )


def test_no_position_is_an_error():
    with pytest.raises(ValueError, match="no statistics"):
        Statistics.from_features(torch.zeros(1, 3, 0, 4))


@given(
    st.lists(st.integers(1, 19), max_size=4).flatmap(
        lambda cuts: st.permutations(list(itertools.pairwise([0, *sorted({*cuts}), 20])))
    ),
    st.booleans(),
)
def test_tiles_in_any_order_have_the_statistics_of_the_whole(edges, diagonal):
    f = features()
    tiles = [f[:, :, top:bottom] for top, bottom in edges]
    found = merge_statistics(Statistics.from_features(tile, diagonal=diagonal) for tile in tiles)
    wanted = Statistics.from_features(f, diagonal=diagonal)
    assert found.count == wanted.count
    close(found.mean, wanted.mean, rtol=1e-12)
    close(found.covariance, wanted.covariance, rtol=1e-11, atol=1e-12)


def test_merging_does_not_depend_on_grouping():
    a, b, c = statistics(*(features(height=h, seed=h) for h in (1, 5, 11)))
    one, other = (
        merge_statistics([a, merge_statistics([b, c])]),
        merge_statistics([merge_statistics([a, b]), c]),
    )
    close(one.covariance, other.covariance, rtol=1e-11, atol=1e-12)


# Maps


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("diagonal", [True, False])
def test_a_map_is_applied_at_every_position(memory, diagonal, monkeypatch):
    monkeypatch.setattr(feature_transforms, "CHUNK_ROWS", 7)
    f = torch.cat([features(), features(seed=1)]).contiguous(memory_format=memory)
    a, b = torch.randn(6, 6).double(), torch.randn(6).double()
    a = a.diagonal() if diagonal else a
    wanted = np.einsum("cd,ndhw->nchw", a.diag() if diagonal else a, f) + b.view(6, 1, 1).numpy()
    found = Affine(a, b).apply(f)
    assert found.is_contiguous(memory_format=torch.channels_last)
    close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [adain, wct])
def test_bfloat16_features_lose_one_rounding_only(make):
    # The means are large beside the deviations, so that shift and product nearly cancel.
    content, style = (f.bfloat16() for f in (features(seed=1) + 100, features(seed=2)))
    move = make(*statistics(content, style))
    found = move.apply(content)
    assert found.dtype == torch.bfloat16
    close(found.double(), move.apply(content.double()), rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [adain, wct])
def test_no_strength_changes_nothing(make, dtype):
    content, style = pair(dtype=dtype)
    weak = make(*statistics(content, style)).lerp_from_identity(0)
    assert torch.equal(weak.apply(content), content)
    assert weak.matrix.ndim == 1  # without a product, whose precision is the device's affair


@given(st.floats(0, 1), st.sampled_from([adain, wct]))
def test_strength_is_linear(strength, make):
    content, style = pair()
    move = make(*statistics(content, style))
    wanted = (1 - strength) * content + strength * move.apply(content)
    close(move.lerp_from_identity(strength).apply(content), wanted, rtol=1e-10, atol=1e-10)


def test_full_strength_is_the_map():
    move = wct(*statistics(*pair()))
    full = move.lerp_from_identity(1)
    assert torch.equal(full.matrix, move.matrix)
    assert torch.equal(full.shift, move.shift)


@given(st.lists(st.floats(0, 9), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 1e-3))
def test_a_blend_gives_the_mean_of_the_results(shares):
    content, style = pair()
    source, target = statistics(content, style)
    maps = [adain(source, target), wct(source, target), wct(source, target, variant="transport")]
    wanted = sum(w * m.apply(content) for w, m in zip(shares, maps, strict=True)) / sum(shares)
    close(blend(maps, shares).apply(content), wanted, rtol=1e-9, atol=1e-9)


def test_a_blend_of_adain_has_the_mean_of_the_styles_means_and_deviations():
    content, *styles = statistics(features(), features(seed=1), features(seed=2))
    found = blend([adain(content, style) for style in styles], [1, 3])
    assert found.matrix.ndim == 1
    after = Statistics.from_features(found.apply(features()))
    means, deviations = (
        [(a + 3 * b) / 4 for a, b in zip(*two, strict=True)]
        for two in ([s.mean for s in styles], [s.variance.sqrt() for s in styles])
    )
    close(after.mean, means, rtol=1e-10)
    close(after.variance.sqrt(), deviations, rtol=1e-10)


@pytest.mark.parametrize("shares", [[1], [0, 0], [2, -1], [float("nan"), 1], [float("inf"), 1]])
def test_shares_that_are_none(shares):
    move = adain(*statistics(*pair()))
    with pytest.raises(ValueError, match="share"):
        blend([move, move], shares)


# AdaIN


def test_adain_is_equation_8():
    content, style = pair()
    (mu_c, cov_c), (mu_s, cov_s) = numpys(content), numpys(style)
    sigma_c, sigma_s = (np.sqrt(c.diagonal()).reshape(-1, 1, 1) for c in (cov_c, cov_s))
    mu_c, mu_s = (m.reshape(-1, 1, 1) for m in (mu_c, mu_s))
    wanted = sigma_s * (content.numpy() - mu_c) / sigma_c + mu_s
    source, target = (Statistics.from_features(f, diagonal=True) for f in (content, style))
    close(adain(source, target).apply(content), wanted, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_after_adain_means_and_variances_are_the_styles(dtype):
    content, style = pair(dtype=dtype)
    source, target = statistics(content, style)
    after = Statistics.from_features(adain(source, target).apply(content))
    close(after.mean, target.mean, rtol=1e-5)
    close(after.variance, target.variance, rtol=1e-5)


# WCT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_after_wct_the_statistics_are_the_styles(kind, dtype):
    content, style = pair(dtype=dtype)
    source, target = statistics(content, style)
    after = Statistics.from_features(wct(source, target, variant=kind, shrinkage=0).apply(content))
    close(after.mean, target.mean, rtol=1e-5)
    assert (after.covariance - target.covariance).norm() < 1e-5 * target.covariance.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_dilution_hardly_shows_with_many_positions(kind):
    content, style = features(seed=1), features(seed=2)
    source, target = statistics(content, style)
    after = Statistics.from_features(wct(source, target, variant=kind).apply(content))
    assert (after.covariance - target.covariance).norm() < 1e-3 * target.covariance.norm()


def test_wct_is_scipys():
    content, style = pair()
    (mu_c, cov_c), (mu_s, cov_s) = numpys(content), numpys(style)
    matrix = scipy.linalg.sqrtm(cov_s) @ np.linalg.inv(scipy.linalg.sqrtm(cov_c))
    found = wct(*statistics(content, style), shrinkage=0)
    close(found.matrix, matrix, rtol=1e-8, atol=1e-9)
    close(found.shift, mu_s - matrix @ mu_c, rtol=1e-8)


def test_transport_is_the_monge_map():
    content, style = pair()
    cov_c, cov_s = (numpys(f)[1] for f in (content, style))
    root = scipy.linalg.sqrtm(cov_c)
    inverse = np.linalg.inv(root)
    wanted = inverse @ scipy.linalg.sqrtm(root @ cov_s @ root) @ inverse
    found = wct(*statistics(content, style), variant="transport", shrinkage=0).matrix
    close(found, wanted, rtol=1e-8, atol=1e-9)
    close(found, found.T, atol=1e-12)


def test_transport_moves_the_features_least():
    content, style = pair()
    two = statistics(content, style)
    ways = [wct(*two, variant=kind, shrinkage=0).apply(content) - content for kind in KINDS]
    costs = [float(way.square().sum(1).mean()) for way in ways]
    (mu_c, cov_c), (mu_s, cov_s) = numpys(content), numpys(style)
    root = scipy.linalg.sqrtm(cov_s)
    cross = scipy.linalg.sqrtm(root @ cov_c @ root)
    wasserstein = ((mu_c - mu_s) ** 2).sum() + np.trace(cov_c + cov_s - 2 * cross)
    assert costs[1] == pytest.approx(wasserstein, rel=1e-9)
    assert costs[1] < costs[0]


@pytest.mark.parametrize("kind", KINDS)
def test_of_uncorrelated_channels_it_is_adain(kind):
    source, target = (Statistics(s.count, s.mean, s.variance.diag()) for s in statistics(*pair()))
    wanted = adain(source, target)
    found = wct(source, target, variant=kind)
    close(found.matrix, wanted.matrix.diag(), rtol=1e-10, atol=1e-12)
    close(found.shift, wanted.shift, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_dilution_leads_to_adain(kind):
    two = statistics(*pair())
    found = wct(*two, variant=kind, shrinkage=1e12).matrix
    close(found, adain(*two).matrix.diag(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(20, 30), (2, 2)], ids=["full rank", "deficient"])
def test_a_picture_in_its_own_style_stays_as_it_is(kind, size):
    content = features(16, *size)
    own = Statistics.from_features(content)
    close(wct(own, own, variant=kind).apply(content), content, rtol=1e-6, atol=1e-6)
    close(adain(own, own).apply(content), content, rtol=1e-9, atol=1e-9)


def test_variances_alone_are_not_enough():
    with pytest.raises(ValueError, match="covariances"):
        wct(*(Statistics.from_features(f, diagonal=True) for f in pair()))


@pytest.mark.parametrize("failures", [1, 99])
def test_lapack_may_give_up(failures, monkeypatch):
    real, calls = torch.linalg.eigh, []

    def flaky(a):
        calls.append(a)
        if len(calls) <= failures:
            raise torch.linalg.LinAlgError("did not converge")
        return real(a)

    two = statistics(*pair())
    wanted = adain(*two) if failures > 1 else wct(*two)
    monkeypatch.setattr(torch.linalg, "eigh", flaky)
    found = wct(*two)
    assert len(calls) > failures or len(calls) == 2
    close(found.matrix, wanted.matrix, rtol=1e-9, atol=1e-9)
    close(found.shift, wanted.shift, rtol=1e-9)


# Degenerate pictures


def _duplicated(f):
    return torch.cat([f[:, :64], f[:, :64]], dim=1)


def _dead(f):
    return f * (torch.arange(128) != 5).view(1, 128, 1, 1)


PLAIN = features(128, 16, 16, seed=3).relu()
DEGENERATE = {
    "plain": PLAIN,
    "constant": torch.full_like(PLAIN, 2.7),
    "black": torch.zeros_like(PLAIN),
    "1 x 1": PLAIN[:, :, :1, :1],
    "2 x 2": PLAIN[:, :, :2, :2],
    "duplicated": _duplicated(PLAIN),
    "dead channel": _dead(PLAIN),
    "all but constant": 2.7 + 1e-6 * PLAIN,
    "tiny": 1e-6 * PLAIN,
    "huge": 1e4 * PLAIN,
    "unequal": PLAIN * torch.logspace(-6, 4, 128).view(1, 128, 1, 1),
}
MAKERS = {
    "adain": adain,
    "wct": wct,
    "undiluted wct": lambda *two: wct(*two, shrinkage=0),
    "transport": lambda *two: wct(*two, variant="transport"),
    "undiluted transport": lambda *two: wct(*two, variant="transport", shrinkage=0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("content", DEGENERATE)
def test_degenerate_pictures_give_finite_and_bounded_maps(content, make, dtype):
    f = DEGENERATE[content].to(dtype)
    source = Statistics.from_features(f)
    for other in DEGENERATE.values():
        target = Statistics.from_features(other.to(dtype))
        move = make(source, target)
        assert move.matrix.isfinite().all()
        assert move.shift.isfinite().all()
        dense = move.matrix.diag() if move.matrix.ndim == 1 else move.matrix
        assert torch.linalg.matrix_norm(dense, 2) <= MAX_GAIN * 128
        moved = move.apply(f)
        assert moved.isfinite().all()
        # In 128 channels the content never varies more than the style and its own rounding.
        diluted = 1 - 1.28 / (1.28 + source.count)
        after = dense @ source.covariance @ dense.T
        most = target.variance / diluted + 1e-9 * target.variance.max()
        assert (after.diagonal() <= most).all()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_flat_pictures_take_or_give_the_mean_alone(make):
    flat, plain = DEGENERATE["constant"], PLAIN
    mean = Statistics.from_features(plain).mean.view(1, -1, 1, 1)
    close(make(*statistics(flat, plain)).apply(flat), mean.expand_as(flat), rtol=1e-9, atol=1e-9)
    close(make(*statistics(plain, flat)).apply(plain), flat, rtol=1e-9)
    one = DEGENERATE["1 x 1"]
    close(make(*statistics(plain, one)).apply(plain), one.expand_as(plain), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_same_picture_on_another_scale_is_scaled(make):
    content = features(8) * 0.5
    own, larger = statistics(content, content * 20)
    close(make(own, larger).apply(content), content * 20, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_noise_is_not_amplified_beyond_the_gain(make):
    quiet = 2.7 + 1e-6 * features(8)
    move = make(*statistics(quiet, features(8, seed=1)))
    after = Statistics.from_features(move.apply(quiet)).variance.sum()
    assert after <= 8 * MAX_GAIN**2 * Statistics.from_features(quiet).variance.sum()


@given(
    st.integers(1, 8),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.floats(-6, 4),
    st.integers(0, 99),
    st.sampled_from(sorted(MAKERS)),
)
def test_few_positions_of_any_scale_never_give_nan(channels, size, scale, seed, make):
    content = features(channels, *size, seed=seed).relu()
    style = features(channels, *size[::-1], seed=seed + 1).relu() * 10**scale
    moved = MAKERS[make](*statistics(content, style)).apply(content.float())
    assert moved.isfinite().all()
