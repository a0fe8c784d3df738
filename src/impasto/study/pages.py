"""The pages that people see, from the templates beside this file."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

import jinja2

from impasto.study.questions import CHOICES, QUESTIONS
from impasto.study.session import RaterScreen

ASSETS = {
    "study.css": "text/css",
    "study.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""Files that the pages load → their kind."""

CHOICE_LABELS = {
    "left": ("Left", "Upper"),
    "right": ("Right", "Lower"),
    "neither": ("Cannot tell", "Cannot tell"),
}
"""Choice → what it is called where the pictures stand side by side, and one above the other."""


def render_welcome() -> str:
    """For who has not begun."""
    return render_template("welcome.html", questions=[q.text for q in QUESTIONS.values()])


def render_question(screen: RaterScreen) -> str:
    """A pair and a question."""
    choices = [(name, *CHOICE_LABELS[name], key) for key, name in enumerate(CHOICES, start=1)]
    return render_template("question.html", view=screen, words=QUESTIONS[screen.question].text,
                   choices=choices)  # fmt: skip


def render_end(screen: RaterScreen) -> str:
    """Thanks."""
    return render_template("end.html", view=screen)


def render_error() -> str:
    """Something went wrong on our side."""
    return render_template("trouble.html")


def read_asset(name: str) -> str:
    """A file that lies beside the templates."""
    return files("impasto.study").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _templates() -> jinja2.Environment:
    """Where the templates are found; whatever is put into HTML is escaped."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(read_asset),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_template(template: str, **values: Any) -> str:
    """A template of this package filled in."""
    return _templates().get_template(template).render(**values)
