"""``impasto study``: ask people which of two paintings they like better."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.cli.console import Voice
from impasto.cli.flags import talk_flags
from impasto.cli.process import as_interrupt, on
from impasto.core.errors import InputError
from impasto.study import HOST, PAIRS_EACH, PORT

if TYPE_CHECKING:
    from impasto.study.report import Report

_STUDY = click.argument("study_file", metavar="STUDY", type=click.Path())


@click.group("study")
def study() -> None:
    """Ask people which of two paintings they like better, and evaluate what they said.

    new makes a study from folders of results, serve asks people on a web page that does not tell
    which method made what, and report evaluates their answers.
    """


@study.command("new", short_help="Make a study from folders of results.")
@_STUDY
@click.argument("folders", metavar="[METHOD=]DIR…", nargs=-1, type=click.Path())
@click.option(
    "--contents",
    type=click.Path(),
    metavar="DIR",
    help="The content pictures; unset: as the results' recipes name them.",
)
@click.option(
    "--styles",
    type=click.Path(),
    metavar="DIR",
    help="The style pictures; unset: as the results' recipes name them.",
)
@click.option(
    "--pairs-each",
    type=click.IntRange(1),
    default=PAIRS_EACH,
    metavar="INT",
    help=f"After how many pairs a person is thanked, and may go on [default {PAIRS_EACH}].",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    metavar="INT",
    help="Of the order and the sides of the pairs [default 0].",
)
@talk_flags
def new(
    study_file: str,
    folders: Sequence[str],
    contents: str | None,
    styles: str | None,
    pairs_each: int,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the file STUDY from folders of results, one folder for each method.

    Pictures of the same name in all folders are compared. DIR alone is a method called like the
    folder. The pictures are copied: the folders may go away afterwards.
    """
    from impasto.cli.progress import Meter
    from impasto.study.create import make_study

    voice = Voice(quiet, as_json)
    with Meter(voice, "Copying") as meter:
        made = make_study(
            study_file,
            _named(folders),
            contents=contents,
            styles=styles,
            seed=seed,
            pairs_each=pairs_each,
            progress=lambda done, of: meter.show(done / of, f"scene {done + 1} of {of}"),
        )
    for warning in made.warnings:
        voice.warn(warning)
    voice.data({"study": study_file, **dataclasses.asdict(made)})
    voice.result(
        f"{study_file}: {', '.join(made.methods)} on {_count(len(made.scenes), 'scene')}, "
        f"{_count(made.pairs, 'pair')} to compare."
    )
    voice.say(f"Next: impasto study serve {study_file}")


@study.command("serve", short_help="Ask people on a web page until Ctrl-C.")
@_STUDY
@click.option(
    "--host",
    default=HOST,
    metavar="ADDRESS",
    help=f"0.0.0.0 lets phones and other machines in [default {HOST}: this machine alone].",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    metavar="INT",
    help=f"0 takes a free one [default {PORT}].",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another name by which people reach it, as behind a proxy; can be given several times.",
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.option("-q", "--quiet", is_flag=True, help="Only the address, warnings and errors.")
def serve(
    study_file: str, host: str, port: int, names: Sequence[str], opens: bool, quiet: bool
) -> None:
    """Ask people on a web page until Ctrl-C. Every answer is saved at once.

    Several people can answer at the same time, each in a browser of their own, and go on later.
    """
    from impasto.study.server import serve as run

    voice = Voice(quiet)

    def ready(urls: list[str]) -> None:
        for url in urls:
            voice.result(url)
        if len(urls) > 1:
            voice.say("The last address is for phones and other machines in the same network.")
        elif host not in ("127.0.0.1", "localhost", "::1"):
            voice.say("Other machines in the same network can reach it.")
        voice.say("Ctrl-C ends it; every answer is saved as it is given.")
        if opens:
            click.launch(urls[0])

    ending = contextlib.suppress(KeyboardInterrupt)  # this is how it ends
    with ending, on(signal.SIGTERM, as_interrupt):
        run(study_file, host, port, names=names, ready=ready, complain=voice.warn)
    voice.say(f"Ended. Evaluate the answers: impasto study report {study_file}")


@study.command("report", short_help="Evaluate the answers so far.")
@_STUDY
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(),
    metavar="FILE",
    help="Also every answer, one a line, for other programs.",
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(),
    metavar="FILE",
    help="Also a page with charts, in one file.",
)
@talk_flags
def report(
    study_file: str, csv_file: str | None, html_file: str | None, as_json: bool, quiet: bool
) -> None:
    """Evaluate the answers so far: scores, preferences, agreement, how many more it takes."""
    from impasto.pictures import replace
    from impasto.study.html_report import report_page
    from impasto.study.report import answers_table
    from impasto.study.report import report as evaluated

    voice = Voice(quiet, as_json)
    for target in (csv_file, html_file):
        if target and Path(target).resolve() == Path(study_file).resolve():
            raise InputError(f"{target} is the study itself: name another file.")
    found = evaluated(study_file)
    if csv_file:
        replace(csv_file, answers_table(study_file).encode())
        voice.say(f"Wrote {csv_file}.")
    if html_file:
        replace(html_file, report_page(found).encode())
        voice.say(f"Wrote {html_file}.")
    voice.data(dataclasses.asdict(found))
    if not as_json:
        _tell(found, voice)


def _tell(found: Report, voice: Voice) -> None:
    from impasto.cli.table import show_table
    from impasto.study import report_text
    from impasto.study.questions import QUESTIONS

    voice.result(report_text.extent(found))
    for findings in found.questions.values():
        voice.result(f"\n{QUESTIONS[findings.question].words}  ({report_text.who(findings)})\n")
        show_table(*report_text.score_table(findings))
        voice.result("")
        for line in report_text.sentences(findings):
            voice.result(line)
    if not found.questions:
        voice.say(f"Nobody has answered yet: impasto study serve {found.study}")


def _named(folders: Sequence[str]) -> Mapping[str, str]:
    """``METHOD=DIR`` or ``DIR`` → method → folder."""
    named: dict[str, str] = {}
    for given in folders:
        name, sign, folder = given.partition("=")
        if not sign or Path(given).is_dir():
            name, folder = Path(given).resolve().name, given
        if name in named:
            raise InputError(
                f"Two methods are called {name}: {named[name]} and {folder}. Name them: "
                f"one={named[name]} other={folder}"
            )
        named[name] = folder
    return named


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
