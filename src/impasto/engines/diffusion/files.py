"""The files of a diffusion model: which are loaded, fetched if need be, and read by diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.core.errors import WeightsError
from impasto.engines.diffusion.memory import is_out_of_memory
from impasto.weights import hub
from impasto.weights.compatibility import BaseModelInfo
from impasto.weights.hub import ModelSource
from impasto.weights.integrity import file_digests


def versioned_title(source: ModelSource) -> str:
    """What a recipe calls a source: with its commit, if it is of the hub."""
    if source.folder is not None:
        return source.folder.name
    return f"{source.repo}@{hub.commit_hash(source) or source.revision}"


def fetch_model_files(
    source: ModelSource, base: BaseModelInfo, half: bool
) -> tuple[Path, list[str]]:
    """A model's folder on this machine, and the files in it that are loaded.

    Raises:
        WeightsError: it is not to be had, or not whole.
    """
    inside = source.path_in_repo("") + "/" if source.subpath else ""
    listed = [n.removeprefix(inside) for n in hub.list_files(source) if n.startswith(inside)]
    names = select_model_files(listed, base, half)
    root = hub.fetch(source, [source.path_in_repo(name) for name in names])
    return root / source.subpath, names


def fetch_network_files(source: ModelSource, half: bool) -> tuple[Path, list[str]]:
    """The same of a ControlNet or a motion adapter; its files count from the folder on."""
    stem = "diffusion_pytorch_model"
    variant = half and source.path_in_repo(f"{stem}.fp16.safetensors") in hub.list_files(source)
    names = ["config.json", f"{stem}.fp16.safetensors" if variant else f"{stem}.safetensors"]
    return hub.fetch(source, [source.path_in_repo(name) for name in names]) / source.subpath, names


def fetch_encoder_files(source: ModelSource) -> tuple[Path, list[str]]:
    """The same of an image encoder."""
    names = ["config.json", "model.safetensors"]
    return hub.fetch(source, [source.path_in_repo(name) for name in names]) / source.subpath, names


def fetch_single_file(source: ModelSource) -> tuple[Path, list[str]]:
    """The same of an IP-Adapter or a LoRA, which is a single file."""
    place = PurePosixPath(source.path_in_repo())
    return hub.fetch(source, [source.path_in_repo()]) / place.parent, [place.name]


def component_digests(
    source: ModelSource, fetched: tuple[Path, list[str]], single_file: bool = False
) -> dict[str, str]:
    """Name and sha256 of every file of a source, as a recipe lists them.

    Args:
        source: the model.
        fetched: as one of the functions above gives it.
        single_file: whether the source is a single file.
    """
    root, names = fetched
    inside = str(PurePosixPath(source.subpath).parent) if single_file else source.subpath
    title = versioned_title(source) + (f"/{inside}" if inside not in ("", ".") else "")
    return file_digests(root, names, title)


def select_model_files(available: Sequence[str], base: BaseModelInfo, half: bool) -> list[str]:
    """The files of a model that are loaded: of fp16, if there are such and half precision is asked.

    Where there are only those, they are taken for fp32 too.

    Raises:
        WeightsError: it has no safetensors.
    """
    nets = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
    nets |= dict.fromkeys(base.text_encoders, "model")
    for kind in (".fp16", "") if half else ("", ".fp16"):
        files = [_weights_file(available, part, stem, kind) for part, stem in nets.items()]
        if all(files):
            others = [
                n
                for n in available
                if _is_config_file(n, (*nets, "scheduler", "tokenizer", "tokenizer_2"))
            ]
            return sorted({"model_index.json", *(f for f in files if f), *others})
    lacking = [part for part, stem in nets.items() if not _weights_file(available, part, stem, "")]
    raise WeightsError(
        f"{base.source.title} has no .safetensors, which alone are loaded, for "
        f"{', '.join(lacking)}. {base.source.fetch_command()}"
    )


def _weights_file(listed: Sequence[str], part: str, stem: str, kind: str) -> str:
    """The file of a part's weights, or the index of several; "" if there is none."""
    names = (f"{part}/{stem}{kind}.safetensors", f"{part}/{stem}.safetensors.index{kind}.json")
    return next((name for name in names if name in listed), "")


def _is_config_file(name: str, parts: Sequence[str]) -> bool:
    folder, _, file = name.partition("/")
    return folder in parts and file.endswith((".json", ".txt")) and "index" not in file


def load_pretrained(source: ModelSource, model_class: Any, folder: Path, **options: Any) -> Any:
    """``from_pretrained`` of a local folder, its errors in our words.

    Raises:
        WeightsError: it cannot be read.
    """
    given = {
        name: value
        for name, value in options.items()
        if value is not None or name == "safety_checker"
    }
    try:
        return model_class.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, **given
        )
    except Exception as error:  # the libraries' own errors are of a dozen kinds
        if is_out_of_memory(error):
            raise
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"{source.title} cannot be loaded: {why} {source.fetch_command()}"
        ) from error
