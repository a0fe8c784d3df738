"""Content and style together, against a sum of equation 7 made by hand in numpy."""

import numpy as np
import pytest
import torch

from impasto.losses.perceptual import PerceptualLoss
from impasto.losses.style import (
    Gaussian,
    feature_gaussian,
    matrix_sqrt,
    to_float64,
    wasserstein_loss,
)
from impasto.nets.vgg import VGG
from impasto.weights import vgg_layers
from impasto.weights.loading import LoadedWeights, Preprocessing

CONTENT = {"conv2_2": 0.7, "conv3_1": 2.0}
STYLE = {"conv1_1": 1.5, "conv2_1": 0.2}


@pytest.fixture
def encoder(monkeypatch):
    """A VGG-19 of a few channels with random weights, in float64."""
    monkeypatch.setattr(vgg_layers, "BLOCK_CHANNELS", (4, 5, 6, 7, 8))
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) / 3
        for name, shape in vgg_layers.tensor_shapes("vgg19").items()
    }
    return VGG(LoadedWeights("tiny", "", "vgg19", tensors, Preprocessing((0.5,) * 3, (0.25,) * 3)))


def picture(height=12, width=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def gram(features):
    rows = features[0].flatten(1).numpy()
    return rows @ rows.T / rows.shape[1]


def loss_of(encoder, content, styles, kind="gram", layers=(CONTENT, STYLE)):
    loss = PerceptualLoss(encoder, *layers, kind)
    loss.set_content(content)
    loss.set_style(styles)
    return loss


def test_the_terms_are_equation_7_by_hand(encoder):
    x, p, a = (picture(seed=s) for s in range(3))
    found = loss_of(encoder, p, [(1.0, a)])(x)
    features = {n: encoder(t, [*CONTENT, *STYLE]) for n, t in (("x", x), ("p", p), ("a", a))}
    content = sum(
        v * 0.5 * ((features["x"][n] - features["p"][n]).numpy() ** 2).mean()
        for n, v in CONTENT.items()
    )
    style = sum(
        w * ((gram(features["x"][n]) - gram(features["a"][n])) ** 2).sum()
        / (4 * encoder.channels(n) ** 2)
        for n, w in STYLE.items()
    )  # fmt: skip
    assert list(found) == ["content", "style"]
    assert found["content"].item() == pytest.approx(content, rel=1e-10)
    assert found["style"].item() == pytest.approx(style, rel=1e-10)


def test_the_wasserstein_terms_are_the_weighted_distances(encoder):
    x, a = picture(seed=0), picture(15, 8, seed=2)
    found = loss_of(encoder, x, [(1.0, a)], "wasserstein")(x)["style"]
    wanted = 0.0
    for name, weight in STYLE.items():
        target = feature_gaussian(encoder(a, [name])[name])
        root = matrix_sqrt(to_float64(target.covariance))
        wanted += weight * wasserstein_loss(
            feature_gaussian(encoder(x, [name])[name]), target, root
        )
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kind", ["gram", "wasserstein"])
def test_a_picture_has_no_loss_against_itself(encoder, kind):
    x = picture()
    found = loss_of(encoder, x, [(1.0, x)], kind)(x)
    assert found["content"] == 0
    assert abs(found["style"].item()) < 1e-9


@pytest.mark.parametrize("kind", ["gram", "wasserstein"])
def test_a_target_of_two_styles_is_the_blend_of_their_statistics(encoder, kind):
    x, a, b = picture(), picture(seed=1), picture(20, 7, seed=2)
    loss = loss_of(encoder, x, [(0.3, a), (0.7, b)], kind)
    for name in STYLE:
        (target,) = loss.style_targets[name]
        if kind == "gram":
            blend = 0.3 * gram(encoder(a, [name])[name]) + 0.7 * gram(encoder(b, [name])[name])
            np.testing.assert_allclose(target.gram, blend, rtol=1e-10)
            continue
        one, two = (feature_gaussian(encoder(t, [name])[name]) for t in (a, b))
        blend = Gaussian(*(0.3 * p + 0.7 * q for p, q in zip(one, two, strict=True)))
        torch.testing.assert_close(target.gaussian, blend)
        torch.testing.assert_close(
            target.covariance_root @ target.covariance_root, blend.covariance
        )


@pytest.mark.parametrize("kind", ["gram", "wasserstein"])
def test_the_order_of_styles_does_not_matter_but_their_shares_do(encoder, kind):
    x, a, b = picture(), picture(seed=1), picture(seed=2)
    one = loss_of(encoder, x, [(0.2, a), (0.8, b)], kind)(x)["style"]
    two = loss_of(encoder, x, [(0.8, b), (0.2, a)], kind)(x)["style"]
    other = loss_of(encoder, x, [(0.8, a), (0.2, b)], kind)(x)["style"]
    torch.testing.assert_close(one, two)
    assert abs(other - one) > 1e-3 * one


def test_a_style_without_share_is_not_even_looked_at(encoder):
    x, a, b = picture(), picture(seed=1), picture(seed=2)
    seen = []
    encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    loss = loss_of(encoder, x, [(1.0, a), (0.0, b)])
    assert not any(each is b for each in seen)
    assert any(each is a for each in seen)
    assert loss(x)["style"] == loss_of(encoder, x, [(1.0, a)])(x)["style"]


def test_the_terms_are_linear_in_the_layers_weights(encoder):
    x, p, a = (picture(seed=s) for s in range(3))
    single = [
        loss_of(encoder, p, [(1.0, a)], layers=({c: 1.0}, {s: 1.0}))(x)
        for c, s in (("conv2_2", "conv1_1"), ("conv3_1", "conv2_1"))
    ]
    both = loss_of(encoder, p, [(1.0, a)])(x)
    for term, weights in (("content", CONTENT), ("style", STYLE)):
        wanted = sum(w * s[term] for w, s in zip(weights.values(), single, strict=True))
        torch.testing.assert_close(both[term], wanted)


def test_there_may_be_no_content_layers(encoder):
    x, a = picture(), picture(seed=1)
    found = loss_of(encoder, x, [(1.0, a)], layers=({}, STYLE))(x)
    assert found["content"].item() == 0
    torch.testing.assert_close(found["style"], loss_of(encoder, x, [(1.0, a)])(x)["style"])


def test_all_terms_share_one_pass_of_the_encoder(encoder):
    x = picture()
    loss = loss_of(encoder, x, [(1.0, picture(seed=1))])
    passes = []
    encoder.register_forward_hook(lambda *_: passes.append(1))
    loss(x)
    assert len(passes) == 1


@pytest.mark.parametrize("kind", ["gram", "wasserstein"])
def test_the_gradient_reaches_the_picture_and_is_right(encoder, kind):
    x, p, a = (picture(8, 8, seed=s) for s in range(3))
    loss = loss_of(encoder, p, [(1.0, a)], kind)
    x.requires_grad_()
    total = sum(loss(x).values())
    (slope,) = torch.autograd.grad(total, x)
    way = picture(8, 8, seed=9) - 0.5
    ahead, behind = (sum(loss(x.detach() + h * way).values()) for h in (1e-5, -1e-5))
    assert float((slope * way).sum()) == pytest.approx(float(ahead - behind) / 2e-5, rel=1e-4)
