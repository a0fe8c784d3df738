"""Reading files of weights; nothing here ever unpickles code.

Whatever the source, the tensors come out under the papers' names (``conv1_1.weight``,
``conv1_1.bias`` …), float32 and contiguous, for RGB pictures in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.core.errors import WeightsError
from impasto.weights.registry import RGB
from impasto.weights.vgg_layers import (
    CONVS_PER_BLOCK,
    backbone_title,
    tensor_shapes,
    torchvision_names,
)

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Preprocessing:
    """What the network takes: ``(rgb - mean) / std`` of an RGB picture in 0..1."""

    mean: RGB
    std: RGB

    def __call__(self, x: Tensor) -> Tensor:
        """RGB pictures in 0..1, shape (N, 3, H, W), as the first convolution takes them."""
        mean, std = (x.new_tensor(each).view(3, 1, 1) for each in (self.mean, self.std))
        return (x - mean) / std


@dataclass(frozen=True, eq=False)
class LoadedWeights:
    """Weights in memory.

    Attributes:
        name: the registry's name, or the file's.
        sha256: of the file they were read from.
        backbone: "vgg19" or "vgg16"; of a judge's network "squeezenet" or "alexnet".
        tensors: "conv1_1.weight", shape (out, in, height, width), and "conv1_1.bias", shape
            (out,), for every convolution; float32, contiguous.
        preprocessing: what the first convolution takes.
    """

    name: str
    sha256: str
    backbone: str
    tensors: dict[str, Tensor]
    preprocessing: Preprocessing


def read_converted(
    path: Path, name: str, sha256: str, backbone: str, preprocessing: Preprocessing
) -> LoadedWeights:
    """A file that :mod:`impasto.weights.convert` wrote; see :class:`LoadedWeights`.

    Raises:
        WeightsError: the file cannot be read.
    """
    return LoadedWeights(name, sha256, backbone, read_tensors(path), preprocessing)


def read_torchvision(
    path: Path, name: str, sha256: str, preprocessing: Preprocessing
) -> LoadedWeights:
    """A VGG-19 or VGG-16 in torchvision's layout ("features.0.weight" …), told by its tensors.

    Raises:
        WeightsError: the file cannot be read or would run code, or tensors are missing or of
            another shape; the message names them.
    """
    found = read_tensors(path)
    backbone = max(
        CONVS_PER_BLOCK, key=lambda each: len(found.keys() & set(torchvision_names(each).values()))
    )
    shapes = tensor_shapes(backbone)
    wrong = []
    for ours, theirs in torchvision_names(backbone).items():
        if theirs not in found:
            wrong.append(f"{theirs} is missing")
        elif found[theirs].shape != shapes[ours]:
            wrong.append(f"{theirs} is {tuple(found[theirs].shape)}, not {shapes[ours]}")
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise WeightsError(
            f"{path} is no {backbone_title(backbone)} in torchvision's layout: "
            f"{'; '.join(wrong[:4])}{more}."
        )
    tensors = {
        ours: found[theirs].float().contiguous()
        for ours, theirs in torchvision_names(backbone).items()
    }
    to_caffe_scale(tensors, 255 * sum(preprocessing.std) / 3)
    return LoadedWeights(name, sha256, backbone, tensors, preprocessing)


def to_caffe_scale(tensors: dict[str, Tensor], factor: float) -> None:
    """Multiply every activation of a network by ``factor``, in place.

    torchvision divides the picture by its deviation, the original network does not; the Gram
    loss grows with the fourth power of such a factor and the content loss with the second. On
    one scale, α and β mean about the same with either. ReLU and pooling commute with a positive
    factor, so that it is enough to multiply the first weights and all biases.
    """
    for name, tensor in tensors.items():
        if name.endswith(".bias") or name == "conv1_1.weight":
            tensor.mul_(factor)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name; what is no tensor is left out.

    Raises:
        WeightsError: the file cannot be read, or would run code.
    """
    import safetensors.torch
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise almost anything
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(
            f"{path} could not be read as weights, and no code in it was run: {reason}"
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds {type(content).__name__}, not tensors by name.")
    return {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
