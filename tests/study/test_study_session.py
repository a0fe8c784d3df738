"""A rater's way: answering, taking back, going on, at the same time as others."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from small_study import SCENES, answer_all, copied_study, picture, session_of, small_study

from impasto.core.errors import InputError
from impasto.study.questions import QUESTIONS, available_questions


@pytest.fixture
def path(tmp_path):
    return copied_study(tmp_path)


@pytest.fixture
def session(path):
    return session_of(path)


def kept(path, what="count(*)"):
    with sqlite3.connect(path) as base:
        return [row[0] for row in base.execute(f"SELECT {what} FROM answer ORDER BY id")]


def test_the_three_questions_are_asked_of_each_pair_in_turn(session):
    views = answer_all(session, session.add_rater(), lambda view: "left")
    assert [view.question for view in views] == list(QUESTIONS) * 14
    assert [view.question_number for view in views] == [1, 2, 3] * 14
    assert [view.pair_number for view in views[::3]] == list(range(1, 15))
    assert {view.pair_count for view in views} == {14}


def test_the_pictures_stay_while_the_questions_change(session):
    views = answer_all(session, session.add_rater(), lambda view: "left", most=3)
    assert len({(view.trial, view.left, view.right, view.content) for view in views}) == 1


def test_every_answer_is_in_the_file_at_once(session, path):
    secret = session.add_rater()
    for done, choice in enumerate(("left", "neither", "right"), start=1):
        view = session.current_screen(secret)
        session.save_answer(secret, view.trial, view.question, choice)
        assert kept(path) == [done]
    assert kept(path, "choice") == ["left", "neither", "right"]


def test_looking_twice_shows_the_same(session):
    secret = session.add_rater()
    assert session.current_screen(secret) == session.current_screen(secret)


def test_the_pictures_of_the_next_pair_are_known_beforehand(session):
    secret = session.add_rater()
    ahead = session.current_screen(secret).next_pictures
    answer_all(session, secret, lambda view: "left", most=3)
    view = session.current_screen(secret)
    assert set(ahead) == {view.left, view.right, view.content, view.style}


def test_the_last_answer_can_be_taken_back_also_across_pairs(session, path):
    secret = session.add_rater()
    first, *_ = answer_all(session, secret, lambda view: "left", most=3)
    second = session.current_screen(secret)
    assert second.trial != first.trial
    session.undo_answer(secret)
    back = session.current_screen(secret)
    assert (back.trial, back.question) == (first.trial, "content")
    session.undo_answer(secret)
    session.undo_answer(secret)
    assert not session.current_screen(secret).can_undo
    session.undo_answer(secret)  # there is nothing left: nothing happens
    assert kept(path) == [0]


def test_what_was_taken_back_is_asked_again_and_the_next_pair_is_still_the_next(session):
    secret = session.add_rater()
    answer_all(session, secret, lambda view: "left", most=3)
    coming = session.current_screen(secret).trial
    session.undo_answer(secret)
    answer_all(session, secret, lambda view: "right", most=1)
    assert session.current_screen(secret).trial == coming


def test_taking_back_leaves_the_answers_of_others_alone(session, path):
    one, other = session.add_rater(), session.add_rater()
    answer_all(session, one, lambda view: "left", most=2)
    answer_all(session, other, lambda view: "right", most=1)
    session.undo_answer(one)
    assert kept(path, "choice") == ["left", "right"]


def test_a_question_that_is_answered_again_keeps_the_later_answer(session, path):
    secret = session.add_rater()
    view = session.current_screen(secret)
    for choice in ("left", "right"):
        session.save_answer(secret, view.trial, view.question, choice)
    assert kept(path, "choice") == ["right"]


def test_at_the_end_there_is_nothing_more(session):
    secret = session.add_rater()
    answer_all(session, secret, lambda view: "left")
    view = session.current_screen(secret)
    assert not view.trial
    assert view.remaining_pairs == 0
    assert view.can_undo


def test_who_has_seen_what_was_planned_may_go_on(tmp_path):
    session = session_of(copied_study(tmp_path, pairs_each=7))
    secret = session.add_rater()
    first = answer_all(session, secret, lambda view: "left")
    assert len(first) == 3 * 8
    assert session.current_screen(secret).remaining_pairs == 5
    session.add_pairs(secret)
    assert len(answer_all(session, secret, lambda view: "left")) == 3 * 6
    assert session.current_screen(secret).remaining_pairs == 0
    session.add_pairs(secret)
    assert not session.current_screen(secret).trial


@pytest.mark.parametrize(
    ("question", "choice"), [("keep", "both"), ("beauty", "left"), ("keep", ""), ("", "left")]
)
def test_what_is_no_answer_is_refused(session, path, question, choice):
    secret = session.add_rater()
    with pytest.raises(InputError, match="no answer"):
        session.save_answer(secret, session.current_screen(secret).trial, question, choice)
    assert kept(path) == [0]


def test_nobody_can_answer_for_another(session, path):
    one, other = session.add_rater(), session.add_rater()
    view = session.current_screen(one)
    for secret in (other, "", "guessed"):
        with pytest.raises(InputError, match="no answer"):
            session.save_answer(secret, view.trial, view.question, "left")
    assert kept(path) == [0]


def test_a_secret_that_nobody_has_shows_nothing(session):
    assert session.current_screen("guessed") is None


def test_the_file_holds_no_secret_of_a_rater(session, path):
    secret = session.add_rater()
    answer_all(session, secret, lambda view: "left", most=4)
    assert secret.encode() not in path.read_bytes()


def test_raters_at_the_same_time_lose_nothing(session, path):
    def rate(_):
        secret = session.add_rater()
        return len(answer_all(session, secret, lambda view: "right", most=12))

    with ThreadPoolExecutor(6) as pool:
        given = sum(pool.map(rate, range(6)))
    assert given == 72
    assert kept(path) == [72]


def test_raters_of_two_programs_share_one_file(path):
    one, other = session_of(path), session_of(path)
    secret = one.add_rater()
    answer_all(one, secret, lambda view: "left", most=1)
    assert other.current_screen(secret) == one.current_screen(secret)


@pytest.mark.parametrize(
    ("content", "style", "asked"),
    [
        (True, True, ("keep", "style", "content")),
        (True, False, ("keep", "content")),
        (False, True, ("keep", "style")),
        (False, False, ("keep",)),
    ],
)
def test_what_cannot_be_seen_is_not_asked_about(content, style, asked):
    assert available_questions(content, style) == asked


def test_a_scene_without_a_style_has_two_questions(tmp_path):
    picture(tmp_path / "other" / "unknown.png", 1)
    session = session_of(small_study(tmp_path, styles=tmp_path / "other"))
    views = answer_all(session, session.add_rater(), lambda view: "left", most=2 * len(SCENES))
    assert {view.question for view in views} == {"keep", "content"}
    assert {view.question_count for view in views} == {2}
    assert not any(view.style for view in views)
