"""Tables of the documentation that are made from the program's own data.

    python docs/tables.py            # writes them into the pages
    python docs/tables.py --check    # says which page is out of date, and exits with 1

A table stands in its page between two comments, ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from impasto.advise.recommend.rules import LIMITS, RULES, fill_template
from impasto.advise.recommend.scenario import PURPOSES
from impasto.core.words import format_short_duration

DOCS = Path(__file__).resolve().parent
WORDS = {
    "style": "the style",
    "contrast": "its measure",
    "side": "so many",
    "centimetres": "so many",
}
"""What stands in sentences for the case's own words."""
PLACE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def purposes() -> str:
    rows = [
        (f"`{p.name}`", p.title, patience(p.max_seconds, p.per_image_timing))
        for p in PURPOSES.values()
    ]
    return table(("`--for`", "what it is", "unless there is a `--deadline`, at most"), rows)


def patience(seconds: float, every: bool) -> str:
    return (
        f"{format_short_duration(seconds)} a picture, once loaded"
        if every
        else format_short_duration(seconds)
    )


def rules() -> str:
    rows = [
        (
            rule.condition,
            names(rule.favors),
            names(rule.fallbacks),
            said(rule.reason, rule.fallback_reason),
        )
        for rule in RULES
    ]
    return table(("when", "favors", "else", "why"), rows)


def said(*sentences: str) -> str:
    return " ".join(fill_template(sentence, WORDS) for sentence in sentences if sentence)


def names(methods: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in methods)


def limits() -> str:
    rows = [(limit.condition, re.sub(r"\{\w+\}", "…", limit.reason)) for limit in LIMITS.values()]
    return table(("ruled out are", "what is said"), rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "purposes": purposes,
    "rules": rules,
    "limits": limits,
}
PAGES = ("recommend.md",)


def renewed(page: str) -> str:
    """A page with its tables made anew."""
    return PLACE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


def main() -> int:
    old = [
        path
        for path in (DOCS / name for name in PAGES)
        if renewed(text := path.read_text(encoding="utf-8")) != text
    ]
    for path in old:
        if "--check" in sys.argv:
            print(f"{path.name} is out of date: python docs/tables.py")
        else:
            path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
            print(path.name)
    return 1 if old and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
