"""The recipe: everything needed to explain, repeat and check a result. Plain JSON inside."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from impasto.core.errors import InputError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class InputFile:
    """An input picture: its role ("content", "style", "mask", "labels" …), name and checksum."""

    role: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Recipe:
    """How a result was made.

    Attributes:
        method, knobs: the method's name and every knob, defaults included.
        inputs: the pictures, with checksums.
        options: the request's other settings: seed, style weights, weights.
        setting: size, device, precision and threads it ran with.
        files: weights and other files used beside the inputs, name → sha256.
        versions: of Impasto, Python and the libraries that decide the pixels.
        losses, steps, seconds, peak_bytes: how it went.
        finished: False if it was stopped before its end.
        notes, warnings: what the plan said.
        regions: of each its name, its style and their shares of the areas, 0 to 1.
        structure: how much of the content's edges is left: "edges", the correlation of the
            gradients, and "edge_ssim", -1 to 1; empty where it was not measured.
        film: of a film its frames, its settings and what was measured of it; empty for a picture.
    """

    method: str
    knobs: dict[str, Any]
    inputs: tuple[InputFile, ...]
    options: dict[str, Any]
    setting: dict[str, Any]
    files: dict[str, str]
    versions: dict[str, str]
    losses: dict[str, float]
    steps: int
    seconds: float
    peak_bytes: int
    finished: bool = True
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    regions: tuple[dict[str, Any], ...] = ()
    structure: dict[str, float] = field(default_factory=dict)
    film: dict[str, Any] = field(default_factory=dict)
    format: int = field(default=FORMAT_VERSION)

    def to_json(self, indent: int | None = None) -> str:
        return json.dumps(dataclasses.asdict(self), indent=indent, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, source: str = "recipe") -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises:
            InputError: no recipe, or one of a later format than this version knows.
        """
        try:
            data = json.loads(text)
            if data["format"] > FORMAT_VERSION:
                raise InputError(f"{source}: the recipe is of a later Impasto; update to read it.")
            for name in ("knobs", "options", "setting", "files", "versions", "losses"):
                if not isinstance(data[name], dict):
                    raise TypeError(f"{name} is no mapping")
            data["inputs"] = tuple(InputFile(**i) for i in data["inputs"])
            data["notes"], data["warnings"] = tuple(data["notes"]), tuple(data["warnings"])
            data["regions"] = tuple(dict(region) for region in data.get("regions", ()))
            data["structure"] = dict(data.get("structure", {}))
            data["film"] = dict(data.get("film", {}))
            return cls(**data)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{source}: this is not an Impasto recipe ({error}).") from error
