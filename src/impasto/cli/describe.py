"""``impasto describe``: a style in words for a prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from impasto.advise.describe.describe import BACKENDS, DEFAULT_MAX_WORDS, MAX_WORDS_LIMIT, Describer
from impasto.cli.console import Reporter
from impasto.cli.progress import spinner


@click.command("describe")
@click.argument("styles", metavar="STYLE…", nargs=-1, required=True, type=click.Path())
@click.option(
    "--backend",
    type=click.Choice(("auto", *BACKENDS)),
    default="auto",
    metavar="|".join(("auto", *BACKENDS)),
    help="Who says the words; auto: the first of these that is at hand [default auto].",
)
@click.option(
    "--model",
    default="",
    metavar="NAME",
    help="A language model that sees pictures: openai:NAME, anthropic:NAME, or with "
    "--model-url any; unset: IMPASTO_MODEL. It is sent the picture at 768 px at most.",
)
@click.option(
    "--model-url",
    default="",
    metavar="URL",
    help="Of a server that speaks OpenAI's protocol, as http://localhost:11434/v1; "
    "unset: IMPASTO_MODEL_URL.",
)
@click.option(
    "--clip",
    default="",
    metavar="NAME|DIR",
    help="A CLIP on the hub, fetched if it is not here, or a folder; unset: IMPASTO_CLIP.",
)
@click.option(
    "--max-words",
    type=click.IntRange(1, MAX_WORDS_LIMIT),
    default=DEFAULT_MAX_WORDS,
    metavar="INT",
    help=f"How many there are at most [default {DEFAULT_MAX_WORDS}].",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Only the words, warnings and errors.")
def describe(styles: Sequence[str], as_json: bool, quiet: bool, **how: Any) -> None:
    """Say in words how STYLE is made, never what it shows: for the prompt of an image generator.

    Without a language model or CLIP, the words are measured from the pixels.
    """
    voice = Reporter(quiet=quiet, as_json=as_json)
    named = any(how[flag] for flag in ("model", "model_url", "clip"))
    describer = Describer(**how)
    told: list[dict[str, Any]] = []
    said: tuple[str, ...] = ()
    for style in styles:
        with spinner(voice, f"Describing {Path(style).name}"):
            found = describer(style)
        voice.print_result(f"{style}: {found.phrase}" if len(styles) > 1 else found.phrase)
        if (remarks := (found.provenance, *found.notes)) != said:  # of many pictures once
            said = remarks
            voice.info(f"{found.provenance[0].upper()}{found.provenance[1:]}.")
            for note in found.notes:
                if named and found.backend == "measured":
                    voice.warn(note)
                else:
                    voice.info(f"  {note}")
        told.append({**dataclasses.asdict(found), "phrase": found.phrase})
    voice.print_json(told if len(told) > 1 else told[0])
