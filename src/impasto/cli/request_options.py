"""What is to be painted, as the command line says it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.advise.shared_knobs import AUTO_METHOD
from impasto.cli.console import Reporter
from impasto.cli.progress import spinner
from impasto.cli.region_flags import RegionArgs
from impasto.cli.weights import fetch
from impasto.core.color_options import COLOR_STAGES, KEEP_COLOR_MODES
from impasto.core.errors import KnobError
from impasto.core.knobs import get_knobs
from impasto.core.request import BACKGROUND_MODES, Request
from impasto.methods import get_method
from impasto.pipeline import make_request
from impasto.weights.registry import REGISTRY

if TYPE_CHECKING:
    from impasto.advise.recommend.auto import MethodChoice


@dataclass(frozen=True)
class RequestOptions:
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
    shrink_to_fit: bool
    knobs: Mapping[str, Any]
    regions: RegionArgs = ()
    labels: str | None = None
    style_labels: tuple[str, ...] = ()
    background: str = BACKGROUND_MODES[0]
    feather: float = 0.0
    keep_color: str = KEEP_COLOR_MODES[0]
    color_strength: float = 1.0
    color_stage: str = COLOR_STAGES[0]
    color_mask: str | None = None
    prompt_from_style: bool = False

    def to_request(self, reporter: Reporter) -> Request:
        """Read the pictures, check every setting, and fetch weights that were asked for by name.

        Raises:
            ImpastoError: a picture or setting that cannot be used.
        """
        content: object = self.content
        styles: tuple[object, ...] = self.styles
        method, knobs = self.method, self.knobs
        if method == AUTO_METHOD:
            choice = self._choose_method(reporter)
            content, styles, method, knobs = (
                choice.content,
                choice.styles,
                choice.method,
                choice.knobs,
            )
        if self.prompt_from_style:
            knobs = self._add_style_prompt(reporter, knobs)
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
            shrink_to_fit=self.shrink_to_fit,
            regions=self.regions,
            labels=self.labels,
            style_labels=self.style_labels,
            background=self.background,
            feather=self.feather,
            keep_color=self.keep_color,
            color_strength=self.color_strength,
            color_stage=self.color_stage,
            color_mask=self.color_mask,
            **knobs,
        )
        if self.weights in REGISTRY:
            fetch(self.weights, reporter)
        return request

    def _add_style_prompt(self, reporter: Reporter, knobs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The knobs with the styles in words at the end of the prompt.

        Raises:
            KnobError: no styles, or a method that reads no prompt.
        """
        from impasto.advise.describe.describe import Describer

        if self.method == AUTO_METHOD or "prompt" not in {
            k.name for k in get_knobs(get_method(self.method))
        }:
            raise KnobError(
                f"--prompt-from-style is for methods that read a prompt, and {self.method} reads "
                "none: say --method sdxl."
            )
        if not self.styles:
            raise KnobError("--prompt-from-style has no style picture to describe: give one.")
        describer = Describer()
        with spinner(reporter, "Describing"):
            phrases = [describer(style).phrase for style in self.styles]
        prompt = ", ".join(part for part in (knobs.get("prompt", ""), *phrases) if part)
        reporter.info(f"Prompt: {prompt}")
        return {**knobs, "prompt": prompt}

    def _choose_method(self, reporter: Reporter) -> MethodChoice:
        """The method that "auto" stands for here, told in a line."""
        from impasto.advise.recommend.auto import choose_method, refuse_regions

        refuse_regions(self.regions or self.labels)
        with spinner(reporter, "Choosing"):
            choice = choose_method(
                self.content,
                self.styles,
                self.knobs,
                size=self.size,
                weights=self.weights,
                device=self.device,
                precision=self.precision,
            )
        reporter.info(f"--method {choice.reason}")
        return choice

    def input_files(self) -> list[Path]:
        """Every file that goes in: pictures, weights, and knobs that name a file."""
        pairs = () if isinstance(self.regions, str) else self.regions
        masks = [*(file for pair in pairs for file in pair), self.labels, *self.style_labels]
        masks.append(self.color_mask)
        named = existing_files([*self.styles, self.weights, *self.knobs.values(), *masks])
        return [Path(self.content), *named]


def existing_files(values: Iterable[object]) -> list[Path]:
    """The values that are the path of a file; a prompt is none, and may be too long for a name."""
    return [Path(v) for v in values if isinstance(v, str) and os.path.isfile(v)]  # noqa: PTH113
