"""A rater's way through a study: begin, answer, take back, go on."""

from __future__ import annotations

import hashlib
import random
import secrets
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.core.errors import InputError
from impasto.study import pair_design
from impasto.study.database import StudyDatabase
from impasto.study.pair_design import Pair
from impasto.study.questions import CHOICES, available_questions

_PREFETCH_PAIRS = 2
"""Pairs that are drawn beforehand, the present one included: the next can be loaded."""


@dataclass(frozen=True)
class RaterScreen:
    """What a rater sees now. Pictures and the trial are named by tokens that tell nothing.

    Attributes:
        trial: the pair; "" when the rater has seen all that was planned.
        question: the name of what is asked.
        question_number, question_count: this is the question ``question_number``, from 1, of
        ``question_count``. left, right, content, style: pictures; "" where there is none.
        is_portrait: whether the results are higher than wide.
        next_pictures: the pictures of the next pair.
        pair_number, pair_count: this is the pair ``pair_number``, from 1, of ``pair_count``.
        can_undo: whether there is an answer to take back.
        remaining_pairs: at the end, how many pairs there are besides.
    """

    trial: str = ""
    question: str = ""
    question_number: int = 0
    question_count: int = 0
    left: str = ""
    right: str = ""
    content: str = ""
    style: str = ""
    is_portrait: bool = False
    next_pictures: tuple[str, ...] = ()
    pair_number: int = 0
    pair_count: int = 0
    can_undo: bool = False
    remaining_pairs: int = 0


class Session:
    """What raters do, each in one transaction. Several threads and programs may use one file."""

    def __init__(self, database: StudyDatabase) -> None:
        self._database = database
        self._seed = database.get_metadata("seed")
        self._pairs_each = int(database.get_metadata("pairs_each"))
        with database.read_transaction() as base:
            scenes = base.execute("SELECT id, content, style FROM scene ORDER BY id").fetchall()
            methods = [row["id"] for row in base.execute("SELECT id FROM method ORDER BY id")]
        self._questions = {
            row["id"]: available_questions(row["content"] is not None, row["style"] is not None)
            for row in scenes
        }
        self._pairs = pair_design.all_pairs(self._questions, methods)

    def add_rater(self) -> str:
        """Let a new rater in; what is returned is the rater's secret, of which no copy is kept."""
        secret = secrets.token_urlsafe(18)
        goal = min(self._pairs_each, len(self._pairs))
        with self._database.write_transaction() as base:
            base.execute(
                "INSERT INTO rater (key, goal) VALUES (?, ?)", (_hash_secret(secret), goal)
            )
        return secret

    def current_screen(self, secret: str) -> RaterScreen | None:
        """What the rater sees now; None for a secret that nobody has."""
        with self._database.write_transaction() as base:
            rater = _find_rater(base, secret)
            return None if rater is None else self._screen(base, rater)

    def save_answer(self, secret: str, trial: str, question: str, choice: str) -> None:
        """Keep an answer; one to a question that was answered before takes that one's place.

        Raises:
            InputError: a trial that is not this rater's, or no such question or choice.
        """
        with self._database.write_transaction() as base:
            row = base.execute(
                "SELECT trial.id, trial.scene FROM trial JOIN rater ON rater.id = trial.rater "
                "WHERE trial.token = ? AND rater.key = ?",
                (trial, _hash_secret(secret)),
            ).fetchone()
            if (
                row is None
                or question not in self._questions[row["scene"]]
                or choice not in CHOICES
            ):
                raise InputError("That is no answer to a question of this study.")
            base.execute(
                "INSERT OR REPLACE INTO answer (trial, question, choice) VALUES (?, ?, ?)",
                (row["id"], question, choice),
            )

    def undo_answer(self, secret: str) -> None:
        """Forget the rater's last answer, so that its question is asked again."""
        with self._database.write_transaction() as base:
            base.execute(
                "DELETE FROM answer WHERE id = (SELECT max(answer.id) FROM answer "
                "JOIN trial ON trial.id = answer.trial JOIN rater ON rater.id = trial.rater "
                "WHERE rater.key = ?)",
                (_hash_secret(secret),),
            )

    def add_pairs(self, secret: str) -> None:
        """Plan more pairs for a rater who has seen what was planned."""
        with self._database.write_transaction() as base:
            base.execute(
                "UPDATE rater SET goal = min(goal + ?, ?) WHERE key = ?",
                (self._pairs_each, len(self._pairs), _hash_secret(secret)),
            )

    def _screen(self, base: sqlite3.Connection, rater: sqlite3.Row) -> RaterScreen:
        trials = self._rater_trials(base, rater)
        answered = {row["id"]: set((row["answered"] or "").split()) for row in trials}
        waiting = [
            row for row in trials if not answered[row["id"]].issuperset(self._trial_questions(row))
        ]
        length, given = pair_design.total_pairs(rater["goal"]), any(answered.values())
        if not waiting:
            more = min(self._pairs_each, len(self._pairs) - rater["goal"])
            return RaterScreen(
                pair_number=length, pair_count=length, can_undo=given, remaining_pairs=more
            )
        now, *later = waiting
        asked = self._trial_questions(now)
        question = next(name for name in asked if name not in answered[now["id"]])
        pictures = _picture_tokens(base, now)
        return RaterScreen(
            trial=now["token"],
            question=question,
            question_number=asked.index(question) + 1,
            question_count=len(asked),
            is_portrait=any(_is_portrait(base, pictures[side]) for side in ("left", "right")),
            next_pictures=tuple(
                t for row in later for t in _picture_tokens(base, row).values() if t
            ),
            pair_number=now["place"],
            pair_count=length,
            can_undo=given,
            left=pictures["left"],
            right=pictures["right"],
            content=pictures["content"],
            style=pictures["style"],
        )

    def _trial_questions(self, trial: sqlite3.Row) -> Sequence[str]:
        return self._questions[trial["scene"]]

    def _rater_trials(self, base: sqlite3.Connection, rater: sqlite3.Row) -> list[sqlite3.Row]:
        """The rater's trials in their order, drawn as far as they are needed."""
        while True:
            rows = base.execute(
                "SELECT trial.*, (SELECT group_concat(question, ' ') FROM answer "
                "WHERE answer.trial = trial.id) AS answered "
                "FROM trial WHERE rater = ? ORDER BY place",
                (rater["id"],),
            ).fetchall()
            open_ = sum(
                not set((row["answered"] or "").split()).issuperset(self._trial_questions(row))
                for row in rows
            )
            if open_ >= _PREFETCH_PAIRS or len(rows) >= pair_design.total_pairs(rater["goal"]):
                return rows
            self._draw_trial(base, rater["id"], rows)

    def _draw_trial(self, base: sqlite3.Connection, rater: int, rows: list[sqlite3.Row]) -> None:
        """One trial more."""
        chance = random.Random(f"{self._seed}/{rater}/{len(rows)}")
        originals = [row for row in rows if row["repeats"] is None]
        if pair_design.repeat_is_due(len(originals), len(rows) - len(originals)):
            done = {row["repeats"] for row in rows}
            old = [
                row
                for row in originals[: -pair_design.MIN_REPEAT_DISTANCE_PAIRS]
                if row["id"] not in done
            ]
            again = chance.choice(old)
            drawn = again["scene"], again["right"], again["left"], again["id"]
        else:
            seen = {_trial_pair(row) for row in originals}
            unseen = [pair for pair in self._pairs if pair not in seen]
            shown, on_left = _count_shown(base)
            pair = pair_design.next_pair(unseen, shown, rows[-1]["scene"] if rows else None, chance)
            drawn = pair.scene, *pair_design.choose_sides(pair, on_left, chance), None
        base.execute(
            "INSERT INTO trial (token, rater, place, scene, left, right, repeats) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (secrets.token_urlsafe(12), rater, len(rows) + 1, *drawn),
        )


def _hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _find_rater(base: sqlite3.Connection, secret: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = base.execute(
        "SELECT id, goal FROM rater WHERE key = ?", (_hash_secret(secret),)
    ).fetchone()
    return row


def _trial_pair(row: sqlite3.Row) -> Pair:
    return Pair(row["scene"], *sorted((row["left"], row["right"])))


def _count_shown(base: sqlite3.Connection) -> tuple[Counter[Pair], Counter[tuple[int, int]]]:
    """How often each pair has been shown, and how often each two methods as (left, right)."""
    shown: Counter[Pair] = Counter()
    on_left: Counter[tuple[int, int]] = Counter()
    for row in base.execute(
        "SELECT scene, left, right, count(*) AS times FROM trial WHERE repeats IS NULL "
        "GROUP BY scene, left, right"
    ):
        shown[_trial_pair(row)] += row["times"]
        on_left[row["left"], row["right"]] += row["times"]
    return shown, on_left


def _picture_tokens(base: sqlite3.Connection, trial: sqlite3.Row) -> dict[str, str]:
    """left, right, content, style → the picture's token, "" where there is none."""
    row = base.execute(
        "SELECT (SELECT p.token FROM result r JOIN picture p ON p.id = r.picture "
        "        WHERE r.scene = s.id AND r.method = :left) AS left, "
        "       (SELECT p.token FROM result r JOIN picture p ON p.id = r.picture "
        "        WHERE r.scene = s.id AND r.method = :right) AS right, "
        "       (SELECT token FROM picture WHERE id = s.content) AS content, "
        "       (SELECT token FROM picture WHERE id = s.style) AS style "
        "FROM scene s WHERE s.id = :scene",
        dict(trial),
    ).fetchone()
    return {key: row[key] or "" for key in row.keys()}  # noqa: SIM118 - a Row iterates its values


def _is_portrait(base: sqlite3.Connection, token: str) -> bool:
    row = base.execute("SELECT height > width FROM picture WHERE token = ?", (token,)).fetchone()
    return bool(row[0])
