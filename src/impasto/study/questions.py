"""What is asked of each pair, in this order."""

from __future__ import annotations

from dataclasses import dataclass

CHOICES = ("left", "right", "neither")
"""What can be answered; "neither" is shown as "cannot tell"."""


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        name: how files and reports call it.
        text: how people are asked.
        verb: between two methods' names in a report.
        needs: the pictures without which it cannot be asked, of "content" and "style".
    """

    name: str
    text: str
    verb: str
    needs: tuple[str, ...] = ()


QUESTIONS = {
    question.name: question
    for question in (
        Question("keep", "Which one would you keep?", "is preferred to"),
        Question("style", "Which one shows the style better?", "shows the style better than",
                 ("style",)),
        Question("content", "Which one keeps the content better?", "keeps the content better than",
                 ("content",)),
    )
}  # fmt: skip


def available_questions(has_content: bool, has_style: bool) -> tuple[str, ...]:
    """The questions that can be asked where these pictures can be shown beside the pair."""
    shown = {name for name, there in (("content", has_content), ("style", has_style)) if there}
    return tuple(name for name, question in QUESTIONS.items() if shown.issuperset(question.needs))
