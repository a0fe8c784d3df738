"""Control pictures: what of the content a ControlNet is shown.

Zhang, Rao & Agrawala, "Adding Conditional Control to Text-to-Image Diffusion Models", ICCV 2023.
Edges are Canny's ("A Computational Approach to Edge Detection", PAMI 1986), here in PyTorch. A
depth picture comes from a file, or from a depth model of the library transformers.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from impasto.core.errors import InputError, KnobError, WeightsError
from impasto.core.picture import Pixels, Raster
from impasto.engines.diffusion.verbosity import silence_logging
from impasto.pictures import read, resize
from impasto.weights import hub
from impasto.weights.integrity import file_sha256

CONTROL_TYPES = ("canny", "depth", "tile")
CANNY_LOW_THRESHOLD, CANNY_HIGH_THRESHOLD = 100.0, 200.0
"""Thresholds of the edges' strength, as OpenCV counts it: gray values 0..255 by Sobel's kernel."""
MIN_EDGE_FRACTION = 0.03
"""Part of the pixels that lie on edges, below which the thresholds are halved, twice at most."""
TILE_DOWNSAMPLE_FACTOR = 8
"""A tile control keeps what is larger than so many pixels."""
DEPTH_MODEL_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
"""Of a depth model."""


def check_control_source(control_type: str, blank: bool, file: str, depth_model: str) -> None:
    """Whether there is something that a ControlNet can be shown.

    Raises:
        InputError: a file that is not there.
        KnobError: no file, and nothing that it could be made from.
    """
    if file:
        if not Path(file).is_file():
            raise InputError(f"The control picture for {control_type}: there is no file {file}.")
    elif blank:
        raise KnobError(
            f"The content is only a size, and {control_type} has nothing to look at: give "
            "--control-pictures."
        )
    elif control_type == "depth" and not depth_model:
        raise KnobError(
            "The control depth needs a depth picture (--control-pictures FILE), or a model that "
            "makes one (--depth-model NAME, as Intel/dpt-hybrid-midas)."
        )


def make_control_image(
    control_type: str,
    content: Raster,
    height: int,
    width: int,
    file: str = "",
    depth_model: str = "",
) -> Pixels:
    """The picture that a ControlNet is shown: float32 (height, width, 3) in 0..1.

    Args:
        control_type: "canny", "depth" or "tile".
        content: RGB 0..1.
        height: of the result.
        width: of the result.
        file: a file that stands for it, as one that was looked at and changed.
        depth_model: of the hub or a folder, for "depth" without a file.

    Raises:
        InputError: a file that cannot be read.
        WeightsError: a depth model that cannot be used.
    """
    if file:
        try:
            pixels = read(file).pixels
        except InputError as error:
            raise InputError(f"The control picture for {control_type}: {error}") from error
        return np.asarray(resize(pixels, height, width)).clip(0, 1)
    seen = np.asarray(resize(content, height, width)).clip(0, 1)
    if control_type == "canny":
        return gray_to_rgb(
            _adaptive_canny(torch.from_numpy(np.ascontiguousarray(seen)).permute(2, 0, 1))
        )
    if control_type == "tile":
        small = resize(
            seen, max(1, height // TILE_DOWNSAMPLE_FACTOR), max(1, width // TILE_DOWNSAMPLE_FACTOR)
        )
        return np.asarray(resize(small, height, width)).clip(0, 1)
    return gray_to_rgb(torch.from_numpy(estimate_depth(seen, depth_model)))


def gray_to_rgb(plane: Tensor) -> Pixels:
    """(height, width) in 0..1 as a picture."""
    return plane.float()[..., None].expand(-1, -1, 3).contiguous().numpy()


def _adaptive_canny(picture: Tensor) -> Tensor:
    """Canny's edges; of a picture that has few, as by night or in snow, the fainter ones too."""
    for share in (1.0, 0.5, 0.25):
        found = canny(picture, share * CANNY_LOW_THRESHOLD, share * CANNY_HIGH_THRESHOLD)
        if float(found.mean()) >= MIN_EDGE_FRACTION:
            break
    return found


def canny(
    image: Tensor,
    low_threshold: float = CANNY_LOW_THRESHOLD,
    high_threshold: float = CANNY_HIGH_THRESHOLD,
) -> Tensor:
    """Edges by Canny: smoothing, Sobel's gradient, its ridges, and those tied to a strong one.

    Args:
        image: (3, height, width), RGB 0..1.
        low_threshold: strength from which on a ridge that touches an edge is one; as OpenCV
        counts, the
            sum of the two absolute derivatives of gray values 0..255.
        high_threshold: from which on it is one by itself.

    Returns:
        (height, width), 1 on edges, else 0.
    """
    weights = image.new_tensor([0.299, 0.587, 0.114])
    luma = 255 * torch.einsum("chw,c->hw", image, weights)[None, None]
    blur = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (blur[:, None] * blur[None])[None, None]
    luma = F.conv2d(F.pad(luma, (2, 2, 2, 2), mode="replicate"), kernel)
    across = image.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    sobel = torch.stack([across, across.T])[:, None]
    gx, gy = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), sobel)[0]
    strength = gx.abs() + gy.abs()
    # A ridge is no weaker than its two neighbors along the gradient, of eight directions.
    angle = torch.atan2(gy, gx)
    direction = torch.round(angle / (torch.pi / 4)).long() % 4
    around = F.pad(strength[None, None], (1, 1, 1, 1))[0, 0]
    height, width = strength.shape
    ridge = torch.zeros_like(strength, dtype=torch.bool)
    for way, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = around[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        ridge |= (direction == way) & (strength > behind) & (strength >= ahead)
    weak, found = ridge & (strength > low_threshold), ridge & (strength > high_threshold)
    while True:
        near = F.max_pool2d(found[None, None].float(), 3, 1, 1)[0, 0] > 0
        grown = near & weak
        if bool((grown == found).all()):
            edges: Tensor = found.float()
            return edges
        found = grown


@torch.inference_mode()
def estimate_depth(pixels: Pixels, model_name: str) -> Pixels:
    """Nearness by a depth model of transformers: float32 (height, width), 0 far to 1 near.

    Raises:
        WeightsError: it cannot be had or used.
    """
    source = hub.locate(model_name)
    root = hub.fetch(source, DEPTH_MODEL_FILES)
    try:
        processor, model = _load_depth_model(
            root, *(file_sha256(root / name) for name in DEPTH_MODEL_FILES)
        )
    except Exception as error:  # the library's own errors are of a dozen kinds
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{source.title} cannot be used as a depth model: {why}.") from error
    image = Image.fromarray((pixels * 255).round().astype(np.uint8))
    seen = model(**processor(images=image, return_tensors="pt")).predicted_depth[None]
    plane = F.interpolate(seen, size=pixels.shape[:2], mode="bicubic", align_corners=False)[0, 0]
    low, high = plane.min(), plane.max()
    found: Pixels = ((plane - low) / (high - low).clamp(min=1e-12)).numpy()
    return found


@functools.lru_cache(maxsize=1)
def _load_depth_model(root: Path, *sums: str) -> tuple[Any, Any]:
    """A depth model and what prepares pictures for it, kept for the next frame of a film."""
    with silence_logging():
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        kind: Any = AutoImageProcessor
        return kind.from_pretrained(
            root, local_files_only=True
        ), AutoModelForDepthEstimation.from_pretrained(
            root, local_files_only=True, use_safetensors=True
        )


def write_control_images(folder: str, images: list[tuple[str, Pixels]]) -> list[Path]:
    """Write control pictures into a folder, to be looked at, as 1-canny.png and 2-tile.png.

    Raises:
        InputError: they cannot be written.
    """
    from impasto.pictures import write

    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--controls-out {folder} cannot be made: {error}.") from error
    paths = []
    for i, (kind, pixels) in enumerate(images, start=1):
        path = place / f"{i}-{kind}.png"
        write(pixels, path)
        paths.append(path)
    return paths
