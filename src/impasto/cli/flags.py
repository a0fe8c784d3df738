"""The flags that several verbs share; what they mean is in :mod:`order` and :mod:`target`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from impasto.advise.shared_knobs import AUTO_METHOD
from impasto.cli.console import Reporter
from impasto.core.errors import KnobError
from impasto.methods import method_names as method_names
from impasto.weights import store

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

FLAG_SECTIONS = {
    "Output": (
        "output",
        "bits",
        "encoding_quality",
        "contact_sheet",
        "lut",
        "preview",
        "preview_every",
        "animate",
        "overwrite_input",
    ),
    "Picture": (
        "method",
        "size",
        "shrink_to_fit",
        "seed",
        "style_weights",
        "weights",
        "prompt_from_style",
    ),
    "Regions": ("regions", "labels", "style_labels", "background", "feather", "regions_out"),
    "Color": ("keep_color", "color_strength", "color_stage", "color_mask"),
    "Run": ("device", "precision", "resume", "as_json", "quiet"),
}
"""How --help groups the flags."""

DEFAULT_METHOD = "gatys"
DEVICES = ("auto", "cpu", "cuda", "mps")


class ContextCommand(click.Command):
    """A command whose function takes the click context.

    :func:`dataclass_from_flags` takes the flags from it.
    """

    def invoke(self, ctx: click.Context) -> Any:
        assert self.callback is not None
        return self.callback(ctx)


def dataclass_from_flags(cls: type[T], ctx: click.Context, **more: Any) -> T:
    """An instance of the dataclass ``cls`` from the flags of the same names, and from ``more``.

    What has a default there may be no flag here.
    """
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    wanted = [field for field in fields if field.name not in more]
    given = {
        field.name: ctx.params[field.name]
        for field in wanted
        if field.default is dataclasses.MISSING or field.name in ctx.params
    }
    return cls(**given, **more)


def reporter_from_flags(ctx: click.Context) -> Reporter:
    """How the command line wants to be spoken to."""
    return dataclass_from_flags(Reporter, ctx)


def picture_arguments(command: F, *, required: bool = True) -> F:
    """The arguments CONTENT and STYLE, of which there may be several, or none if not required."""
    return _apply_options(
        command,
        click.argument("content", type=click.Path()),
        click.argument("styles", metavar="STYLE…", nargs=-1, required=required, type=click.Path()),
    )


def picture_or_region_arguments(command: F) -> F:
    """The same where regions may bring all styles; see :mod:`impasto.cli.region_flags`."""
    return picture_arguments(command, required=False)


def request_flags(command: F) -> F:
    """What is to be painted."""
    return _apply_options(
        command,
        click.option(
            "--method",
            default=DEFAULT_METHOD,
            metavar="NAME",
            shell_complete=_complete_from((*method_names(), AUTO_METHOD)),
            help=f"How it is painted; impasto methods lists them, {AUTO_METHOD} "
            f"takes what "
            f"impasto recommend would [default {DEFAULT_METHOD}].",
        ),
        click.option(
            "--size",
            type=int,
            metavar="PX",
            help="Long side of the painting; unset: as the content.",
        ),
        click.option(
            "--shrink-to-fit",
            is_flag=True,
            help="Shrink what does not fit into memory instead of refusing it.",
        ),
        click.option(
            "--seed",
            type=int,
            default=0,
            metavar="INT",
            callback=_check_range(0, 2**32 - 1),
            help="Of everything random [default 0].",
        ),
        click.option(
            "--style-weights",
            metavar="NUMBER,…",
            callback=_parse_numbers,
            help="The share of each style, as 2,1; unset: equal shares.",
        ),
        click.option(
            "--weights",
            "--encoder",
            "weights",
            default="",
            metavar="NAME|FILE",
            shell_complete=_complete_from(store.weight_names()),
            help="Of the network; unset: the method's. impasto weights lists them.",
        ),
        click.option(
            "--device",
            default="auto",
            metavar="NAME",
            shell_complete=_complete_from(DEVICES),
            help="auto, cpu, cuda, cuda:1 or mps [default auto].",
        ),
        click.option(
            "--precision",
            type=click.Choice(("auto", "fp32", "bf16", "fp16")),
            default="auto",
            metavar="auto|fp32|bf16|fp16",
            help="Of the arithmetic; fp16 for diffusion models [default auto].",
        ),
    )


def prompt_flags(command: F) -> F:
    """What words come from."""
    return _apply_options(
        command,
        click.option("--prompt-from-style", is_flag=True,
                     help="Also write into the prompt how the styles are made, as impasto describe "
                     "says it."),
    )  # fmt: skip


def output_flags(command: F) -> F:
    """Where the painting goes."""
    return _apply_options(
        command,
        click.option("-o", "--output", required=True, type=click.Path(), metavar="OUT",
                     help="The painting: .png, .jpg, .webp, .avif or .tif. Replaced if it exists."),
        *_OUTPUT_OPTIONS,
    )  # fmt: skip


def hidden_output_flags(command: F) -> F:
    """The same flags where nothing is written: taken and checked, but neither needed nor shown."""
    command = click.option("-o", "--output", type=click.Path(), default="", hidden=True)(command)
    command = _apply_options(command, *_OUTPUT_OPTIONS)
    for param in command.__click_params__:  # type: ignore[attr-defined]
        if isinstance(param, click.Option) and param.name in (*FLAG_SECTIONS["Output"], "resume"):
            param.hidden = True
    return command


def reporter_flags(command: F) -> F:
    """How it is told."""
    return _apply_options(
        command,
        click.option("--json", "as_json", is_flag=True,
                     help="One line of JSON on stdout, also for an error."),
        click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors."),
    )  # fmt: skip


def _apply_options(command: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def _complete_from(
    names: tuple[str, ...],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return complete


def _check_range(
    low: float, high: float
) -> Callable[[click.Context, click.Parameter, float], float]:
    def check(ctx: click.Context, param: click.Parameter, value: float) -> float:
        if not low <= value <= high:
            raise KnobError(
                f"{param.opts[0]} {value} does not fit: it must be {low:.10g} to {high:.10g}."
            )
        return value

    return check


def _parse_numbers(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float, ...]:
    parts = (value or "").split(",") if value else []
    try:
        return tuple(float(part) for part in parts)
    except ValueError as error:
        raise KnobError(
            f"--style-weights {value} does not fit: it must be numbers with commas between, as 2,1."
        ) from error


_OUTPUT_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--bits",
        type=click.Choice(("8", "16")),
        metavar="8|16",
        callback=lambda _ctx, _param, value: int(value) if value else None,
        help="Bits per channel; unset: as many as the content has and the file holds.",
    ),
    click.option(
        "--encoding-quality",
        type=int,
        default=92,
        metavar="INT",
        callback=_check_range(1, 100),
        help="Of JPEG, WebP and AVIF [1 to 100; default 92].",
    ),
    click.option(
        "--contact-sheet",
        type=click.Path(),
        default="",
        metavar="FILE",
        help="Also a sheet: content, styles and painting side by side.",
    ),
    click.option(
        "--lut",
        type=click.Path(),
        default="",
        metavar="FILE",
        help="Also the change of colors as a table for other programs: a .cube file.",
    ),
    click.option(
        "--preview",
        type=click.Path(),
        default="",
        metavar="DIR",
        help="Also numbered pictures of the painting as it develops, of 1024 px at "
        "most. Earlier ones in DIR are replaced.",
    ),
    click.option(
        "--preview-every",
        type=float,
        default=5.0,
        metavar="PERCENT",
        callback=_check_range(0.1, 100),
        help="How much of the work lies between two of them [default 5].",
    ),
    click.option("--animate", is_flag=True, help="Also DIR/animation.webp of these pictures."),
    click.option("--overwrite-input", is_flag=True, help="Let OUT be one of the inputs."),
    click.option("--resume", is_flag=True, help="Go on with an unfinished run of OUT."),
)
