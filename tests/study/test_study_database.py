"""The file: what is no study, or one of another version, and what happens while it is shared."""

import sqlite3

import pytest
from small_study import answer_all, copied_study, session_of

from impasto.core.errors import InputError
from impasto.study.database import StudyDatabase
from impasto.study.report import report


@pytest.fixture
def path(tmp_path):
    return copied_study(tmp_path)


def changed(path, statement):
    with sqlite3.connect(path) as base:
        base.execute(statement)
    return path


def test_a_missing_file_is_told_with_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match=r"no study .*none\.study.*impasto study new"):
        StudyDatabase(tmp_path / "none.study")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 9000, b"SQLite format 3\0" + b"x" * 90])
def test_another_file_is_no_study(tmp_path, content):
    (tmp_path / "x.study").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.study (is no study|is damaged)"):
        StudyDatabase(tmp_path / "x.study")


def test_another_programs_database_is_no_study(tmp_path):
    with pytest.raises(InputError, match="is no study"):
        StudyDatabase(changed(tmp_path / "other.db", "CREATE TABLE answer (id)"))


def test_a_folder_is_no_study(tmp_path):
    with pytest.raises(InputError, match="no study"):
        StudyDatabase(tmp_path)


@pytest.mark.parametrize(("version", "words"), [(0, "an older Impasto"), (2, "a later Impasto")])
def test_another_format_is_refused_with_its_number(path, version, words):
    changed(path, f"PRAGMA user_version = {version}")
    with pytest.raises(InputError, match=f"{words}: its format is {version}, this one reads 1"):
        report(path)


def test_a_damaged_study_is_told(path):
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        report(path)


def test_a_block_that_fails_changes_nothing(path):
    store = StudyDatabase(path)

    def fail():
        with store.write_transaction() as base:
            base.execute("INSERT INTO rater (key, goal) VALUES ('x', 1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.read_transaction() as base:
        assert base.execute("SELECT count(*) FROM rater").fetchone()[0] == 0


def test_reading_cannot_change_anything(path):
    with (
        pytest.raises(InputError, match="readonly"),
        StudyDatabase(path).read_transaction() as base,
    ):
        base.execute("DELETE FROM answer")


def test_somebody_who_reads_does_not_keep_raters_waiting(path):
    store = StudyDatabase(path)
    with store.wal_mode(), store.read_transaction() as reader:
        before = reader.execute("SELECT count(*) FROM answer").fetchone()[0]
        session = session_of(path)
        answer_all(session, session.add_rater(), lambda view: "left", most=3)
        during = reader.execute("SELECT count(*) FROM answer").fetchone()[0]
    assert (before, during) == (0, 0)  # it saw one state of the file
    assert report(path).answers == 3


def test_afterwards_a_study_is_one_file(path):
    with StudyDatabase(path).wal_mode():
        session = session_of(path)
        answer_all(session, session.add_rater(), lambda view: "left", most=1)
        with sqlite3.connect(path) as base:
            assert base.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        base.close()
    assert sorted(f.name for f in path.parent.iterdir()) == ["small.study"]
    assert path.read_bytes()[18:20] == b"\1\1"  # 2 would be WAL, which a read-only folder refuses
    assert report(path).answers == 1


def test_a_path_with_odd_characters_is_just_a_path(tmp_path):
    path = copied_study(tmp_path / "what? #1 100%")
    assert session_of(path).add_rater()


def test_the_tables_have_no_place_for_names_addresses_or_times(path):
    with sqlite3.connect(path) as base:
        columns = {
            table: {row[1] for row in base.execute(f"PRAGMA table_info({table})")}
            for table in ("rater", "trial", "answer")
        }
    assert columns == {
        "rater": {"id", "key", "goal"},
        "trial": {"id", "token", "rater", "place", "scene", "left", "right", "repeats"},
        "answer": {"id", "trial", "question", "choice"},
    }
