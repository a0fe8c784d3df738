"""``impasto weights``: list, show, fetch and check the networks' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from impasto.cli.console import Reporter
from impasto.cli.progress import ProgressBar
from impasto.cli.table import show_table
from impasto.cli.words import format_bytes, format_duration, format_value
from impasto.core.errors import WeightsError
from impasto.weights import model_files, store
from impasto.weights.registry import REGISTRY


def _complete_weights(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in REGISTRY if name.startswith(incomplete)]


def fetch(name: str, reporter: Reporter, *, force: bool = False) -> Path:
    """Fetch weights of the registry, showing how far it has come; returns their file.

    Raises:
        WeightsError: as :func:`impasto.weights.store.fetch_weights`.
    """
    with ProgressBar(reporter, f"Fetching {name}") as meter:

        def progress(done: int, total: int) -> None:
            meter.update(done / total, f"{format_bytes(done)} of {format_bytes(total)}")

        return store.fetch_weights(name, force=force, callback=progress)


@click.group("weights")
def weights() -> None:
    """List, show, fetch and check the networks' weights."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def list_(as_json: bool) -> None:
    """List the weights, and whether they are here; then the models that come along."""
    voice = Reporter(as_json=as_json)
    listed = [
        *map(_entry_json, store.list_weights()),
        *map(_model_json, store.bundled_models().values()),
    ]
    voice.print_json(listed)
    if as_json:
        return
    show_table(
        ("weights", "here", "size", "license", "what they are"),
        [
            (
                f["name"],
                "yes" if f["present"] else "no",
                format_bytes(f["size"]),
                f["license"],
                f["what"],
            )
            for f in listed
        ],
    )
    voice.info(
        f"Those that are fetched are kept in {store.weights_folder()}. impasto weights get NAME "
        f"fetches "
        "them, impasto weights show NAME says more."
    )


@weights.command("show")
@click.argument("name", metavar="NAME|FILE", shell_complete=_complete_weights)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def show(name: str, as_json: bool) -> None:
    """Say what NAME is; of a model that Impasto trained, a file too, how it was made."""
    voice = Reporter(as_json=as_json)
    facts = _weights_json(name)
    voice.print_json(facts)
    card = facts.pop("card", {})
    about = {key: value for key, value in facts.pop("about", {}).items() if key != "license"}
    told = {**facts, **about, **card}
    while told:
        earlier = told.pop("started from", None)
        for label, value in told.items():
            voice.print_result(f"{label:<13}{_format_field(label, value)}".rstrip())
        if earlier:
            voice.print_result("\nstarted from a model that was made so:")
        told = earlier


def _weights_json(name: str) -> dict[str, Any]:
    listed = {line.entry.name: line for line in store.list_weights()}
    if name in listed:
        return _entry_json(listed[name])
    path = store.bundled_models().get(name)
    if path is None:
        path = Path(name).expanduser()
        if not path.is_file():
            store.verify(name)  # raises, and names the nearest
        if model_files.read_model_header(path) is None:
            raise WeightsError(f"{name} holds no model that Impasto trained: it has no card.")
    return _model_json(path)


def _entry_json(line: store.WeightsStatus) -> dict[str, Any]:
    entry = line.entry
    return {
        "name": entry.name,
        "kind": entry.role,
        "what": entry.description,
        "source": entry.source,
        "license": entry.license,
        "size": entry.size_bytes,
        "sha256": entry.sha256,
        "needed_by": entry.used_by,
        "path": str(line.path),
        "present": line.is_present,
    }


def _model_json(path: Path) -> dict[str, Any]:
    header = model_files.read_model_header(path) or {}
    kind, card = header.get("kind", "?"), header.get("card", {})
    return {
        "name": path.stem if path.parent == model_files.BUNDLED_FOLDER else path.name,
        "kind": kind,
        "what": model_files.MODEL_TITLES.get(kind, kind),
        "license": card.get("license", ""),
        "size": path.stat().st_size,
        "path": str(path),
        "present": True,
        "about": header.get("about", {}),
        "card": card,
    }


def _format_field(label: str, value: Any) -> str:
    if label == "size":
        return format_bytes(value)
    if label == "seconds":
        return format_duration(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {format_value(each)}" for name, each in value.items())
    return format_value(value)


@weights.command("get")
@click.argument("name", shell_complete=_complete_weights)
@click.option("--force", is_flag=True, help="Anew, even if they are here.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def get(name: str, force: bool, quiet: bool) -> None:
    """Fetch the weights NAME, and print their path."""
    voice = Reporter(quiet=quiet)
    voice.print_result(str(fetch(name, voice, force=force)))


@weights.command("verify")
@click.argument("name", required=False, shell_complete=_complete_weights)
def verify(name: str | None) -> None:
    """Check the weights NAME, or all that are here."""
    voice = Reporter()
    names = (
        [name] if name else [line.entry.name for line in store.list_weights() if line.is_present]
    )
    if not names:
        voice.info("No weights are here yet: nothing to check.")
    damaged = []
    for each in names:
        try:
            voice.print_result(f"{each}: whole, sha256 {store.verify(each)}")
        except WeightsError as error:
            damaged.append(str(error))
    if damaged:
        raise WeightsError(" ".join(damaged))
