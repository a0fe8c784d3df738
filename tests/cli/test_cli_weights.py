import json

import pytest

from impasto.weights import store
from impasto.weights.catalogue import CATALOGUE


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    return tmp_path


def test_the_list_says_what_is_here(impasto, home):
    done = impasto("weights", "list")
    assert done.code == 0
    assert all(name in done.out for name in CATALOGUE)
    listed = impasto("weights", "list", "--json").json
    assert [each["name"] for each in listed] == list(CATALOGUE)
    assert not any(each["present"] for each in listed)
    assert all(each["licence"] and len(each["sha256"]) == 64 for each in listed)


def test_nothing_here_is_nothing_to_verify(impasto, home):
    done = impasto("weights", "verify")
    assert done.code == 0
    assert "nothing to check" in done.err


def test_what_is_fetched_is_whole_and_damage_is_found(impasto, home):
    done = impasto("weights", "get", "oxford")
    path = home / "weights" / "oxford.safetensors"
    assert done.code == 0, done.err
    assert done.out == f"{path}\n"
    done = impasto("weights", "verify")
    assert done.code == 0
    assert done.out == f"oxford: whole, sha256 {CATALOGUE['oxford'].decoded_sha256}\n"
    path.write_bytes(path.read_bytes()[:-1])
    done = impasto("weights", "verify", "oxford")
    assert done.code == 2
    assert "impasto weights get oxford --again" in done.err
    assert impasto("weights", "get", "oxford", "--again", "-q").code == 0
    assert impasto("weights", "verify", "oxford").code == 0


@pytest.mark.parametrize("verb", ["get", "verify"])
def test_unknown_weights_suggest_the_nearest(impasto, home, verb):
    done = impasto("weights", verb, "oxfrod")
    assert done.code == 2
    assert "did you mean oxford?" in done.err


def test_a_download_tells_how_far_it_is(impasto, home, monkeypatch):
    def get(name, *, again, progress):
        for done in range(0, 1001, 50):
            progress(done * 10**6, 10**9)
        return home / "file.pth"

    monkeypatch.setattr(store, "get", get)
    done = impasto("weights", "get", "torchvision")
    assert done.err.splitlines()[4] == "Fetching torchvision  50%  0.5 GB of 1.0 GB"
    assert len(done.err.splitlines()) == 9
    assert done.out == f"{json.dumps(str(home / 'file.pth'))[1:-1]}\n"
