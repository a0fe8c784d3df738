"""Weights of the steps of a diffusion model's noise, so that no step pulls against the others.

Source: Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", ICCV 2023,
section 3.4: what is predicted as the clean picture is weighted by min(SNR, γ).
"""

from __future__ import annotations

import torch
from torch import Tensor

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")
"""What a model predicts: the noise, the velocity, or the clean latents."""


def signal_to_noise(alphas_cumprod: Tensor) -> Tensor:
    """SNR of each step, ᾱ / (1 - ᾱ), from the products ᾱ, in 0..1 and of any shape."""
    return alphas_cumprod / (1 - alphas_cumprod)


def min_snr_weight(snr: Tensor, gamma: float, prediction_type: str) -> Tensor:
    """The weight of a step's squared error.

    min(SNR, γ) for the clean latents, divided by SNR for the noise and by SNR + 1 for the velocity
    (the paper's section 3.4, for the error of one is a multiple of the error of another).

    Args:
        snr: of the steps, 0 and above, any shape.
        gamma: γ; 0 gives every step the weight 1.
        prediction_type: one of :data:`PREDICTION_TYPES`.

    Raises:
        ValueError: another prediction.
    """
    if prediction_type not in PREDICTION_TYPES:
        raise ValueError(
            f"prediction = {prediction_type!r} is none of {', '.join(PREDICTION_TYPES)}"
        )
    if gamma <= 0:
        return torch.ones_like(snr)
    if prediction_type == "epsilon":
        return (gamma / snr).clamp(max=1)  # so that it is 1, and not 0 / 0, where all is noise
    least = snr.clamp(max=gamma)
    return least / (snr + 1) if prediction_type == "v_prediction" else least
