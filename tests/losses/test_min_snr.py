"""The weights of min-SNR against the paper's formulas."""

import pytest
import torch

from impasto.losses.min_snr import min_snr_weight, signal_to_noise


def alphas(steps=1000):
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_the_weights_are_the_paper_s(gamma):
    a = alphas()
    snr = signal_to_noise(a)
    for k in (0, 10, 250, 500, 999):
        ratio = float(a[k]) / (1 - float(a[k]))
        assert float(snr[k]) == pytest.approx(ratio)
        clean = min(ratio, gamma)
        assert float(min_snr_weight(snr, gamma, "sample")[k]) == pytest.approx(clean)
        assert float(min_snr_weight(snr, gamma, "epsilon")[k]) == pytest.approx(clean / ratio)
        assert float(min_snr_weight(snr, gamma, "v_prediction")[k]) == pytest.approx(
            clean / (ratio + 1)
        )


def test_one_error_seen_three_ways_weighs_the_same():
    """Errors of the noise and of the velocity are multiples of that of the clean latents."""
    random = torch.Generator().manual_seed(0)
    a = alphas()[::50, None]
    clean, guess = torch.randn(2, len(a), 6, generator=random, dtype=torch.float64)
    noise = torch.randn(len(a), 6, generator=random, dtype=torch.float64)
    noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
    guessed_noise = (noisy - a.sqrt() * guess) / (1 - a).sqrt()
    velocity = a.sqrt() * noise - (1 - a).sqrt() * clean
    guessed_velocity = a.sqrt() * guessed_noise - (1 - a).sqrt() * guess
    errors = {
        "sample": (clean - guess).square().mean(1),
        "epsilon": (noise - guessed_noise).square().mean(1),
        "v_prediction": (velocity - guessed_velocity).square().mean(1),
    }
    snr = signal_to_noise(a[:, 0])
    weighted = [min_snr_weight(snr, 5, kind) * error for kind, error in errors.items()]
    for other in weighted[1:]:
        torch.testing.assert_close(other, weighted[0])


def test_without_gamma_all_weigh_1_and_pure_noise_is_no_number_s_end():
    snr = torch.tensor([0.0, 0.1, 100.0])
    assert torch.equal(min_snr_weight(snr, 0, "epsilon"), torch.ones(3))
    assert min_snr_weight(snr, 5, "epsilon").tolist() == pytest.approx([1, 1, 0.05])
    assert min_snr_weight(snr, 5, "v_prediction")[0] == 0
    with pytest.raises(ValueError, match="none of epsilon"):
        min_snr_weight(snr, 5, "noise")
