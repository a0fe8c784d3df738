"""The loss of a picture in parts: eq. 7 of Gatys et al. 2017, with areas for weights."""

import pytest
import torch

from impasto.losses.perceptual import PerceptualLoss, StyleRegion, StyleSource
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

STYLE = {"conv1_1": 1.5, "conv2_1": 0.2, "conv3_1": 0.1}
KINDS = ["gram", "wasserstein"]


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


def picture(height=32, width=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def left(height=32, width=48, columns=16):
    mask = torch.zeros(1, 1, height, width, dtype=torch.float64)
    mask[..., :columns] = 1
    return mask


def loss_of(encoder, parts, kind="gram"):
    loss = PerceptualLoss(encoder, {}, STYLE, kind)
    loss.set_style_regions(parts)
    return loss


def distance(kind, x, a):
    """The loss of features x against features a, both cut out already."""
    if kind == "gram":
        grams = [torch.einsum("nchw,ndhw->cd", f, f) / f[0, 0].numel() for f in (x, a)]
        return ((grams[0] - grams[1]) ** 2).sum() / (4 * x.shape[1] ** 2)
    target = Gaussian(*feature_gaussian(a))
    return wasserstein_loss(feature_gaussian(x), target, matrix_sqrt(to_float64(target.covariance)))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_equation_7_by_hand(encoder, kind):
    x, a, b = (picture(seed=s) for s in range(3))
    mask = left()
    parts = [
        StyleRegion([StyleSource(1.0, a)], mask),
        StyleRegion([StyleSource(1.0, b, mask)], 1 - mask),
    ]
    found = loss_of(encoder, parts, kind)(x)["style"]
    wanted = 0.0
    for name, weight in STYLE.items():
        fx, fa, fb = (encoder(t, [name])[name] for t in (x, a, b))
        third = fx.shape[3] // 3  # the mask ends where positions of all three layers do
        wanted += weight / 3 * distance(kind, fx[..., :third], fa)
        wanted += weight * 2 / 3 * distance(kind, fx[..., third:], fb[..., :third])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_one_part_that_covers_all_is_no_part(encoder, kind):
    x, a = picture().requires_grad_(), picture(seed=1)
    guided = loss_of(encoder, [StyleRegion([StyleSource(1.0, a)], torch.ones(1, 1, 32, 48))], kind)
    plain = PerceptualLoss(encoder, {}, STYLE, kind)
    plain.set_style([(1.0, a)])
    slopes = []
    for loss in (guided, plain):
        value = loss(x)["style"]
        slopes.append((value.detach(), *torch.autograd.grad(value, x)))
    torch.testing.assert_close(*slopes)


def test_a_pixel_is_moved_as_far_however_small_its_region(encoder):
    # Twice the same picture, side by side: one region, or two of half the size, pull alike.
    half = picture(32, 32)
    x = torch.cat([half, half], 3).requires_grad_()
    a = picture(seed=1)
    both = left(32, 64, 32)
    slopes = []
    halves = [StyleRegion([StyleSource(1.0, a)], mask) for mask in (both, 1 - both)]
    for parts in (halves, [StyleRegion([StyleSource(1.0, a)])]):
        value = loss_of(encoder, parts)(x)["style"]
        slopes.append(torch.autograd.grad(value, x)[0][..., 8:24])
    # The middle, where no edge is in sight of the first layers, is pulled nearly alike.
    assert (slopes[0] - slopes[1]).norm() < 0.35 * slopes[1].norm()


def test_no_part_pulls_at_what_it_does_not_cover_beyond_what_its_features_see(encoder):
    x = picture(32, 64).requires_grad_()
    value = loss_of(encoder, [StyleRegion([StyleSource(1.0, picture(seed=1))], left(32, 64, 16))])(
        x
    )["style"]
    (slope,) = torch.autograd.grad(value, x)
    assert (slope[..., 40:] == 0).all()
    assert (slope[..., :16] != 0).any()


def test_the_target_of_a_masked_look_leaves_out_the_masks_edge(encoder):
    a, mask = picture(48, 48), left(48, 48, 24)
    loss = loss_of(encoder, [StyleRegion([StyleSource(1.0, a, mask, eroded=True)])])
    f = encoder(a, ["conv1_1"])["conv1_1"][..., :23]
    wanted = torch.einsum("nchw,ndhw->cd", f, f) / f[0, 0].numel()
    torch.testing.assert_close(loss.style_targets["conv1_1"][0].gram, wanted)


def test_parts_share_one_look_at_each_picture(encoder):
    a, mask = picture(seed=1), left()
    seen = []
    encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    loss_of(
        encoder,
        [
            StyleRegion([StyleSource(0.5, a), StyleSource(0.5, a, mask)], m)
            for m in (mask, 1 - mask)
        ],
    )
    assert len(seen) == 1


def test_an_empty_part_is_left_out(encoder):
    x, a, mask = picture(), picture(seed=1), torch.zeros(1, 1, 32, 48)
    parts = [StyleRegion([StyleSource(1.0, a)], mask), StyleRegion([StyleSource(1.0, a)], 1 - mask)]
    found = loss_of(encoder, parts)
    assert len(found.area_fractions) == 1
    assert torch.isfinite(found(x)["style"])


def test_a_part_in_a_row_that_is_not_pooled_is_no_nan(encoder):
    x, a = picture(33, 33), picture(seed=1)
    mask = torch.zeros(1, 1, 33, 33)
    mask[..., 32:, :] = 1
    assert torch.isfinite(loss_of(encoder, [StyleRegion([StyleSource(1.0, a)], mask)])(x)["style"])
