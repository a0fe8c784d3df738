"""``impasto weights``: list, show, fetch and check the networks' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from impasto.cli.console import Voice
from impasto.cli.progress import Meter
from impasto.cli.table import show_table
from impasto.cli.words import duration, memory, plain
from impasto.core.errors import WeightsError
from impasto.weights import model_files, store
from impasto.weights.registry import CATALOGUE


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete)]


def fetch(name: str, voice: Voice, *, again: bool = False) -> Path:
    """Fetch weights of the catalogue, showing how far it has come; returns their file.

    Raises:
        WeightsError: as :func:`impasto.weights.store.get`.
    """
    with Meter(voice, f"Fetching {name}") as meter:

        def progress(done: int, total: int) -> None:
            meter.show(done / total, f"{memory(done)} of {memory(total)}")

        return store.get(name, again=again, progress=progress)


@click.group("weights")
def weights() -> None:
    """List, show, fetch and check the networks' weights."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def list_(as_json: bool) -> None:
    """List the weights, and whether they are here; then the models that come along."""
    voice = Voice(as_json=as_json)
    listed = [*map(_facts, store.listing()), *map(_model_facts, store.bundled().values())]
    voice.data(listed)
    if as_json:
        return
    show_table(
        ("weights", "here", "size", "licence", "what they are"),
        [
            (f["name"], "yes" if f["present"] else "no", memory(f["size"]), f["licence"], f["what"])
            for f in listed
        ],
    )
    voice.say(
        f"Those that are fetched are kept in {store.folder()}. impasto weights get NAME fetches "
        "them, impasto weights show NAME says more."
    )


@weights.command("show")
@click.argument("name", metavar="NAME|FILE", shell_complete=_names)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def show(name: str, as_json: bool) -> None:
    """Say what NAME is; of a model that Impasto trained, a file too, how it was made."""
    voice = Voice(as_json=as_json)
    facts = _facts_of(name)
    voice.data(facts)
    card = facts.pop("card", {})
    about = {key: value for key, value in facts.pop("about", {}).items() if key != "licence"}
    told = {**facts, **about, **card}
    while told:
        earlier = told.pop("started from", None)
        for label, value in told.items():
            voice.result(f"{label:<13}{_words(label, value)}".rstrip())
        if earlier:
            voice.result("\nstarted from a model that was made so:")
        told = earlier


def _facts_of(name: str) -> dict[str, Any]:
    listed = {line.entry.name: line for line in store.listing()}
    if name in listed:
        return _facts(listed[name])
    path = store.bundled().get(name)
    if path is None:
        path = Path(name).expanduser()
        if not path.is_file():
            store.verify(name)  # raises, and names the nearest
        if model_files.read_header(path) is None:
            raise WeightsError(f"{name} holds no model that Impasto trained: it has no card.")
    return _model_facts(path)


def _facts(line: store.Listed) -> dict[str, Any]:
    entry = line.entry
    return {
        "name": entry.name,
        "kind": entry.kind,
        "what": entry.what,
        "source": entry.source,
        "licence": entry.licence,
        "size": entry.size,
        "sha256": entry.sha256,
        "needed_by": entry.needed_by,
        "path": str(line.path),
        "present": line.present,
    }


def _model_facts(path: Path) -> dict[str, Any]:
    header = model_files.read_header(path) or {}
    kind, card = header.get("kind", "?"), header.get("card", {})
    return {
        "name": path.stem if path.parent == model_files.BUNDLED else path.name,
        "kind": kind,
        "what": model_files.TITLES.get(kind, kind),
        "licence": card.get("licence", ""),
        "size": path.stat().st_size,
        "path": str(path),
        "present": True,
        "about": header.get("about", {}),
        "card": card,
    }


def _words(label: str, value: Any) -> str:
    if label == "size":
        return memory(value)
    if label == "seconds":
        return duration(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(each)}" for name, each in value.items())
    return plain(value)


@weights.command("get")
@click.argument("name", shell_complete=_names)
@click.option("--again", is_flag=True, help="Anew, even if they are here.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def get(name: str, again: bool, quiet: bool) -> None:
    """Fetch the weights NAME, and print their path."""
    voice = Voice(quiet=quiet)
    voice.result(str(fetch(name, voice, again=again)))


@weights.command("verify")
@click.argument("name", required=False, shell_complete=_names)
def verify(name: str | None) -> None:
    """Check the weights NAME, or all that are here."""
    voice = Voice()
    names = [name] if name else [line.entry.name for line in store.listing() if line.present]
    if not names:
        voice.say("No weights are here yet: nothing to check.")
    damaged = []
    for each in names:
        try:
            voice.result(f"{each}: whole, sha256 {store.verify(each)}")
        except WeightsError as error:
            damaged.append(str(error))
    if damaged:
        raise WeightsError(" ".join(damaged))
