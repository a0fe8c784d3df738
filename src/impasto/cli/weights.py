"""``impasto weights``: list, fetch and check the networks' weights."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from impasto.cli.meter import Meter
from impasto.cli.table import show_table
from impasto.cli.voice import Voice
from impasto.cli.words import memory
from impasto.core.errors import WeightsError
from impasto.weights import store
from impasto.weights.catalogue import CATALOGUE


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
    """List, fetch and check the networks' weights."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def list_(as_json: bool) -> None:
    """List the weights, and whether they are here."""
    voice, listing = Voice(as_json=as_json), store.listing()
    voice.data(
        [
            {
                "name": line.entry.name,
                "what": line.entry.what,
                "source": line.entry.source,
                "licence": line.entry.licence,
                "size": line.entry.size,
                "sha256": line.entry.sha256,
                "needed_by": line.entry.needed_by,
                "path": str(line.path),
                "present": line.present,
            }
            for line in listing
        ]
    )
    if as_json:
        return
    show_table(
        ("weights", "here", "size", "licence", "what they are"),
        [
            (e.name, "yes" if line.present else "no", memory(e.size), e.licence, e.what)
            for line in listing
            for e in (line.entry,)
        ],
    )
    voice.say(f"They are kept in {store.folder()}. impasto weights get NAME fetches them.")


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
