"""The pages that people see, from the templates beside this file."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

import jinja2

from impasto.judge.study.questions import CHOICES, QUESTIONS
from impasto.judge.study.session import View

ASSETS = {
    "study.css": "text/css",
    "study.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Files that the pages load → their kind."""

LABELS = {
    "left": ("Left", "Upper"),
    "right": ("Right", "Lower"),
    "neither": ("Cannot tell", "Cannot tell"),
}
"""Choice → what it is called where the pictures stand side by side, and one above the other."""


def welcome() -> str:
    """For who has not begun."""
    return _render("welcome.html", questions=[q.words for q in QUESTIONS.values()])


def question(view: View) -> str:
    """A pair and a question."""
    choices = [(name, *LABELS[name], key) for key, name in enumerate(CHOICES, start=1)]
    return _render("question.html", view=view, words=QUESTIONS[view.question].words,
                   choices=choices)  # fmt: skip


def end(view: View) -> str:
    """Thanks."""
    return _render("end.html", view=view)


def trouble() -> str:
    """Something went wrong on our side."""
    return _render("trouble.html")


def asset(name: str) -> tuple[str, str]:
    """The text and the kind of one of :data:`ASSETS`."""
    return _file(name), ASSETS[name]


@functools.cache
def templates() -> jinja2.Environment:
    """Where the templates are found; whatever is put into HTML is escaped."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **values: Any) -> str:
    return templates().get_template(template).render(**values)


def _file(name: str) -> str:
    return files("impasto.judge.study").joinpath("pages", name).read_text(encoding="utf-8")


def report_page(report: Any) -> str:
    return ""
