"""From folders to a model file: cards, and what is refused."""

import json
import struct

import pytest
import torch
from PIL import Image

from impasto.core.errors import InputError, KnobError, WeightsError
from impasto.train.fit import unreadable_images
from impasto.weights import store
from impasto.weights.model_files import FORMAT_VERSION, read_model, read_model_header, write_model


def output_of(loop):
    return loop.checkpoint.with_name(loop.checkpoint.name.removesuffix(".impasto-training"))


def test_a_model_holds_what_was_taught_and_says_how(loop_of, taught, album_folders, narrow):
    loop = loop_of("fast", learning_rate=1e-2)
    taught(loop, note="painted by nobody; CC0", license="CC0-1.0")
    path = output_of(loop)
    model = read_model(path, "out", "", "fast")
    assert model.about["styles"] == ["style-0", "style-1", "style-2"]
    for name, tensor in loop.model_tensors()[0].items():
        assert torch.equal(model.tensors[name], tensor.half().float())
    assert not loop.checkpoint.exists()
    card = model.card
    assert card["command"] == (
        "impasto train fast --photos photos --styles styles --note 'painted by nobody; CC0' "
        "--license CC0-1.0 "
        "--steps 6 --batch-size 2 --crop-size 64 --learning-rate 0.01 --precision fp32 "
        "--loss-network narrow.safetensors -o out.safetensors"
    )
    assert card["pictures"] == {"photos": 7, "styles": 3}
    assert card["data"] == "painted by nobody; CC0"
    assert card["license"] == "CC0-1.0"
    assert card["steps"] == 6
    assert set(card["losses"]) == {"content", "style", "tv", "gamut"}
    folders = {str(narrow.parent), *(str(folder.parent) for folder in album_folders)}
    assert not any(folder in json.dumps(card) for folder in folders)


def test_a_network_says_that_it_has_learnt_to_be_stable(loop_of):
    about = loop_of("fast", stable=True).model_tensors()[1]
    assert about["stable"] is True
    assert "stable" not in loop_of("fast", output="other.safetensors").model_tensors()[1]


def test_a_compact_encoder_that_was_taught_can_be_seen_with(loop_of, taught):
    from impasto.nets.vgg import VGG

    loop = loop_of("compact")
    taught(loop)
    found = VGG(store.load_encoder(str(output_of(loop))))(torch.rand(1, 3, 32, 32), ["conv5_1"])
    assert torch.isfinite(found["conv5_1"]).all()


def test_what_is_stopped_writes_no_model(loop_of, taught):
    def watch(progress):
        raise KeyboardInterrupt

    loop = loop_of()
    assert not taught(loop, watch).finished
    assert not output_of(loop).exists()
    assert loop.checkpoint.exists()


def test_a_new_style_is_learnt_beside_the_known_ones(loop_of, taught, tmp_path, album_folders):
    first = loop_of(output="first.safetensors")
    taught(first)
    Image.open(album_folders[0] / "photo-0.jpg").save(tmp_path / "mine.png")
    start = str(output_of(first))
    loop = loop_of(
        init_from=start, sources={"styles": [str(tmp_path / "mine.png")]}, table_only=True
    )
    before = {n: t.clone() for n, t in loop.task.network.state_dict().items()}
    taught(loop)
    model = read_model(output_of(loop), "out", "", "fast")
    assert model.about["styles"] == ["style-0", "style-1", "style-2", "mine"]
    after = loop.task.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"table"}
    assert torch.equal(before["table"][:3], after["table"][:3])
    assert "--init-from first.safetensors" in model.card["command"]
    assert "--table-only" in model.card["command"]


def test_two_styles_of_one_name_are_refused(loop_of, album_folders, tmp_path):
    twin = tmp_path / "style-1.png"
    Image.open(album_folders[1] / "style-1.jpg").save(twin)
    styles = [str(album_folders[1]), str(twin)]
    with pytest.raises(InputError, match="Two style pictures have one name"):
        loop_of(sources={"styles": styles})


def test_unreadable_pictures_of_all_albums_are_known(loop_of, tmp_path, album_folders):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no picture")
    photos = [str(album_folders[0]), str(tmp_path / "a.jpg")]
    styles = [str(album_folders[1]), str(tmp_path / "b.jpg")]
    loop = loop_of(sources={"photos": photos, "styles": styles})
    assert {path.name for path in unreadable_images(loop.task.datasets)} == {"a.jpg", "b.jpg"}
    assert len(loop.task.names) == 3


@pytest.mark.parametrize(
    ("name", "more", "error", "said"),
    [
        ("fsat", {}, KnobError, "Did you mean fast?"),
        ("fast", {"stpes": 3}, KnobError, "steps"),
        ("fast", {"batch_size": 0}, KnobError, "batch"),
        ("fast", {"sources": {"styles": []}}, InputError, "--styles DIR"),
        ("compact", {"init_from": "oxford"}, WeightsError, "wanted is a compact encoder"),
        ("fast", {"init_from": "compact"}, WeightsError, "wanted is a fast network"),
        ("fast", {"init_from": "missing.safetensors"}, WeightsError, "no such weights file"),
    ],
)
def test_what_cannot_be_trained_is_refused(loop_of, name, more, error, said):
    with pytest.raises(error, match=said):
        loop_of(name, **more)


def test_a_start_of_other_widths_is_refused(loop_of, tmp_path):
    path = tmp_path / "other.safetensors"
    with path.open("wb") as file:
        about = {"encoder": "compact", "channels": [1, 1, 1, 1, 1]}
        write_model(file, "wct", {"strange": torch.zeros(2)}, about, {})
    with pytest.raises(WeightsError, match="of other widths"):
        loop_of("wct", init_from=str(path))


def test_a_model_of_another_kind_is_refused(narrow):
    with pytest.raises(WeightsError, match="holds a compact encoder; wanted is a fast network"):
        read_model(narrow, "narrow", "", "fast")


def test_a_plain_safetensors_file_is_no_model(tmp_path):
    import safetensors.torch

    path = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    assert read_model_header(path) is None
    with pytest.raises(WeightsError, match="no model that Impasto trained"):
        read_model(path, "plain", "", "fast")


def test_a_later_format_is_refused(narrow, tmp_path):
    data = narrow.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    meta = json.loads(header["__metadata__"]["impasto"])
    header["__metadata__"]["impasto"] = json.dumps({**meta, "format": FORMAT_VERSION + 1})
    text = json.dumps(header).encode()
    path = tmp_path / "later.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(WeightsError, match="of a later Impasto: update"):
        read_model_header(path)


def test_a_damaged_model_is_refused(tmp_path):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"12345678not one")
    with pytest.raises(WeightsError, match="damaged"):
        read_model_header(path)
