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
        store.get("oxford")
    return folder


@pytest.fixture(scope="session")
def _oxford(home):
    from impasto.weights import store

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(home))
        return store.load("oxford")


@pytest.fixture
def quick(home, _oxford, monkeypatch):
    """The oxford weights are read once, and the speed is measured on next to nothing."""
    from impasto.nets import cost
    from impasto.weights import store

    real = store.load
    usual = ("oxford",)
    monkeypatch.setenv("IMPASTO_HOME", str(home))
    monkeypatch.setattr(store, "load", lambda name: _oxford if name in usual else real(name))
    monkeypatch.setattr(cost, "_PROBE", 16)
