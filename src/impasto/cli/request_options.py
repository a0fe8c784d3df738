"""What is to be painted, as the command line says it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.advise.shared_knobs import AUTO
from impasto.cli.console import Voice
from impasto.cli.progress import waiting
from impasto.cli.region_flags import Asked
from impasto.cli.weights import fetch
from impasto.core.color_options import KEEPS, WHENS
from impasto.core.errors import KnobError
from impasto.core.knobs import knobs_of
from impasto.core.request import RESTS, Request
from impasto.methods import find
from impasto.pipeline import make_request
from impasto.weights.registry import CATALOGUE

if TYPE_CHECKING:
    from impasto.advise.recommend.auto import Choice


@dataclass(frozen=True)
class Order:
    """The flags of stylize and plan that make the request; see :class:`Request` for each.

    Those that have a value here are not flags of every verb.
    """

    content: str
    styles: tuple[str, ...]
    method: str
    size: int | None
    seed: int
    style_weights: tuple[float, ...]
    weights: str
    device: str
    precision: str
    fit: bool
    knobs: Mapping[str, Any]
    regions: Asked = ()
    labels: str | None = None
    style_labels: tuple[str, ...] = ()
    rest: str = RESTS[0]
    feather: float = 0.0
    keep_colour: str = KEEPS[0]
    colour_share: float = 1.0
    colour_when: str = WHENS[0]
    colour_mask: str | None = None
    prompt_from_style: bool = False

    def request(self, voice: Voice) -> Request:
        """Read the pictures, check every setting, and fetch weights that were asked for by name.

        Raises:
            ImpastoError: a picture or setting that cannot be used.
        """
        content: object = self.content
        styles: tuple[object, ...] = self.styles
        method, knobs = self.method, self.knobs
        if method == AUTO:
            choice = self._choice(voice)
            content, styles, method, knobs = (
                choice.content,
                choice.styles,
                choice.method,
                choice.knobs,
            )
        if self.prompt_from_style:
            knobs = self._described(voice, knobs)
        request = make_request(
            content,
            styles,
            method=method,
            size=self.size,
            seed=self.seed,
            style_weights=self.style_weights,
            weights=self.weights,
            device=self.device,
            precision=self.precision,
            fit=self.fit,
            regions=self.regions,
            labels=self.labels,
            style_labels=self.style_labels,
            rest=self.rest,
            feather=self.feather,
            keep_colour=self.keep_colour,
            colour_share=self.colour_share,
            colour_when=self.colour_when,
            colour_mask=self.colour_mask,
            **knobs,
        )
        if self.weights in CATALOGUE:
            fetch(self.weights, voice)
        return request

    def _described(self, voice: Voice, knobs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The knobs with the styles in words at the end of the prompt.

        Raises:
            KnobError: no styles, or a method that reads no prompt.
        """
        from impasto.advise.describe.describe import Describer

        if self.method == AUTO or "prompt" not in {k.name for k in knobs_of(find(self.method))}:
            raise KnobError(
                f"--prompt-from-style is for methods that read a prompt, and {self.method} reads "
                "none: say --method sdxl."
            )
        if not self.styles:
            raise KnobError("--prompt-from-style has no style picture to describe: give one.")
        describer = Describer()
        with waiting(voice, "Describing"):
            phrases = [describer(style).phrase for style in self.styles]
        prompt = ", ".join(part for part in (knobs.get("prompt", ""), *phrases) if part)
        voice.say(f"Prompt: {prompt}")
        return {**knobs, "prompt": prompt}

    def _choice(self, voice: Voice) -> Choice:
        """The method that "auto" stands for here, told in a line."""
        from impasto.advise.recommend.auto import check_regions, choose

        check_regions(self.regions or self.labels)
        with waiting(voice, "Choosing"):
            choice = choose(
                self.content,
                self.styles,
                self.knobs,
                size=self.size,
                weights=self.weights,
                device=self.device,
                precision=self.precision,
            )
        voice.say(f"--method {choice.why}")
        return choice

    def files(self) -> list[Path]:
        """Every file that goes in: pictures, weights, and knobs that name a file."""
        pairs = () if isinstance(self.regions, str) else self.regions
        masks = [*(file for pair in pairs for file in pair), self.labels, *self.style_labels]
        masks.append(self.colour_mask)
        named = files_named([*self.styles, self.weights, *self.knobs.values(), *masks])
        return [Path(self.content), *named]


def files_named(values: Iterable[object]) -> list[Path]:
    """The values that are the path of a file; a prompt is none, and may be too long for a name."""
    return [Path(v) for v in values if isinstance(v, str) and os.path.isfile(v)]  # noqa: PTH113
