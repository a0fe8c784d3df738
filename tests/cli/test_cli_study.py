"""The verb study, from the command line to the file and back."""

import csv
import http.client
import json
import re
import signal
from urllib.parse import urlsplit

import pytest
from small_study import (
    METHODS,
    SCENES,
    answer_all,
    copied_study,
    folders,
    preferring,
    session_of,
)

from impasto.study.server import listen


@pytest.fixture
def results(tmp_path):
    return folders(tmp_path / "results")


@pytest.fixture
def path(tmp_path):
    return copied_study(tmp_path)


@pytest.fixture
def answered(path):
    session = session_of(path)
    for order in (METHODS, METHODS, METHODS[::-1]):
        answer_all(session, session.add_rater(), preferring(path, order))
    return path


def test_new_names_methods_after_their_folders_or_as_it_is_told(impasto, results, tmp_path):
    done = impasto(
        *("study", "new", tmp_path / "a.study", results["zebra"], f"horse={results['okapi']}"),
        *("--contents", tmp_path / "results/contents", "--styles", tmp_path / "results/styles"),
    )
    assert done.code == 0, done.err
    assert "zebra, horse on 4 scenes, 4 pairs to compare" in done.out
    assert "warning" not in done.err
    assert "impasto study serve" in done.err


def test_new_as_json_lists_what_went_in(impasto, results, tmp_path):
    (results["okapi"] / "canal-wave.png").unlink()
    done = impasto("study", "new", tmp_path / "a.study", *results.values(), "--json")
    assert done.json["methods"] == list(METHODS)
    assert done.json["scenes"] == sorted(set(SCENES) - {"canal-wave"})
    assert any("canal-wave" in warning for warning in done.json["warnings"])
    assert "canal-wave" in done.err


def test_a_folder_with_an_equals_sign_in_its_name_is_a_folder(impasto, results, tmp_path):
    odd = results["zebra"].rename(tmp_path / "a=b")
    done = impasto("study", "new", tmp_path / "a.study", odd, results["okapi"])
    assert done.code == 0, done.err
    assert "a=b, okapi on" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "two methods at least, each with a folder of its own; none was given"),
        (["zebra"], "only zebra was given"),
        (["zebra", "nowhere"], "There is no folder"),
        (["zebra", "=okapi"], "has no name"),
        (["zebra", "zebra=okapi"], "Two methods are called zebra"),
        (["zebra", "other=zebra"], "are the same folder"),
    ],
)
def test_new_refuses_what_is_no_comparison(impasto, results, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path / "results")
    done = impasto("study", "new", "a.study", *words)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_new_says_which_names_the_folders_have(impasto, results, tmp_path):
    other = folders(tmp_path / "others", scenes=("lake-wave",))
    done = impasto("study", "new", tmp_path / "a.study", results["zebra"], other["okapi"])
    assert done.code == 2
    assert "No picture has the same name in all folders" in done.err
    assert "lake-wave" in done.err


def test_new_keeps_a_study_that_is_there(impasto, results, answered):
    before = answered.read_bytes()
    done = impasto("study", "new", answered, *results.values())
    assert done.code == 2
    assert "may hold answers" in done.err
    assert answered.read_bytes() == before


@pytest.mark.parametrize("verb", ["serve", "report"])
def test_what_is_no_study_is_told(impasto, tmp_path, verb):
    (tmp_path / "notes.txt").write_text("no study, but long enough to be looked at" * 30)
    for name, words in (("none.study", "There is no study"), ("notes.txt", "is no study")):
        done = impasto("study", verb, tmp_path / name)
        assert done.code == 2
        assert words in done.err


def test_a_port_in_use_is_told(impasto, path):
    with listen(port=0) as door:
        port = door.getsockname()[1]
        done = impasto("study", "serve", path, "--port", port)
    assert done.code == 2
    assert f"Port {port}" in done.err
    assert "--port 0" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_serve_ends_in_good_order_when_it_is_stopped(start, path, number):
    serving = start("study", "serve", path, "--port", "0")
    url = serving.process.stdout.readline().strip()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", "/")
    assert b"Begin" in connection.getresponse().read()
    serving.signal(number)
    done = serving.end()
    connection.close()
    assert done.code == 0
    assert "Traceback" not in done.err
    assert "impasto study report" in done.err
    assert [f.name for f in path.parent.iterdir()] == [path.name]


def test_a_report_says_who_is_preferred_and_how_surely(impasto, answered):
    done = impasto("study", "report", answered)
    assert done.code == 0, done.err
    assert "3 people, 126 answers" in done.out
    assert "Which one would you keep?" in done.out
    assert re.search(r"zebra and quagga cannot be told apart yet: 6\d % \[", done.out)
    for words in ("Krippendorff's alpha", "hidden repeat", "Left was chosen", "hold for these"):
        assert words in done.out


def test_a_report_as_json_is_one_line_with_all_figures(impasto, answered):
    found = impasto("study", "report", answered, "--json").json
    assert found["raters"] == 3
    keep = found["questions"]["keep"]
    assert list(keep["scores"]) == list(METHODS)
    assert keep["wins"]["zebra"] == {"quagga": 8, "okapi": 8}
    assert keep["pairs"][0].keys() >= {"better", "worse", "share", "apart", "needed"}


def test_a_report_can_be_kept_as_a_table_and_a_page(impasto, answered, tmp_path):
    table, page = tmp_path / "answers.csv", tmp_path / "report.html"
    done = impasto("study", "report", answered, "--csv", table, "--html", page)
    assert done.code == 0, done.err
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 126
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_report_is_not_written_over_its_study(impasto, answered):
    before = answered.read_bytes()
    done = impasto("study", "report", answered, "--csv", answered.parent / "." / answered.name)
    assert done.code == 2
    assert "is the study itself" in done.err
    assert answered.read_bytes() == before


def test_a_report_that_cannot_be_written_is_one_error(impasto, answered, tmp_path):
    done = impasto("study", "report", answered, "--json", "--csv", tmp_path / "no" / "such.csv")
    assert done.code == 2
    assert "Cannot write" in done.json["error"]


def test_a_report_without_answers_says_what_to_do(impasto, path):
    done = impasto("study", "report", path)
    assert done.code == 0
    assert "impasto study serve" in done.err
    assert json.loads(impasto("study", "report", path, "--json").out)["questions"] == {}


def test_the_help_names_the_three_steps(impasto):
    done = impasto("study", "--help")
    for words in ("new", "serve", "report"):
        assert words in done.out
