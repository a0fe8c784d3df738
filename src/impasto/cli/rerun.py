"""``impasto rerun``: make a painting again, from the recipe inside it."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import click

from impasto.cli.console import Reporter
from impasto.cli.flags import (
    ContextCommand,
    dataclass_from_flags,
    output_flags,
    reporter_flags,
    reporter_from_flags,
)
from impasto.cli.output_options import OutputOptions
from impasto.cli.request_options import existing_files
from impasto.cli.stylize_runner import run_stylize
from impasto.core.errors import InputError
from impasto.core.knobs import knobs_to_dict
from impasto.core.recipe import Recipe
from impasto.pipeline import load_recipe
from impasto.pipeline.rerun import rerun_request, restore_threads
from impasto.video.output import is_video_file


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
@output_flags
@reporter_flags
def rerun(ctx: click.Context) -> int:
    """Make PICTURE again, from the recipe inside it: on the same machine, the same pixels.

    The pictures are looked for where they were, and beside PICTURE.
    """
    painting, voice = ctx.params["painting"], reporter_from_flags(ctx)
    if is_video_file(painting):
        raise InputError(f"{painting} is a film: impasto show {painting} says its command.")
    recipe = load_recipe(painting)
    request = rerun_request(painting, content=ctx.params["content"], styles=ctx.params["styles"])
    restore_threads(recipe)
    _report_differences(recipe, voice)
    pictures = [p.name for p in (request.content, *request.styles)]
    knobs = knobs_to_dict(request.method).values()
    masks = [name for region in request.regions for name in region.sources]
    masks += request.colors.mask_source[:1]
    inputs = [Path(painting), *existing_files([*pictures, request.weights, *knobs, *masks])]
    return run_stylize(request, dataclass_from_flags(OutputOptions, ctx), voice, inputs)


def _report_differences(recipe: Recipe, reporter: Reporter) -> None:
    """Say what may make the pixels differ."""
    if not recipe.finished:
        reporter.info("That run was stopped before its end; this one goes all the way.")
    now = {name: _installed_version(name) for name in recipe.versions}
    other = [f"{n} {was}, here {now[n]}" for n, was in recipe.versions.items() if now[n] != was]
    if other:
        reporter.warn(f"It was made with {'; '.join(other)}: pixels may differ.")


def _installed_version(name: str) -> str:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
