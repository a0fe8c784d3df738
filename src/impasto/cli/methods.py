"""``impasto methods``: which there are, and what their knobs do."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from click.shell_completion import CompletionItem

from impasto.cli.console import Voice
from impasto.cli.table import show_table
from impasto.cli.words import plain
from impasto.core.errors import WeightsError
from impasto.core.knobs import Knob, flag_name, knobs_of
from impasto.core.request import NamesStyles
from impasto.methods import films, find, names


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in (*names(), *films()) if name.startswith(incomplete)]


@click.command("methods")
@click.argument("name", required=False, shell_complete=_names)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def methods(name: str | None, as_json: bool) -> None:
    """List the methods; with NAME, its card and every knob."""
    voice = Voice(as_json=as_json)
    if name is None:
        voice.data([_facts(each) for each in (*names(), *films())])
        if not as_json:
            _list()
        return
    voice.data(_facts(name))
    if not as_json:
        _explain(name)


def _list() -> None:
    cards = {name: find(name).card for name in (*names(), *films())}
    show_table(
        ("method", "what it is", "good for", "supports"),
        [(n, c.title, c.good_for, ", ".join(c.supports)) for n, c in cards.items()],
    )


def _explain(name: str) -> None:
    card = find(name).card
    rows = [
        ("good for", card.good_for),
        ("not for", card.not_for),
        ("paper", card.paper),
        ("licence", card.licence),
        ("weights", ", ".join(card.weights)),
        ("supports", ", ".join(card.supports)),
        *(("measured", f"{value} ({label})") for label, value in card.figures),
    ]
    if styles := _styles(name):
        rows.append(("styles", ", ".join(styles)))
    if card.extra:
        rows.append(("needs", f'pip install "impasto[{card.extra}]"'))
    click.echo(f"{name}: {card.title}\n")
    for label, text in rows:
        click.echo(f"{label:<10}{text}")
    click.echo()
    show_table(
        ("flag", "default", "values", "what it does"),
        [(flag_name(k), plain(k.default), k.allowed, k.doc) for k in _knobs(name)],
    )


def _facts(name: str) -> dict[str, Any]:
    return {
        "name": name,
        **dataclasses.asdict(find(name).card),
        "styles": _styles(name),
        "knobs": [_knob_facts(knob) for knob in _knobs(name)],
    }


def _knob_facts(knob: Knob) -> dict[str, Any]:
    return {
        "name": knob.name,
        "flag": flag_name(knob),
        "type": knob.item.__name__,
        "many": knob.many,
        "optional": knob.optional,
        "default": knob.default,
        "low": knob.low,
        "high": knob.high,
        "choices": knob.choices,
        "unit": knob.unit,
        "doc": knob.doc,
    }


def _styles(name: str) -> tuple[str, ...]:
    """The styles that the method's own weights have learnt, if it takes styles by their names."""
    method = find(name)
    try:
        return method.known_styles() if issubclass(method, NamesStyles) else ()
    except WeightsError:  # it can be explained all the same
        return ()


def _knobs(name: str) -> tuple[Knob, ...]:
    return knobs_of(find(name))
