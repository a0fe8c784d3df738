"""The pages that people see, from the templates beside this file."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

import jinja2

from impasto.study.questions import CHOICES, QUESTIONS
from impasto.study.session import View

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
    return render("welcome.html", questions=[q.words for q in QUESTIONS.values()])


def question(view: View) -> str:
    """A pair and a question."""
    choices = [(name, *LABELS[name], key) for key, name in enumerate(CHOICES, start=1)]
    return render("question.html", view=view, words=QUESTIONS[view.question].words,
                   choices=choices)  # fmt: skip


def end(view: View) -> str:
    """Thanks."""
    return render("end.html", view=view)


def trouble() -> str:
    """Something went wrong on our side."""
    return render("trouble.html")


def text_of(name: str) -> str:
    """A file that lies beside the templates."""
    return files("impasto.study").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _templates() -> jinja2.Environment:
    """Where the templates are found; whatever is put into HTML is escaped."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """A template of this package filled in."""
    return _templates().get_template(template).render(**values)
