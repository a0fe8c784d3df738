"""``impasto study``: ask people which of two paintings they like better."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.cli.console import Reporter
from impasto.cli.flags import reporter_flags
from impasto.cli.process import handle_signal, raise_interrupt
from impasto.core.errors import InputError
from impasto.study import DEFAULT_HOST, DEFAULT_PAIRS_EACH, DEFAULT_PORT

if TYPE_CHECKING:
    from impasto.study.report import Report

_STUDY_ARGUMENT = click.argument("study_file", metavar="STUDY", type=click.Path())


@click.group("study")
def study() -> None:
    """Ask people which of two paintings they like better, and evaluate what they said.

    new makes a study from folders of results, serve asks people on a web page that does not tell
    which method made what, and report evaluates their answers.
    """


@study.command("new", short_help="Make a study from folders of results.")
@_STUDY_ARGUMENT
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
    "--pairs-per-rater",
    type=click.IntRange(1),
    default=DEFAULT_PAIRS_EACH,
    metavar="INT",
    help=f"After how many pairs a person is thanked, and may go on [default {DEFAULT_PAIRS_EACH}].",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    metavar="INT",
    help="Of the order and the sides of the pairs [default 0].",
)
@reporter_flags
def new(
    study_file: str,
    folders: Sequence[str],
    contents: str | None,
    styles: str | None,
    pairs_per_rater: int,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the file STUDY from folders of results, one folder for each method.

    Pictures of the same name in all folders are compared. DIR alone is a method called like the
    folder. The pictures are copied: the folders may go away afterwards.
    """
    from impasto.cli.progress import ProgressBar
    from impasto.study.create import make_study

    voice = Reporter(quiet, as_json)
    with ProgressBar(voice, "Copying") as meter:
        made = make_study(
            study_file,
            _parse_folders(folders),
            contents=contents,
            styles=styles,
            seed=seed,
            pairs_each=pairs_per_rater,
            callback=lambda done, of: meter.update(done / of, f"scene {done + 1} of {of}"),
        )
    for warning in made.warnings:
        voice.warn(warning)
    voice.print_json({"study": study_file, **dataclasses.asdict(made)})
    voice.print_result(
        f"{study_file}: {', '.join(made.methods)} on {_pluralize(len(made.scenes), 'scene')}, "
        f"{_pluralize(made.pairs, 'pair')} to compare."
    )
    voice.info(f"Next: impasto study serve {study_file}")


@study.command("serve", short_help="Ask people on a web page until Ctrl-C.")
@_STUDY_ARGUMENT
@click.option(
    "--host",
    default=DEFAULT_HOST,
    metavar="ADDRESS",
    help=f"0.0.0.0 lets phones and other machines in [default {DEFAULT_HOST}: this machine alone].",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    metavar="INT",
    help=f"0 takes a free one [default {DEFAULT_PORT}].",
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

    voice = Reporter(quiet)

    def ready(urls: list[str]) -> None:
        for url in urls:
            voice.print_result(url)
        if len(urls) > 1:
            voice.info("The last address is for phones and other machines in the same network.")
        elif host not in ("127.0.0.1", "localhost", "::1"):
            voice.info("Other machines in the same network can reach it.")
        voice.info("Ctrl-C ends it; every answer is saved as it is given.")
        if opens:
            click.launch(urls[0])

    ending = contextlib.suppress(KeyboardInterrupt)  # this is how it ends
    with ending, handle_signal(signal.SIGTERM, raise_interrupt):
        run(study_file, host, port, allowed_hosts=names, on_ready=ready, on_error=voice.warn)
    voice.info(f"Ended. Evaluate the answers: impasto study report {study_file}")


@study.command("report", short_help="Evaluate the answers so far.")
@_STUDY_ARGUMENT
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
@reporter_flags
def report(
    study_file: str, csv_file: str | None, html_file: str | None, as_json: bool, quiet: bool
) -> None:
    """Evaluate the answers so far: scores, preferences, agreement, how many more it takes."""
    from impasto.pictures import write_bytes
    from impasto.study.html_report import render_report
    from impasto.study.report import answers_csv
    from impasto.study.report import report as evaluated

    voice = Reporter(quiet, as_json)
    for target in (csv_file, html_file):
        if target and Path(target).resolve() == Path(study_file).resolve():
            raise InputError(f"{target} is the study itself: name another file.")
    found = evaluated(study_file)
    if csv_file:
        write_bytes(csv_file, answers_csv(study_file).encode())
        voice.info(f"Wrote {csv_file}.")
    if html_file:
        write_bytes(html_file, render_report(found).encode())
        voice.info(f"Wrote {html_file}.")
    voice.print_json(dataclasses.asdict(found))
    if not as_json:
        _show_report(found, voice)


def _show_report(found: Report, reporter: Reporter) -> None:
    from impasto.cli.table import show_table
    from impasto.study import report_text
    from impasto.study.questions import QUESTIONS

    reporter.print_result(report_text.participation_text(found))
    for findings in found.questions.values():
        reporter.print_result(
            f"\n{QUESTIONS[findings.question].text}  ({report_text.answer_count_text(findings)})\n"
        )
        show_table(*report_text.score_table(findings))
        reporter.print_result("")
        for line in report_text.result_sentences(findings):
            reporter.print_result(line)
    if not found.questions:
        reporter.info(f"Nobody has answered yet: impasto study serve {found.study}")


def _parse_folders(folders: Sequence[str]) -> Mapping[str, str]:
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


def _pluralize(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
