"""What a report says, in words and tables, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Iterable

from impasto.study.bradley_terry import Estimate
from impasto.study.questions import QUESTIONS
from impasto.study.report import Preference, QuestionResult, Report


def participation_text(report: Report) -> str:
    """Who answered how much, in one line."""
    return (
        f"{_format_count(report.raters, 'person', 'people')}, "
        f"{_format_count(report.answers, 'answer')} with the "
        f"hidden repeats; {', '.join(report.methods)} on "
        f"{_format_count(len(report.scenes), 'scene')}."
    )


def answer_count_text(result: QuestionResult) -> str:
    """How many answered a question."""
    return (
        f"{_format_count(result.answers, 'answer')} of "
        f"{_format_count(result.raters, 'person', 'people')}, "
        "hidden repeats not counted"
    )


def score_table(result: QuestionResult) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows: each method's score, and how often it was preferred to each other."""
    names = list(result.scores)
    rows = [
        (
            name,
            _format_signed(score.value),
            f"{_format_signed(score.low)} to {_format_signed(score.high)}",
            *("" if other == name else str(result.wins[name][other]) for other in names),
        )
        for name, score in result.scores.items()
    ]
    return ("method", "score", "95 %", *(f"over {name}" for name in names)), rows


def result_sentences(result: QuestionResult) -> list[str]:
    """What follows from the answers, one sentence each; the notes last."""
    said = [preference_sentence(result.question, pair) for pair in result.pairs]
    return [*said, *reliability_sentences(result), *(f"Note: {note}" for note in result.notes)]


def preference_sentence(question: str, pair: Preference) -> str:
    """Which of two methods is preferred: "A is preferred to B: 63 % [55, 71] …"."""
    figures = f"{_format_percent(pair.share)} of those who can tell"
    if pair.apart:
        verb = QUESTIONS[question].verb
        return f"{pair.better} {verb} {pair.worse}: {figures}."
    if pair.needed is None:
        return f"{pair.better} and {pair.worse} are even so far: {figures} are for {pair.better}."
    return (
        f"{pair.better} and {pair.worse} cannot be told apart yet: {figures} are for "
        f"{pair.better}. If that is so, about {_round_up(pair.needed)} answers more to this pair "
        "would show it."
    )


def reliability_sentences(result: QuestionResult) -> Iterable[str]:
    """How much the answers are worth."""
    yield f"Cannot tell: {100 * result.tie_share:.0f} % of the answers."
    if result.same is None:
        yield "Agreement: unknown, as no two people have seen the same pair."
    elif result.alpha is None:
        yield "Agreement: not to be told, as nobody could tell the pictures apart."
    else:
        yield (
            f"Agreement: Krippendorff's alpha {result.alpha:.2f} (1 all agree, 0 as by chance); "
            f"two people said the same of a pair in {100 * result.same:.0f} % of the cases."
        )
    if result.steady is None:
        yield "Consistency: unknown, as nobody has answered a hidden repeat yet."
    else:
        yield (
            f"Consistency: the same answer to a hidden repeat in {_format_percent(result.steady)}."
        )
    if result.left is not None:
        leaning = not result.left.low <= 0.5 <= result.left.high
        yield (
            f"Left was chosen in {_format_percent(result.left)}"
            + (": a leaning to one side, which evens out, as each method stood on both." if leaning
               else ", no leaning to a side.")
        )  # fmt: skip


def _format_percent(share: Estimate) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _format_signed(value: float) -> str:
    return f"{value:+.2f}".replace("-0.00", "+0.00")


def _round_up(number: int) -> str:
    """Up, to two digits: more would be false precision."""
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{math.ceil(number / step) * step:,}"


def _format_count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
