"""What a report says, in words and tables, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable

from impasto.study.bradley_terry import Interval
from impasto.study.questions import QUESTIONS
from impasto.study.report import Findings, Preference, Report


def extent(report: Report) -> str:
    """Who answered how much, in one line."""
    return (
        f"{_count(report.raters, 'person', 'people')}, {_count(report.answers, 'answer')} with the "
        f"hidden repeats; {', '.join(report.methods)} on {_count(len(report.scenes), 'scene')}."
    )


def who(findings: Findings) -> str:
    """How many answered a question."""
    return (
        f"{_count(findings.answers, 'answer')} of {_count(findings.raters, 'person', 'people')}, "
        "hidden repeats not counted"
    )


def score_table(findings: Findings) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows: each method's score, and how often it was preferred to each other."""
    names = list(findings.scores)
    rows = [
        (
            name,
            _signed(score.value),
            f"{_signed(score.low)} to {_signed(score.high)}",
            *("" if other == name else str(findings.wins[name][other]) for other in names),
        )
        for name, score in findings.scores.items()
    ]
    return ("method", "score", "95 %", *(f"over {name}" for name in names)), rows


def sentences(findings: Findings) -> list[str]:
    """What follows from the answers, one sentence each; the notes last."""
    said = [preference(findings.question, pair) for pair in findings.pairs]
    return [*said, *quality(findings), *(f"Note: {note}" for note in findings.notes)]


def preference(question: str, pair: Preference) -> str:
    """Which of two methods is preferred: "A is preferred to B: 63 % [55, 71] …"."""
    figures = f"{_percent(pair.share)} of those who can tell"
    if pair.apart:
        verb = QUESTIONS[question].verb
        return f"{pair.better} {verb} {pair.worse}: {figures}."
    if pair.needed is None:
        return f"{pair.better} and {pair.worse} are even so far: {figures} are for {pair.better}."
    return (
        f"{pair.better} and {pair.worse} cannot be told apart yet: {figures} are for "
        f"{pair.better}. If that is so, about {_round(pair.needed)} answers more to this pair "
        "would show it."
    )


def quality(findings: Findings) -> Iterable[str]:
    """How much the answers are worth."""
    yield f"Cannot tell: {100 * findings.tie_share:.0f} % of the answers."
    if findings.same is None:
        yield "Agreement: unknown, as no two people have seen the same pair."
    elif findings.alpha is None:
        yield "Agreement: not to be told, as nobody could tell the pictures apart."
    else:
        yield (
            f"Agreement: Krippendorff's alpha {findings.alpha:.2f} (1 all agree, 0 as by chance); "
            f"two people said the same of a pair in {100 * findings.same:.0f} % of the cases."
        )
    if findings.steady is None:
        yield "Consistency: unknown, as nobody has answered a hidden repeat yet."
    else:
        yield f"Consistency: the same answer to a hidden repeat in {_percent(findings.steady)}."
    if findings.left is not None:
        leaning = not findings.left.low <= 0.5 <= findings.left.high
        yield (
            f"Left was chosen in {_percent(findings.left)}"
            + (": a leaning to one side, which evens out, as each method stood on both." if leaning
               else ", no leaning to a side.")
        )  # fmt: skip


def _percent(share: Interval) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-0.00", "+0.00")


def _round(number: int) -> str:
    """Up, to two digits: more would be false precision."""
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{math.ceil(number / step) * step:,}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
