"""Relative errors, and the Gram matrices of a batch."""

import pytest
import torch

from impasto.losses.normalized import gram_matrices, relative_error
from impasto.losses.style import gram_matrix


def test_gram_matrices_are_the_gram_matrix_of_each():
    features = torch.randn(3, 5, 7, 4)
    each = torch.stack([gram_matrix(f[None]) for f in features])
    torch.testing.assert_close(gram_matrices(features), each)


def test_gram_matrices_of_halves_are_single():
    assert gram_matrices(torch.rand(2, 3, 4, 4).bfloat16()).dtype == torch.float32


def test_nothing_found_is_an_error_of_one():
    target = torch.randn(4, 3, 5) * torch.tensor([1e-3, 1, 1e2, 1e3])[:, None, None]
    assert relative_error(torch.zeros_like(target), target).item() == pytest.approx(1)
    assert relative_error(target, target).item() == 0


def test_the_size_may_be_anothers():
    target = torch.ones(2, 4)
    assert relative_error(0 * target, target, 2 * target).item() == pytest.approx(0.25)


def test_a_target_without_anything_stays_finite():
    assert relative_error(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0
