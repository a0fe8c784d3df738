"""What the benchmarks of quality measure a painting by. A module for them; run, it does nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from impasto.core.picture import Pixels
from impasto.losses.style import gram_matrix
from impasto.nets.vgg import VGG
from impasto.ops.convert import as_tensor
from impasto.weights import store

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@dataclass(frozen=True)
class Score:
    """How a painting did.

    Attributes:
        style_error: distance of its Gram matrices on the full VGG-19 to the style's, relative to
            the unstyled content's: 1 for the content itself, 0 for the style.
        ssim: structural similarity of its luminance to the content's (Wang et al. 2004).
    """

    style_error: float
    ssim: float


class Judge:
    """Scores paintings with the full VGG-19 in fp32."""

    def __init__(self) -> None:
        self.encoder = VGG(store.load_encoder("oxford"))

    @torch.inference_mode()
    def grams(self, pixels: Pixels) -> dict[str, torch.Tensor]:
        """The Gram matrix of every style layer."""
        found = self.encoder(as_tensor(pixels), LAYERS)
        return {name: gram_matrix(features) for name, features in found.items()}

    def score(
        self,
        painting: Pixels,
        content: Pixels,
        content_grams: dict[str, torch.Tensor],
        style_grams: dict[str, torch.Tensor],
    ) -> Score:
        """Score a painting of the content's size."""
        apart = distance(self.grams(painting), style_grams)
        similar = structural_similarity(rgb2gray(content), rgb2gray(painting), data_range=1.0)
        return Score(apart / distance(content_grams, style_grams), float(similar))


def distance(found: dict[str, torch.Tensor], style: dict[str, torch.Tensor]) -> float:
    """Root of the mean over layers of |G - A|² / |A|²."""
    terms = [
        float((found[name] - style[name]).square().sum() / style[name].square().sum())
        for name in LAYERS
    ]
    return float(np.sqrt(np.mean(terms)))
