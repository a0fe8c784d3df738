"""The two VGG networks as tables: which convolutions there are, in which order, of which shape.

Source: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015, table 1, columns D (VGG-16) and E (VGG-19).
"""

from __future__ import annotations

CONVS_PER_BLOCK: dict[str, tuple[int, ...]] = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
"""Convolutions in each of the five blocks; a pooling follows each block."""

BLOCK_CHANNELS = (64, 128, 256, 512, 512)
"""Output channels of every convolution in a block."""


def backbone_title(backbone: str) -> str:
    """The network's name as people write it: "VGG-19"."""
    return backbone.upper().replace("VGG", "VGG-")


def conv_names(backbone: str) -> tuple[str, ...]:
    """The convolutions from the input on, by the papers' names: conv1_1, conv1_2 and so on."""
    return tuple(
        f"conv{block}_{index}"
        for block, count in enumerate(CONVS_PER_BLOCK[backbone], start=1)
        for index in range(1, count + 1)
    )


def tensor_shapes(backbone: str) -> dict[str, tuple[int, ...]]:
    """Every tensor's name ("conv1_1.weight") and shape: weights (out, in, 3, 3), biases (out,)."""
    shapes: dict[str, tuple[int, ...]] = {}
    channels = 3
    for name in conv_names(backbone):
        width = BLOCK_CHANNELS[block_index(name) - 1]
        shapes[f"{name}.weight"] = (width, channels, 3, 3)
        shapes[f"{name}.bias"] = (width,)
        channels = width
    return shapes


def torchvision_names(backbone: str) -> dict[str, str]:
    """From our tensor names to torchvision's ("conv2_1.weight" to "features.5.weight").

    Torchvision numbers convolutions, ReLUs and poolings in one row.
    """
    names: dict[str, str] = {}
    for position, name in enumerate(conv_names(backbone)):
        index = 2 * position + block_index(name) - 1
        for part in ("weight", "bias"):
            names[f"{name}.{part}"] = f"features.{index}.{part}"
    return names


def block_index(name: str) -> int:
    """The block, 1 to 5, that a convolution such as "conv4_2" belongs to."""
    return int(name[len("conv")])
