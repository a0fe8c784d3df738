"""Who takes part in a comparison: methods with knobs, and whether they fit this machine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from impasto import methods
from impasto.core.errors import ImpastoError, KnobError, ResourceError
from impasto.core.knobs import Knob, get_knobs, knobs_from_dict, knobs_to_args
from impasto.core.picture import Picture
from impasto.core.plan import Plan
from impasto.core.request import BuiltInStyles, Request
from impasto.evaluation.comparison.result import RESULTS_FOLDER, ExcludedMethod
from impasto.pictures import read
from impasto.pipeline import make_plan, make_request

ALL_METHODS = "all"
MAX_STEM_LENGTH = 80
"""Characters of a painting's file name, its suffix apart; a longer label becomes a digest."""

MethodSelection = str | Sequence[str | tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Candidate:
    """A method with knobs.

    Attributes:
        method: its name.
        knobs: those that differ from the defaults, in their own types.
    """

    method: str
    knobs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables call it: "gatys steps=100 structure=0.7"."""
        given = (f"{name}={_format_value(value)}" for name, value in self.knobs.items())
        return " ".join([self.method, *given])

    @property
    def file(self) -> str:
        """Where its painting goes, relative to the comparison's folder."""
        stem = self.label.replace(" ", "-").replace("=", "-")
        if not re.fullmatch(rf"[a-z0-9_.,+-]{{1,{MAX_STEM_LENGTH}}}", stem):  # a path, or very long
            digest = hashlib.sha256(self.label.encode("utf-8", "surrogateescape")).hexdigest()
            stem = f"{self.method}-{digest[:12]}"
        return f"{RESULTS_FOLDER}/{stem}.png"


@dataclass(frozen=True)
class SharedOptions:
    """What every method is asked: the pictures, and the settings that they share.

    Attributes:
        content: path of the content.
        styles: paths of the styles, or names of learnt ones.
        size: long side in pixels.
        seed, style_weights, device: see :class:`~impasto.core.request.Request`.
    """

    content: str
    styles: tuple[str, ...]
    size: int
    seed: int = 0
    style_weights: tuple[float, ...] = ()
    device: str = "auto"

    def request_for(self, candidate: Candidate, content: Picture) -> Request:
        """The request that an entry's own process will make of its command line."""
        return make_request(
            content,
            list(self.styles),
            method=candidate.method,
            size=self.size,
            seed=self.seed,
            style_weights=self.style_weights,
            device=self.device,
            **candidate.knobs,
        )

    def cli_args(self, candidate: Candidate, output: str) -> list[str]:
        """The arguments of the command line that paints an entry."""
        pictures = [f"./{p}" if p.startswith("-") else p for p in (self.content, *self.styles)]
        words = ["stylize", *pictures, "-o", output, "--method", candidate.method]
        words += ["--size", str(self.size)]
        if self.seed:
            words += ["--seed", str(self.seed)]
        if self.style_weights:
            words += ["--style-weights", ",".join(map(_format_value, self.style_weights))]
        if self.device != "auto":
            words += ["--device", self.device]
        return words + knobs_to_args(methods.get_method(candidate.method), candidate.knobs)


@dataclass(frozen=True)
class PlannedCandidate:
    """An entry that this machine can paint, its request, and what it will cost."""

    candidate: Candidate
    request: Request
    plan: Plan


def parse_candidates(selection: MethodSelection) -> tuple[Candidate, ...]:
    """The entries that a caller names.

    Args:
        selection: a text as ``all``, ``gatys,adain`` or ``all;gatys:steps=100,structure=0.7``; or a
            list of names and of pairs (name, knobs).

    Raises:
        KnobError: an unknown method or knob, with the nearest known one; a value that does not
            fit; two entries that are the same.
    """
    named = _parse_selection(selection) if isinstance(selection, str) else selection
    found: list[Candidate] = []
    for each in named:
        name, knobs = (each, {}) if isinstance(each, str) else each
        found += (
            [Candidate(n) for n in methods.method_names()]
            if name == ALL_METHODS
            else [_make_candidate(name, knobs)]
        )
    if not found:
        raise KnobError(
            f"No method: name one of {', '.join(methods.method_names())}, or say {ALL_METHODS}."
        )
    labels = [entry.label for entry in found]
    for label in labels:
        if labels.count(label) > 1:
            raise KnobError(f"{label} is there twice: leave one out, or give it another knob.")
    return tuple(found)


def _make_candidate(name: str, knobs: Mapping[str, Any]) -> Candidate:
    kind = methods.get_method(name)
    built = knobs_from_dict(kind, knobs)
    known = get_knobs(kind)
    differ = {k.name: v for k in known if (v := getattr(built, k.name)) != k.default}
    return Candidate(name, differ)


def _parse_selection(text: str) -> list[str | tuple[str, Mapping[str, Any]]]:
    """``gatys,adain;wct:strength=0.6,levels=3``: knobs after a colon, then a semicolon."""
    found: list[str | tuple[str, Mapping[str, Any]]] = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, colon, knobs = part.partition(":")
        if colon:
            found.append((name.strip(), _parse_knobs(name.strip(), knobs)))
        else:
            found += [name.strip() for name in part.split(",") if name.strip()]
    return found


def _parse_knobs(method: str, text: str) -> dict[str, Any]:
    """``steps=100,style_layers=conv1_1,conv2_1``: what has no "=" belongs to the value before."""
    given: dict[str, str] = {}
    last = ""
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if equals:
            last = name.strip().replace("-", "_")
            given[last] = value.strip()
        elif last:
            given[last] += f",{part.strip()}"
        else:
            raise KnobError(
                f"{method}:{text} does not fit: knobs are name=value, as {method}:strength=0.5; "
                "the next method follows a semicolon."
            )
    kinds = {knob.name: knob for knob in get_knobs(methods.get_method(method))}
    return {n: _parse_value(kinds[n], v) if n in kinds else v for n, v in given.items()}


def _parse_value(knob: Knob, text: str) -> Any:
    """A typed value; what cannot be one stays text, and the knob's own check refuses it."""
    if knob.is_tuple:
        return tuple(
            _parse_scalar(knob.item_type, part.strip()) for part in text.split(",") if part.strip()
        )
    return _parse_scalar(knob.item_type, text)


def _parse_scalar(value_type: type, text: str) -> Any:
    if value_type is bool:
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    try:
        return value_type(text)
    except ValueError:
        return text


def plan_candidates(
    candidates: Sequence[Candidate],
    options: SharedOptions,
    content: Picture,
    deadline: float | None = None,
) -> tuple[list[PlannedCandidate], list[ExcludedMethod]]:
    """Plan every entry; those that do not fit are left out with the reason.

    Args:
        candidates: the entries.
        options: what they are asked.
        content: the content, read.
        deadline: seconds that a painting may take, by its forecast; None: as long as it needs.

    Raises:
        ImpastoError: none of them fits.
    """
    fits: list[PlannedCandidate] = []
    errors: list[tuple[Candidate, ImpastoError]] = []
    for entry in candidates:
        try:
            request = options.request_for(entry, content)
            plan = make_plan(request)
            if deadline is not None and plan.forecast.seconds > deadline:
                raise ResourceError(
                    f"It would take about {plan.forecast.seconds:.0f} s, and the deadline is "
                    f"{deadline:g} s."
                )
        except ImpastoError as error:
            errors.append((entry, error))
        else:
            fits.append(PlannedCandidate(entry, request, plan))
    if not fits:
        raise _no_candidate_error(options, errors)
    return fits, [ExcludedMethod(entry.label, str(error)) for entry, error in errors]


def _no_candidate_error(
    options: SharedOptions, errors: Sequence[tuple[Candidate, ImpastoError]]
) -> ImpastoError:
    """What is wrong where nothing fits: a style, or with each method something of its own."""
    looking = [error for entry, error in errors if not _has_built_in_styles(entry.method)]
    if looking and not all(map(_is_readable, options.styles)):
        return looking[0]
    first = errors[0][1]
    if len({str(error) for _, error in errors}) == 1:
        return first
    each = " ".join(f"{entry.label}: {error}" for entry, error in errors)
    return type(first)(f"No method fits. {each}")


def _has_built_in_styles(method: str) -> bool:
    return issubclass(methods.get_method(method), BuiltInStyles)


def _is_readable(style: str) -> bool:
    try:
        read(style)
    except ImpastoError:
        return False
    return True


def style_pictures(planned: Sequence[PlannedCandidate]) -> tuple[Picture, ...]:
    """The styles as pictures: as read from their files or, where they are only names, as learnt."""
    shown = [fit for fit in planned if not isinstance(fit.request.method, BuiltInStyles)]
    return (shown or list(planned))[0].request.styles


def _format_value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(_format_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
