"""Small pictures as files."""

import numpy as np
import pytest
import torch

from impasto.pictures import write


@pytest.fixture(autouse=True)
def same_threads(quick):
    """Quick, and the number of threads stays as it was."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def files(tmp_path):
    """A content and two style pictures as files."""
    paths = {}
    for seed, name in enumerate(("content", "style", "other")):
        pixels = np.random.default_rng(seed).random((32, 40, 3)).astype(np.float32)
        paths[name] = tmp_path / f"{name}.png"
        write(pixels, paths[name])
    return paths
