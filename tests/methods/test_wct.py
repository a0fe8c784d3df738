"""WCT: its levels, their strengths, and the covariances it asks for."""

import numpy as np
import pytest
import torch
from feed_forward import painted, pixels_of
from tiny_models import picture, pixels

from impasto.core.errors import KnobError
from impasto.engines.feedforward.base import DeviceSpec
from impasto.methods.wct import (
    DEFAULT_LEVEL_STRENGTH,
    LEVEL_LAYERS,
    RESIDUAL_DISTANCE_SCALE,
    WCT,
    WCTModel,
)
from impasto.ops.convert import as_tensor
from impasto.ops.feature_transforms import Statistics
from impasto.ops.padding import pad


def test_a_picture_in_its_own_style_is_itself(models):
    content = picture(64, 64)
    found = pixels_of(models, "wct", content, content)
    np.testing.assert_allclose(found, content.pixels, atol=1e-3)


def test_the_levels_and_their_strengths():
    assert WCT().strengths_by_level() == dict.fromkeys(LEVEL_LAYERS[1:], DEFAULT_LEVEL_STRENGTH)
    some = WCT(levels=("relu3_1", "conv1_1"), level_strengths=(1.0, 0.5), strength=0.5)
    assert list(some.strengths_by_level().items()) == [("conv3_1", 0.5), ("conv1_1", 0.25)]


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"levels": ("conv4_2",)}, "conv4_2: give some of conv5_1"),
        ({"levels": ()}, "nothing: give some of"),
        ({"levels": ("conv1_1", "relu1_1")}, "each once"),
        ({"levels": ("conv1_1",), "level_strengths": (1.0, 1.0)}, "2 level_strengths for 1 levels"),
    ],
)
def test_levels_that_do_not_fit(models, knobs, says):
    with pytest.raises(KnobError, match=says):
        painted(models, "wct", picture(20, 20), picture(20, 20, 1), **knobs)


@pytest.mark.parametrize("kind", ["wct", "transport"])
@torch.inference_mode()
def test_the_features_take_the_styles_covariance(models, kind):
    painter = WCTModel(models["wct"], DeviceSpec("cpu", "fp32"), {"conv1_1": 1.0}, kind)
    painter.set_styles([as_tensor(pixels(64, 64, 1))], (1.0,))
    frame = pad(as_tensor(pixels(64, 64)), 16)
    (change,) = painter.statistics(frame)
    features = painter.encoder(frame, ["conv1_1"])["conv1_1"]
    found = Statistics.from_features(change.apply(features))
    (style,) = painter.styles["conv1_1"]
    torch.testing.assert_close(found.mean, style.mean, rtol=1e-3, atol=1e-4)
    apart = (found.covariance - style.covariance).norm() / style.covariance.norm()
    assert apart < 0.02


@torch.inference_mode()
def test_more_strength_moves_every_level_further(models):
    found, frame = [], pad(as_tensor(pixels(48, 48)), 16)
    for strength in (0.0, 0.25, 0.5, 1.0):
        for level in LEVEL_LAYERS:
            painter = WCTModel(models["wct"], DeviceSpec("cpu", "fp32"), {level: strength})
            painter.set_styles([as_tensor(pixels(48, 48, 1))], (1.0,))
            (change,) = painter.statistics(frame)
            found.append(
                (
                    level,
                    *change.distances,
                    change.residual_weights(RESIDUAL_DISTANCE_SCALE, None)[0],
                )
            )
    for level in LEVEL_LAYERS:
        distances, shares = zip(*((d, k) for name, d, k in found if name == level), strict=True)
        assert list(distances) == sorted(distances)
        assert distances[0] == 0
        assert shares[0] == 1
        assert list(shares) == sorted(shares, reverse=True)


def test_the_maps_differ(models):
    content, style = picture(48, 48), picture(48, 48, 1)
    one, other = (
        pixels_of(models, "wct", content, style, transform=t) for t in ("wct", "transport")
    )
    assert np.abs(one - other).max() > 1e-3
