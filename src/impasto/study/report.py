"""What people said, evaluated: scores, preferences, agreement, and how many answers are missing."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from impasto.study.agreement import (
    agreement_rate,
    needed_answers,
    preference_alpha,
    wilson_proportion,
)
from impasto.study.bradley_terry import (
    MIN_CLUSTERS,
    BradleyTerryFit,
    Estimate,
    PairedComparisons,
    fit_bradley_terry,
)
from impasto.study.database import StudyDatabase
from impasto.study.questions import QUESTIONS

ANSWER_COLUMNS = (
    "rater",
    "pair",
    "scene",
    "left",
    "right",
    "question",
    "choice",
    "preferred",
    "repeats",
)
"""Of the table of answers."""


@dataclass(frozen=True)
class Preference:
    """Two methods, and which of them is preferred.

    Attributes:
        better, worse: the methods, as far as can be told.
        share: of those who can tell, how many prefer the better one, by the model; 0..1.
        wins, losses, ties: answers to this pair of methods.
        apart: whether the interval lies above one half.
        needed: how many answers more it takes to tell them apart, if the preference stays what it
            is; 0 if they are, None if there is next to no difference.
    """

    better: str
    worse: str
    share: Estimate
    wins: int
    losses: int
    ties: int
    apart: bool
    needed: int | None


@dataclass(frozen=True)
class QuestionResult:
    """The answers to one question.

    Attributes:
        question: its name.
        answers: how many there are, repeats not counted.
        raters: how many people gave them.
        scores: method → its score, the best first: the logarithm of the odds with which it is
            preferred to an average one.
        pairs: every two methods, in the order of their scores.
        wins: method → other → how often it was preferred.
        tie_share: how many could not tell; 0..1.
        alpha: agreement of the raters (Krippendorff); None if no pair was seen by two.
        same: how often two people said the same of the same pair; 0..1.
        steady: how often a rater said the same when shown the same pair again, sides swapped.
        left: how often the left one was chosen by those who could tell.
        by_scene: scene → method → how often it was preferred there.
        notes: what to know before believing the figures.
    """

    question: str
    answers: int
    raters: int
    scores: Mapping[str, Estimate]
    pairs: tuple[Preference, ...]
    wins: Mapping[str, Mapping[str, int]]
    tie_share: float
    alpha: float | None
    same: float | None
    steady: Estimate | None
    left: Estimate | None
    by_scene: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All of a study.

    Attributes:
        study: its file.
        methods, scenes: their names.
        raters: how many people answered something.
        answers: how many answers there are, of all questions, repeats included.
        questions: question → findings; only those that were asked and answered.
    """

    study: str
    methods: tuple[str, ...]
    scenes: tuple[str, ...]
    raters: int
    answers: int
    questions: Mapping[str, QuestionResult]


@dataclass(frozen=True)
class Answer:
    """One answer, everything by its name but the rater, who has only a number."""

    rater: int
    pair: int
    scene: str
    left: str
    right: str
    question: str
    choice: str
    repeats: int | None

    @property
    def preferred(self) -> str:
        """The method that was chosen; "" for neither."""
        return {"left": self.left, "right": self.right}.get(self.choice, "")


def report(path: str | os.PathLike[str]) -> Report:
    """Evaluate the study ``path``; it may be in use meanwhile.

    Raises:
        InputError: no such file, no study, or one of another format.
    """
    store = StudyDatabase(path)
    with store.read_transaction() as base:
        methods = tuple(r["name"] for r in base.execute("SELECT name FROM method ORDER BY id"))
        scenes = tuple(r["name"] for r in base.execute("SELECT name FROM scene ORDER BY id"))
        given = _read_answers(base)
    by_question = {name: [a for a in given if a.question == name] for name in QUESTIONS}
    return Report(
        study=os.fspath(path),
        methods=methods,
        scenes=scenes,
        raters=len({answer.rater for answer in given}),
        answers=len(given),
        questions={
            name: evaluate_question(name, answers, methods)
            for name, answers in by_question.items()
            if any(answer.repeats is None for answer in answers)
        },
    )


def answers_csv(path: str | os.PathLike[str]) -> str:
    """Every answer of the study ``path`` as a line of CSV, for other programs.

    ``repeats`` is the ``pair`` that a hidden repeat shows again.

    Raises:
        InputError: as :func:`report`.
    """
    with StudyDatabase(path).read_transaction() as base:
        given = _read_answers(base)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ANSWER_COLUMNS)
    for answer in given:
        cells = (getattr(answer, column) for column in ANSWER_COLUMNS)
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def _read_answers(base: sqlite3.Connection) -> list[Answer]:
    rows = base.execute(
        "SELECT trial.rater, trial.id AS pair, scene.name AS scene, l.name AS left, "
        "       r.name AS right, answer.question, answer.choice, trial.repeats "
        "FROM answer JOIN trial ON trial.id = answer.trial JOIN scene ON scene.id = trial.scene "
        "JOIN method l ON l.id = trial.left JOIN method r ON r.id = trial.right "
        "ORDER BY trial.rater, trial.place, answer.id"
    )
    return [Answer(**dict(row)) for row in rows]


def evaluate_question(
    question: str, answers: Sequence[Answer], methods: Sequence[str]
) -> QuestionResult:
    """The findings of one question from its answers, of which there is at least one."""
    first_time = [answer for answer in answers if answer.repeats is None]
    votes = _paired_comparisons(first_time, methods)
    model = fit_bradley_terry(votes, len(methods))
    order = sorted(range(len(methods)), key=lambda k: -model.scores[k])
    table = votes.wins(len(methods))
    ties = _tie_counts(first_time)
    pairs = tuple(
        _make_preference(
            (methods[i], methods[j]),
            model.preference(i, j),
            (int(table[i, j]), int(table[j, i]), ties[frozenset((methods[i], methods[j]))]),
            model.design_effect(i, j),
        )
        for i, j in combinations(order, 2)
    )
    units = _answers_by_pair(first_time)
    told = [answer for answer in answers if answer.preferred]
    return QuestionResult(
        question=question,
        answers=len(first_time),
        raters=len({answer.rater for answer in first_time}),
        scores={methods[k]: model.score(k) for k in order},
        pairs=pairs,
        wins={methods[i]: {methods[j]: int(table[i, j]) for j in order if j != i} for i in order},
        tie_share=sum(ties.values()) / len(first_time),
        alpha=preference_alpha(units),
        same=agreement_rate(units),
        steady=_repeat_consistency(answers),
        left=wilson_proportion(sum(answer.choice == "left" for answer in told), len(told)),
        by_scene=_wins_by_scene(first_time, methods),
        notes=tuple(_notes(first_time, model, pairs)),
    )


def _paired_comparisons(given: Sequence[Answer], methods: Sequence[str]) -> PairedComparisons:
    number = {name: k for k, name in enumerate(methods)}
    scenes = {name: k for k, name in enumerate(dict.fromkeys(a.scene for a in given))}
    sign = {"left": 1, "right": -1, "neither": 0}
    return PairedComparisons.from_rows(
        [(number[a.left], number[a.right], sign[a.choice], a.rater, scenes[a.scene]) for a in given]
    )


def _tie_counts(given: Iterable[Answer]) -> Counter[frozenset[str]]:
    """Two methods → how many could not tell."""
    found: Counter[frozenset[str]] = Counter()
    for answer in given:
        found[frozenset((answer.left, answer.right))] += not answer.preferred
    return found


def _make_preference(
    names: tuple[str, str], found: Estimate, counts: tuple[int, int, int], excess: float
) -> Preference:
    wins, losses, tied = counts
    apart = found.low > 0.5
    tie_share = tied / sum(counts) if wins + losses else 0.0
    needed = needed_answers(found.value, tie_share, excess)
    missing = 0 if apart else None if needed is None else max(1, needed - sum(counts))
    return Preference(*names, found, wins, losses, tied, apart, missing)


def _answers_by_pair(given: Iterable[Answer]) -> list[list[int]]:
    """For each pair that was seen, what was said: 1 for the method that sorts first, -1, 0."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for answer in given:
        first, second = sorted((answer.left, answer.right))
        value = {first: 1, second: -1}.get(answer.preferred, 0)
        found[answer.scene, first, second].append(value)
    return list(found.values())


def _repeat_consistency(given: Sequence[Answer]) -> Estimate | None:
    before = {answer.pair: answer.preferred for answer in given}
    again = [(a.preferred, before[a.repeats]) for a in given if a.repeats in before]
    return wilson_proportion(sum(now == then for now, then in again), len(again))


def _wins_by_scene(given: Iterable[Answer], methods: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for answer in sorted(given, key=lambda a: a.scene):
        counts = found.setdefault(answer.scene, dict.fromkeys(methods, 0))
        if answer.preferred:
            counts[answer.preferred] += 1
    return found


def _notes(
    given: Sequence[Answer], model: BradleyTerryFit, pairs: Sequence[Preference]
) -> Iterable[str]:
    people, scenes = len({a.rater for a in given}), len({a.scene for a in given})
    if people < MIN_CLUSTERS:
        who = "One person answered" if people == 1 else f"{people} people answered"
        yield (
            f"{who}: the intervals hold for these people. From {MIN_CLUSTERS} people on they "
            f"hold for "
            "people like them."
        )
    if scenes < MIN_CLUSTERS:
        what = "One scene was shown" if scenes == 1 else f"{scenes} scenes were shown"
        yield (
            f"{what}: the intervals hold for these pictures. From {MIN_CLUSTERS} scenes on they "
            f"hold for "
            "pictures like them."
        )
    if model.regularized:
        yield (
            "Not every method was preferred to every other, even through third ones: no finite "
            "scores fit that best, so half an answer was added each way to every two methods."
        )
    never = [f"{p.better} and {p.worse}" for p in pairs if p.wins + p.losses + p.ties == 0]
    if never:
        yield f"Not compared yet: {', '.join(never)}; their figures come from third methods alone."
