"""What the licences of a method's weights allow, from the cards and the catalogue."""

from __future__ import annotations

import re
from importlib import metadata

from impasto import methods
from impasto.core.errors import WeightsError
from impasto.weights import store
from impasto.weights.model_files import read_model_header
from impasto.weights.registry import REGISTRY

FORBIDS = re.compile(r"non-?\s?commercial|\bNC\b", re.IGNORECASE)
"""A licence that says so does not allow commercial use."""


def licence_of(method: str) -> str:
    """The licences of a method's code and default weights, as they are stated."""
    card = methods.get_method(method).card
    stated = [f"{name}: {_stated(name)}" for name in card.weights[:1]]
    return "; ".join([card.licence, *stated])


def taught_with_care(method: str) -> bool:
    """Whether some of the pictures that taught a method's weights are for research alone."""
    return any(
        FORBIDS.search(_taught_with(name)) for name in methods.get_method(method).card.weights[:1]
    )


def commercial_note(method: str) -> str:
    """One sentence on a method's weights for who wants to use its paintings commercially."""
    weights = methods.get_method(method).card.weights[:1]
    said = f"The weights of {method} ({', '.join(weights)}): {', '.join(map(_stated, weights))}"
    if taught_with_care(method):
        return (
            f"{said}; some of the photographs that taught them are for non-commercial research: "
            "who must be sure trains anew (docs/models.md)."
        )
    return f"{said}."


def lacks(extra: str) -> bool:
    """Whether a package of an optional install of Impasto is not there."""
    wanted = metadata.requires("impasto") or []
    ours = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    mine = [line for line in wanted if ours.search(line)]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in mine]
    return not all(map(_installed, names))


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _stated(weights: str) -> str:
    if weights in REGISTRY:
        return REGISTRY[weights].licence
    return str(_card(weights).get("licence", "not stated"))


def _taught_with(weights: str) -> str:
    return str(_card(weights).get("data", ""))


def _card(weights: str) -> dict[str, object]:
    path = store.bundled_models().get(weights)
    try:
        header = read_model_header(path) if path else None
    except WeightsError:
        return {}
    return dict((header or {}).get("card", {}))
