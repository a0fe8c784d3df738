"""The file of a study: one SQLite database with the pictures, the pairs and the answers.

It may be used by several threads and programs at once. While it is served it is in WAL mode, with
two small files beside it; afterwards it is one file again. It holds no names and no times.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from impasto.core.errors import InputError

FORMAT_VERSION = 1
"""Of the tables; a file of another format is refused."""

_APPLICATION_ID = 0x494D5331
"""What marks an SQLite file as a study: "IMS1"."""

_LOCK_TIMEOUT_SECONDS = 30.0
"""Seconds to wait for another rater's answer to be written."""

_SYNCHRONOUS = "FULL"
"""SQLite's word for: an answer that was taken is on the disk, also if the power fails then."""

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE method (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE picture (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,      -- its address; tells nothing
    sha256 TEXT NOT NULL,            -- of the file that it was made from
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    jpeg BLOB NOT NULL
);
CREATE TABLE scene (                 -- a content in a style, painted by every method
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    content INTEGER REFERENCES picture,
    style INTEGER REFERENCES picture
);
CREATE TABLE result (
    scene INTEGER NOT NULL REFERENCES scene,
    method INTEGER NOT NULL REFERENCES method,
    picture INTEGER NOT NULL REFERENCES picture,
    PRIMARY KEY (scene, method)
) WITHOUT ROWID;
CREATE TABLE rater (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,        -- sha256 of what the rater's browser keeps
    goal INTEGER NOT NULL            -- how many pairs, repeats not counted
);
CREATE TABLE trial (                 -- a pair as it is shown to one rater
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    rater INTEGER NOT NULL REFERENCES rater,
    place INTEGER NOT NULL,
    scene INTEGER NOT NULL REFERENCES scene,
    left INTEGER NOT NULL REFERENCES method,
    right INTEGER NOT NULL REFERENCES method,
    repeats INTEGER REFERENCES trial,
    UNIQUE (rater, place)
);
CREATE TABLE answer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trial INTEGER NOT NULL REFERENCES trial,
    question TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right', 'neither')),
    UNIQUE (trial, question)
);
"""


class StudyDatabase:
    """A study's file, checked when it is opened.

    Raises:
        InputError: no such file, no study, or one of another format.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(
                f"There is no study {path}. Make one: impasto study new {path} DIR DIR"
            )
        with self.read_transaction() as base:
            marked = base.execute("PRAGMA application_id").fetchone()[0]
            found = base.execute("PRAGMA user_version").fetchone()[0]
        if marked != _APPLICATION_ID:
            raise self._no_study_error()
        if found != FORMAT_VERSION:
            age, way = (
                ("a later", "update Impasto")
                if found > FORMAT_VERSION
                else ("an older", "make anew")
            )
            raise InputError(
                f"{path} was made by {age} Impasto: its format is {found}, this one reads "
                f"{FORMAT_VERSION}; {way}, or use the Impasto that made it."
            )

    @contextlib.contextmanager
    def read_transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file and changes nothing.

        Raises:
            InputError: the file cannot be read.
        """
        with self._translate_errors(), _connect(self._uri("ro")) as base:
            base.execute("BEGIN")
            yield base

    @contextlib.contextmanager
    def write_transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are on disk when the block ends, all of them or none.

        Only one writes at a time; the others wait.

        Raises:
            InputError: the file cannot be written.
        """
        with self._translate_errors(), _connect(self._uri("rw")) as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")

    @contextlib.contextmanager
    def wal_mode(self) -> Iterator[None]:
        """Let readers and a writer not wait for each other while the block lasts (WAL)."""
        with self._translate_errors(), _connect(self._uri("rw")) as base:
            base.execute("PRAGMA journal_mode = WAL")
        try:
            yield
        finally:
            # One file again, unless somebody else still uses it, who will see to it.
            with contextlib.suppress(sqlite3.Error), _connect(self._uri("rw"), 1.0) as base:
                base.execute("PRAGMA journal_mode = DELETE")

    def get_metadata(self, key: str) -> str:
        """What was noted about the study as a whole when it was made."""
        with self.read_transaction() as base:
            row = base.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return str(row[0])

    def _uri(self, mode: str) -> str:
        return f"{self.path.absolute().as_uri()}?mode={mode}"

    def _no_study_error(self) -> InputError:
        return InputError(f"{self.path} is no study: give a file that impasto study new has made.")

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """What SQLite finds wrong, in our words."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):  # a defect of ours
            raise
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{self.path} cannot be used now: SQLite says {str(error)!r}. Make room, see that "
                "you may write it and its folder, and that no other program holds it."
            ) from error
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise self._no_study_error() from error
            raise InputError(
                f"{self.path} is damaged: SQLite says {str(error)!r}. Take an earlier copy."
            ) from error


@contextlib.contextmanager
def create_database(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """A connection to fill a new study with: the empty file ``path`` gets the tables."""
    with _connect(os.fspath(path)) as base:
        base.executescript(_SCHEMA)
        base.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        base.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        base.execute("BEGIN")
        yield base
        base.execute("COMMIT")


@contextlib.contextmanager
def _connect(address: str, timeout: float = _LOCK_TIMEOUT_SECONDS) -> Iterator[sqlite3.Connection]:
    """A connection whose transactions are ours to begin and end, closed after the block."""
    uri = address.startswith("file:")
    with contextlib.closing(
        sqlite3.connect(address, timeout=timeout, isolation_level=None, uri=uri)
    ) as base:
        base.row_factory = sqlite3.Row
        base.execute("PRAGMA foreign_keys = ON")
        base.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
        yield base
