"""``impasto tune``: search for the knobs that suit a content and a style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import click

from impasto.cli.flags import (
    dataclass_from_flags,
    picture_arguments,
    reporter_flags,
    reporter_from_flags,
    request_flags,
)
from impasto.cli.knob_flags import MethodCommand, knobs_from_flags


class TuneCommand(MethodCommand):
    """A command whose knobs are held instead of searched."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Search": ("budget", "aim", "trials", "trial_size"),
        "Language model": ("agent", "model", "model_url"),
        "Output": ("output", "storage", "trial_sheet"),
        "Picture": ("method", "size", "shrink_to_fit", "seed", "style_weights", "weights"),
        "Run": ("device", "precision", "as_json", "quiet"),
    }

    def knobs_heading(self, ctx: click.Context) -> str:
        return f"{super().knobs_heading(ctx)}: a knob that is given is held, not searched"


@click.command("tune", cls=TuneCommand)
@picture_arguments
@click.option(
    "--budget",
    default="2m",
    metavar="TIME",
    help="What the trials may take, as 90s, 2m or 1h; painting the winner comes on top "
    "[default 2m].",
)
@click.option(
    "--aim",
    type=float,
    default=0.5,
    metavar="NUMBER",
    help="Style and content error are wanted in the ratio AIM : 1 - AIM; less for more style "
    "[0 to 1; default 0.5].",
)
@click.option(
    "--trials",
    type=int,
    metavar="INT",
    help="At most so many, earlier ones included; unset: 40 for each knob that is searched.",
)
@click.option(
    "--trial-size",
    type=int,
    metavar="PX",
    help="Long side of the first trials; unset: the painting's if thirty fit into the budget, "
    "else 256.",
)
@click.option("--agent", is_flag=True, help="Let a language model propose the trials.")
@click.option(
    "--model",
    default="",
    metavar="NAME",
    help="The language model, as openai:NAME, anthropic:NAME, or any that the server at "
    "--model-url knows; unset: IMPASTO_MODEL.",
)
@click.option(
    "--model-url",
    default="",
    metavar="URL",
    help="A server that speaks OpenAI's protocol, as http://localhost:11434/v1.",
)
@click.option(
    "-o",
    "--output",
    default="",
    type=click.Path(),
    metavar="OUT",
    help="Paint the winner: .png, .jpg, .webp, .avif or .tif. Unset: the command to do so.",
)
@click.option(
    "--storage",
    default="",
    type=click.Path(),
    metavar="FILE",
    help="Keeps every trial, .db, with a folder of pictures beside it; the same command goes on "
    "from it. Unset: OUT with .tune.db, or tune.db.",
)
@click.option(
    "--trial-sheet",
    default="",
    type=click.Path(),
    metavar="FILE",
    help="Also a sheet: a dozen trials from the most content to the most style.",
)
@request_flags
@reporter_flags
def tune(ctx: click.Context) -> int:
    """Search for the knobs with which a method paints CONTENT and STYLE nearest to an aim.

    Trials are painted small first, and measured on a network that no method optimizes. Every trial
    is kept. Ctrl-C keeps what there is, and the same command goes on later.
    """
    from impasto.cli.request_options import RequestOptions
    from impasto.cli.tune_runner import TuneOptions, run_tuning

    order = dataclass_from_flags(RequestOptions, ctx, knobs=knobs_from_flags(ctx))
    return run_tuning(order, dataclass_from_flags(TuneOptions, ctx), reporter_from_flags(ctx))
