"""Decoding the files that come inside packages into safetensors files of our own.

A decoded file is written by hand, so that its bytes, and with them its checksum, do not depend
on a library's version: 8 bytes of header length, the header in JSON, the tensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from impasto.weights.loading import read_tensors
from impasto.weights.safe_pickle import read_arrays
from impasto.weights.vgg_layers import block_index, conv_names

Arrays = dict[str, np.ndarray]


def write_converted(name: str, source: Path, target: Path) -> None:
    """Decode a package's file of the registry's weights ``name`` into a safetensors file.

    Whatever the source, the tensors are float32, kernels are (out, in, height, width), and the
    network takes RGB pictures in 0..1, prepared as the registry's entry says.

    Raises:
        WeightsError: the source cannot be read.
    """
    _write_safetensors(CONVERTERS[name](source), target)


def _convert_oxford(source: Path) -> Arrays:
    """The 8-bit VGG-19: indices into a table of 256 values for each convolution."""
    raw = {name: tensor.numpy() for name, tensor in read_tensors(source).items()}
    found: Arrays = {}
    for name in conv_names("vgg19"):
        old = f"block{block_index(name)}_conv{name[-1]}"
        found[f"{name}.weight"] = raw[f"{old}_W_table"][raw[f"{old}_W_q"].astype(np.int64)]
        found[f"{name}.bias"] = raw[f"{old}_b"]
    found["conv1_1.weight"] = _from_caffe(found["conv1_1.weight"])
    return found


def _convert_squeezenet(source: Path) -> Arrays:
    """SqueezeNet in Keras' layout: {"fire2/expand3x3": [kernel, bias]}."""
    raw = read_arrays(source)
    found: Arrays = {}
    for path, array in sorted(raw.items()):
        name, _, index = path.rpartition("/")
        part = ("weight", "bias")[int(index)]
        found[f"{name.replace('/', '.')}.{part}"] = _to_torch_layout(array)
    found["conv1.weight"] = _from_caffe(found["conv1.weight"])
    return found


def _convert_lpips(source: Path) -> Arrays:
    """AlexNet and LPIPS' heads in flax' layout; "conv1" to "conv5", "head1" to "head5"."""
    raw = read_arrays(source)
    found: Arrays = {}
    for index in range(5):
        conv = f"AlexNet_0/Conv_{index}"
        found[f"conv{index + 1}.weight"] = _to_torch_layout(raw[f"{conv}/kernel"])
        found[f"conv{index + 1}.bias"] = raw[f"{conv}/bias"]
        found[f"head{index + 1}.weight"] = _to_torch_layout(
            raw[f"NetLinLayer_{index}/Conv_0/kernel"]
        )
    return found


CONVERTERS: dict[str, Callable[[Path], Arrays]] = {
    "oxford": _convert_oxford,
    "squeezenet": _convert_squeezenet,
    "lpips": _convert_lpips,
}
"""The registry's name → the tensors in a package's file, by our names."""


def _to_torch_layout(array: np.ndarray) -> np.ndarray:
    """A kernel (height, width, in, out) as (out, in, height, width); biases as they are."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


def _from_caffe(weight: np.ndarray) -> np.ndarray:
    """A first convolution of BGR pictures in 0..255 as one of RGB pictures in 0..1.

    Every activation stays the same as in the original Caffe network.
    """
    return weight[:, ::-1] * np.float32(255)


def _write_safetensors(arrays: Mapping[str, np.ndarray], target: Path) -> None:
    header: dict[str, object] = {}
    blobs: list[bytes] = []
    end = 0
    for name, array in arrays.items():
        blobs.append(np.ascontiguousarray(array, "<f4").tobytes())
        start, end = end, end + len(blobs[-1])
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blobs)
