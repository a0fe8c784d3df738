"""A case: pictures, what is asked for, and this machine; and what each method would do with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto import methods
from impasto.advise.recommend import licenses
from impasto.advise.recommend.limits import Fit, RuledOut, fit
from impasto.advise.recommend.recommendation import Candidate, Reason, Recommendation, Refused
from impasto.advise.recommend.rules import filled, fired, ranked
from impasto.advise.recommend.scenario import Situation
from impasto.advise.recommend.style_features import contrast, knows_by_name, look_at, reduced
from impasto.core import devices
from impasto.core.errors import InputError
from impasto.core.knobs import get_knobs, knobs_from_dict, knobs_to_args
from impasto.core.picture import Picture
from impasto.core.request import RemoteWeights
from impasto.pictures import as_picture
from impasto.pipeline import make_request
from impasto.video.image_sequence import is_pictures, is_still
from impasto.video.open_source import opened
from impasto.video.options import Take

WHO = ("CONTENT", "STYLE")
"""What a command calls pictures that came from memory."""
FILM = "FILM"
"""What it calls a film of which a frame was given."""


class Case:
    """A content, styles, what is asked for, and this machine.

    Args:
        content, style: as for :func:`recommend`.
        purpose, deadline, memory, licence: as in :class:`Situation`.
        size, device, precision: as for :func:`recommend`.
        knobs: what is set in any case.
    """

    def __init__(
        self,
        content: object,
        style: object | Sequence[object],
        *,
        purpose: str = "picture",
        deadline: float | None = None,
        memory: int | None = None,
        licence: str = "any",
        size: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        knobs: Mapping[str, Any] | None = None,
    ) -> None:
        self.device, self.precision, self.size = device, precision, size
        self.given = dict(knobs or {})
        chosen = devices.choose_device(device)
        film = purpose == "video" and _is_film(content)
        self.content: Picture = _frame_of(content) if film else as_picture(content, "content")
        several = style if isinstance(style, (list, tuple)) else [style]
        if not several:
            raise InputError("No style picture: give at least one.")
        self.sources = (FILM if purpose == "video" and not film else content, *several)
        self.styles = tuple(look_at(each, i) for i, each in enumerate(several, start=1))
        self.small = replace(self.content, pixels=reduced(self.content.pixels), alpha=None)
        self.held = devices.resident_bytes()
        self.situation = Situation(
            purpose=purpose,
            side=self.content.long_side if size is None else size,
            fixed=size is not None,
            styles=tuple(s.name for s in self.styles),
            unshown=tuple(s.name for s in self.styles if not s.shown),
            learnt=frozenset.intersection(*(frozenset(s.learnt) for s in self.styles)),
            same=self.content.sha256 in {s.picture.sha256 for s in self.styles},
            contrast=max(contrast(s.picture.pixels) for s in self.styles),
            deadline=deadline,
            memory=memory,
            licence=licence,
            device=chosen,
            cores=os.cpu_count() or 1,
        )
        self.rules = fired(self.situation)

    def tried(self) -> Iterator[tuple[Candidate | Refused, tuple[str, ...]]]:
        """Every method that is here, the best by the rules first.

        Yields:
            A candidate and what was cut down for it, or why the method is ruled out.
        """
        films = methods.video_method_names() if self.situation.purpose == "video" else ()
        for method in ranked((*methods.method_names(), *films), self.rules):
            try:
                self._check(method)
                yield self._candidate(method)
            except RuledOut as out:
                yield Refused(method, out.limit, out.why), ()

    def styles_for(self, method: str) -> tuple[object, ...]:
        """The styles as a method takes them: learnt names, or pictures."""
        if knows_by_name(method):
            return tuple(s.learnt[method] for s in self.styles)
        return tuple(s.picture for s in self.styles)

    def recommendation(
        self,
        candidates: tuple[Candidate, ...],
        refused: tuple[Refused, ...],
        cuts: tuple[Reason, ...],
    ) -> Recommendation:
        """All that was found, with the reasons."""
        words = self.situation.words
        best = candidates[0].method if candidates else ""
        serving = [rule for rule in self.rules if rule.instead]
        fits = bool(best) and all(best in rule.favours for rule in serving)
        reasons = [Reason(r.name, r.sentence(words)) for r in self.rules if not r.silent]
        if best and not fits:
            reasons += [Reason("nearest", filled(r.nearest, words)) for r in serving]
        if best and self.situation.licence == "commercial":
            reasons.append(Reason("licence", licenses.commercial_note(best)))
        return Recommendation(self.situation, candidates, fits, (*reasons, *cuts), refused)

    def _check(self, method: str) -> None:
        """The limits that need no forecast.

        Raises:
            RuledOut: with the first that forbids the method.
        """
        card = methods.get_method(method).card
        unknown = [s.name for s in self.styles if method not in s.learnt]
        if knows_by_name(method) and unknown:
            raise RuledOut("learnt", style=unknown[0], method=method)
        if self.situation.unshown and not knows_by_name(method):
            hidden = self.situation.unshown[0]
            knowing = next(m for s in self.styles if s.name == hidden for m in s.learnt)
            raise RuledOut("shown", style=hidden, knowing=knowing)
        if card.extra and licenses.lacks(card.extra):
            raise RuledOut("extra", extra=card.extra)
        painter = knobs_from_dict(methods.get_method(method), self._knobs(method))
        if isinstance(painter, RemoteWeights) and (lacking := painter.missing_weights()):
            raise RuledOut("weights", lacking=lacking)
        licence = licenses.licence_of(method)
        if self.situation.licence == "commercial" and licenses.FORBIDS.search(licence):
            raise RuledOut("licence", licence=licence)

    def _candidate(self, method: str) -> tuple[Candidate, tuple[str, ...]]:
        knobs = self._knobs(method)
        request = make_request(
            self.small,
            self.styles_for(method),
            method=method,
            size=self.situation.side,
            device=self.device,
            precision=self.precision,
            **knobs,
        )
        found = fit(self.situation, request, self.held)
        knobs |= found.knobs
        candidate = Candidate(
            method,
            found.size,
            knobs,
            found.seconds,
            found.peak_bytes,
            self._sources_for(method),
            tuple(self._command(method, found, knobs)),
        )
        return candidate, found.cuts

    def _knobs(self, method: str) -> dict[str, Any]:
        """What was asked for, and what the rules set of its knobs; an earlier rule counts more."""
        known = {knob.name for knob in get_knobs(methods.get_method(method))}
        ruled: dict[str, Any] = {}
        for rule in reversed(self.rules):
            ruled |= rule.knobs.get(method, {})
        return {n: value for n, value in ruled.items() if n in known} | self.given

    def _sources_for(self, method: str) -> tuple[object, ...]:
        """The styles as the caller gave them, or as learnt names."""
        return self.styles_for(method) if knows_by_name(method) else self.sources[1:]

    def _command(self, method: str, found: Fit, knobs: Mapping[str, Any]) -> Iterator[str]:
        content = _typed(self.sources[0], WHO[0])
        film = self.situation.purpose == "video"
        yield from ("impasto", "video" if film else "stylize", content)
        yield from (_typed(each, WHO[1]) for each in self._sources_for(method))
        yield from ("-o", _free_name(content, method, ".mp4" if film else ".png"))
        yield from ("--method", method)
        if self.size is not None or found.size != self.content.long_side:
            yield from ("--size", str(found.size))
        for flag, value in (("--device", self.device), ("--precision", self.precision)):
            if value != "auto":
                yield from (flag, value)
        yield from knobs_to_args(methods.get_method(method), knobs)


def _is_film(content: object) -> bool:
    """Whether a content is the name of a film, or of a film's numbered pictures."""
    return isinstance(content, (str, os.PathLike)) and not is_still(os.fspath(content))


def _frame_of(film: Any) -> Picture:
    """The first frame of a film.

    Raises:
        InputError: it cannot be read.
    """
    source = opened(os.fspath(film), Take(), None)
    pixels = next(source.frames()).pixels
    return Picture(pixels, name=source.facts.name, sha256=source.facts.sha256)


def _typed(source: object, placeholder: str) -> str:
    """A picture as an argument; what begins with a dash would be taken for a flag."""
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else placeholder
    return f"./{name}" if name.startswith("-") else name


def _free_name(content: str, method: str, kind: str) -> str:
    """A name for the painting, in the folder at hand, that no file has; ``kind`` is its suffix."""
    path = Path(content)
    if is_pictures(content) and not is_still(content) and not path.is_dir():
        path = path.absolute().parent  # of numbered pictures, whose own name has no end but %05d
    stem = f"{path.stem}-{method}" if content not in (WHO[0], FILM) else method
    names = (f"{stem}{suffix}{kind}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
    return _typed(next((n for n in names if not Path(n).exists()), f"{stem}{kind}"), method)
