"""CLIP: pictures and words in one space, where the cosine says how well they fit.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
ICML 2021, through the library ``transformers`` (the extra ``clip``). No weights come along: they
are taken from a folder, from the hub's cache on this machine, or once from the hub.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.core.errors import MissingExtraError, WeightsError
from impasto.core.picture import Raster
from impasto.pictures import resize

DEFAULT_MODEL = "openai/clip-vit-base-patch32"
PINNED_REVISIONS = {DEFAULT_MODEL: "c237dc49a33fc61debc9276459120b7eac67e7ef"}
"""Name → the revision that is taken. That of the default holds safetensors, which ``main`` lacks
(605 MB; MIT license)."""
DOWNLOAD_PATTERNS = ("*.json", "merges.txt", "*.safetensors")
"""Files of a repository that are fetched; no weights that would have to be unpickled."""
MAX_CROPS = 8
"""Of a longer strip, this many squares are looked at."""
MIN_CROP_FRACTION = 0.02
"""The part of a square that is not worth a look of its own."""
HUB_TIMEOUT_SECONDS = 10.0
"""Seconds without an answer after which the hub is out of reach."""
MODEL_BYTES = 620_000_000
"""Of the default model in memory, about."""
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures CLIP was trained on; a model's own ``preprocessor_config.json`` goes before."""


class Clip:
    """A CLIP in fp32, on the processor.

    Args:
        name: a model on the hub ("openai/clip-vit-base-patch32", or with a revision,
            "name@revision"), or a folder with what ``save_pretrained`` of model and tokenizer
            writes. "" means ``$IMPASTO_CLIP``, or else the default.
        fetch: whether a model that is not here is fetched from the hub. Never with
            ``HF_HUB_OFFLINE=1``.

    Raises:
        MissingExtraError: the extra ``clip`` is not installed.
        WeightsError: a model that is not here and not fetched, or that is no CLIP.
    """

    def __init__(self, name: str = "", *, fetch: bool = True) -> None:
        if importlib.util.find_spec("transformers") is None:
            raise MissingExtraError('CLIP needs an extra; run: pip install "impasto[clip]"')
        self.name = name or os.environ.get("IMPASTO_CLIP", "") or DEFAULT_MODEL
        folder = _resolve_folder(self.name, fetch)
        self._model, self._tokenizer = _load(folder, self.name)
        self._image_side = int(self._model.config.vision_config.image_size)
        self._max_tokens = int(self._model.config.text_config.max_position_embeddings)
        self._mean, self._std = _preprocessing(folder)

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Raster]) -> Tensor:
        """Where pictures lie: unit vectors (N, D).

        All of a picture is seen. Where it is not square, CLIP looks at as many squares as cover
        it, evenly laid, and their vectors are averaged.

        Args:
            images: RGB 0..1, shape (height, width, 3) each.
        """
        return torch.stack([self._embed_image(picture) for picture in images])

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Where texts lie: unit vectors (N, D). What is longer than CLIP can read is cut off."""
        given = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
        )
        seen = self._model.text_model(
            input_ids=given["input_ids"], attention_mask=given["attention_mask"]
        )
        return _unit_vectors(self._model.text_projection(seen.pooler_output))

    def _embed_image(self, picture: Raster) -> Tensor:
        squares = torch.stack(
            [self._preprocess(square) for square in _square_crops(picture, self._image_side)]
        )
        seen = self._model.vision_model(pixel_values=squares)
        each = _unit_vectors(self._model.visual_projection(seen.pooler_output))
        return _unit_vectors(each.mean(0))

    def _preprocess(self, square: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.asarray(square, np.float32) / 255).permute(2, 0, 1)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self._mean, self._std))
        return (pixels - mean) / std


def is_available(name: str = "") -> bool:
    """Whether a CLIP is on this machine, as far as its files show; see :class:`Clip` for names."""
    if importlib.util.find_spec("transformers") is None:
        return False
    try:
        _resolve_folder(name or os.environ.get("IMPASTO_CLIP", "") or DEFAULT_MODEL, fetch=False)
    except WeightsError:
        return False
    return True


def _square_crops(picture: Raster, side: int) -> list[Image.Image]:
    """The squares that cover a picture, each of ``side`` pixels."""
    height, width = picture.shape[:2]
    if min(height, width) > 4 * side:  # such a picture may lie on disk
        scale = 4 * side / min(height, width)
        picture = resize(picture, round(height * scale), round(width * scale))
        height, width = picture.shape[:2]
    image = Image.fromarray((np.asarray(picture).clip(0, 1) * 255).round().astype(np.uint8))
    scale = side / min(height, width)
    across, down = max(side, round(width * scale)), max(side, round(height * scale))
    small = image.resize((across, down), Image.Resampling.BICUBIC)
    rest = max(across, down) - side
    count = min(MAX_CROPS, 1 + math.ceil(rest / side - MIN_CROP_FRACTION))
    starts = np.linspace(0, rest, count) if count > 1 else [rest / 2]
    corners = [(round(s), 0) if across >= down else (0, round(s)) for s in starts]
    return [small.crop((left, top, left + side, top + side)) for left, top in corners]


def _unit_vectors(vectors: Tensor) -> Tensor:
    length: Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / length


def _resolve_folder(name: str, fetch: bool) -> Path:
    """The folder of a model: the one named, or the hub's snapshot of it on this machine."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise WeightsError(
            f"There is no CLIP {name}: give a folder, or a name on the hub such as {DEFAULT_MODEL}."
        )
    revision = revision or PINNED_REVISIONS.get(repository, "main")
    if found := _cached_snapshot(repository, revision):
        return found
    if not fetch:
        raise WeightsError(
            f"CLIP {name} is not on this machine. Named with --clip {name}, it is fetched once "
            "(600 MB for the usual one); a folder will do as well."
        )
    return _download_snapshot(repository, revision)


def _cached_snapshot(repository: str, revision: str) -> Path | None:
    """The snapshot of a repository in the hub's cache, if it is there and whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (OSError, ValueError, HFValidationError):
        return None
    whole = all(any(folder.glob(each)) for each in ("config.json", "*.safetensors", "tokenizer*"))
    return folder if whole else None


def _download_snapshot(repository: str, revision: str) -> Path:
    """The same, fetched from the hub."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    get = f"hf download {repository} --revision {revision}"
    elsewhere = f"Where there is a network, run: {get}; then give that folder with --clip DIR."
    try:
        # Asked first, as the library tries for a minute what is out of reach.
        HfApi().model_info(repository, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
        snapshot_download(repository, revision=revision, allow_patterns=list(DOWNLOAD_PATTERNS))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise WeightsError(
            f"The hub has no {repository} at {revision}: check the name, such as {DEFAULT_MODEL}."
        ) from error
    except OfflineModeIsEnabled as error:
        raise WeightsError(
            f"CLIP {repository} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it. "
            f"{elsewhere}"
        ) from error
    except Exception as error:  # of the network, of which the library has several kinds
        raise WeightsError(
            f"CLIP {repository} is not on this machine, and the hub is out of reach. {elsewhere}"
        ) from error
    if found := _cached_snapshot(repository, revision):
        return found
    raise WeightsError(
        f"{repository} at {revision} holds no CLIP as safetensors, which alone are loaded."
    )


def _load(folder: Path, name: str) -> tuple[Any, Any]:
    """The model and tokenizer in a folder."""
    with _silence_logging():
        try:
            from transformers import CLIPModel, CLIPTokenizer
        except Exception as error:  # whatever a package that it finds here raises
            raise MissingExtraError(
                "CLIP cannot be loaded: the library transformers fails on import, as with a "
                "torchvision of another release than torch. Remove torchvision, or run: "
                'pip install --force-reinstall "impasto[clip]"'
            ) from error
        if not (folder / "config.json").is_file():
            raise WeightsError(f"{name} holds no CLIP: it has no config.json.")
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            if config.get("model_type") != "clip":
                raise ValueError(f"its config.json is of {config.get('model_type')!r}")
            model = CLIPModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # the library's own errors are of a dozen kinds
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(f"{name} cannot be used as a CLIP: {why}.") from error
    return model.requires_grad_(False), tokenizer  # from_pretrained has called eval


def _preprocessing(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation that the model's pictures had."""
    file = folder / "preprocessor_config.json"
    told = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return tuple(told.get("image_mean", IMAGE_MEAN)), tuple(told.get("image_std", IMAGE_STD))


@contextlib.contextmanager
def _silence_logging() -> Iterator[None]:
    """The library draws bars and gives advice; both are not for our users."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
