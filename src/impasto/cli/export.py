"""``impasto export``: a network as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from impasto.cli.console import Reporter
from impasto.cli.words import format_bytes
from impasto.core.errors import InputError

METHOD_HELP = {"fast": "styles it has learnt", "adain": "any style picture"}
"""What can be exported → what it paints in."""


def _complete_methods(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(n, help=h) for n, h in METHOD_HELP.items() if n.startswith(incomplete)]


@click.command("export")
@click.argument("method", shell_complete=_complete_methods)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="OUT",
    help="The network, .onnx. Replaced if it exists.",
)
@click.option(
    "--weights",
    default="",
    type=click.Path(),
    metavar="NAME|FILE",
    help="Of the network; unset: the method's.",
)
@click.option(
    "--style",
    multiple=True,
    type=click.Path(),
    metavar="NAME|FILE",
    help="A style to put in; can be given several times. fast: a name, unset: all. "
    "adain: a picture, unset: the style is an input.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One line of JSON on stdout, also for an error."
)
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors.")
def export(
    method: str, output: str, weights: str, style: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Write the network of METHOD, fast or adain, as an ONNX file that needs no Impasto.

    It takes pictures of any size. What it takes and gives is written inside; docs/export.md
    has examples.
    """
    from impasto.cli.output_options import is_same_file
    from impasto.pipeline.export import check_exportable
    from impasto.pipeline.export import export_onnx as write

    check_exportable(method, output)
    for given in (weights, *style):
        if given and Path(given).is_file() and is_same_file(Path(given), Path(output)):
            raise InputError(f"{output} is an input and would be overwritten: choose another name.")
    done = write(method, output, weights=weights, styles=style)
    voice = Reporter(quiet=quiet, as_json=as_json)
    for name, what in done.inputs.items():
        voice.info(f"{name}: {what}.")
    if done.styles:
        voice.info(f"Styles, in the order of the shares: {', '.join(done.styles)}.")
    voice.info(
        f"{format_bytes(done.path.stat().st_size)}; ONNX Runtime paints as PyTorch does, "
        f"to {done.max_difference:.1g} of 1."
    )
    voice.print_result(str(done.path))
    voice.print_json(
        {
            "output": str(done.path),
            "inputs": done.inputs,
            "styles": list(done.styles),
            "difference": done.max_difference,
        }
    )
