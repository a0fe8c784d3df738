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
from impasto.engines.feedforward.base import Place
from impasto.engines.feedforward.tiling import Painter
from impasto.methods import adain, fast
from impasto.ops.convert import as_tensor
from impasto.ops.padding import framed, unframed
from impasto.pictures import read, replacing
from impasto.pictures.resize import thumbnail
from impasto.pipeline import onnx_networks as networks
from impasto.pipeline.onnx_graph import Graph, package

REASONS = {
    "gatys": "it has no network that paints; it optimises every picture for itself",
    "wct": "its maps are found by an eigen-decomposition, which ONNX does not have",
}
"""Methods that cannot be exported, and why."""
METHODS = ("fast", "adain")
TOLERANCE = 1e-3
"""How far a pixel may be from what Impasto paints; a step of an 8-bit picture is four times it."""
_PLACE = Place("cpu", "fp32")
PICTURE = "RGB picture, values 0 to 1, any height and width"
STYLE = (
    f"{PICTURE}; at a long side of {adain.AdaIN().style_size} pixels the strokes are as large as "
    "Impasto's"
)
SHARES = (
    "the share of each style, 0 to 1, together 1 at most: their sum is the strength, and what is "
    "missing to 1 is the content itself"
)


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        inputs: name → what it is.
        styles: names of the styles, in the order of ``shares``; empty if the style is an input.
        difference: the most by which ONNX Runtime's pixels were off from PyTorch's, in a test.
    """

    path: Path
    inputs: dict[str, str]
    styles: tuple[str, ...]
    difference: float


@dataclass(frozen=True)
class _Trial:
    """A graph that is whole but for its notes, and what it must give.

    Attributes:
        graph: with a tensor named "painting".
        infos: of the inputs.
        painter: what it was made from, asked for the same as ``given`` asks for.
        given: values of the inputs.
        styles: names of the styles inside.
    """

    graph: Graph
    infos: list[Any]
    painter: Painter
    given: dict[str, Tensor]
    styles: tuple[str, ...]


@torch.inference_mode()
def export(
    method: str, output: str | Path, *, weights: str = "", styles: Sequence[str] = ()
) -> Exported:
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
    check(method, output)
    runtime = package("onnxruntime")
    trial = (_fast if method == "fast" else _adain)(weights, styles)
    model = trial.graph.model(
        trial.infos,
        trial.graph.info("painting", (1, 3, "height", "width"), "RGB picture, values 0 to 1"),
        f"impasto {metadata.version('impasto')}",
        _notes(method, trial),
    )
    data = model.SerializeToString()
    difference = _difference(runtime, data, trial)
    if not difference <= TOLERANCE:
        raise RuntimeError(f"the exported {method} is {difference} off from what PyTorch paints")
    with replacing(output) as file:
        file.write(data)
    return Exported(Path(output), _inputs(trial), trial.styles, difference)


def check(method: str, output: str | Path) -> None:
    """Refuse what cannot be exported, or not there.

    Raises:
        KnobError: the method.
        InputError: the output's suffix.
    """
    methods.find(method)
    if method not in METHODS:
        why = REASONS.get(method, "nobody has written it as a graph yet")
        raise KnobError(f"{method} cannot be exported: {why}. Export {' or '.join(METHODS)}.")
    if Path(output).suffix.lower() != ".onnx":
        raise InputError(f"Cannot write {output}: an exported network ends in .onnx.")


def _fast(weights: str, styles: Sequence[str]) -> _Trial:
    painter = fast.Painter(weights or fast.FastNetwork.card.weights[0], _PLACE)
    names = tuple(styles or painter.names)
    given = {"content": _content(), "shares": _shares(len(names))}
    painter.mix(names, given["shares"][0].tolist())
    graph = Graph()
    infos = [_content_info(graph), graph.info("shares", (1, len(names)), SHARES)]
    places = [painter.names.index(name) for name in names]
    graph.name(networks.fast(graph, painter.network, places, "content", "shares"), "painting")
    return _Trial(graph, infos, painter, given, names)


def _adain(weights: str, styles: Sequence[str]) -> _Trial:
    method = adain.AdaIN()
    strength = 0.6  # of the trial
    painter = adain.Painter(weights or method.card.weights[0], _PLACE, strength)
    pictures = [as_tensor(thumbnail(read(s).pixels, method.style_size)) for s in styles]
    given = {"content": _content()}
    graph = Graph()
    infos = [_content_info(graph)]
    moments: tuple[str | Tensor, str | Tensor]
    if pictures:
        given["shares"] = strength * _shares(len(pictures))
        painter.look_at(pictures, given["shares"][0].tolist())
        means = torch.stack([style.mean for style in painter.styles])
        deviations = torch.stack([style.variance.sqrt() for style in painter.styles])
        moments, shares = (means, deviations), "shares"
        infos.append(graph.info("shares", (1, len(pictures)), SHARES))
    else:
        given |= {"style": _content(60, 90).flip(1), "strength": torch.tensor(strength)}
        painter.look_at([given["style"]], [1.0])
        moments = networks.moments(graph, painter.encoder, "style")
        shares = graph("Unsqueeze", "strength", [0, 1])
        infos.append(graph.info("style", (1, 3, "style_height", "style_width"), STYLE))
        infos.append(graph.info("strength", (), "0 gives the content back, 1 is all of the style"))
    painting = networks.adain(graph, painter.encoder, painter.decoder, "content", moments, shares)
    graph.name(painting, "painting")
    return _Trial(graph, infos, painter, given, tuple(Path(style).stem for style in styles))


def _content_info(graph: Graph) -> Any:
    return graph.info("content", (1, 3, "height", "width"), PICTURE)


def _content(height: int = 77, width: int = 94) -> Tensor:
    """A picture for the trial: waves of three lengths."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [((x * a + y * b) / 9).sin() * 0.5 + 0.5 for a, b in ((1, 2), (3, -1), (0, 5))]
    return torch.stack(waves)[None]


def _shares(count: int) -> Tensor:
    """Shares for the trial: all differ, and they add up to 1."""
    numbers = torch.arange(1.0, count + 1)
    return (numbers / numbers.sum())[None]


def _difference(runtime: Any, data: bytes, trial: _Trial) -> float:
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feeds = {name: tensor.numpy() for name, tensor in trial.given.items()}
    (painting,) = session.run(None, feeds)
    content = trial.given["content"]
    painted = trial.painter(framed(content, trial.painter.align))
    wanted = unframed(painted, *content.shape[2:]).clamp(0, 1)
    return float((torch.from_numpy(painting) - wanted).abs().max())


def _inputs(trial: _Trial) -> dict[str, str]:
    return {info.name: info.doc_string for info in trial.infos}


def _notes(method: str, trial: _Trial) -> dict[str, str]:
    """The file's metadata: texts, and JSON where there are several."""
    card = methods.find(method).card
    example = ", ".join(f'"{info.name}": {info.name}' for info in trial.infos)
    return {
        "method": method,
        "title": card.title,
        "paper": card.paper,
        "licence": card.licence,
        "weights": json.dumps(trial.painter.files),
        "styles": json.dumps(trial.styles, ensure_ascii=False),
        "inputs": json.dumps(_inputs(trial), ensure_ascii=False),
        "outputs": json.dumps({"painting": "RGB picture of the content's size, values 0 to 1"}),
        "use": f"float32, shape (1, 3, height, width): session.run(None, {{{example}}})[0]",
    }
