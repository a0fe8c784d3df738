"""``impasto rerun``: make a painting again, from the recipe inside it."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import click

from impasto.cli.console import Voice
from impasto.cli.flags import ContextCommand, pick, talk_flags, target_flags, voice_of
from impasto.cli.output_options import Target
from impasto.cli.request_options import files_named
from impasto.cli.stylize_runner import paint
from impasto.core.errors import InputError
from impasto.core.knobs import as_mapping
from impasto.core.recipe import Recipe
from impasto.pipeline import show
from impasto.pipeline.rerun import rerun_request, use_threads
from impasto.video.output import is_film


@click.command("rerun", cls=ContextCommand)
@click.argument("painting", type=click.Path())
@click.option("--content", type=click.Path(), metavar="FILE", help="Where the content is now.")
@click.option(
    "--style",
    "styles",
    type=click.Path(),
    metavar="FILE",
    multiple=True,
    help="Where the style is now; for several, once each in their order.",
)
@target_flags
@talk_flags
def rerun(ctx: click.Context) -> int:
    """Make PAINTING again, from the recipe inside it: on the same machine, the same pixels.

    The pictures are looked for where they were, and beside PAINTING.
    """
    painting, voice = ctx.params["painting"], voice_of(ctx)
    if is_film(painting):
        raise InputError(f"{painting} is a film: impasto show {painting} says its command.")
    recipe = show(painting)
    request = rerun_request(painting, content=ctx.params["content"], styles=ctx.params["styles"])
    use_threads(recipe)
    _compare(recipe, voice)
    pictures = [p.name for p in (request.content, *request.styles)]
    knobs = as_mapping(request.method).values()
    masks = [name for region in request.regions for name in region.sources]
    masks += request.colours.source[:1]
    inputs = [Path(painting), *files_named([*pictures, request.weights, *knobs, *masks])]
    return paint(request, pick(Target, ctx), voice, inputs)


def _compare(recipe: Recipe, voice: Voice) -> None:
    """Say what may make the pixels differ."""
    if not recipe.finished:
        voice.say("That run was stopped before its end; this one goes all the way.")
    now = {name: _version(name) for name in recipe.versions}
    other = [f"{n} {was}, here {now[n]}" for n, was in recipe.versions.items() if now[n] != was]
    if other:
        voice.warn(f"It was made with {'; '.join(other)}: pixels may differ.")


def _version(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
