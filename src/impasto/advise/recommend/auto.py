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
from impasto.advise.recommend.candidates import CandidateFinder
from impasto.advise.recommend.recommendation import Candidate, Excluded
from impasto.advise.shared_knobs import AUTO_METHOD, shared_knobs
from impasto.core.errors import KnobError
from impasto.core.knobs import get_knobs, knobs_from_dict
from impasto.core.picture import Picture
from impasto.pictures import as_picture

_SIZE_DEPENDENT_LIMITS = ("memory", "time")
"""Limits that a smaller painting may keep."""
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class MethodChoice:
    """What "auto" stands for.

    Attributes:
        method: its name.
        content: the picture, read.
        styles: as the method takes them: pictures or built-in names.
        knobs: those given, and those that follow.
        reason: one sentence.
    """

    method: str
    content: Picture
    styles: tuple[object, ...]
    knobs: Mapping[str, Any]
    reason: str


def choose_method(
    content: object,
    styles: object | Sequence[object],
    knobs: Mapping[str, Any],
    *,
    size: int | None = None,
    weights: str = "",
    device: str = "auto",
    precision: str = "auto",
) -> MethodChoice:
    """The method for these pictures at this size; the arguments are those of ``impasto.stylize``.

    Where no method keeps the limits, it is the one that would suit best: the plan says why not.

    Raises:
        KnobError: a knob or weights of a single method.
        ImpastoError: a picture or setting that cannot be used, or no such device.
    """
    _check_knobs(knobs, weights)
    picture = as_picture(content, "content")
    case = CandidateFinder(
        picture,
        styles,
        size=picture.long_side if size is None else size,
        device=device,
        precision=precision,
        knobs=knobs,
    )
    refused: list[Excluded] = []
    for found, cuts in case.iter_methods():
        if isinstance(found, Candidate):
            why = _explain_choice(case, found.method, refused, cuts)
            return MethodChoice(
                found.method, picture, case.styles_for(found.method), found.knobs, why
            )
        refused.append(found)
    able = [r for r in refused if r.limit in _SIZE_DEPENDENT_LIMITS] or refused
    method = able[0].method
    why = f"auto takes {method}, but: {able[0].reason}"
    return MethodChoice(method, picture, case.styles_for(method), knobs, why)


def accept_auto_method(function: Callable[P, R]) -> Callable[P, R]:
    """``run.stylize`` or ``run.make_request``, taking ``method="auto"`` too."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("method") != AUTO_METHOD:
            return function(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        knobs = given.pop("knobs", {})
        asked = {n: given[n] for n in ("size", "weights", "device", "precision") if n in given}
        refuse_regions(given.get("regions") or given.get("labels"))
        choice = choose_method(given["content"], given.get("styles", ()), knobs, **asked)
        given |= {"content": choice.content, "styles": choice.styles, "method": choice.method}
        return cast(Callable[..., R], function)(**given, **choice.knobs)

    return chosen


stylize = accept_auto_method(pipeline.stylize)
request = accept_auto_method(pipeline.make_request)


def refuse_regions(regions: object) -> None:
    """Refuse regions: auto looks at whole pictures.

    Raises:
        KnobError: there are some.
    """
    if regions:
        raise KnobError(
            f"With regions, name the method instead of {AUTO_METHOD}: impasto methods says which "
            f"know "
            "masks."
        )


def _check_knobs(knobs: Mapping[str, Any], weights: str) -> None:
    if weights:
        raise KnobError(
            f"weights = {weights!r} belong to one method: name it instead of {AUTO_METHOD}."
        )
    kind = shared_knobs()
    known = [knob.name for knob in get_knobs(kind)]
    for name in knobs:
        if name not in known:
            raise KnobError(
                f"With method {AUTO_METHOD}, only knobs that every method has can be set "
                f"({', '.join(known)}): name a method to set {name!r}."
            )
    knobs_from_dict(kind, knobs)


def _explain_choice(
    finder: CandidateFinder, method: str, excluded: Sequence[Excluded], reductions: Sequence[str]
) -> str:
    """One sentence: what was cut, or which better method is out, or the rule that favors it."""
    if reductions:
        return f"auto takes {method}: {' '.join(reductions)}"
    if excluded:
        hint = (
            " impasto recommend says what would fit."
            if excluded[0].limit in _SIZE_DEPENDENT_LIMITS
            else ""
        )
        return f"auto takes {method}; {excluded[0].method} is out: {excluded[0].reason}{hint}"
    favoring = (rule for rule in finder.rules if method in rule.favors)
    return f"auto takes {method}: {next(favoring).format_reason(finder.scenario.template_values)}"
