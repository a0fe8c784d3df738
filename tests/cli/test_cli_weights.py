import json

import pytest

from impasto.weights import store
from impasto.weights.registry import REGISTRY


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    return tmp_path


def test_the_list_says_what_is_here(impasto, home):
    done = impasto("weights", "list")
    assert done.code == 0
    assert all(name in done.out for name in REGISTRY)
    listed = impasto("weights", "list", "--json").json
    named = [each for each in listed if each["name"] in REGISTRY]
    assert [each["name"] for each in named] == list(REGISTRY)
    assert [each["kind"] for each in named] == ["encoder", "encoder", "judge", "judge"]
    assert not any(each["present"] for each in named)
    assert all(each["license"] and len(each["sha256"]) == 64 for each in named)


def test_the_list_has_the_models_that_come_along(impasto, home):
    models = [
        each for each in impasto("weights", "list", "--json").json if each["name"] not in REGISTRY
    ]
    assert [each["name"] for each in models] == list(store.bundled_models())
    assert all(each["present"] and each["size"] > 0 and "card" in each for each in models)


def test_a_models_card_is_shown(impasto, home, tmp_path):
    import torch

    from impasto.weights.model_files import write_model

    path = tmp_path / "mine.safetensors"
    card = {"command": "impasto train fast -o mine.safetensors", "seconds": 61, "steps": 5}
    with path.open("wb") as file:
        about = {"styles": ["wave", "night"]}
        write_model(file, "fast", {"table": torch.zeros(2, 3)}, about, card)
    done = impasto("weights", "show", path)
    assert done.code == 0, done.err
    for words in ("a fast network", "wave,night", card["command"], "1 min 1 s"):
        assert words in done.out
    assert impasto("weights", "show", path, "--json").json["card"] == card
    assert REGISTRY["oxford"].license in impasto("weights", "show", "oxford").out


def test_what_has_no_card_says_so(impasto, home, tmp_path):
    import safetensors.numpy

    path = tmp_path / "plain.safetensors"
    path.write_bytes(safetensors.numpy.save({}))
    assert "has no card" in impasto("weights", "show", path).err
    done = impasto("weights", "show", "oxfrod")
    assert done.code == 2
    assert "did you mean oxford?" in done.err


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
    assert done.out == f"oxford: whole, sha256 {REGISTRY['oxford'].converted_sha256}\n"
    path.write_bytes(path.read_bytes()[:-1])
    done = impasto("weights", "verify", "oxford")
    assert done.code == 2
    assert "impasto weights get oxford --force" in done.err
    assert impasto("weights", "get", "oxford", "--force", "-q").code == 0
    assert impasto("weights", "verify", "oxford").code == 0


@pytest.mark.parametrize("verb", ["get", "verify"])
def test_unknown_weights_suggest_the_nearest(impasto, home, verb):
    done = impasto("weights", verb, "oxfrod")
    assert done.code == 2
    assert "did you mean oxford?" in done.err


def test_a_download_tells_how_far_it_is(impasto, home, monkeypatch):
    def get(name, *, force, callback):
        for done in range(0, 1001, 50):
            callback(done * 10**6, 10**9)
        return home / "file.pth"

    monkeypatch.setattr(store, "fetch_weights", get)
    done = impasto("weights", "get", "torchvision")
    assert done.err.splitlines()[4] == "Fetching torchvision  50%  0.5 GB of 1.0 GB"
    assert len(done.err.splitlines()) == 9
    assert done.out == f"{json.dumps(str(home / 'file.pth'))[1:-1]}\n"
