"""Every trial is kept: an Optuna study in an SQLite file, and small pictures beside it.

Only finished trials are written, each in one transaction: a run that is killed loses the trial it
was at, and the next run goes on from there. The file is a usual Optuna study; optuna-dashboard
shows it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from impasto.advise.tune.search_space import SearchSpace
from impasto.advise.tune.trial import Trial
from impasto.core.errors import ImpastoError, InputError
from impasto.core.picture import Raster
from impasto.pictures import fit_long_side, read, resize, write

if TYPE_CHECKING:
    import optuna

THUMBNAIL_SIDE_PX = 256
"""Long side in pixels of the pictures that are kept."""
SQLITE_MAGIC = b"SQLite format 3\0"


class TrialStorage:
    """The trials of one search, in a file or in memory.

    Args:
        path: the SQLite file, made if it is missing; it may hold other studies. None: in memory.
        name: of the study in it. Where it is there already, its trials are gone on from.
        about: what the study is of, written down where it is new.
        space: what is searched.

    Raises:
        InputError: a file that is no study, or that cannot be written.
    """

    def __init__(
        self, path: Path | None, name: str, about: Mapping[str, Any], space: SearchSpace
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path, self.space = path, space
        if path:
            _check(path)
        try:
            storage = _storage(path) if path else optuna.storages.InMemoryStorage()
            self._study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
            known = self._study.user_attrs
            for key, value in about.items():
                if key not in known:
                    self._study.set_user_attr(key, value)
            self.about: dict[str, Any] = self._study.user_attrs
            self.trials = [t for f in self._study.get_trials() if (t := _trial(f)) is not None]
        except Exception as error:  # SQLAlchemy's, Optuna's and SQLite's own are many
            raise _storage_error(path, error) from error

    def note(self, key: str, value: Any) -> None:
        """Write down something about the study.

        Raises:
            InputError: it cannot be written.
        """
        try:
            self._study.set_user_attr(key, value)
        except Exception as error:
            raise _storage_error(self.path, error) from error
        self.about[key] = value

    def add(self, trial: Trial) -> None:
        """Keep a trial.

        Raises:
            InputError: it cannot be written. It is in ``trials`` all the same.
        """
        self.trials.append(trial)
        try:
            self._study.add_trial(_frozen(trial, self.space))
        except Exception as error:
            raise _storage_error(self.path, error) from error


class TrialThumbnails:
    """Small pictures of trials, by name: files in a folder, or in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def add(self, name: str, pixels: Raster) -> None:
        """Keep a picture, reduced to :data:`THUMBNAIL_SIDE_PX`.

        Raises:
            InputError: it cannot be written.
        """
        height, width = pixels.shape[:2]
        size = fit_long_side(height, width, min(THUMBNAIL_SIDE_PX, max(height, width)))
        small = np.asarray(resize(pixels, *size))
        self._kept[name] = np.rint(small.clip(0, 1) * 255).astype(np.uint8)
        if self.folder:
            try:
                self.folder.mkdir(exist_ok=True)
            except OSError as error:
                raise InputError(f"Cannot make the folder {self.folder}: {error}.") from error
            write(small, self.folder / f"{name}.jpg", quality=88)

    def get(self, name: str) -> Raster | None:
        """The picture of that name; None if it is lost."""
        if name in self._kept:
            return self._kept[name].astype(np.float32) / np.float32(255)
        path = self.folder / f"{name}.jpg" if self.folder else None
        if path is None or not path.exists():
            return None
        try:
            return read(path).pixels
        except ImpastoError:
            return None


def thumbnail_folder(study: Path) -> Path:
    """The folder of a study's pictures: tune.db has them in tune.trials."""
    return study.parent / f"{study.stem}.trials"


def _check(path: Path) -> None:
    """Refuse a file that is no SQLite file, before anything is written into it."""
    if path.is_dir():
        raise InputError(f"The study {path} is a folder: give a file, as tune.db.")
    if not path.parent.is_dir():
        raise InputError(f"The study {path} cannot be made: there is no folder {path.parent}.")
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_MAGIC))
    except OSError as error:
        raise InputError(f"Cannot read the study {path}: {error.strerror}.") from error
    if start not in (b"", SQLITE_MAGIC):
        raise InputError(f"{path} is no study (no SQLite file): choose another name.")


def _storage(path: Path) -> optuna.storages.RDBStorage:
    import optuna
    from sqlalchemy.pool import NullPool

    # By its own name: in an address, a name with a "?" or "%" in it would be another one.
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=30.0, check_same_thread=False)

    return optuna.storages.RDBStorage(
        "sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool}
    )


def _storage_error(path: Path | None, error: Exception) -> InputError:
    reason = str(getattr(error, "orig", None) or error.__cause__ or error).strip().splitlines()
    return InputError(
        f"The study {path} cannot be used: {reason[0] if reason else type(error).__name__}. "
        "Choose another name, or make room."
    )


def _frozen(trial: Trial, space: SearchSpace) -> optuna.trial.FrozenTrial:
    import optuna

    params, known = space.params(trial.knobs), space.distributions()
    return optuna.trial.create_trial(
        value=trial.score,
        params=params,
        distributions={name: known[name] for name in params},
        user_attrs={
            "number": trial.number,
            "knobs": dict(trial.knobs),
            "by": trial.by,
            "measures": dict(trial.measures),
            "seconds": trial.seconds,
            "why": trial.why,
            "final": trial.final,
        },
    )


def _trial(frozen: optuna.trial.FrozenTrial) -> Trial | None:
    """A trial as it was written; None for one that is not ours."""
    try:
        return Trial(score=float(frozen.values[0]), **frozen.user_attrs)
    except (TypeError, ValueError):
        return None
