"""A method's card: what it is for, where it comes from, what it needs and can do. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodCard:
    """What somebody should know before choosing a method.

    Attributes:
        title: one line, what it is.
        good_for, not_for: one sentence each.
        paper: authors, title, venue and year.
        license: of our code, and of the weights it needs.
        weights: names in the weights registry, the default first.
        extra: the optional install it needs (``pip install "impasto[extra]"``), or "".
        supports: words among "masks", "tiles", "video", "several styles", "strength", "structure",
            "photo"; "prompt": content and style may come from words; "fp16".
        figures: label → measured value with its conditions; each made by a script in benchmarks/.
    """

    title: str
    good_for: str
    not_for: str
    paper: str
    license: str
    weights: tuple[str, ...]
    extra: str = ""
    supports: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
