"""Descent: it arrives, survives a bad step, and goes on from a saved state to the same bits."""

import io
import itertools
import math

import pytest
import torch

from impasto.engines.optimization.optimizer import (
    MAX_LOSS_RATIO,
    MAX_STEP_RMS,
    SafeguardedOptimizer,
)
from impasto.engines.optimization.parametrization import LaplacianPyramid

OPTIMIZERS = ["lbfgs", "adam"]


def picture(seed=0, height=6, width=5):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


WEIGHTS = picture(7) * 9 + 1


def bowl(x):
    """A quadratic with its minimum of 0 at ``picture(1)``, ten times as steep in places."""
    return {"total": (WEIGHTS * (x - picture(1)).square()).sum()}


class Rigged:
    """The bowl, with other values at some evaluations; remembers where it was asked."""

    def __init__(self, values=None):
        self.values = values or {}
        self.places = []

    def __call__(self, x):
        self.places.append(x.detach().clone())
        return {"total": bowl(x)["total"] * self.values.get(len(self.places), 1.0)}


def descent_of(loss=bowl, **settings):
    return SafeguardedOptimizer(LaplacianPyramid(picture(), 3), loss, **settings)


def run(descent, steps):
    return [descent.step()["total"] for _ in range(steps)]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({}, 80), ({"optimizer": "adam"}, 600), ({"lbfgs_history": 1}, 400)],
    ids=["lbfgs", "adam", "short memory"],
)
def test_it_arrives_at_the_minimum_of_a_quadratic(settings, steps):
    descent = descent_of(**settings)
    first = run(descent, steps)[0]
    assert descent.finalize()["total"] < 1e-6 * first
    torch.testing.assert_close(descent.image(), picture(1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_tells_the_loss_before_it_and_evaluates_once(optimizer):
    loss = Rigged()
    descent = descent_of(loss, optimizer=optimizer)
    for number in range(1, 6):
        told = descent.step()["total"]
        assert len(loss.places) == number
        assert told == bowl(loss.places[-1])["total"].item()
    assert torch.equal(loss.places[0], picture())


def test_the_learning_rate_is_the_length_of_a_step():
    for rate in (0.01, 0.03):
        descent = descent_of(optimizer="adam", learning_rate=rate)
        descent.step()
        finest = descent.pyramid.coefficients[0].detach()
        # Adam's first step is the learning rate in every coefficient.
        torch.testing.assert_close(finest.abs(), torch.full_like(finest, rate))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e9], ids=["nan", "inf", "leap"])
def test_a_bad_step_is_taken_back(optimizer, bad):
    loss = Rigged({6: bad})
    descent = descent_of(loss, optimizer=optimizer)
    run(descent, 5)
    assert not torch.equal(loss.places[4], descent.image())  # step 5 moved on to a bad place
    descent.step()
    assert torch.equal(descent.image(), loss.places[4])  # the last that was found good
    assert torch.equal(loss.places[4], loss.places[-2])
    later = run(descent, 60)
    assert later[0] == bowl(loss.places[4])["total"].item()
    assert later[-1] < 0.5 * later[0]


def test_bad_at_the_very_start_leaves_the_ground():
    descent = descent_of(Rigged({1: math.nan}))
    descent.step()
    assert torch.equal(descent.image(), picture())


def test_a_rise_below_the_threshold_is_no_bad_step():
    for factor, kept in ((0.9 * MAX_LOSS_RATIO, True), (1.2 * MAX_LOSS_RATIO, False)):
        loss = Rigged()
        descent = descent_of(loss, optimizer="adam", learning_rate=1e-6)
        run(descent, 3)
        place = descent.image().clone()
        loss.values = {4: factor}
        descent.step()
        moved_on = not torch.equal(descent.image(), loss.places[2])
        assert moved_on is kept
        assert torch.equal(loss.places[3], place)


def test_a_step_that_is_taken_back_is_not_tried_again_and_again():
    # Adam with a step far too long for this valley: from the same place it would leap for ever.
    def valley(x):
        return {"total": (x - picture(1)).square().sum() + 1e-3}

    descent = SafeguardedOptimizer(
        LaplacianPyramid(picture(1) + 0.01, 1), valley, optimizer="adam", learning_rate=0.5
    )
    told = run(descent, 100)
    assert told[1] > MAX_LOSS_RATIO * told[0]
    assert min(told[:3]) == told[0]
    assert min(told) < 0.5 * told[0]


def test_where_the_loss_is_concave_the_step_is_cut_short():
    # - x² + x⁴ around 0.5, started almost on its top: L-BFGS's own second step is far out.
    def ridge(x):
        y = (x - 0.5) * 4
        return {"total": (0.26 - y.square() + y.pow(4)).sum()}

    seen = []

    def loss(x):
        seen.append(x.detach().clone())
        return ridge(x)

    ground = 0.5 + 1e-3 * picture()
    descent = SafeguardedOptimizer(LaplacianPyramid(ground, 1), loss)
    told = run(descent, 60)
    moves = [(b - a).square().mean().sqrt().item() for a, b in itertools.pairwise(seen)]
    assert max(moves) == pytest.approx(MAX_STEP_RMS, rel=1e-3)  # it was cut at least once
    assert all(t <= told[0] * MAX_LOSS_RATIO for t in told)  # and never had to be taken back
    # The minimum of 0.26 - y² + y⁴ is 0.01 at y² = 1/2.
    assert told[-1] == pytest.approx(0.01 * ground.numel(), rel=1e-3)


def test_of_a_step_that_was_cut_the_optimizer_learns_what_was_made():
    # Far from its minimum this valley hardly curves, and the wanted steps are far too long.
    seen, learnt = [], []

    def valley(x):
        seen.append(x.detach().clone())
        return {"total": (1 + (x - 3).square()).sqrt().sum()}

    descent = SafeguardedOptimizer(LaplacianPyramid(picture(), 1), valley)
    for _ in range(12):
        descent.step()
        memory = descent._optimizer.state[descent.pyramid.coefficients[0]].get("old_stps", [])
        if len(memory) > len(learnt):
            learnt.append((memory[-1].view_as(picture()), seen[-1] - seen[-2]))
    lengths = [made.square().mean().sqrt().item() for _, made in learnt]
    assert max(lengths) == pytest.approx(MAX_STEP_RMS, rel=1e-3)
    for kept, made in learnt:
        torch.testing.assert_close(kept, made, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("bad", [math.nan, 1e9])
def test_settling_takes_a_bad_last_step_back(bad):
    loss = Rigged({6: bad})
    descent = descent_of(loss)
    run(descent, 5)
    told = descent.finalize()
    assert torch.equal(descent.image(), loss.places[4])
    assert told["total"] == bowl(loss.places[4])["total"].item()


def test_settling_keeps_a_good_last_step():
    descent = descent_of()
    run(descent, 5)
    before = descent.image().clone()
    told = descent.finalize()
    assert torch.equal(descent.image(), before)
    assert told["total"] == bowl(before)["total"].item()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bad", [{}, {4: math.nan}, {4: 1e9}], ids=["smooth", "nan", "leap"])
def test_the_average_is_the_closed_form_over_the_good_iterates(optimizer, bad):
    decay, steps = 0.8, 9
    loss = Rigged(bad)
    descent = descent_of(loss, optimizer=optimizer, ema_decay=decay)
    assert torch.equal(descent.image(), picture())
    run(descent, steps)
    good = [x.double() for i, x in enumerate(loss.places, 1) if i not in bad]
    weights = [decay ** (len(good) - 1 - i) for i in range(len(good))]
    wanted = sum(w * x for w, x in zip(weights, good, strict=True)) / sum(weights)
    torch.testing.assert_close(descent.image().double(), wanted, atol=1e-6, rtol=0)
    assert descent.finalize()["total"] == bowl(descent.image())["total"].item()


def test_averaging_calms_a_restless_descent():
    pictures = []
    for averaging in (0.0, 0.97):
        descent = descent_of(optimizer="adam", learning_rate=0.2, ema_decay=averaging)
        generator = torch.Generator().manual_seed(3)

        def shaken(x, generator=generator):
            shake = torch.randn(x.shape, generator=generator)
            return {"total": bowl(x)["total"] + 20 * (shake * x).sum() + 1e3}

        descent._loss = shaken
        run(descent, 200)
        pictures.append((descent.image() - picture(1)).square().mean().item())
    assert pictures[1] < 0.5 * pictures[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lbfgs_history": 3},
        {"optimizer": "adam"},
        {"ema_decay": 0.9},
        {"optimizer": "adam", "ema_decay": 0.5},
    ],
    ids=["lbfgs", "lbfgs_history", "adam", "lbfgs averaged", "adam averaged"],
)
@pytest.mark.parametrize("stop", [1, 5, 6])
def test_a_saved_state_goes_on_to_the_same_bits(settings, stop):
    rigged = {4: math.nan, 7: 1e9}  # bad steps on the way, one just after a stop
    whole = descent_of(Rigged(rigged), **settings)
    told = run(whole, 12)

    first = descent_of(Rigged(rigged), **settings)
    run(first, stop)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    later = {k - stop: v for k, v in rigged.items()}
    second = descent_of(Rigged(later), **settings)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(second.image(), first.image())
    assert str(run(second, 12 - stop)) == str(told[stop:])  # as text: NaN is not equal to NaN
    assert torch.equal(second.image(), whole.image())
    assert second.finalize() == whole.finalize()


def test_a_step_leaves_no_graph_behind():
    import gc

    descent = descent_of()
    run(descent, 3)
    gc.collect()
    before = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
    run(descent, 20)
    gc.collect()
    after = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
    assert after - before <= 4 * 12 + 4  # the pairs that L-BFGS remembers, no more


def test_another_canvas_cannot_load_the_state():
    other = SafeguardedOptimizer(LaplacianPyramid(picture(), 2), bowl)
    with pytest.raises(ValueError, match="zip"):
        other.load_state_dict(descent_of().state_dict())
