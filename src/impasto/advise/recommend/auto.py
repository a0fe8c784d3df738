"""``method="auto"``: what is recommended for one picture at its best.

It is the table of :mod:`impasto.advise.recommend.rules`, asked for one picture at the size that
was asked for. The recipe names the method that really ran.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from impasto import pipeline
from impasto.advise.recommend.candidates import Case
from impasto.advise.recommend.recommendation import Candidate, Refused
from impasto.advise.shared_knobs import AUTO, shared_knobs
from impasto.core.errors import KnobError
from impasto.core.knobs import get_knobs, knobs_from_dict
from impasto.core.picture import Picture
from impasto.pictures import as_picture

_CUT = ("memory", "time")
"""Limits that a smaller painting may keep."""
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Choice:
    """What "auto" stands for.

    Attributes:
        method: its name.
        content: the picture, read.
        styles: as the method takes them: pictures or learnt names.
        knobs: those given, and those that follow.
        why: one sentence.
    """

    method: str
    content: Picture
    styles: tuple[object, ...]
    knobs: Mapping[str, Any]
    why: str


def choose(
    content: object,
    styles: object | Sequence[object],
    knobs: Mapping[str, Any],
    *,
    size: int | None = None,
    weights: str = "",
    device: str = "auto",
    precision: str = "auto",
) -> Choice:
    """The method for these pictures at this size; the arguments are those of ``impasto.stylize``.

    Where no method keeps the limits, it is the one that would suit best: the plan says why not.

    Raises:
        KnobError: a knob or weights of a single method.
        ImpastoError: a picture or setting that cannot be used, or no such device.
    """
    _check(knobs, weights)
    picture = as_picture(content, "content")
    case = Case(
        picture,
        styles,
        size=picture.long_side if size is None else size,
        device=device,
        precision=precision,
        knobs=knobs,
    )
    refused: list[Refused] = []
    for found, cuts in case.tried():
        if isinstance(found, Candidate):
            why = _why(case, found.method, refused, cuts)
            return Choice(found.method, picture, case.styles_for(found.method), found.knobs, why)
        refused.append(found)
    able = [r for r in refused if r.limit in _CUT] or refused
    method = able[0].method
    why = f"auto takes {method}, but: {able[0].why}"
    return Choice(method, picture, case.styles_for(method), knobs, why)


def choosing(function: Callable[P, R]) -> Callable[P, R]:
    """``run.stylize`` or ``run.make_request``, taking ``method="auto"`` too."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("method") != AUTO:
            return function(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        knobs = given.pop("knobs", {})
        asked = {n: given[n] for n in ("size", "weights", "device", "precision") if n in given}
        check_regions(given.get("regions") or given.get("labels"))
        choice = choose(given["content"], given.get("styles", ()), knobs, **asked)
        given |= {"content": choice.content, "styles": choice.styles, "method": choice.method}
        return cast(Callable[..., R], function)(**given, **choice.knobs)

    return chosen


stylize = choosing(pipeline.stylize)
request = choosing(pipeline.make_request)


def check_regions(asked: object) -> None:
    """Refuse regions: auto looks at whole pictures.

    Raises:
        KnobError: there are some.
    """
    if asked:
        raise KnobError(
            f"With regions, name the method instead of {AUTO}: impasto methods says which know "
            "masks."
        )


def _check(knobs: Mapping[str, Any], weights: str) -> None:
    if weights:
        raise KnobError(f"weights = {weights!r} belong to one method: name it instead of {AUTO}.")
    kind = shared_knobs()
    known = [knob.name for knob in get_knobs(kind)]
    for name in knobs:
        if name not in known:
            raise KnobError(
                f"With method {AUTO}, only knobs that every method has can be set "
                f"({', '.join(known)}): name a method to set {name!r}."
            )
    knobs_from_dict(kind, knobs)


def _why(case: Case, method: str, refused: Sequence[Refused], cuts: Sequence[str]) -> str:
    """One sentence: what was cut, or which better method is out, or the rule that favours it."""
    if cuts:
        return f"auto takes {method}: {' '.join(cuts)}"
    if refused:
        hint = " impasto recommend says what would fit." if refused[0].limit in _CUT else ""
        return f"auto takes {method}; {refused[0].method} is out: {refused[0].why}{hint}"
    favouring = (rule for rule in case.rules if method in rule.favours)
    return f"auto takes {method}: {next(favouring).sentence(case.situation.words)}"
