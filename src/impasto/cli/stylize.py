"""``impasto stylize``: paint a picture in the manner of others."""

from __future__ import annotations

import click

from impasto.cli.color_flags import color_flags
from impasto.cli.flags import (
    dataclass_from_flags,
    output_flags,
    picture_or_region_arguments,
    prompt_flags,
    reporter_flags,
    reporter_from_flags,
    request_flags,
)
from impasto.cli.knob_flags import MethodCommand, knobs_from_flags
from impasto.cli.region_flags import region_flags


@click.command("stylize", cls=MethodCommand)
@picture_or_region_arguments
@output_flags
@request_flags
@prompt_flags
@region_flags
@color_flags
@reporter_flags
def stylize(ctx: click.Context) -> int:
    """Paint CONTENT in the manner of STYLE, or of several, blended.

    Ctrl-C keeps the painting so far, and --resume goes on with it later.
    """
    from impasto.cli.output_options import OutputOptions
    from impasto.cli.request_options import RequestOptions
    from impasto.cli.stylize_runner import run_stylize

    order = dataclass_from_flags(RequestOptions, ctx, knobs=knobs_from_flags(ctx))
    voice = reporter_from_flags(ctx)
    target = dataclass_from_flags(OutputOptions, ctx)
    return run_stylize(
        order.to_request(voice), target, voice, order.input_files(), ctx.params["regions_out"]
    )
