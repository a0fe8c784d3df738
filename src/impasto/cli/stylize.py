"""``impasto stylize``: paint a picture in the manner of others."""

from __future__ import annotations

import click

from impasto.cli.color_flags import colour_flags
from impasto.cli.flags import (
    pick,
    pictures_or_regions,
    prompt_flags,
    request_flags,
    talk_flags,
    target_flags,
    voice_of,
)
from impasto.cli.knob_flags import MethodCommand, given_knobs
from impasto.cli.region_flags import region_flags


@click.command("stylize", cls=MethodCommand)
@pictures_or_regions
@target_flags
@request_flags
@prompt_flags
@region_flags
@colour_flags
@talk_flags
def stylize(ctx: click.Context) -> int:
    """Paint CONTENT in the manner of STYLE, or of several, blended.

    Ctrl-C keeps the painting so far, and --resume goes on with it later.
    """
    from impasto.cli.output_options import Target
    from impasto.cli.request_options import Order
    from impasto.cli.stylize_runner import paint

    order = pick(Order, ctx, knobs=given_knobs(ctx))
    voice = voice_of(ctx)
    target = pick(Target, ctx)
    return paint(order.request(voice), target, voice, order.files(), ctx.params["regions_out"])
