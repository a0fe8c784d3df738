"""Exporting a network as an ONNX file that paints pictures of any size, elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto import methods
from impasto.core.errors import InputError, KnobError
from impasto.engines.feedforward.base import DeviceSpec
from impasto.engines.feedforward.tiling import TiledModel
from impasto.methods import adain, fast
from impasto.ops.convert import as_tensor
from impasto.ops.padding import pad, unpad
from impasto.pictures import atomic_write, read
from impasto.pictures.resize import thumbnail
from impasto.pipeline import onnx_networks as networks
from impasto.pipeline.onnx_graph import OnnxGraph, import_package

UNSUPPORTED_REASONS = {
    "gatys": "it has no network that paints; it optimizes every picture for itself",
    "wct": "its maps are found by an eigen-decomposition, which ONNX does not have",
}
"""Methods that cannot be exported, and why."""
EXPORTABLE_METHODS = ("fast", "adain")
MAX_PIXEL_DIFFERENCE = 1e-3
"""How far a pixel may be from what Impasto paints; a step of an 8-bit picture is four times it."""
_DEVICE_SPEC = DeviceSpec("cpu", "fp32")
IMAGE_DOC = "RGB picture, values 0 to 1, any height and width"
STYLE_DOC = (
    f"{IMAGE_DOC}; at a long side of {adain.AdaIN().style_size} pixels the strokes are as large as "
    "Impasto's"
)
STYLE_WEIGHTS_DOC = (
    "the share of each style, 0 to 1, together 1 at most: their sum is the strength, and what is "
    "missing to 1 is the content itself"
)


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        path: the file.
        inputs: name → what it is.
        styles: names of the styles, in the order of ``shares``; empty if the style is an input.
        max_difference: the most by which ONNX Runtime's pixels were off from PyTorch's, in a test.
    """

    path: Path
    inputs: dict[str, str]
    styles: tuple[str, ...]
    max_difference: float


@dataclass(frozen=True)
class _ExportCase:
    """A graph that is whole but for its notes, and what it must give.

    Attributes:
        graph: with a tensor named "painting".
        input_infos: of the inputs.
        model: what it was made from, asked for the same as ``test_inputs`` asks for.
        test_inputs: values of the inputs.
        styles: names of the styles inside.
    """

    graph: OnnxGraph
    input_infos: list[Any]
    model: TiledModel
    test_inputs: dict[str, Tensor]
    styles: tuple[str, ...]


@torch.inference_mode()
def export_onnx(
    method: str, output: str | Path, *, weights: str = "", styles: Sequence[str] = ()
) -> ExportResult:
    """Write the network of a method as an ONNX file, and try that in ONNX Runtime.

    The file takes ``content`` and gives ``painting``, both (1, 3, height, width). A fast network
    also takes ``shares`` (1, styles). So does AdaIN with ``styles``, whose statistics are then in
    the file; without them it takes ``style`` (1, 3, height, width) and ``strength``, a scalar.

    Args:
        method: "fast" or "adain".
        output: the file, ending in .onnx; replaced if it exists.
        weights: as for :func:`impasto.stylize`.
        styles: for "fast", names of styles it has learnt, empty for all; for "adain", pictures.

    Raises:
        KnobError: a method that cannot be exported.
        InputError: an output that cannot be written, a style that is not known or not readable.
        MissingExtraError: the extra ``export`` is not installed.
        WeightsError: weights that cannot be used.
    """
    check_exportable(method, output)
    runtime = import_package("onnxruntime")
    trial = (_fast_case if method == "fast" else _adain_case)(weights, styles)
    model = trial.graph.build_model(
        trial.input_infos,
        trial.graph.value_info("painting", (1, 3, "height", "width"), "RGB picture, values 0 to 1"),
        f"impasto {metadata.version('impasto')}",
        _model_metadata(method, trial),
    )
    data = model.SerializeToString()
    difference = _max_difference(runtime, data, trial)
    if not difference <= MAX_PIXEL_DIFFERENCE:
        raise RuntimeError(f"the exported {method} is {difference} off from what PyTorch paints")
    with atomic_write(output) as file:
        file.write(data)
    return ExportResult(Path(output), _input_docs(trial), trial.styles, difference)


def check_exportable(method: str, output: str | Path) -> None:
    """Refuse what cannot be exported, or not there.

    Raises:
        KnobError: the method.
        InputError: the output's suffix.
    """
    methods.get_method(method)
    if method not in EXPORTABLE_METHODS:
        why = UNSUPPORTED_REASONS.get(method, "nobody has written it as a graph yet")
        raise KnobError(
            f"{method} cannot be exported: {why}. Export {' or '.join(EXPORTABLE_METHODS)}."
        )
    if Path(output).suffix.lower() != ".onnx":
        raise InputError(f"Cannot write {output}: an exported network ends in .onnx.")


def _fast_case(weights: str, styles: Sequence[str]) -> _ExportCase:
    painter = fast.FastModel(weights or fast.FastNetwork.card.weights[0], _DEVICE_SPEC)
    names = tuple(styles or painter.style_names)
    given = {"content": _test_image(), "shares": _test_weights(len(names))}
    painter.set_styles(names, given["shares"][0].tolist())
    graph = OnnxGraph()
    infos = [
        _content_input_info(graph),
        graph.value_info("shares", (1, len(names)), STYLE_WEIGHTS_DOC),
    ]
    places = [painter.style_names.index(name) for name in names]
    graph.alias(
        networks.build_transform_net(graph, painter.network, places, "content", "shares"),
        "painting",
    )
    return _ExportCase(graph, infos, painter, given, names)


def _adain_case(weights: str, styles: Sequence[str]) -> _ExportCase:
    method = adain.AdaIN()
    strength = 0.6  # of the trial
    painter = adain.AdaINModel(weights or method.card.weights[0], _DEVICE_SPEC, strength)
    pictures = [as_tensor(thumbnail(read(s).pixels, method.style_size)) for s in styles]
    given = {"content": _test_image()}
    graph = OnnxGraph()
    infos = [_content_input_info(graph)]
    moments: tuple[str | Tensor, str | Tensor]
    if pictures:
        given["shares"] = strength * _test_weights(len(pictures))
        painter.set_styles(pictures, given["shares"][0].tolist())
        means = torch.stack([style.mean for style in painter.styles])
        deviations = torch.stack([style.variance.sqrt() for style in painter.styles])
        moments, shares = (means, deviations), "shares"
        infos.append(graph.value_info("shares", (1, len(pictures)), STYLE_WEIGHTS_DOC))
    else:
        given |= {"style": _test_image(60, 90).flip(1), "strength": torch.tensor(strength)}
        painter.set_styles([given["style"]], [1.0])
        moments = networks.build_style_moments(graph, painter.encoder, "style")
        shares = graph("Unsqueeze", "strength", [0, 1])
        infos.append(graph.value_info("style", (1, 3, "style_height", "style_width"), STYLE_DOC))
        infos.append(
            graph.value_info("strength", (), "0 gives the content back, 1 is all of the style")
        )
    painting = networks.build_adain(
        graph, painter.encoder, painter.decoder, "content", moments, shares
    )
    graph.alias(painting, "painting")
    return _ExportCase(graph, infos, painter, given, tuple(Path(style).stem for style in styles))


def _content_input_info(graph: OnnxGraph) -> Any:
    return graph.value_info("content", (1, 3, "height", "width"), IMAGE_DOC)


def _test_image(height: int = 77, width: int = 94) -> Tensor:
    """A picture for the trial: waves of three lengths."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [((x * a + y * b) / 9).sin() * 0.5 + 0.5 for a, b in ((1, 2), (3, -1), (0, 5))]
    return torch.stack(waves)[None]


def _test_weights(count: int) -> Tensor:
    """Shares for the trial: all differ, and they add up to 1."""
    numbers = torch.arange(1.0, count + 1)
    return (numbers / numbers.sum())[None]


def _max_difference(runtime: Any, data: bytes, case: _ExportCase) -> float:
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feeds = {name: tensor.numpy() for name, tensor in case.test_inputs.items()}
    (painting,) = session.run(None, feeds)
    content = case.test_inputs["content"]
    painted = case.model(pad(content, case.model.align))
    wanted = unpad(painted, *content.shape[2:]).clamp(0, 1)
    return float((torch.from_numpy(painting) - wanted).abs().max())


def _input_docs(case: _ExportCase) -> dict[str, str]:
    return {info.name: info.doc_string for info in case.input_infos}


def _model_metadata(method: str, case: _ExportCase) -> dict[str, str]:
    """The file's metadata: texts, and JSON where there are several."""
    card = methods.get_method(method).card
    example = ", ".join(f'"{info.name}": {info.name}' for info in case.input_infos)
    return {
        "method": method,
        "title": card.title,
        "paper": card.paper,
        "license": card.license,
        "weights": json.dumps(case.model.digests),
        "styles": json.dumps(case.styles, ensure_ascii=False),
        "inputs": json.dumps(_input_docs(case), ensure_ascii=False),
        "outputs": json.dumps({"painting": "RGB picture of the content's size, values 0 to 1"}),
        "use": f"float32, shape (1, 3, height, width): session.run(None, {{{example}}})[0]",
    }
