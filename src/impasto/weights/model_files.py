"""Models that Impasto trained itself: one safetensors file each, with its card inside.

The file's metadata hold one JSON text under "impasto": the format, the kind of model, what a
reader must know to build it ("about"), and the card: data, license, figures, command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from impasto.core.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT_VERSION = 1
BUNDLED_FOLDER = Path(__file__).with_name("bundled")
"""The folder of the models that come with the package."""
MODEL_TITLES = {
    "compact": "a compact encoder",
    "adain": "a decoder for AdaIN",
    "wct": "a set of decoders for WCT",
    "photowct": "a set of unpooling decoders for PhotoWCT",
    "fast": "a fast network",
    "lora": "a style LoRA",
}
"""Kind → what it is called in messages."""
REQUIRED_KEYS = {
    "compact": ("backbone", "mean", "std"),
    "adain": ("encoder", "channels", "widths"),
    "wct": ("encoder", "channels"),
    "photowct": ("encoder", "channels"),
    "fast": ("styles", "widths", "blocks"),
    "lora": ("base", "rank"),
}
"""Kind → what a reader must be told to build it."""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model in memory.

    Attributes:
        name: of the file, without its suffix for a bundled one.
        sha256: of the file.
        model_type: one of :data:`MODEL_TITLES`.
        tensors: by name, float32, or bytes.
        about: what is needed to build it: widths, the encoder's name, the styles' names.
        card: how it was made: command, data, license, time, figures.
    """

    name: str
    sha256: str
    model_type: str
    tensors: dict[str, Tensor]
    about: dict[str, Any]
    card: dict[str, Any]

    def load_into(self, network: nn.Module, prefix: str = "") -> None:
        """Load the tensors that a network has, by their names after ``prefix``.

        Raises:
            WeightsError: one is missing or of another shape.
        """
        try:
            network.load_state_dict({n: self.tensors[prefix + n] for n in network.state_dict()})
        except (KeyError, RuntimeError) as error:
            what = str(error).strip().splitlines()[-1].strip()
            raise WeightsError(f"{self.name} is not whole: {what}") from error


def write_model(
    file: BinaryIO,
    model_type: str,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    card: Mapping[str, Any],
) -> None:
    """Write a model; floating-point tensors are kept in float16."""
    import safetensors.torch
    import torch

    meta = {"format": FORMAT_VERSION, "kind": model_type, "about": about, "card": card}
    halves = {
        n: (t.to(torch.float16) if t.is_floating_point() else t).detach().cpu().contiguous()
        for n, t in tensors.items()
    }
    file.write(safetensors.torch.save(halves, {"impasto": json.dumps(meta, ensure_ascii=False)}))


def read_model_header(path: Path) -> dict[str, Any] | None:
    """The kind, "about" and card of a model file; None if it is no model of ours.

    Raises:
        WeightsError: the file cannot be read, or is of a later format.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get("impasto")
        found: dict[str, Any] | None = json.loads(text) if text else None
        later = found is not None and found["format"] > FORMAT_VERSION
    except Exception as error:  # a damaged file raises almost anything
        raise WeightsError(f"{path} could not be read as weights: {error}") from error
    if later:
        raise WeightsError(f"{path} is of a later Impasto: update to read it.")
    return found


def read_model(path: Path, name: str, sha256: str, model_type: str) -> TrainedModel:
    """A model file; see :func:`write_model`.

    Raises:
        WeightsError: the file cannot be read, or holds another kind of model; says which.
    """
    import safetensors.torch

    header = read_model_header(path) if path.suffix.lower() == ".safetensors" else None
    if header is None:
        raise WeightsError(
            f"{path} holds no model that Impasto trained; wanted is {MODEL_TITLES[model_type]}."
        )
    theirs = str(header.get("kind"))
    if theirs != model_type:
        raise WeightsError(
            f"{path} holds {MODEL_TITLES.get(theirs, theirs)}; wanted is "
            f"{MODEL_TITLES[model_type]}."
        )
    missing = [name for name in REQUIRED_KEYS[model_type] if name not in header.get("about", {})]
    if missing:
        raise WeightsError(f"{path} is not whole: it does not say its {', '.join(missing)}.")
    tensors = {
        n: t.float() if t.is_floating_point() else t
        for n, t in safetensors.torch.load_file(path).items()
    }
    return TrainedModel(name, sha256, model_type, tensors, header["about"], header.get("card", {}))
