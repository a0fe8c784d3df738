"""Pictures that are already in memory: Pillow images, arrays and tensors."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.core.errors import InputError
from impasto.core.picture import Picture
from impasto.pictures.decoded import DecodedImage, from_pillow
from impasto.pictures.read import read


def as_picture(image: object, name: str = "picture") -> Picture:
    """A picture from whatever a caller has at hand.

    Args:
        image: a path (see :func:`read`); a :class:`Picture`, returned as it is; a Pillow image,
            with its orientation, profile and transparency; an array (height, width) or
            (height, width, 1, 3 or 4) of uint8, uint16, or floats in 0..1, taken as sRGB, a
            fourth channel as alpha; a tensor (3, height, width) or (1, 3, height, width) likewise.
        name: what messages call it; a path is called by itself.

    Raises:
        InputError: another type, shape or number type; NaN; floats outside 0..1.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, (str, os.PathLike)):
        return read(image)
    torch = sys.modules.get("torch")
    if isinstance(image, Image.Image):
        samples = from_pillow(image, name)
    elif isinstance(image, np.ndarray):
        samples = _decode_array(image, name)
    elif torch is not None and isinstance(image, torch.Tensor):
        samples = _decode_tensor(image, name)
    else:
        raise InputError(
            f"Cannot use {name}: it is a {type(image).__name__}; "
            "give a path, a Pillow image, an array or a tensor."
        )
    picture = samples.to_picture(name, "")
    digest = hashlib.sha256(np.asarray(picture.pixels).tobytes())
    if picture.alpha is not None:
        digest.update(np.asarray(picture.alpha).tobytes())
    return dataclasses.replace(picture, sha256=digest.hexdigest())


def _decode_array(values: NDArray[Any], name: str) -> DecodedImage:
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or 0 in values.shape:
        raise InputError(
            f"Cannot use {name}: its shape is {values.shape}; an array must be "
            "(height, width) or (height, width, 1, 3 or 4)."
        )
    if values.dtype == np.uint8:
        return DecodedImage(values)
    if values.dtype == np.uint16:
        return DecodedImage(values, max_value=65535.0)
    if values.dtype.kind == "f":
        return DecodedImage(values.astype(np.float32), max_value=1.0)
    raise InputError(
        f"Cannot use {name}: its numbers are {values.dtype}; give uint8, uint16, or floats in 0..1."
    )


def _decode_tensor(tensor: Any, name: str) -> DecodedImage:
    shape = tuple(tensor.shape)
    if shape[-3:-2] != (3,) or shape[:-3] not in ((), (1,)):
        raise InputError(
            f"Cannot use {name}: its shape is {shape}; a tensor must be "
            "(3, height, width) or (1, 3, height, width)."
        )
    tensor = tensor.detach().cpu().reshape(shape[-3:])
    values = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return _decode_array(np.moveaxis(values, 0, 2), name)
