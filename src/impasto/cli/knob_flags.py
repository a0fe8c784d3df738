"""Flags made from knobs alone, and the commands that take them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from impasto.advise.shared_knobs import AUTO_METHOD, shared_knobs
from impasto.cli.flags import DEFAULT_METHOD, FLAG_SECTIONS, ContextCommand
from impasto.cli.words import format_value
from impasto.core import knobs
from impasto.core.errors import ImpastoError
from impasto.core.knobs import Knob, flag_name, get_knobs
from impasto.methods import get_method
from impasto.methods import method_names as method_names

_METHOD_KEY = "impasto.method"


class KnobCommand(ContextCommand):
    """A command with a flag for every knob of a dataclass; see :func:`knobs_from_flags`."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = FLAG_SECTIONS
    """How --help groups the other flags."""

    def knob_class(self, ctx: click.Context) -> type:
        """The dataclass."""
        raise NotImplementedError

    def knobs_heading(self, ctx: click.Context) -> str:
        """What --help calls the knobs."""
        raise NotImplementedError

    def knob_options(self, ctx: click.Context) -> tuple[click.Option, ...]:
        """The knobs' flags."""
        return make_knob_flags(self.knob_class(ctx))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self.knob_options(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [p for p in super().get_params(ctx) if isinstance(p, click.Option)]
        for title, names in self.sections.items():
            _write_section(formatter, ctx, title, [p for p in own if p.name in names])
        _write_section(formatter, ctx, self.knobs_heading(ctx), self.knob_options(ctx))
        others = {name for names in self.sections.values() for name in names}
        _write_section(formatter, ctx, "Help", [p for p in own if p.name not in others])


class MethodCommand(KnobCommand):
    """A command with the flags of the method that ``--method`` names."""

    default_method: ClassVar[str] = DEFAULT_METHOD
    """Which it is where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        method = ctx.meta[_METHOD_KEY] = method_from_args(args, self.default_method)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag = error.option_name
            others = [name for name in method_names() if flag in _flag_spellings(name)]
            if not others:
                raise
            if method == AUTO_METHOD:
                raise click.UsageError(
                    f"{flag} is not for every method, and {AUTO_METHOD} may choose any: "
                    f"say --method {' or --method '.join(others)} with it.",
                    ctx,
                ) from error
            raise click.UsageError(
                f"The method {method} has no {flag}; {' and '.join(others)} would take it.", ctx
            ) from error

    def knob_class(self, ctx: click.Context) -> type:
        return _knob_class(ctx.meta[_METHOD_KEY])

    def knobs_heading(self, ctx: click.Context) -> str:
        return f"Style, by the method {ctx.meta[_METHOD_KEY]}"

    def knob_options(self, ctx: click.Context) -> tuple[click.Option, ...]:
        try:
            method = ctx.meta[_METHOD_KEY]
            own = {param.name for param in click.Command.get_params(self, ctx)}
            return tuple(
                _prefix_flag(f, method) if f.name in own else f for f in method_knob_flags(method)
            )
        except ImpastoError:
            if ctx.resilient_parsing:  # only completing: a name that is half typed
                return ()
            raise


def _prefix_flag(flag: click.Option, method: str) -> click.Option:
    """A knob's flag where the verb has one of that name: sdxl's --model is tune's --sdxl-model."""
    found = copy.copy(flag)
    found.name = f"{method} {flag.name}"
    found.opts = [f"--{method}-{each.removeprefix('--')}" for each in flag.opts]
    return found


def _flag_spellings(method: str) -> set[str]:
    """Every way to write a flag of a method."""
    return {each for o in method_knob_flags(method) for each in (*o.opts, *o.secondary_opts)}


def _write_section(
    formatter: click.HelpFormatter,
    ctx: click.Context,
    title: str,
    params: Sequence[click.Parameter],
) -> None:
    records = [record for param in params if (record := param.get_help_record(ctx))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def method_from_args(args: Sequence[str], default: str = DEFAULT_METHOD) -> str:
    """The method that a command line names, before it is parsed."""
    named = default
    for here, after in zip(args, (*args[1:], ""), strict=False):
        if here == "--":
            break
        if here == "--method" and after:
            named = after
        elif here.startswith("--method="):
            named = here.partition("=")[2]
    return named


def knobs_from_flags(ctx: click.Context) -> dict[str, Any]:
    """The knobs that the command line sets; the defaults stand for the others."""
    assert isinstance(ctx.command, KnobCommand)
    names = (option.name for option in ctx.command.knob_options(ctx))
    given = {name: ctx.params[name] for name in names if name and ctx.params[name] is not None}
    return {name.rpartition(" ")[2]: value for name, value in given.items()}


@functools.cache
def method_knob_flags(method: str) -> tuple[click.Option, ...]:
    """A flag for every knob of a method. A flag that is not given is None.

    Raises:
        KnobError: no such method.
    """
    return make_knob_flags(_knob_class(method))


def _knob_class(method: str) -> type:
    """The dataclass of a method's knobs; of "auto", those that all methods have."""
    return shared_knobs() if method == AUTO_METHOD else get_method(method)


@functools.cache
def make_knob_flags(cls: type) -> tuple[click.Option, ...]:
    """A flag for every knob of a dataclass. A flag that is not given is None."""
    return tuple(_make_knob_flag(knob) for knob in get_knobs(cls))


def _make_knob_flag(knob: Knob) -> click.Option:
    name = flag_name(knob)
    text = _knob_help(knob)
    if knob.item_type is bool and not knob.is_tuple:
        return click.Option([f"{name}/--no-{name[2:]}", knob.name], default=None, help=text)

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        return None if value is None else knob.check(parse_knob(knob, value))

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(c) for c in knob.choices if c.startswith(incomplete)]

    return click.Option(
        [name, knob.name],
        type=str,
        metavar=_knob_metavar(knob),
        callback=convert,
        shell_complete=complete,
        help=text,
    )


def parse_knob(knob: Knob, text: str) -> Any:
    """A typed value; what is no number stays text, and the knob's own check will refuse it."""
    if not knob.is_tuple:
        return _parse_scalar(knob, text)
    return tuple(_parse_scalar(knob, part.strip()) for part in text.split(",") if part.strip())


def _parse_scalar(knob: Knob, text: str) -> Any:
    try:
        return knob.item_type(text)
    except ValueError:
        return text


def method_knobs_to_args(method: str, values: Mapping[str, Any]) -> list[str]:
    """The arguments that set these knobs of a method, those at their default left out.

    Raises:
        KnobError: no such method.
    """
    return knobs.knobs_to_args(get_method(method), values)


def _knob_metavar(knob: Knob) -> str:
    if knob.choices:
        return "|".join(knob.choices)
    kind = {int: "INT", float: "NUMBER"}.get(knob.item_type, "TEXT")
    return f"{kind},…" if knob.is_tuple else kind


def _knob_help(knob: Knob) -> str:
    """Doc, range, unit and default in one line."""
    facts = [] if knob.choices else [knob.allowed_text]
    if knob.default is not None:
        facts.append(f"default {format_value(knob.default)}")
    known = "; ".join(fact for fact in facts if fact)
    return f"{knob.doc} [{known}]" if known else knob.doc
