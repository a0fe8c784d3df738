"""Models of many files: a name on the Hugging Face hub, its cache on this machine, or a folder.

Small files come first: configurations and the headers of safetensors files say what fits what
(:mod:`impasto.weights.compatibility`) before anything large is fetched. Only safetensors are ever
loaded.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from impasto.core.errors import MissingExtraError, WeightsError
from impasto.weights.integrity import check_complete, read_tensor_shapes

T = TypeVar("T")

HUB_TIMEOUT_S = 10.0
"""Seconds without an answer after which the hub is out of reach."""
PINNED_REVISIONS = {
    "stabilityai/stable-diffusion-xl-base-1.0": "462165984030d82259a11f4367a4eed129e94a7b",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    "h94/IP-Adapter": "018e402774aeeddd60609b4ecdb7e298259dc729",
    "diffusers/controlnet-canny-sdxl-1.0": "eb115a19a10d14909256db740ed109532ab1483c",
    "diffusers/controlnet-depth-sdxl-1.0": "17bb97973f29801224cd66f192c5ffacf82648b4",
    "lllyasviel/control_v11p_sd15_canny": "115a470d547982438f70198e353a921996e2e819",
    "lllyasviel/control_v11f1p_sd15_depth": "539f99181d33db39cf1af2e517cd8056785f0a87",
    "lllyasviel/control_v11f1e_sd15_tile": "3f877705c37010b7221c3d10743307d6b5b6efac",
}
"""Repository → the revision that is taken where none is named."""
REPO_ID_PATTERN = re.compile(r"[\w.-]+/[\w.-]+")
NON_COMMERCIAL_PATTERN = re.compile(
    r"non-?\s?commercial|(^|[-_\s])nc([-_\s]|$)|research-only", re.IGNORECASE
)
"""A license that says so does not allow commercial use."""


@dataclass(frozen=True)
class ModelSource:
    """Where files are.

    Attributes:
        name: as it was given.
        folder: on this machine; None for the hub.
        repo, revision: on the hub; "" for a folder.
        subpath: a folder or file in it, or "".
    """

    name: str
    folder: Path | None
    repo: str = ""
    revision: str = ""
    subpath: str = ""

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name if self.folder else f"{self.repo}@{self.revision[:12]}"

    def sibling(self, subpath: str) -> ModelSource:
        """Another place in the same repository or folder."""
        return ModelSource(self.name, self.folder, self.repo, self.revision, subpath.strip("/"))

    def path_in_repo(self, file: str = "") -> str:
        """A file's place from the root on."""
        return "/".join(part for part in (self.subpath, file) if part)

    def find_file(self, file: str = "") -> Path | None:
        """A small file, fetched if need be; None if there is none of that name.

        Raises:
            WeightsError: the hub is out of reach and the file is not on this machine.
        """
        if self.folder is not None:
            path = self.folder / self.path_in_repo(file)
            return path if path.is_file() else None
        return _fetch_small_file(self, self.path_in_repo(file))

    def read_json(self, file: str) -> dict[str, Any]:
        """A configuration.

        Raises:
            WeightsError: it is missing or no JSON.
        """
        path = self.find_file(file)
        if path is None:
            raise WeightsError(
                f"{self.title} has no {self.path_in_repo(file)}: give a folder or a name of the "
                f"hub in the "
                "layout of the library diffusers."
            )
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it is no mapping")
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path} is damaged: {error}. {self.fetch_command()}") from error
        return found

    def tensor_shapes(self, file: str = "") -> dict[str, tuple[int, ...]]:
        """Name → shape of the tensors in a safetensors file, from its header alone.

        Raises:
            WeightsError: it is missing, no safetensors, or not whole.
        """
        where = self.path_in_repo(file)
        if not where.endswith(".safetensors"):
            raise WeightsError(f"{where} of {self.title} is no .safetensors, which alone are read.")
        if self.folder is None and (cached := _cached_file(self, where)) is None:
            return _remote_shapes(self, where)
        path = cached if self.folder is None else self.folder / where
        if path is None or not path.is_file():
            raise WeightsError(f"{self.title} has no {where}.")
        return read_tensor_shapes(path, self.fetch_command())

    def fetch_command(self, files: Sequence[str] = (), force: bool = False) -> str:
        """The line that fetches it.

        Args:
            files: from the root on; none stands for all of the repository.
            force: also what is here already, as it is damaged.
        """
        if self.folder is not None:
            return "Fetch or copy it again."
        words = ["hf download", self.repo, *files, "--revision", self.revision]
        line = " ".join(words + ["--force-download"] * force)
        return f"Where there is a network, run: {line}"

    def license(self) -> str:
        """What the model's card says of its license, or ""."""
        root = self.sibling("")
        try:
            card = root.find_file("README.md")
        except WeightsError:
            return ""
        if card is None:
            return ""
        text = card.read_text("utf-8", errors="replace")
        front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
        said = dict(
            re.findall(r"^(license(?:_name)?):[ \t]*(.*)$", front[1] if front else "", re.M)
        )
        value = said.get("license_name") or said.get("license", "")
        return str(value).strip().strip("'\"")


def locate(name: str, pinned: Mapping[str, str] = PINNED_REVISIONS) -> ModelSource:
    """Where a name is.

    Args:
        name: a folder, a file, or "owner/name" of the hub; there with a revision,
            "owner/name@revision", and a place inside, "owner/name:folder/file.safetensors".
        pinned: repository → revision where none is named; for others it is "main".

    Raises:
        WeightsError: it is neither.
    """
    path = Path(name).expanduser()
    if name and path.is_dir():
        return ModelSource(name, path)
    if name and path.is_file():
        return ModelSource(name, path.parent, subpath=path.name)
    head, _, inside = name.partition(":")
    repo, _, revision = head.partition("@")
    if (
        name
        and not REPO_ID_PATTERN.fullmatch(repo)
        and (folder := Path(head).expanduser()).is_dir()
    ):
        return ModelSource(name, folder, subpath=inside)
    if (
        not REPO_ID_PATTERN.fullmatch(repo)
        or name.startswith((".", "/", "~"))
        or _looks_local(repo)
    ):
        raise WeightsError(
            f"{name!r} is no folder or file here, and no name on the hub (owner/name): check it."
        )
    return ModelSource(name, None, repo, revision or pinned.get(repo, "main"), inside)


def _looks_local(repo: str) -> bool:
    return repo.endswith((".safetensors", ".ckpt", ".bin", ".pt"))


def fetch(source: ModelSource, files: Sequence[str]) -> Path:
    """The folder in which files of a source are, fetched from the hub if they are not here.

    Args:
        source: the model.
        files: from its root on; a pattern as "tokenizer/*" may match none.

    Raises:
        WeightsError: they are not to be had, or only in part.
    """
    plain = [file for file in files if "*" not in file]
    if source.folder is not None:
        check_complete(source.folder, plain, source.title, source.fetch_command())
        return source.folder
    _require_hub()
    from huggingface_hub import snapshot_download

    def get(offline: bool) -> Path:
        return Path(
            snapshot_download(
                source.repo,
                revision=source.revision,
                allow_patterns=list(files),
                local_files_only=offline,
            )
        )

    again, anew = source.fetch_command(plain), source.fetch_command(plain, force=True)

    def whole() -> Path:
        root = get(True)
        check_complete(root, plain, source.title, again, anew)
        return root

    here: WeightsError | None = None
    try:
        return whole()
    except WeightsError as error:  # of a file that is missing or damaged
        here = error
    except Exception:  # whatever the library says where nothing of it is here
        pass
    try:
        _call_hub(source, lambda: get(False), again)
    except WeightsError as error:
        raise here or error from None
    return whole()


def list_files(source: ModelSource) -> tuple[str, ...]:
    """Every file of a source, from its root on: on this machine, or as the hub lists them.

    Raises:
        WeightsError: the hub is out of reach, and it is not on this machine.
    """
    if source.folder is not None:
        found = (p for p in source.folder.rglob("*") if p.is_file())
        return tuple(sorted(p.relative_to(source.folder).as_posix() for p in found))
    return _list_repo_files(source.repo, source.revision, source)


@functools.lru_cache(maxsize=64)
def _list_repo_files(repo: str, revision: str, source: ModelSource) -> tuple[str, ...]:
    _require_hub()
    from huggingface_hub import HfApi

    local: tuple[str, ...] = ()
    if (root := snapshot_folder(source)) is not None:
        found = (p for p in root.rglob("*") if p.is_file())
        local = tuple(sorted(p.relative_to(root).as_posix() for p in found))
        if is_offline():
            return local
    try:
        listed = _call_hub(source, lambda: HfApi().list_repo_files(repo, revision=revision))
    except WeightsError:
        if local:
            return local
        raise
    return tuple(sorted(listed))


def snapshot_folder(source: ModelSource) -> Path | None:
    """The folder of a hub's model in the cache on this machine, whole or not; None: not here."""
    if source.folder is not None:
        return source.folder
    _require_hub()
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source.repo, revision=source.revision, local_files_only=True))
    except Exception:  # whatever the library says of what is not there
        return None


def commit_hash(source: ModelSource) -> str:
    """The commit that is taken of a hub's model, for the recipe; "" for a folder."""
    found = snapshot_folder(source) if source.folder is None else None
    return found.name if found else ""


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _require_hub() -> None:
    if not _has_hub():
        raise MissingExtraError(
            'Diffusion models need an extra; run: pip install "impasto[diffusion]"'
        )


@functools.cache
def _has_hub() -> bool:
    import importlib.util

    return importlib.util.find_spec("huggingface_hub") is not None


def _cached_file(source: ModelSource, file: str) -> Path | None:
    _require_hub()
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repo, file, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def _fetch_small_file(source: ModelSource, file: str) -> Path | None:
    if (found := _cached_file(source, file)) is not None:
        return found
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def get() -> str | None:
        try:
            return hf_hub_download(
                source.repo, file, revision=source.revision, etag_timeout=HUB_TIMEOUT_S
            )
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None

    path = _call_hub(source, get)
    return Path(path) if path else None


def _remote_shapes(source: ModelSource, file: str) -> dict[str, tuple[int, ...]]:
    from huggingface_hub import HfApi

    found = _call_hub(
        source,
        lambda: HfApi().parse_safetensors_file_metadata(
            source.repo, file, revision=source.revision
        ),
    )
    return {name: tuple(tensor.shape) for name, tensor in found.tensors.items()}


def _call_hub(source: ModelSource, call: Callable[[], T], fetch_command: str = "") -> T:
    """Ask the hub, and say in our words what went wrong.

    ``fetch_command`` is the line that fetches it.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    away = f"{source.title} is not on this machine, and"
    then = f"{fetch_command or source.fetch_command()}; or give a folder."
    if is_offline():
        raise WeightsError(f"{away} HF_HUB_OFFLINE forbids to fetch it. {then}")
    try:
        return call()
    except GatedRepoError as error:
        raise WeightsError(
            f"{source.repo} asks you to agree to its license first: do so on its page on the hub, "
            "then run: hf auth login"
        ) from error
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{away} the hub is out of reach. {then}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise WeightsError(f"The hub has no {source.title}: check the name.") from error
    except EntryNotFoundError as error:
        raise WeightsError(
            f"{source.title} has no {source.path_in_repo() or 'such file'}."
        ) from error
    except Exception as error:  # of the network, of which the library has several kinds
        raise WeightsError(f"{away} the hub is out of reach. {then}") from error


def filter_names(names: Sequence[str], *patterns: str) -> list[str]:
    """The names that match one of some patterns."""
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
