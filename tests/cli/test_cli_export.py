import pytest
import torch

from impasto.cli import export as verb
from impasto.nets.transform_net import TransformNet
from impasto.weights.model_files import write_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = TransformNet(2, (2, 3, 4), 1)
    path = tmp_path_factory.mktemp("fast") / "fast.safetensors"
    about = {"styles": ["sea", "night"], "widths": [2, 3, 4], "blocks": 1}
    with path.open("wb") as file:
        write_model(file, "fast", network.state_dict(), about, {})
    return path


def test_a_network_is_written_and_told_of(impasto, model, tmp_path):
    output = tmp_path / "fast.onnx"
    done = impasto("export", "fast", "-o", output, "--weights", model)
    assert done.code == 0, done.err
    assert done.out == f"{output}\n"
    assert output.stat().st_size > 1000
    assert "shares: " in done.err
    assert "sea, night" in done.err


def test_it_is_told_as_json(impasto, model, tmp_path):
    output = tmp_path / "fast.onnx"
    flags = ("--weights", model, "--style", "night", "--json", "-q")
    told = impasto("export", "fast", "-o", output, *flags).json
    assert told["output"] == str(output)
    assert told["styles"] == ["night"]
    assert list(told["inputs"]) == ["content", "shares"]
    assert told["difference"] < 1e-3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("wct", "-o", "a.onnx"), "wct cannot be exported: its maps are found by an eigen"),
        (("fats", "-o", "a.onnx"), "Did you mean fast?"),
        (("fast", "-o", "a.pt"), "ends in .onnx"),
        (("fast", "-o", "missing/a.onnx"), "its folder is missing"),
        (("fast", "-o", "a.onnx", "--style", "nihgt"), "Did you mean night?"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(impasto, model, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    done = impasto("export", *args, "--weights", model)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())


def test_an_input_is_not_overwritten(impasto, tmp_path):
    style = tmp_path / "a.onnx"
    style.write_bytes(b"a picture of that name")
    done = impasto("export", "adain", "-o", style, "--style", style)
    assert done.code == 2
    assert "would be overwritten" in done.err
    assert style.read_bytes() == b"a picture of that name"


def test_completion_offers_what_can_be_exported():
    from impasto.pipeline.export import EXPORTABLE_METHODS

    assert tuple(verb.METHOD_HELP) == EXPORTABLE_METHODS
