import json
import sys

import numpy as np
import pytest
import torch

from impasto.core.errors import InputError, KnobError, MissingExtraError
from impasto.engines.feedforward.base import DeviceSpec
from impasto.methods import adain, fast
from impasto.nets.decoder import Decoder
from impasto.nets.transform_net import TransformNet
from impasto.ops.convert import as_tensor
from impasto.ops.padding import pad, unpad
from impasto.pictures import read, write
from impasto.pictures.resize import thumbnail
from impasto.pipeline.export import export_onnx
from impasto.weights.model_files import write_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

FP32 = DeviceSpec("cpu", "fp32")
SIZES = [(64, 96), (45, 71), (9, 26)]  # even, odd, and too small to be mirrored
STYLES = ["sea", "field", "night"]


def saved(path, kind, network, about):
    with path.open("wb") as file:
        write_model(file, kind, network.state_dict(), about, {})
    return path


@pytest.fixture(scope="module")
def fast_model(tmp_path_factory):
    torch.manual_seed(0)
    network = TransformNet(len(STYLES), (4, 6, 8), 2)
    network.table.data += 0.3 * torch.randn_like(network.table)
    about = {"styles": STYLES, "widths": [4, 6, 8], "blocks": 2}
    path = tmp_path_factory.mktemp("fast") / "fast.safetensors"
    return str(saved(path, "fast", network, about))


@pytest.fixture(scope="module")
def adain_model(tmp_path_factory, narrow):
    torch.manual_seed(0)
    decoder = Decoder(12, (4, 6, 8, 10))
    for parameter in decoder.parameters():
        parameter.data *= 2.0 if parameter.ndim == 4 else 1.0
    about = {"encoder": str(narrow), "channels": 12, "widths": [4, 6, 8, 10]}
    path = tmp_path_factory.mktemp("adain") / "adain.safetensors"
    return str(saved(path, "adain", decoder, about))


@pytest.fixture
def output(tmp_path):
    return tmp_path / "network.onnx"


def picture(height, width, seed=0):
    """Coarse noise, as smooth as a photograph."""
    coarse = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def in_runtime(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (painting,) = session.run(["painting"], {n: np.asarray(v) for n, v in inputs.items()})
    return torch.from_numpy(painting)


@torch.inference_mode()
def in_torch(painter, content):
    painted = painter(pad(content, painter.align))
    return unpad(painted, *content.shape[2:]).clamp(0, 1)


def notes_of(path):
    return {each.key: each.value for each in onnx.load(path).metadata_props}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shares", [[0, 0, 0], [0, 0.5, 0], [0.2, 0.5, 0.3]])
def test_a_fast_network_paints_the_same_in_onnx_runtime(fast_model, output, size, shares):
    export_onnx("fast", output, weights=fast_model)
    painter = fast.FastModel(fast_model, FP32)
    painter.set_styles(STYLES, shares)
    content = picture(*size)
    painting = in_runtime(output, content=content, shares=np.array([shares], np.float32))
    torch.testing.assert_close(painting, in_torch(painter, content), atol=1e-3, rtol=0)
    if not any(shares):
        torch.testing.assert_close(painting, content, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strength", [0, 0.1, 0.5, 1])
def test_adain_paints_the_same_in_onnx_runtime(adain_model, output, size, strength):
    export_onnx("adain", output, weights=adain_model)
    painter = adain.AdaINModel(adain_model, FP32, strength)
    content, style = picture(*size), picture(37, 50, seed=1) ** 2
    painter.set_styles([style], [1.0])
    strengths = np.array(strength, np.float32)
    painting = in_runtime(output, content=content, style=style, strength=strengths)
    torch.testing.assert_close(painting, in_torch(painter, content), atol=1e-3, rtol=0)
    if not strength:
        torch.testing.assert_close(painting, content, atol=1e-5, rtol=0)


@pytest.mark.parametrize("gray", [0.5, 0.3])  # of 0.5 the encoder sees nothing at all
def test_a_content_without_variance_is_painted_the_same(adain_model, output, gray):
    export_onnx("adain", output, weights=adain_model)
    painter = adain.AdaINModel(adain_model, FP32)
    content, style = torch.full((1, 3, 40, 40), gray), picture(40, 40)
    painter.set_styles([style], [1.0])
    painting = in_runtime(output, content=content, style=style, strength=np.float32(1))
    torch.testing.assert_close(painting, in_torch(painter, content), atol=1e-3, rtol=0)


def test_styles_put_into_adain_are_shares_whose_sum_is_the_strength(adain_model, output, tmp_path):
    files = [tmp_path / f"{name}.png" for name in ("sea", "field")]
    for seed, file in enumerate(files):
        write(picture(48, 60, seed)[0].permute(1, 2, 0).numpy(), file)
    done = export_onnx("adain", output, weights=adain_model, styles=[str(file) for file in files])
    assert done.styles == ("sea", "field")
    painter = adain.AdaINModel(adain_model, FP32, strength=0.8)
    painter.set_styles([as_tensor(thumbnail(read(file).pixels, 512)) for file in files], [3, 1])
    content = picture(45, 71, seed=2)
    painting = in_runtime(output, content=content, shares=np.array([[0.6, 0.2]], np.float32))
    torch.testing.assert_close(painting, in_torch(painter, content), atol=1e-3, rtol=0)


def test_some_styles_of_a_fast_network_in_another_order(fast_model, output):
    export_onnx("fast", output, weights=fast_model, styles=["night", "sea"])
    painter = fast.FastModel(fast_model, FP32)
    painter.set_styles(["night", "sea"], [0.7, 0.1])
    content = picture(45, 71)
    painting = in_runtime(output, content=content, shares=np.array([[0.7, 0.1]], np.float32))
    torch.testing.assert_close(painting, in_torch(painter, content), atol=1e-3, rtol=0)


def test_the_file_says_what_it_takes(fast_model, output):
    done = export_onnx("fast", output, weights=fast_model)
    model = onnx.load(output)
    shapes = {
        each.name: [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim]
        for each in [*model.graph.input, *model.graph.output]
    }
    assert shapes == {
        "content": [1, 3, "height", "width"],
        "shares": [1, 3],
        "painting": [1, 3, "height", "width"],
    }
    notes = notes_of(output)
    assert notes["method"] == "fast"
    assert json.loads(notes["styles"]) == STYLES
    assert json.loads(notes["inputs"]) == done.inputs
    assert "0 to 1" in done.inputs["content"]
    assert json.loads(notes["weights"]) == dict(fast.FastModel(fast_model, FP32).digests)
    assert 'run(None, {"content": content, "shares": shares})' in notes["use"]


def test_the_second_pass_of_the_decoder_runs_only_at_need(adain_model, output):
    export_onnx("adain", output, weights=adain_model)
    (choice,) = [node for node in onnx.load(output).graph.node if node.op_type == "If"]
    branches = {each.name: {n.op_type for n in each.g.node} for each in choice.attribute}
    assert "Conv" in branches["then_branch"]
    assert branches["else_branch"] == {"Identity"}


@pytest.mark.parametrize(
    ("method", "why"), [("wct", "eigen-decomposition"), ("gatys", "optimizes every picture")]
)
def test_a_method_that_cannot_be_exported_says_why(output, method, why):
    with pytest.raises(KnobError, match=f"{why}.*Export fast or adain"):
        export_onnx(method, output)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export_onnx("fast", tmp_path / "network.pt")


def test_a_style_that_the_network_has_not_learnt_is_refused(fast_model, output):
    with pytest.raises(InputError, match="Did you mean night"):
        export_onnx("fast", output, weights=fast_model, styles=["nihgt"])
    assert not output.exists()


def test_a_graph_that_paints_otherwise_is_not_written(fast_model, output, monkeypatch):
    monkeypatch.setattr("impasto.pipeline.export.MAX_PIXEL_DIFFERENCE", -1.0)
    with pytest.raises(RuntimeError, match="off from what PyTorch paints"):
        export_onnx("fast", output, weights=fast_model)
    assert not output.exists()


def test_without_the_extra_the_install_line_is_told(fast_model, output, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[export\]"'):
        export_onnx("fast", output, weights=fast_model)
