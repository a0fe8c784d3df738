"""Flags made from knobs alone, and the commands that take them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from impasto.advise.shared_knobs import AUTO, shared_knobs
from impasto.cli.flags import DEFAULT_METHOD, SECTIONS, ContextCommand
from impasto.cli.words import plain
from impasto.core import knobs
from impasto.core.errors import ImpastoError
from impasto.core.knobs import Knob, flag_name, knobs_of
from impasto.methods import find
from impasto.methods import names as method_names

_METHOD = "impasto.method"


class KnobCommand(ContextCommand):
    """A command with a flag for every knob of a dataclass; see :func:`given_knobs`."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = SECTIONS
    """How --help groups the other flags."""

    def knobs(self, ctx: click.Context) -> type:
        """The dataclass."""
        raise NotImplementedError

    def heading(self, ctx: click.Context) -> str:
        """What --help calls the knobs."""
        raise NotImplementedError

    def flags(self, ctx: click.Context) -> tuple[click.Option, ...]:
        """The knobs' flags."""
        return flags_of(self.knobs(ctx))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self.flags(ctx)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [p for p in super().get_params(ctx) if isinstance(p, click.Option)]
        for title, names in self.sections.items():
            _section(formatter, ctx, title, [p for p in own if p.name in names])
        _section(formatter, ctx, self.heading(ctx), self.flags(ctx))
        others = {name for names in self.sections.values() for name in names}
        _section(formatter, ctx, "Help", [p for p in own if p.name not in others])


class MethodCommand(KnobCommand):
    """A command with the flags of the method that ``--method`` names."""

    default_method: ClassVar[str] = DEFAULT_METHOD
    """Which it is where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        method = ctx.meta[_METHOD] = method_in(args, self.default_method)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag = error.option_name
            others = [name for name in method_names() if flag in _spellings(name)]
            if not others:
                raise
            if method == AUTO:
                raise click.UsageError(
                    f"{flag} is not for every method, and {AUTO} may choose any: "
                    f"say --method {' or --method '.join(others)} with it.",
                    ctx,
                ) from error
            raise click.UsageError(
                f"The method {method} has no {flag}; {' and '.join(others)} would take it.", ctx
            ) from error

    def knobs(self, ctx: click.Context) -> type:
        return _kind(ctx.meta[_METHOD])

    def heading(self, ctx: click.Context) -> str:
        return f"Style, by the method {ctx.meta[_METHOD]}"

    def flags(self, ctx: click.Context) -> tuple[click.Option, ...]:
        try:
            method = ctx.meta[_METHOD]
            own = {param.name for param in click.Command.get_params(self, ctx)}
            return tuple(_apart(f, method) if f.name in own else f for f in knob_flags(method))
        except ImpastoError:
            if ctx.resilient_parsing:  # only completing: a name that is half typed
                return ()
            raise


def _apart(flag: click.Option, method: str) -> click.Option:
    """A knob's flag where the verb has one of that name: sdxl's --model is tune's --sdxl-model."""
    found = copy.copy(flag)
    found.name = f"{method} {flag.name}"
    found.opts = [f"--{method}-{each.removeprefix('--')}" for each in flag.opts]
    return found


def _spellings(method: str) -> set[str]:
    """Every way to write a flag of a method."""
    return {each for o in knob_flags(method) for each in (*o.opts, *o.secondary_opts)}


def _section(
    formatter: click.HelpFormatter,
    ctx: click.Context,
    title: str,
    params: Sequence[click.Parameter],
) -> None:
    records = [record for param in params if (record := param.get_help_record(ctx))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


def method_in(args: Sequence[str], default: str = DEFAULT_METHOD) -> str:
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


def given_knobs(ctx: click.Context) -> dict[str, Any]:
    """The knobs that the command line sets; the defaults stand for the others."""
    assert isinstance(ctx.command, KnobCommand)
    names = (option.name for option in ctx.command.flags(ctx))
    given = {name: ctx.params[name] for name in names if name and ctx.params[name] is not None}
    return {name.rpartition(" ")[2]: value for name, value in given.items()}


@functools.cache
def knob_flags(method: str) -> tuple[click.Option, ...]:
    """A flag for every knob of a method. A flag that is not given is None.

    Raises:
        KnobError: no such method.
    """
    return flags_of(_kind(method))


def _kind(method: str) -> type:
    """The dataclass of a method's knobs; of "auto", those that all methods have."""
    return shared_knobs() if method == AUTO else find(method)


@functools.cache
def flags_of(kind: type) -> tuple[click.Option, ...]:
    """A flag for every knob of a dataclass. A flag that is not given is None."""
    return tuple(_flag(knob) for knob in knobs_of(kind))


def _flag(knob: Knob) -> click.Option:
    name = flag_name(knob)
    text = _help(knob)
    if knob.item is bool and not knob.many:
        return click.Option([f"{name}/--no-{name[2:]}", knob.name], default=None, help=text)

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        return None if value is None else knob.check(parse(knob, value))

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(c) for c in knob.choices if c.startswith(incomplete)]

    return click.Option(
        [name, knob.name],
        type=str,
        metavar=_metavar(knob),
        callback=convert,
        shell_complete=complete,
        help=text,
    )


def parse(knob: Knob, text: str) -> Any:
    """A typed value; what is no number stays text, and the knob's own check will refuse it."""
    if not knob.many:
        return _scalar(knob, text)
    return tuple(_scalar(knob, part.strip()) for part in text.split(",") if part.strip())


def _scalar(knob: Knob, text: str) -> Any:
    try:
        return knob.item(text)
    except ValueError:
        return text


def spell(method: str, values: Mapping[str, Any]) -> list[str]:
    """The arguments that set these knobs of a method, those at their default left out.

    Raises:
        KnobError: no such method.
    """
    return knobs.spell(find(method), values)


def _metavar(knob: Knob) -> str:
    if knob.choices:
        return "|".join(knob.choices)
    kind = {int: "INT", float: "NUMBER"}.get(knob.item, "TEXT")
    return f"{kind},…" if knob.many else kind


def _help(knob: Knob) -> str:
    """Doc, range, unit and default in one line."""
    facts = [] if knob.choices else [knob.allowed]
    if knob.default is not None:
        facts.append(f"default {plain(knob.default)}")
    known = "; ".join(fact for fact in facts if fact)
    return f"{knob.doc} [{known}]" if known else knob.doc
