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

from impasto.cli.console import Voice
from impasto.cli.keeper import SPARED
from impasto.cli.lock import only_run
from impasto.cli.output_options import same_file
from impasto.cli.process import as_interrupt, on
from impasto.cli.progress import Meter, waiting
from impasto.cli.watchers import FRAME, LATEST, Board, Gallery, frame_name
from impasto.cli.words import duration
from impasto.core.errors import InputError, InterruptedRun
from impasto.pictures import check_writable, replacing
from impasto.train import find
from impasto.train.fit import checkpoint_for, prepare, teach, unreadable_anywhere
from impasto.train.trainer import CHECKPOINT_SECONDS, Loop, Progress, Taught

SUFFIX = ".safetensors"
NAMED = 10
"""So many unreadable pictures are named on stderr; --json names all."""


@dataclass(frozen=True)
class Training:
    """The flags of the verb; an empty text is a flag that was not given."""

    name: str
    knobs: Mapping[str, Any]
    photos: tuple[str, ...]
    styles: tuple[str, ...]
    output: str
    start: str
    note: str
    licence: str
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
        if output.suffix.lower() != SUFFIX:
            raise InputError(f"-o {output}: a model is a {SUFFIX} file; name it so.")
        inputs = [self.start, *self.photos, *self.styles, *self.knobs.values()]
        files = [Path(i) for i in inputs if isinstance(i, str) and _is_file(i)]
        if any(same_file(output, file) for file in files):
            raise InputError(f"{output} is an input and would be overwritten: choose another name.")
        with contextlib.suppress(_Enough), replacing(output):
            raise _Enough
        if self.preview:
            self._check_preview(Path(self.preview), files)

    def _check_preview(self, folder: Path, files: list[Path]) -> None:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--preview {folder} is a file: give a folder.")
        check_writable((folder if folder.is_dir() else folder.parent) / frame_name(1))
        for album in map(Path, (*self.photos, *self.styles)):
            within = album.is_dir() and folder.resolve().is_relative_to(album.resolve())
            if within:
                raise InputError(
                    f"--preview {folder} lies in {album}, and would be trained with when this "
                    "goes on: give another folder."
                )
        for path in files:
            ours = FRAME.fullmatch(path.name) or path.name == LATEST
            if ours and same_file(path.parent, folder):
                raise InputError(f"--preview {folder} would replace {path}: give another folder.")


class _Enough(Exception):  # noqa: N818 - leaves a file unwritten
    """Whether it could be written is known."""


def carry_out(order: Training, voice: Voice) -> int:
    """Teach, and write the model.

    Returns:
        The exit code: 0, or 130 if it was stopped and its state was saved.

    Raises:
        ImpastoError: whatever is wrong; what can be known before the work is found before it.
    """
    order.check()
    if os.environ.get("RANK", "0") != "0":  # one of several processes speaks
        voice = Voice(quiet=True)
    with on(signal.SIGTERM, as_interrupt):
        place = checkpoint_for(Path(order.output))
        resumes = order.resume and place.exists()
        with waiting(voice, "Reading the pictures"):
            captions, notes = _captions(order)
            loop = prepare(
                order.name,
                order.knobs,
                photos=order.photos,
                styles=order.styles,
                start=order.start,
                captions=captions,
                output=Path(order.output),
                device=order.device,
                resume=resumes,
                warn=voice.warn,
            )
        with _alone(loop, Path(order.output)):
            if place.exists() and not resumes:
                loop.spared = time.monotonic() + SPARED
            code = _Run(order, voice, loop, resumes, notes).through()
        if loop.share.count > 1:
            loop.accelerator.end_training()
    return code


def _captions(order: Training) -> tuple[dict[str, str] | None, list[str]]:
    """Captions of the pictures, for a lesson that wants them, and what is to be said of them."""
    if not find(order.name).wants_captions:
        return None, []
    from impasto.advise.describe.captions import captions_of

    given = order.knobs
    return captions_of(order.photos, given.get("captions", "auto"), given.get("clip", ""))


@contextlib.contextmanager
def _alone(loop: Loop, output: Path) -> Iterator[None]:
    """No other training writes this model; of several processes, the one that writes asks."""
    with only_run(output, "training") if loop.accelerator.is_main_process else _nobody():
        yield


def _nobody() -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class _Run:
    """One training, from the prepared loop on."""

    def __init__(
        self, order: Training, voice: Voice, loop: Loop, resumes: bool, notes: Sequence[str]
    ) -> None:
        self.notes = notes
        self.order, self.voice, self.loop, self.resumes = order, voice, loop, resumes
        self.main = bool(loop.accelerator.is_main_process)
        self.unreadable = unreadable_anywhere(loop)
        self.every = order.preview_every or max(1, loop.lesson.course.steps // 20)
        self.showing: list[Callable[[Any, int], None]] = []
        self.board: Board | None = None

    def through(self) -> int:
        self._tell_pictures()
        self._tell_plan()
        self._open_watchers()
        try:
            with Meter(self.voice, f"Teaching {self.order.name}") as meter:
                taught = self._teach(meter)
        except KeyboardInterrupt as error:  # the second one: at once
            raise InterruptedRun(f"Stopped at once. {self._way_on()}") from error
        finally:
            if self.board:
                self.board.close()
        self._tell_late()
        if self.main:
            self._report(taught)
        return 0 if taught.finished else InterruptedRun.exit_code

    def _teach(self, meter: Meter) -> Taught:
        def watch(progress: Progress) -> None:
            terms = ", ".join(f"{n} {v:.3g}" for n, v in progress.terms.items())
            left = f"{duration(progress.remaining)} left"
            at = f"step {progress.step} of {progress.steps}"
            meter.show(progress.step / progress.steps, f"{at}, {terms}, {left}")
            if self.board:
                self.board(progress)
            if self.showing and (
                progress.step % self.every == 0 or progress.step == progress.steps
            ):
                self._show(progress)

        return teach(self.loop, Path(self.order.output), self.order.note, watch, self.order.licence)

    def _show(self, progress: Progress) -> None:
        preview = progress.preview()
        for show in self.showing:
            show(preview, progress.step)

    def _open_watchers(self) -> None:
        if not self.main:
            return
        if self.order.preview:
            gallery = Gallery(Path(self.order.preview), self.resumes, self.voice.warn)
            self.showing.append(gallery.add)
        if self.order.tensorboard:
            self.board = Board(Path(self.order.tensorboard), self.loop.step)
            self.showing.append(self.board.add)

    def _tell_pictures(self) -> None:
        albums = self.loop.lesson.albums
        counts = " and ".join(f"{len(album)} {album.role}" for album in albums)
        self.voice.say(f"Teaching {self.order.name} from {counts}.")
        for note in (*self.notes, *self.loop.lesson.remarks):
            self.voice.say(note)
        if self.main and self.unreadable:
            self.voice.warn(f"Left out, for they cannot be read: {_names(self.unreadable)}.")

    def _tell_plan(self) -> None:
        course, loop = self.loop.lesson.course, self.loop
        place, output = loop.checkpoint, self.order.output
        if self.resumes:
            self.voice.say(f"Going on after step {loop.step} of {course.steps}.")
        elif self.order.resume:
            self.voice.say(f"No unfinished run of {output} lies here: it begins from the start.")
        elif loop.spared:
            self.voice.say(f"An unfinished run of {output} lies here; --resume continues it.")
        with waiting(self.voice, "Measuring the time of a step"):
            seconds = loop.estimate()
        processes = f", {loop.share.count} processes" if loop.share.count > 1 else ""
        self.voice.say(
            f"{course.steps - loop.step} steps of {course.batch} pictures of {course.side} px, "
            f"{loop.precision} on {loop.accelerator.device}{processes}: about {duration(seconds)}."
        )
        self.voice.say(f"Its state goes to {place}, every {duration(CHECKPOINT_SECONDS)}.")
        if self.order.preview:
            self.voice.say(f"Previews go to {self.order.preview}, every {self.every} steps.")

    def _tell_late(self) -> None:
        """Name the pictures that only proved damaged when they were needed."""
        now = unreadable_anywhere(self.loop)
        late = {path: reason for path, reason in now.items() if path not in self.unreadable}
        self.unreadable = now
        if self.main and late:
            self.voice.warn(f"Left out later, for they are damaged: {_names(late)}.")

    def _report(self, taught: Taught) -> None:
        output, steps = self.order.output, self.loop.lesson.course.steps
        if taught.finished:
            early = f" of {steps}, for it was enough," if taught.step < steps else ""
            self.voice.say(f"Taught {taught.step} steps{early} in {duration(taught.seconds)}.")
            said, beware = self.loop.lesson.closing()
            if said:
                (self.voice.warn if beware else self.voice.say)(said)
            self.voice.result(output)
        else:
            self.voice.warn(f"Stopped after step {taught.step} of {steps}. {self._way_on()}")
        self.voice.data(
            {
                "output": output if taught.finished else None,
                "finished": taught.finished,
                "steps": taught.step,
                "seconds": round(taught.seconds, 2),
                "losses": taught.terms,
                "checkpoint": None if taught.finished else str(self.loop.checkpoint),
                "preview": self.order.preview or None,
                "unreadable": {str(path): why for path, why in self.unreadable.items()},
            }
        )

    def _way_on(self) -> str:
        if self.loop.kept:
            return "The same command with --resume goes on."
        if self.loop.spared:
            return "The earlier unfinished run is still there: --resume continues that one."
        return "It begins from the start next time."


def _is_file(text: str) -> bool:
    """Whether a text, which may be a prompt, names a file."""
    with contextlib.suppress(OSError, ValueError):  # as where it is longer than a name can be
        return Path(text).is_file()
    return False


def _names(files: Mapping[Path, str]) -> str:
    """Files with the reasons, the first few of them."""
    named = [f"{path} ({reason})" for path, reason in list(files.items())[:NAMED]]
    more = len(files) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")
