"""The work of ``impasto train``: check, teach, show how it goes, and stop without loss."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.cli.console import Reporter
from impasto.cli.keeper import EARLIER_RUN_GRACE_SECONDS
from impasto.cli.lock import exclusive_run
from impasto.cli.output_options import is_same_file
from impasto.cli.process import handle_signal, raise_interrupt
from impasto.cli.progress import ProgressBar, spinner
from impasto.cli.watchers import (
    LATEST_FILE_NAME,
    TRAIN_PREVIEW_FILE_PATTERN,
    TensorBoardWriter,
    TrainPreviewWriter,
    train_preview_file_name,
)
from impasto.cli.words import format_duration
from impasto.core.errors import InputError, InterruptedRun
from impasto.pictures import atomic_write, check_writable
from impasto.train import get_task
from impasto.train.fit import checkpoint_for, prepare, train, unreadable_images_of_all_ranks
from impasto.train.trainer import CHECKPOINT_SECONDS, Progress, Trainer, TrainResult

MODEL_SUFFIX = ".safetensors"
MAX_LISTED_PICTURES = 10
"""So many unreadable pictures are named on stderr; --json names all."""


@dataclass(frozen=True)
class TrainOptions:
    """The flags of the verb; an empty text is a flag that was not given."""

    name: str
    knobs: Mapping[str, Any]
    photos: tuple[str, ...]
    styles: tuple[str, ...]
    output: str
    init_from: str
    note: str
    license: str
    preview: str
    preview_every: int | None
    tensorboard: str
    device: str
    resume: bool

    def check(self) -> None:
        """Refuse what cannot or must not be written; leaves no trace.

        Raises:
            InputError: says which file, and what to do.
        """
        output = Path(self.output)
        if output.suffix.lower() != MODEL_SUFFIX:
            raise InputError(f"-o {output}: a model is a {MODEL_SUFFIX} file; name it so.")
        inputs = [self.init_from, *self.photos, *self.styles, *self.knobs.values()]
        files = [Path(i) for i in inputs if isinstance(i, str) and _is_file(i)]
        if any(is_same_file(output, file) for file in files):
            raise InputError(f"{output} is an input and would be overwritten: choose another name.")
        with contextlib.suppress(_DiscardFile), atomic_write(output):
            raise _DiscardFile
        if self.preview:
            self._check_preview(Path(self.preview), files)

    def _check_preview(self, folder: Path, files: list[Path]) -> None:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--preview {folder} is a file: give a folder.")
        check_writable((folder if folder.is_dir() else folder.parent) / train_preview_file_name(1))
        for album in map(Path, (*self.photos, *self.styles)):
            within = album.is_dir() and folder.resolve().is_relative_to(album.resolve())
            if within:
                raise InputError(
                    f"--preview {folder} lies in {album}, and would be trained with when this "
                    "goes on: give another folder."
                )
        for path in files:
            ours = TRAIN_PREVIEW_FILE_PATTERN.fullmatch(path.name) or path.name == LATEST_FILE_NAME
            if ours and is_same_file(path.parent, folder):
                raise InputError(f"--preview {folder} would replace {path}: give another folder.")


class _DiscardFile(Exception):  # noqa: N818 - leaves a file unwritten
    """Whether it could be written is known."""


def run_training(options: TrainOptions, reporter: Reporter) -> int:
    """Teach, and write the model.

    Returns:
        The exit code: 0, or 130 if it was stopped and its state was saved.

    Raises:
        ImpastoError: whatever is wrong; what can be known before the work is found before it.
    """
    options.check()
    if os.environ.get("RANK", "0") != "0":  # one of several processes speaks
        reporter = Reporter(quiet=True)
    with handle_signal(signal.SIGTERM, raise_interrupt):
        place = checkpoint_for(Path(options.output))
        resumes = options.resume and place.exists()
        with spinner(reporter, "Reading the pictures"):
            captions, notes = _read_captions(options)
            loop = prepare(
                options.name,
                options.knobs,
                photos=options.photos,
                styles=options.styles,
                init_from=options.init_from,
                captions=captions,
                output=Path(options.output),
                device=options.device,
                resume=resumes,
                warn=reporter.warn,
            )
        with _lock_output(loop, Path(options.output)):
            if place.exists() and not resumes:
                loop.spared = time.monotonic() + EARLIER_RUN_GRACE_SECONDS
            code = _TrainRun(options, reporter, loop, resumes, notes).run()
        if loop.share.count > 1:
            loop.accelerator.end_training()
    return code


def _read_captions(options: TrainOptions) -> tuple[dict[str, str] | None, list[str]]:
    """Captions of the pictures, for a lesson that wants them, and what is to be said of them."""
    if not get_task(options.name).needs_captions:
        return None, []
    from impasto.advise.describe.captions import make_captions

    given = options.knobs
    return make_captions(options.photos, given.get("captions", "auto"), given.get("clip", ""))


@contextlib.contextmanager
def _lock_output(trainer: Trainer, output: Path) -> Iterator[None]:
    """No other training writes this model; of several processes, the one that writes asks."""
    with exclusive_run(output, "training") if trainer.accelerator.is_main_process else _no_lock():
        yield


def _no_lock() -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class _TrainRun:
    """One training, from the prepared loop on."""

    def __init__(
        self,
        options: TrainOptions,
        reporter: Reporter,
        trainer: Trainer,
        is_resumed: bool,
        notes: Sequence[str],
    ) -> None:
        self.notes = notes
        self.options, self.reporter, self.trainer, self.is_resumed = (
            options,
            reporter,
            trainer,
            is_resumed,
        )
        self.is_main = bool(trainer.accelerator.is_main_process)
        self.unreadable = unreadable_images_of_all_ranks(trainer)
        self.preview_every = options.preview_every or max(1, trainer.task.config.steps // 20)
        self.preview_writers: list[Callable[[Any, int], None]] = []
        self.tensorboard: TensorBoardWriter | None = None

    def run(self) -> int:
        self._report_pictures()
        self._report_plan()
        self._open_writers()
        try:
            with ProgressBar(self.reporter, f"Teaching {self.options.name}") as meter:
                taught = self._fit(meter)
        except KeyboardInterrupt as error:  # the second one: at once
            raise InterruptedRun(f"Stopped at once. {self._resume_hint()}") from error
        finally:
            if self.tensorboard:
                self.tensorboard.close()
        self._report_late_failures()
        if self.is_main:
            self._report(taught)
        return 0 if taught.finished else InterruptedRun.exit_code

    def _fit(self, bar: ProgressBar) -> TrainResult:
        def watch(progress: Progress) -> None:
            terms = ", ".join(f"{n} {v:.3g}" for n, v in progress.terms.items())
            left = f"{format_duration(progress.remaining)} left"
            at = f"step {progress.step} of {progress.steps}"
            bar.update(progress.step / progress.steps, f"{at}, {terms}, {left}")
            if self.tensorboard:
                self.tensorboard(progress)
            if self.preview_writers and (
                progress.step % self.preview_every == 0 or progress.step == progress.steps
            ):
                self._write_previews(progress)

        return train(
            self.trainer, Path(self.options.output), self.options.note, watch, self.options.license
        )

    def _write_previews(self, progress: Progress) -> None:
        preview = progress.preview()
        for show in self.preview_writers:
            show(preview, progress.step)

    def _open_writers(self) -> None:
        if not self.is_main:
            return
        if self.options.preview:
            gallery = TrainPreviewWriter(
                Path(self.options.preview), self.is_resumed, self.reporter.warn
            )
            self.preview_writers.append(gallery.add)
        if self.options.tensorboard:
            self.tensorboard = TensorBoardWriter(Path(self.options.tensorboard), self.trainer.step)
            self.preview_writers.append(self.tensorboard.add)

    def _report_pictures(self) -> None:
        albums = self.trainer.task.datasets
        counts = " and ".join(f"{len(album)} {album.role}" for album in albums)
        self.reporter.info(f"Teaching {self.options.name} from {counts}.")
        for note in (*self.notes, *self.trainer.task.notes):
            self.reporter.info(note)
        if self.is_main and self.unreadable:
            self.reporter.warn(
                f"Left out, for they cannot be read: {_format_unreadable(self.unreadable)}."
            )

    def _report_plan(self) -> None:
        course, loop = self.trainer.task.config, self.trainer
        place, output = loop.checkpoint, self.options.output
        if self.is_resumed:
            self.reporter.info(f"Going on after step {loop.step} of {course.steps}.")
        elif self.options.resume:
            self.reporter.info(
                f"No unfinished run of {output} lies here: it begins from the start."
            )
        elif loop.spared:
            self.reporter.info(f"An unfinished run of {output} lies here; --resume continues it.")
        with spinner(self.reporter, "Measuring the time of a step"):
            seconds = loop.estimate_seconds()
        processes = f", {loop.share.count} processes" if loop.share.count > 1 else ""
        self.reporter.info(
            f"{course.steps - loop.step} steps of {course.batch_size} pictures of "
            f"{course.crop_size} px, "
            f"{loop.precision} on {loop.accelerator.device}{processes}: about "
            f"{format_duration(seconds)}."
        )
        self.reporter.info(
            f"Its state goes to {place}, every {format_duration(CHECKPOINT_SECONDS)}."
        )
        if self.options.preview:
            self.reporter.info(
                f"Previews go to {self.options.preview}, every {self.preview_every} steps."
            )

    def _report_late_failures(self) -> None:
        """Name the pictures that only proved damaged when they were needed."""
        now = unreadable_images_of_all_ranks(self.trainer)
        late = {path: reason for path, reason in now.items() if path not in self.unreadable}
        self.unreadable = now
        if self.is_main and late:
            self.reporter.warn(f"Left out later, for they are damaged: {_format_unreadable(late)}.")

    def _report(self, result: TrainResult) -> None:
        output, steps = self.options.output, self.trainer.task.config.steps
        if result.finished:
            early = f" of {steps}, for it was enough," if result.step < steps else ""
            self.reporter.info(
                f"Taught {result.step} steps{early} in {format_duration(result.seconds)}."
            )
            said, beware = self.trainer.task.summary()
            if said:
                (self.reporter.warn if beware else self.reporter.info)(said)
            self.reporter.print_result(output)
        else:
            self.reporter.warn(
                f"Stopped after step {result.step} of {steps}. {self._resume_hint()}"
            )
        self.reporter.print_json(
            {
                "output": output if result.finished else None,
                "finished": result.finished,
                "steps": result.step,
                "seconds": round(result.seconds, 2),
                "losses": result.terms,
                "checkpoint": None if result.finished else str(self.trainer.checkpoint),
                "preview": self.options.preview or None,
                "unreadable": {str(path): why for path, why in self.unreadable.items()},
            }
        )

    def _resume_hint(self) -> str:
        if self.trainer.kept:
            return "The same command with --resume goes on."
        if self.trainer.spared:
            return "The earlier unfinished run is still there: --resume continues that one."
        return "It begins from the start next time."


def _is_file(text: str) -> bool:
    """Whether a text, which may be a prompt, names a file."""
    with contextlib.suppress(OSError, ValueError):  # as where it is longer than a name can be
        return Path(text).is_file()
    return False


def _format_unreadable(files: Mapping[Path, str]) -> str:
    """Files with the reasons, the first few of them."""
    named = [f"{path} ({reason})" for path, reason in list(files.items())[:MAX_LISTED_PICTURES]]
    more = len(files) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")
