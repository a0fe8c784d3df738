"""One thread in every test process: with small tensors, more of them are slower."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported

# No deadlines: a machine may be busy. The same examples every time: a failure is everybody's.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder for ``IMPASTO_HOME`` in which the oxford weights are decoded once."""
    from impasto.weights import store

    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(folder))
        store.fetch_weights("oxford")
    return folder


@pytest.fixture(scope="session")
def _oxford(home):
    from impasto.weights import store

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(home))
        return store.load_encoder("oxford")


@pytest.fixture
def quick(home, _oxford, monkeypatch):
    """The oxford weights are read once, and the speed is measured on next to nothing."""
    from impasto.engines.optimization import cost
    from impasto.weights import store

    real = store.load_encoder
    usual = ("oxford",)
    monkeypatch.setenv("IMPASTO_HOME", str(home))
    monkeypatch.setattr(
        store, "load_encoder", lambda name: _oxford if name in usual else real(name)
    )
    monkeypatch.setattr(cost, "_PROBE_SIDE_PX", 16)


@pytest.fixture(scope="session")
def narrow(tmp_path_factory):
    """A compact encoder as a file: random, and narrower than any that is good for something."""
    import torch

    from impasto.weights.model_files import write_model
    from impasto.weights.vgg_layers import block_index, conv_names

    random = torch.Generator().manual_seed(0)
    tensors, before = {}, 3
    for name in conv_names("vgg19")[:13]:  # to conv5_1
        width = (4, 8, 8, 12, 12)[block_index(name) - 1]
        spread = (2 / (9 * before)) ** 0.5
        tensors[f"{name}.weight"] = torch.randn(width, before, 3, 3, generator=random) * spread
        tensors[f"{name}.bias"] = torch.zeros(width)
        tensors[f"{name}.map"] = torch.eye(width)
        before = width
    about = {"backbone": "vgg19", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    path = tmp_path_factory.mktemp("narrow") / "narrow.safetensors"
    with path.open("wb") as file:
        write_model(file, "compact", tensors, about, {})
    return path


@pytest.fixture(scope="session")
def album_folders(tmp_path_factory):
    """Two folders to be trained with: seven photographs, three styles."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    folders = []
    for role, count in (("photos", 7), ("styles", 3)):
        folder = tmp_path_factory.mktemp("album") / role
        folder.mkdir()
        for number in range(count):
            coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((104, 80), Image.Resampling.BICUBIC)
            picture.save(folder / f"{role[:-1]}-{number}.jpg", quality=95)
        folders.append(folder)
    return folders


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Kind → the file of a narrow, random model of it; see :mod:`tiny_models`."""
    from tiny_models import write_models

    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Part → the folder or file of a tiny diffusion model; see :mod:`tiny_diffusion`."""
    pytest.importorskip("diffusers")
    from tiny_diffusion import write_all

    return write_all(tmp_path_factory.mktemp("tiny"))
