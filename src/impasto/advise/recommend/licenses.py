"""What the licenses of a method's weights allow, from the cards and the registry."""

from __future__ import annotations

import re
from importlib import metadata

from impasto import methods
from impasto.core.errors import WeightsError
from impasto.weights import store
from impasto.weights.model_files import read_model_header
from impasto.weights.registry import REGISTRY

NON_COMMERCIAL_PATTERN = re.compile(r"non-?\s?commercial|\bNC\b", re.IGNORECASE)
"""A license that says so does not allow commercial use."""


def method_license(method: str) -> str:
    """The licenses of a method's code and default weights, as they are stated."""
    card = methods.get_method(method).card
    stated = [f"{name}: {_weights_license(name)}" for name in card.weights[:1]]
    return "; ".join([card.license, *stated])


def has_research_only_data(method: str) -> bool:
    """Whether some of the pictures that taught a method's weights are for research alone."""
    return any(
        NON_COMMERCIAL_PATTERN.search(_training_data(name))
        for name in methods.get_method(method).card.weights[:1]
    )


def commercial_note(method: str) -> str:
    """One sentence on a method's weights for who wants to use its paintings commercially."""
    weights = methods.get_method(method).card.weights[:1]
    said = (
        f"The weights of {method} ({', '.join(weights)}): "
        f"{', '.join(map(_weights_license, weights))}"
    )
    if has_research_only_data(method):
        return (
            f"{said}; some of the photographs that taught them are for non-commercial research: "
            "who must be sure trains anew (docs/models.md)."
        )
    return f"{said}."


def is_extra_missing(extra: str) -> bool:
    """Whether a package of an optional install of Impasto is not there."""
    wanted = metadata.requires("impasto") or []
    ours = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    mine = [line for line in wanted if ours.search(line)]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in mine]
    return not all(map(_is_installed, names))


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _weights_license(weights: str) -> str:
    if weights in REGISTRY:
        return REGISTRY[weights].license
    card = _weights_card(weights)  # files of earlier versions spell it "licence"
    return str(card.get("license", card.get("licence", "not stated")))


def _training_data(weights: str) -> str:
    return str(_weights_card(weights).get("data", ""))


def _weights_card(weights: str) -> dict[str, object]:
    path = store.bundled_models().get(weights)
    try:
        header = read_model_header(path) if path else None
    except WeightsError:
        return {}
    return dict((header or {}).get("card", {}))
