"""A case: pictures, what is asked for, and this machine; and what each method would do with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto import methods
from impasto.advise.recommend import licenses
from impasto.advise.recommend.limits import BudgetFit, LimitViolation, fit_to_limits
from impasto.advise.recommend.recommendation import Candidate, Excluded, Reason, Recommendation
from impasto.advise.recommend.rules import fill_template, matching_rules, rank_methods
from impasto.advise.recommend.scenario import Scenario
from impasto.advise.recommend.style_features import (
    has_built_in_styles,
    luminance_contrast,
    read_style,
    shrink_pixels,
)
from impasto.core import devices
from impasto.core.errors import InputError
from impasto.core.knobs import get_knobs, knobs_from_dict, knobs_to_args
from impasto.core.picture import Picture
from impasto.core.request import RemoteWeights
from impasto.pictures import as_picture
from impasto.pipeline import make_request
from impasto.video.image_sequence import is_image_sequence, is_still_image
from impasto.video.open_source import open_source
from impasto.video.options import VideoOptions

PLACEHOLDERS = ("CONTENT", "STYLE")
"""What a command calls pictures that came from memory."""
VIDEO_PLACEHOLDER = "FILM"
"""What it calls a film of which a frame was given."""


class CandidateFinder:
    """A content, styles, what is asked for, and this machine.

    Args:
        content, style: as for :func:`recommend`.
        purpose, deadline, memory, license: as in :class:`Scenario`.
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
        license: str = "any",
        size: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        knobs: Mapping[str, Any] | None = None,
    ) -> None:
        self.device, self.precision, self.size = device, precision, size
        self.fixed_knobs = dict(knobs or {})
        chosen = devices.choose_device(device)
        film = purpose == "video" and _is_video(content)
        self.content: Picture = _first_frame(content) if film else as_picture(content, "content")
        several = style if isinstance(style, (list, tuple)) else [style]
        if not several:
            raise InputError("No style picture: give at least one.")
        self.input_sources = (
            VIDEO_PLACEHOLDER if purpose == "video" and not film else content,
            *several,
        )
        self.styles = tuple(read_style(each, i) for i, each in enumerate(several, start=1))
        self.forecast_content = replace(
            self.content, pixels=shrink_pixels(self.content.pixels), alpha=None
        )
        self.baseline_bytes = devices.resident_bytes()
        self.scenario = Scenario(
            purpose=purpose,
            long_side=self.content.long_side if size is None else size,
            is_size_fixed=size is not None,
            style_names=tuple(s.name for s in self.styles),
            styles_without_picture=tuple(s.name for s in self.styles if not s.has_picture),
            methods_with_styles=frozenset.intersection(
                *(frozenset(s.built_in_names) for s in self.styles)
            ),
            style_is_content=self.content.sha256 in {s.picture.sha256 for s in self.styles},
            style_contrast=max(luminance_contrast(s.picture.pixels) for s in self.styles),
            deadline=deadline,
            memory=memory,
            license=license,
            device=chosen,
            cores=os.cpu_count() or 1,
        )
        self.rules = matching_rules(self.scenario)

    def iter_methods(self) -> Iterator[tuple[Candidate | Excluded, tuple[str, ...]]]:
        """Every method that is here, the best by the rules first.

        Yields:
            A candidate and what was cut down for it, or why the method is ruled out.
        """
        films = methods.video_method_names() if self.scenario.purpose == "video" else ()
        for method in rank_methods((*methods.method_names(), *films), self.rules):
            try:
                self._check_limits(method)
                yield self._make_candidate(method)
            except LimitViolation as out:
                yield Excluded(method, out.limit, out.reason), ()

    def styles_for(self, method: str) -> tuple[object, ...]:
        """The styles as a method takes them: built-in names, or pictures."""
        if has_built_in_styles(method):
            return tuple(s.built_in_names[method] for s in self.styles)
        return tuple(s.picture for s in self.styles)

    def make_recommendation(
        self,
        candidates: tuple[Candidate, ...],
        excluded: tuple[Excluded, ...],
        reductions: tuple[Reason, ...],
    ) -> Recommendation:
        """All that was found, with the reasons."""
        words = self.scenario.template_values
        best = candidates[0].method if candidates else ""
        serving = [rule for rule in self.rules if rule.fallbacks]
        fits = bool(best) and all(best in rule.favors for rule in serving)
        reasons = [Reason(r.name, r.format_reason(words)) for r in self.rules if not r.is_silent]
        if best and not fits:
            reasons += [Reason("nearest", fill_template(r.fallback_reason, words)) for r in serving]
        if best and self.scenario.license == "commercial":
            reasons.append(Reason("license", licenses.commercial_note(best)))
        return Recommendation(self.scenario, candidates, fits, (*reasons, *reductions), excluded)

    def _check_limits(self, method: str) -> None:
        """The limits that need no forecast.

        Raises:
            RuledOut: with the first that forbids the method.
        """
        card = methods.get_method(method).card
        unknown = [s.name for s in self.styles if method not in s.built_in_names]
        if has_built_in_styles(method) and unknown:
            raise LimitViolation("learnt", style=unknown[0], method=method)
        if self.scenario.styles_without_picture and not has_built_in_styles(method):
            hidden = self.scenario.styles_without_picture[0]
            knowing = next(m for s in self.styles if s.name == hidden for m in s.built_in_names)
            raise LimitViolation("shown", style=hidden, knowing=knowing)
        if card.extra and licenses.is_extra_missing(card.extra):
            raise LimitViolation("extra", extra=card.extra)
        painter = knobs_from_dict(methods.get_method(method), self._knobs_for(method))
        if isinstance(painter, RemoteWeights) and (lacking := painter.missing_weights()):
            raise LimitViolation("weights", lacking=lacking)
        license = licenses.method_license(method)
        if self.scenario.license == "commercial" and licenses.NON_COMMERCIAL_PATTERN.search(
            license
        ):
            raise LimitViolation("license", license=license)

    def _make_candidate(self, method: str) -> tuple[Candidate, tuple[str, ...]]:
        knobs = self._knobs_for(method)
        request = make_request(
            self.forecast_content,
            self.styles_for(method),
            method=method,
            size=self.scenario.long_side,
            device=self.device,
            precision=self.precision,
            **knobs,
        )
        found = fit_to_limits(self.scenario, request, self.baseline_bytes)
        knobs |= found.knobs
        candidate = Candidate(
            method,
            found.size,
            knobs,
            found.seconds,
            found.peak_bytes,
            self._sources_for(method),
            tuple(self._command_args(method, found, knobs)),
        )
        return candidate, found.reductions

    def _knobs_for(self, method: str) -> dict[str, Any]:
        """What was asked for, and what the rules set of its knobs; an earlier rule counts more."""
        known = {knob.name for knob in get_knobs(methods.get_method(method))}
        ruled: dict[str, Any] = {}
        for rule in reversed(self.rules):
            ruled |= rule.knobs.get(method, {})
        return {n: value for n, value in ruled.items() if n in known} | self.fixed_knobs

    def _sources_for(self, method: str) -> tuple[object, ...]:
        """The styles as the caller gave them, or as built-in names."""
        return self.styles_for(method) if has_built_in_styles(method) else self.input_sources[1:]

    def _command_args(
        self, method: str, budget_fit: BudgetFit, knobs: Mapping[str, Any]
    ) -> Iterator[str]:
        content = _format_argument(self.input_sources[0], PLACEHOLDERS[0])
        film = self.scenario.purpose == "video"
        yield from ("impasto", "video" if film else "stylize", content)
        yield from (_format_argument(each, PLACEHOLDERS[1]) for each in self._sources_for(method))
        yield from ("-o", _unused_name(content, method, ".mp4" if film else ".png"))
        yield from ("--method", method)
        if self.size is not None or budget_fit.size != self.content.long_side:
            yield from ("--size", str(budget_fit.size))
        for flag, value in (("--device", self.device), ("--precision", self.precision)):
            if value != "auto":
                yield from (flag, value)
        yield from knobs_to_args(methods.get_method(method), knobs)


def _is_video(content: object) -> bool:
    """Whether a content is the name of a film, or of a film's numbered pictures."""
    return isinstance(content, (str, os.PathLike)) and not is_still_image(os.fspath(content))


def _first_frame(path: Any) -> Picture:
    """The first frame of a film.

    Raises:
        InputError: it cannot be read.
    """
    source = open_source(os.fspath(path), VideoOptions(), None)
    pixels = next(source.frames()).pixels
    return Picture(pixels, name=source.info.name, sha256=source.info.sha256)


def _format_argument(source: object, placeholder: str) -> str:
    """A picture as an argument; what begins with a dash would be taken for a flag."""
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else placeholder
    return f"./{name}" if name.startswith("-") else name


def _unused_name(content: str, method: str, extension: str) -> str:
    """A name for the painting, in the folder at hand, that no file has.

    ``extension`` is its suffix.
    """
    path = Path(content)
    if is_image_sequence(content) and not is_still_image(content) and not path.is_dir():
        path = path.absolute().parent  # of numbered pictures, whose own name has no end but %05d
    stem = (
        f"{path.stem}-{method}" if content not in (PLACEHOLDERS[0], VIDEO_PLACEHOLDER) else method
    )
    names = (f"{stem}{suffix}{extension}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
    return _format_argument(
        next((n for n in names if not Path(n).exists()), f"{stem}{extension}"), method
    )
