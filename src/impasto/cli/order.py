"""What is to be painted, as the command line says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.cli.region_flags import Asked
from impasto.cli.voice import Voice
from impasto.cli.weights import fetch
from impasto.core.request import Request
from impasto.run import make_request
from impasto.weights.catalogue import CATALOGUE


@dataclass(frozen=True)
class Order:
    """The flags of stylize and plan that make the request; see :class:`Request` for each."""

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
    regions: Asked
    labels: str | None
    style_labels: tuple[str, ...]
    rest: str
    feather: float
    knobs: Mapping[str, Any]

    def request(self, voice: Voice) -> Request:
        """Read the pictures, check every setting, and fetch weights that were asked for by name.

        Raises:
            ImpastoError: a picture or setting that cannot be used.
        """
        request = make_request(
            self.content,
            self.styles,
            method=self.method,
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
            **self.knobs,
        )
        if self.weights in CATALOGUE:
            fetch(self.weights, voice)
        return request

    def files(self) -> list[Path]:
        """Every file that goes in: pictures, weights, and knobs that name a file."""
        pairs = () if isinstance(self.regions, str) else self.regions
        masks = [*(file for pair in pairs for file in pair), self.labels, *self.style_labels]
        named = files_named([*self.styles, self.weights, *self.knobs.values(), *masks])
        return [Path(self.content), *named]


def files_named(values: Iterable[object]) -> list[Path]:
    """The values that are the path of a file."""
    return [Path(v) for v in values if isinstance(v, str) and Path(v).is_file()]
