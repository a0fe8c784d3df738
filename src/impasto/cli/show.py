"""``impasto show``: how a painting was made."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from impasto.cli.console import Reporter
from impasto.cli.knob_flags import method_knobs_to_args
from impasto.cli.words import format_bytes, format_duration, format_value
from impasto.core.errors import KnobError
from impasto.core.recipe import Recipe
from impasto.core.request import BACKGROUND_MODES
from impasto.metrics.edge_report import format_edge_report as structure_told
from impasto.pipeline import load_recipe as recipe_in
from impasto.pipeline.region_options import format_region
from impasto.video.image_sequence import NUMBER
from impasto.video.options import VideoOptions
from impasto.video.output import is_video_file
from impasto.video.output import read_recipe as film_recipe_in

COLOR_FLAGS = tuple(
    (f"--{name.replace('_', '-')}", name)
    for name in ("keep_color", "color_strength", "color_stage", "color_mask")
)
OPTIONS_SHOWN_ELSEWHERE = ("regions", "labels", "style_labels")
"""Options that are told as inputs and regions."""


@click.command("show")
@click.argument("painting", metavar="OUT", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="The recipe as one line of JSON.")
def show(painting: str, as_json: bool) -> None:
    """Say how OUT was made: pictures, knobs, versions, and the command that repeats it."""
    voice = Reporter(as_json=as_json)
    recipe = film_recipe_in(painting) if is_video_file(painting) else recipe_in(painting)
    voice.print_json(dataclasses.asdict(recipe))
    for label, text in _recipe_rows(recipe):
        voice.print_result(f"{label:<10}{text}".rstrip())
    again = _rerun_output(Path(painting))
    if not recipe.film:
        voice.print_result("\nThe same again, to the pixel on the same machine:")
        voice.print_result("  " + shlex.join(["impasto", "rerun", painting, "-o", again]))
    try:
        line = command_line(recipe, again)
    except KnobError as error:
        voice.print_result(f"\nThis version cannot write it as a new command: {error}")
    else:
        voice.print_result("\nAs a command to change:")
        voice.print_result("  " + shlex.join(line))


def _rerun_output(path: Path) -> str:
    """Where the same would go again: a name of its own; for numbered pictures, a folder."""
    if NUMBER.search(path.name):
        folder = path.parent if path.parent.name else path.parent.absolute()
        return str(folder.with_name(f"{folder.name}-again") / path.name)
    return str(path.with_name(f"{path.stem}-again{path.suffix}"))


def command_line(recipe: Recipe, output: str) -> list[str]:
    """The words of the command that makes the recipe's picture.

    Raises:
        KnobError: a method or value that this version does not know.
    """
    setting, options = recipe.setting, recipe.options
    content = next(i.name for i in recipe.inputs if i.role == "content")
    styles = [i.name for i in recipe.inputs if i.role == "style"]
    regions = options.get("regions", ())
    own = set() if isinstance(regions, str) else {style for _, style, _ in regions}
    given = [i for i in range(len(styles)) if i not in own]
    verb = "video" if recipe.film else "stylize"
    words = ["impasto", verb, content, *(styles[i] for i in given), "-o", output]
    words += _region_args(recipe, styles)
    words += ["--method", recipe.method, "--size", str(max(setting["height"], setting["width"]))]
    words += ["--device", setting["device"], "--precision", setting["precision"]]
    if options["seed"]:
        words += ["--seed", str(options["seed"])]
    if options["style_weights"] and given:
        words += ["--style-weights", format_value([options["style_weights"][i] for i in given])]
    if options["weights"]:
        words += ["--weights", options["weights"]]
    words += [
        word
        for flag, name in COLOR_FLAGS
        if name in options
        for word in (flag, format_value(options[name]))
    ]
    return words + _video_args(recipe) + method_knobs_to_args(recipe.method, recipe.knobs)


def _video_args(recipe: Recipe) -> list[str]:
    """The words that say how a film is made, those that are usual left out."""
    words = []
    for field in dataclasses.fields(VideoOptions) if recipe.film else ():
        value, flag = recipe.film["take"][field.name], f"--{field.name.replace('_', '-')}"
        if value == field.default:
            continue
        if isinstance(field.default, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [flag, format_value(value)]
    return words


def _video_rows(film: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not film:
        return []
    told = f"{film['frames']} frames, {film['seconds']:g} s at {film['fps']:g} frames a second"
    return [
        ("film", f"{told}, shots: {film['shots']}, sound: {' and '.join(film['sound']) or 'none'}"),
        *(("measure", f"{name} {value:.4g}") for name, value in film["measures"].items()),
    ]


def _region_args(recipe: Recipe, styles: Sequence[str]) -> list[str]:
    """The words that divide the content as the recipe does."""
    options = recipe.options
    if recipe.regions and not {"regions", "labels"} & options.keys():
        raise KnobError("its regions came from memory.")
    words: list[str] = []
    regions = options.get("regions", ())
    if isinstance(regions, str):
        words += ["--region", regions]
    else:
        for mask, style, shown in regions:
            if shown:
                raise KnobError("a region with a mask of its style is for Python only.")
            words += ["--region", f"{mask}={styles[style]}"]
    if "labels" in options:
        words += ["--labels", options["labels"]]
    for name in options.get("style_labels", ()):
        words += ["--style-labels", name]
    if options.get("background", BACKGROUND_MODES[0]) != BACKGROUND_MODES[0]:
        words += ["--background", options["background"]]
    if options.get("feather"):
        words += ["--feather", format_value(options["feather"])]
    return words


def _recipe_rows(recipe: Recipe) -> list[tuple[str, str]]:
    setting = recipe.setting
    what = "frames" if recipe.film else "steps"
    steps = (
        f"{recipe.steps} {what} in {format_duration(recipe.seconds)}, "
        f"{format_bytes(recipe.peak_bytes)}"
    )
    losses = ", ".join(f"{name} {value:.4g}" for name, value in recipe.losses.items())
    return [
        ("method", recipe.method),
        *((i.role, f"{i.name}  sha256 {i.sha256[:12]}…") for i in recipe.inputs),
        *(("region", format_region(row)) for row in recipe.regions),
        ("size", f"{setting['width']} x {setting['height']} px"),
        *_video_rows(recipe.film),
        ("ran", f"{setting['precision']} on {setting['device']}, {setting['threads']} threads"),
        ("took", steps if recipe.finished else f"{steps}; stopped before its end"),
        *([("losses", losses)] if losses else []),
        *([("edges", structure_told(recipe.structure))] if recipe.structure else []),
        *(
            ("option", f"{n} = {format_value(v)}")
            for n, v in recipe.options.items()
            if v and n not in OPTIONS_SHOWN_ELSEWHERE
        ),
        *(("knob", f"{name} = {format_value(value)}") for name, value in recipe.knobs.items()),
        *(("used", f"{name}  sha256 {sha[:12]}…") for name, sha in recipe.files.items()),
        ("versions", ", ".join(f"{name} {version}" for name, version in recipe.versions.items())),
        *(("note", note) for note in recipe.notes),
        *(("warning", warning) for warning in recipe.warnings),
    ]
