"""``impasto methods``: which there are, and what their knobs do."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from click.shell_completion import CompletionItem

from impasto.cli.console import Reporter
from impasto.cli.table import show_table
from impasto.cli.words import format_value
from impasto.core.errors import WeightsError
from impasto.core.knobs import Knob, flag_name, get_knobs
from impasto.core.request import BuiltInStyles
from impasto.methods import get_method, method_names, video_method_names


def _complete_methods(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(name)
        for name in (*method_names(), *video_method_names())
        if name.startswith(incomplete)
    ]


@click.command("methods")
@click.argument("name", required=False, shell_complete=_complete_methods)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
def methods(name: str | None, as_json: bool) -> None:
    """List the methods; with NAME, its card and every knob."""
    voice = Reporter(as_json=as_json)
    if name is None:
        voice.print_json([_method_json(each) for each in (*method_names(), *video_method_names())])
        if not as_json:
            _show_list()
        return
    voice.print_json(_method_json(name))
    if not as_json:
        _show_method(name)


def _show_list() -> None:
    cards = {name: get_method(name).card for name in (*method_names(), *video_method_names())}
    show_table(
        ("method", "what it is", "good for", "supports"),
        [(n, c.title, c.good_for, ", ".join(c.supports)) for n, c in cards.items()],
    )


def _show_method(name: str) -> None:
    card = get_method(name).card
    rows = [
        ("good for", card.good_for),
        ("not for", card.not_for),
        ("paper", card.paper),
        ("license", card.license),
        ("weights", ", ".join(card.weights)),
        ("supports", ", ".join(card.supports)),
        *(("measured", f"{value} ({label})") for label, value in card.figures),
    ]
    if styles := _built_in_styles(name):
        rows.append(("styles", ", ".join(styles)))
    if card.extra:
        rows.append(("needs", f'pip install "impasto[{card.extra}]"'))
    click.echo(f"{name}: {card.title}\n")
    for label, text in rows:
        click.echo(f"{label:<10}{text}")
    click.echo()
    show_table(
        ("flag", "default", "values", "what it does"),
        [
            (flag_name(k), format_value(k.default), k.allowed_text, k.doc)
            for k in _method_knobs(name)
        ],
    )


def _method_json(name: str) -> dict[str, Any]:
    return {
        "name": name,
        **dataclasses.asdict(get_method(name).card),
        "styles": _built_in_styles(name),
        "knobs": [_knob_json(knob) for knob in _method_knobs(name)],
    }


def _knob_json(knob: Knob) -> dict[str, Any]:
    return {
        "name": knob.name,
        "flag": flag_name(knob),
        "type": knob.item_type.__name__,
        "many": knob.is_tuple,
        "optional": knob.is_optional,
        "default": knob.default,
        "low": knob.low,
        "high": knob.high,
        "choices": knob.choices,
        "unit": knob.unit,
        "doc": knob.doc,
    }


def _built_in_styles(name: str) -> tuple[str, ...]:
    """The styles that the method's own weights have learnt, if it takes styles by their names."""
    method = get_method(name)
    try:
        return method.style_names() if issubclass(method, BuiltInStyles) else ()
    except WeightsError:  # it can be explained all the same
        return ()


def _method_knobs(name: str) -> tuple[Knob, ...]:
    return get_knobs(get_method(name))
