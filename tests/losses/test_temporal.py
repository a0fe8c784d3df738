"""The temporal loss and its long-term weights, by hand and by their definition."""

import pytest
import torch

from impasto.losses.temporal import long_term_weights, merge_targets, temporal_loss


def test_only_what_counts_is_compared():
    picture, target = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.0]])[None, None]
    assert temporal_loss(picture, target, weights).item() == pytest.approx(1.5 / 4)
    assert temporal_loss(picture, target, torch.zeros(1, 1, 2, 2)) == 0


def test_every_pixel_holds_on_to_the_latest_frame_that_shows_it():
    seen = [[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]]
    weights = [torch.tensor(row, dtype=torch.float32).view(1, 1, 1, 4) for row in seen]
    found = [w.flatten().tolist() for w in long_term_weights(weights)]
    assert found == [[0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0]]


def test_one_target_has_the_gradient_of_several():
    random = torch.Generator().manual_seed(0)
    targets = [torch.rand(1, 3, 4, 5, generator=random) for _ in range(3)]
    weights = [torch.rand(1, 1, 4, 5, generator=random) for _ in range(3)]
    for one in (torch.rand(1, 3, 4, 5, generator=random) for _ in range(2)):
        picture = one.requires_grad_()
        several = sum(temporal_loss(picture, t, w) for t, w in zip(targets, weights, strict=True))
        (wanted,) = torch.autograd.grad(several, picture)
        (found,) = torch.autograd.grad(
            temporal_loss(picture, *merge_targets(targets, weights)), picture
        )
        assert torch.allclose(found, wanted, atol=1e-6)


def test_where_nothing_counts_the_latest_stands():
    targets = [torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)]
    target, weight = merge_targets(targets, [torch.zeros(1, 1, 2, 2)] * 2)
    assert not target.any()
    assert not weight.any()
