"""Reports of answers that are known: who wins, how surely, and what is said about it."""

import csv
import dataclasses
import io
import json
import random
import re

import pytest
from small_study import (
    METHODS,
    SCENES,
    answer_all,
    copied_study,
    methods_of,
    preferring,
    session_of,
)

from impasto.study import report_text
from impasto.study.database import StudyDatabase
from impasto.study.html_report import render_report
from impasto.study.report import ANSWER_COLUMNS, Answer, answers_csv, evaluate_question, report


def said(rater, scene, left, right, choice, repeats=None, question="keep"):
    said.count += 1
    return Answer(rater, said.count, scene, left, right, question, choice, repeats)


said.count = 0


def spread_out(wins, losses, ties=0, raters=10, scenes=8):
    """Answers to a against b, strewn over people and scenes, sides in turn."""
    found = []
    winners = ["a"] * wins + ["b"] * losses + [None] * ties
    random.Random(0).shuffle(winners)
    for k, winner in enumerate(winners):
        left, right = ("a", "b") if k % 2 else ("b", "a")
        choice = "neither" if winner is None else "left" if winner == left else "right"
        found.append(said(k % raters, f"scene{(k // raters) % scenes}", left, right, choice))
    return found


def test_wins_losses_and_ties_are_counted_whichever_side_they_stood_on():
    found = evaluate_question("keep", spread_out(30, 18, 12), ("a", "b"))
    (pair,) = found.pairs
    assert (pair.better, pair.worse) == ("a", "b")
    assert (pair.wins, pair.losses, pair.ties) == (30, 18, 12)
    assert pair.share.value == pytest.approx(30 / 48)
    assert found.wins == {"a": {"b": 30}, "b": {"a": 18}}
    assert found.tie_share == 0.2
    assert (found.answers, found.raters) == (60, 10)


def test_a_clear_preference_is_said_in_words():
    found = evaluate_question("keep", spread_out(63, 37), ("a", "b"))
    (pair,) = found.pairs
    assert pair.apart
    assert pair.needed == 0
    expected = r"a is preferred to b: 63 % \[5\d, 7\d\] of those who can tell\."
    assert re.fullmatch(expected, report_text.preference_sentence("keep", pair))


def test_a_preference_that_may_be_chance_says_how_many_answers_are_missing():
    (pair,) = evaluate_question("style", spread_out(22, 18, raters=40, scenes=2), ("a", "b")).pairs
    assert not pair.apart
    assert 700 < pair.needed < 900  # 776 by the textbook's formula, less 40
    (told,) = re.findall(r"cannot .* yet: 55 % .* about (\d+) answers more",
                         report_text.preference_sentence("style", pair))  # fmt: skip
    assert pair.needed <= int(told) < pair.needed + 10  # rounded to two digits
    assert told.endswith("0")


def test_no_preference_is_called_even():
    (pair,) = evaluate_question("keep", spread_out(20, 20), ("a", "b")).pairs
    assert pair.needed is None
    assert "a and b are even so far: 50 %" in report_text.preference_sentence("keep", pair)


@pytest.mark.parametrize("question", ["keep", "style", "content"])
def test_each_question_is_answered_in_its_own_words(question):
    (pair,) = evaluate_question(question, spread_out(70, 30), ("a", "b")).pairs
    verb = {"keep": "preferred", "style": "shows the style", "content": "keeps the content"}
    assert verb[question] in report_text.preference_sentence(question, pair)


def test_who_always_wins_is_first_and_the_report_says_what_was_added():
    found = evaluate_question("keep", spread_out(40, 0), ("a", "b"))
    assert list(found.scores) == ["a", "b"]
    assert found.pairs[0].share.value == pytest.approx(40.5 / 41)
    assert any("half an answer was added" in note for note in found.notes)


def test_repeats_do_not_count_twice_but_tell_the_consistency():
    first = spread_out(6, 2)
    again = [
        said(a.rater, a.scene, a.right, a.left, "right" if a.choice == "left" else "left", a.pair)
        for a in first[:3]
    ]
    turned = said(first[7].rater, first[7].scene, "b", "a", "right", first[7].pair)
    found = evaluate_question("keep", [*first, *again, turned], ("a", "b"))
    assert found.answers == 8
    assert found.steady.value == 0.75


def test_agreement_is_that_of_those_who_saw_the_same_pair():
    unanimous = [
        said(r, f"s{k}", "a", "b", "left" if k % 2 else "right") for r in range(3) for k in range(9)
    ]
    found = evaluate_question("keep", unanimous, ("a", "b"))
    assert found.alpha == pytest.approx(1)
    assert found.same == 1


def test_a_leaning_to_one_side_is_told_and_does_not_decide():
    left = [said(k % 6, f"s{k % 8}", *("ab" if k % 2 else "ba"), "left") for k in range(48)]
    found = evaluate_question("keep", left, ("a", "b"))
    assert found.left.value == 1
    assert found.pairs[0].share.value == pytest.approx(0.5)
    assert any(
        "leaning" in line
        for line in report_text.reliability_sentences(found)
        if "no leaning" not in line
    )


@pytest.mark.parametrize(
    ("raters", "scenes", "notes"), [(1, 8, 1), (8, 2, 1), (2, 2, 2), (6, 6, 0)]
)
def test_few_people_and_few_pictures_are_noted(raters, scenes, notes):
    given = spread_out(30, 30, raters=raters, scenes=scenes)
    found = evaluate_question("keep", given, ("a", "b"))
    assert len([note for note in found.notes if "intervals hold for these" in note]) == notes


def test_methods_that_never_met_are_noted():
    given = spread_out(12, 8)
    for a in spread_out(8, 12):
        left, right = (name.replace("a", "c") for name in (a.left, a.right))
        given.append(dataclasses.replace(a, left=left, right=right))
    found = evaluate_question("keep", given, ("a", "b", "c"))
    assert any("Not compared yet: a and c" in note for note in found.notes)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A study in which seven people prefer okapi to zebra to quagga, and one the reverse."""
    path = copied_study(tmp_path_factory.mktemp("answered"))
    session = session_of(path)
    usual = preferring(path, ("okapi", "zebra", "quagga"))
    for choose in [usual] * 7 + [preferring(path, ("quagga", "zebra", "okapi"))]:
        answer_all(session, session.add_rater(), choose)
    return path


def test_a_study_is_reported_from_its_file(answered):
    found = report(answered)
    assert found.methods == METHODS
    assert found.scenes == tuple(sorted(SCENES))
    assert found.raters == 8
    assert found.answers == 8 * 14 * 3
    for findings in found.questions.values():
        assert findings.answers == 8 * 12
        assert list(findings.scores) == ["okapi", "zebra", "quagga"]
        assert findings.wins["okapi"] == {"zebra": 28, "quagga": 28}
        assert findings.pairs[0].share.value == pytest.approx(7 / 8, abs=0.07)
        assert findings.steady.value == 1
        assert findings.same == pytest.approx((7 * 6) / (8 * 7))
        assert {sum(counts.values()) for counts in findings.by_scene.values()} == {24}


def test_a_report_is_plain_data(answered):
    assert json.loads(json.dumps(dataclasses.asdict(report(answered))))["raters"] == 8


def test_a_study_that_nobody_answered_has_an_empty_report(tmp_path):
    found = report(copied_study(tmp_path))
    assert found.questions == {}
    assert (found.raters, found.answers) == (0, 0)
    assert "Nobody has answered yet" in render_report(found)


def test_one_answer_is_enough_for_a_report(tmp_path):
    path = copied_study(tmp_path)
    session = session_of(path)
    answer_all(session, session.add_rater(), lambda view: "left", most=1)
    found = report(path)
    assert list(found.questions) == ["keep"]
    assert found.questions["keep"].alpha is None
    assert render_report(found)


def test_the_table_has_every_answer(answered):
    rows = list(csv.DictReader(io.StringIO(answers_csv(answered))))
    assert len(rows) == 8 * 14 * 3
    assert list(rows[0]) == list(ANSWER_COLUMNS)
    assert {row["rater"] for row in rows} == {str(k) for k in range(1, 9)}
    assert all(row["preferred"] == row[row["choice"]] for row in rows)
    repeats = [row for row in rows if row["repeats"]]
    assert len(repeats) == 8 * 2 * 3
    pairs = {row["pair"]: row for row in rows}
    for row in repeats:
        first = pairs[row["repeats"]]
        assert (first["rater"], first["left"]) == (row["rater"], row["right"])


def test_the_page_holds_everything_in_one_file(answered):
    found = report(answered)
    page = render_report(found)
    assert page.count("data:image/jpeg;base64,") == len(SCENES) * (2 + len(METHODS))
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "@import" not in page
    assert "http" not in page
    for findings in found.questions.values():
        for pair in findings.pairs:
            assert report_text.preference_sentence(findings.question, pair) in page


def test_names_on_the_page_are_text_and_no_html(tmp_path):
    odd = "<b>bold</b>"
    path = copied_study(tmp_path)
    with StudyDatabase(path).write_transaction() as base:
        base.execute("UPDATE method SET name = ? WHERE name = 'okapi'", (odd,))
    session = session_of(path)
    answer_all(session, session.add_rater(), lambda view: "left", most=6)
    page = render_report(report(path))
    assert odd not in page
    assert "&lt;b&gt;bold" in page


def test_the_methods_of_the_example_are_those_in_the_file(answered):
    assert {method for _, method in methods_of(answered).values()} == set(METHODS)
