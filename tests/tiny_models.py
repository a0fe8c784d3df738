"""Models of the kinds that Impasto trains, narrow and random, and pictures to try them on."""

import io

import numpy as np
import torch
from PIL import Image

from impasto.core.picture import Picture
from impasto.nets.decoder import INVERSION_WIDTHS, Decoder
from impasto.nets.transform_net import TransformNet
from impasto.weights.model_files import write_model
from impasto.weights.vgg_layers import block_index, conv_names

CHANNELS = (6, 8, 10, 12, 12)
STYLES = ("blue-dots", "red-lines", "starry.night")


def encoder_tensors(seed=0):
    """A VGG-19 up to conv5_1, with the map of each layer."""
    generator = torch.Generator().manual_seed(seed)
    tensors, before = {}, 3
    for name in conv_names("vgg19")[:13]:
        width = CHANNELS[block_index(name) - 1]
        spread = (2 / (9 * before)) ** 0.5
        tensors[f"{name}.weight"] = torch.randn(width, before, 3, 3, generator=generator) * spread
        tensors[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
        tensors[f"{name}.map"] = torch.randn(width, width, generator=generator)
        before = width
    return tensors


def write_models(folder):
    """Kind → the file of a model of it."""
    kinds = ("compact", "adain", "wct", "fast", "photowct")
    paths = {kind: folder / f"my-{kind}.safetensors" for kind in kinds}

    def save(kind, tensors, **about):
        with paths[kind].open("wb") as file:
            write_model(file, kind, tensors, about, {"license": "Apache-2.0"})

    torch.manual_seed(0)
    save("compact", encoder_tensors(), backbone="vgg19", mean=[0.45] * 3, std=[0.3] * 3)
    encoder = str(paths["compact"])
    widths = (4, 6, 8, 10)
    decoder = lively(Decoder(CHANNELS[3], widths))
    save("adain", decoder.state_dict(), encoder=encoder, channels=CHANNELS[3], widths=widths)
    levels = torch.nn.ModuleList(
        lively(Decoder(c, INVERSION_WIDTHS[: i + 1])) for i, c in enumerate(CHANNELS)
    )
    tensors = {f"levels.{name}": t for name, t in levels.state_dict().items()}
    save("wct", tensors, encoder=encoder, channels=CHANNELS)
    levels = torch.nn.ModuleList(
        lively(Decoder(c, CHANNELS[: i + 1])) for i, c in enumerate(CHANNELS[:4])
    )
    tensors = {f"levels.{name}": t for name, t in levels.state_dict().items()}
    save("photowct", tensors, encoder=encoder, channels=CHANNELS[:4])
    save("fast", fast_tensors(), styles=STYLES, widths=(4, 6, 8), blocks=2)
    return {kind: str(path) for kind, path in paths.items()}


def lively(decoder):
    """Weights that keep the size of what passes, so that the random pictures have something in."""
    for name, parameter in decoder.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.kaiming_normal_(parameter)
        else:
            torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        decoder.last.weight.mul_(0.1)
    return decoder


def fast_tensors():
    """A fast network with a table of unlike styles, and their pictures."""
    network = TransformNet(len(STYLES), (4, 6, 8), 2)
    with torch.no_grad():
        network.table.add_(0.3 * torch.randn(network.table.shape))
    return {**network.state_dict(), **{f"picture.{i}": _jpeg(i) for i in range(len(STYLES))}}


def _jpeg(seed):
    data = io.BytesIO()
    Image.fromarray(np.uint8(255 * pixels(20, 30, seed))).save(data, "JPEG")
    return torch.frombuffer(bytearray(data.getvalue()), dtype=torch.uint8)


def pixels(height, width, seed=0):
    """Something like a photograph: broad shapes, and a little detail; float32 in 0..1."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
    broad = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    return (0.9 * broad + 0.1 * random.random((height, width, 3))).astype(np.float32)


def picture(height, width, seed=0):
    return Picture(pixels(height, width, seed), name=f"picture {seed}", sha256=str(seed))
