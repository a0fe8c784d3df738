"""The command and the list of its verbs. Light: a verb is imported when it is used."""

from __future__ import annotations

import importlib
from typing import cast

import click
from click.shell_completion import CompletionItem

from impasto.core.knobs import closest_name

VERB_HELP = {
    "stylize": "Paint a picture in the manner of others.",
    "video": "Paint a film, frame after frame, so that it is steady.",
    "plan": "Say what stylize would do, and what it would cost.",
    "show": "Say how a painting was made.",
    "rerun": "Make a painting again, from the recipe inside it.",
    "evaluate": "Measure paintings: what is left of the content, how much there is of the style.",
    "compare": "Paint with every method, and show the paintings and their measures side by side.",
    "recommend": "Say which method suits, why, and the command to run.",
    "tune": "Search for the knobs that suit a content and a style, within a time budget.",
    "describe": "Say a style in words for a prompt.",
    "study": "Ask people which of two paintings they like better, and evaluate what they said.",
    "train": "Teach a network from folders of pictures.",
    "export": "Write a network as an ONNX file.",
    "methods": "List the methods, or explain one.",
    "weights": "List, show, fetch and check the networks' weights.",
    "completion": "Print the completion script of a shell.",
}
"""Verb → one line. The verb ``x`` is the command ``x`` in ``impasto.cli.x``."""


class VerbGroup(click.Group):
    """A group whose help and completion need no verb's module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERB_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERB_HELP:
            return None
        module = importlib.import_module(f"impasto.cli.{cmd_name}")
        return cast(click.Command, getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in VERB_HELP or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = closest_name(args[0], VERB_HELP)
        hint = f"Did you mean {near}?" if near else f"There is {', '.join(VERB_HELP)}."
        raise click.UsageError(f"There is no verb {args[0]!r}. {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERB_HELP.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        verbs = [
            CompletionItem(v, help=h) for v, h in VERB_HELP.items() if v.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(
    cls=VerbGroup,
    subcommand_metavar="VERB …",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nimpasto VERB --help explains a verb. Start with:\n"
    "  impasto stylize photo.jpg style.jpg -o painting.png",
)
@click.version_option(package_name="impasto", prog_name="impasto", message="%(prog)s %(version)s")
def app() -> None:
    """Neural style transfer: repaint one picture in the manner of another."""
