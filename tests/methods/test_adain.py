"""AdaIN: the statistics it asks for, and a picture in its own style."""

import numpy as np
import pytest
import torch
from feed_forward import pixels_of
from skimage.metrics import structural_similarity
from tiny_models import picture, pixels

from impasto.engines.feedforward.base import DeviceSpec
from impasto.methods.adain import FEATURE_LAYER, AdaINModel
from impasto.ops.convert import as_tensor
from impasto.ops.padding import pad


@pytest.mark.parametrize("size", [(64, 64), (33, 90), (8, 8)])
def test_a_picture_in_its_own_style_is_itself(models, size):
    content = picture(*size)
    found = pixels_of(models, "adain", content, content)
    np.testing.assert_allclose(found, content.pixels, atol=1e-3)
    if min(size) > 8:
        score = structural_similarity(found, content.pixels, channel_axis=2, data_range=1)
        assert score >= 0.9


@torch.inference_mode()
def test_the_features_take_the_styles_means_and_deviations(models):
    """Huang & Belongie 2017, eq. 8, in numpy."""
    painter = AdaINModel(models["adain"], DeviceSpec("cpu", "fp32"))
    content, style = (pad(as_tensor(pixels(48, 64, seed)), 8) for seed in (0, 1))
    painter.set_styles([as_tensor(pixels(48, 64, 1))], (1.0,))
    c, s = (painter.encoder(x, [FEATURE_LAYER])[FEATURE_LAYER].numpy() for x in (content, style))
    mean, deviation = (f(c, axis=(2, 3), keepdims=True) for f in (np.mean, np.std))
    live = deviation[0, :, 0, 0] > 1e-3
    wanted = (c - mean) / np.maximum(deviation, 1e-9) * s.std((2, 3), keepdims=True)
    wanted += s.mean((2, 3), keepdims=True)
    found = (
        painter.feature_transform(painter.statistics(content)).apply(torch.from_numpy(c)).numpy()
    )
    assert live.sum() > 3
    np.testing.assert_allclose(found[:, live], wanted[:, live], rtol=1e-3, atol=1e-3)


def test_smaller_styles_are_other_strokes(models):
    content, style = picture(40, 40), picture(200, 200, 1)
    small, large = (pixels_of(models, "adain", content, style, style_size=n) for n in (32, 200))
    assert np.abs(small - large).max() > 1e-3
