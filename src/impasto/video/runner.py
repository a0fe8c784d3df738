"""The loop: frames in, painted one after another, and out again; in memory that does not grow."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from impasto.core import pitfalls
from impasto.core.errors import InputError
from impasto.core.interrupt import InterruptHandler
from impasto.core.picture import Picture, Pixels
from impasto.core.plan import Plan
from impasto.core.progress import ProgressCallback, ProgressEvent, ignore_progress
from impasto.core.recipe import Recipe
from impasto.core.request import MethodOutput, Request
from impasto.pictures import make_contact_sheet
from impasto.pipeline import make_plan, make_request
from impasto.pipeline.stylize import make_recipe, run_identity
from impasto.video.diffusion_stylizer import EmptySource
from impasto.video.frame_stylizer import make_frame_stylizer
from impasto.video.image_sequence import has_frame_number, is_image_sequence, is_still_image
from impasto.video.open_source import open_source
from impasto.video.options import VideoOptions
from impasto.video.output import make_output
from impasto.video.segments import SegmentStore, segments_folder
from impasto.video.shot_detection import detect_shots
from impasto.video.source import Frame

Say = Callable[[str], None]
SEGMENT_SECONDS = 1
"""Seconds of film in a part: what a kill costs at most."""


def ignore_message(text: str) -> None:
    """Nobody is told."""


class FrameStylizer(Protocol):
    """What paints a film, one frame after another.

    See :func:`impasto.video.frame_stylizer.make_frame_stylizer`.
    """

    @property
    def digests(self) -> Mapping[str, str]:
        """The weights in use, name → sha256."""
        ...

    def start_shot(self) -> None:
        """A new shot starts: forget everything."""
        ...

    def __call__(self, frame: Pixels) -> Pixels:
        """Paint the next frame; float32 (H, W, 3), sRGB 0..1."""
        ...

    def preview_frame(self, number: int, frame: Pixels) -> Pixels:
        """Paint the film's frame of that number as the first of a shot; then :meth:`restore`."""
        ...

    def set_callback(self, tick: Callable[[float], None]) -> None:
        """Call this with the share of the work that is done ahead of the next frame, if any is."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """All that the next frame needs: tensors and numbers, by name."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state`; of an empty one: begin the film anew."""
        ...


class VideoMetrics(Protocol):
    """What measures a film while it is painted."""

    def start_shot(self) -> None:
        """A new shot starts."""
        ...

    def update(self, frame: Pixels, painted: Pixels) -> None:
        """The next frame of the film and its painting."""
        ...

    def compute(self) -> Mapping[str, float]:
        """What was found, by name."""
        ...


@dataclass(frozen=True, eq=False)
class VideoResult:
    """A film that was painted.

    Attributes:
        path: the file, or the pattern of numbered pictures; of a run that was stopped, what there
            is of it, or None.
        frames: how many.
        seconds: how long it is.
        fps: frames a second, on average.
        measures: what was measured, by name.
        recipe: how it was made; ``finished`` is False if it was stopped.
    """

    path: Path | None
    frames: int
    seconds: float
    fps: float
    measures: Mapping[str, float]
    recipe: Recipe


class VideoJob:
    """A film that is planned, and can be painted.

    Args:
        content: path of a film or a still, pattern as "frames/%05d.png", or folder of pictures.
        styles: as :func:`impasto.pipeline.make_request` takes them.
        output: path of the film, or pattern of the pictures.
        take: how.
        asked: method, size, knobs and all else that :func:`impasto.pipeline.make_request` takes.

    Attributes:
        request: of the first frame.
        plan: for it.
        source: what is painted.

    Raises:
        ImpastoError: whatever is wrong with it and can be known before the work.
    """

    def __init__(
        self, content: str, styles: object, output: str, take: VideoOptions, **asked: Any
    ) -> None:
        self.output, self.take = output, take
        if _overwrites(output, content):
            raise InputError(
                f"{output} is the input and would be overwritten: choose another name."
            )
        self.source = open_source(content, take, asked.pop("size", None))
        facts = self.source.info
        self._out = make_output(output, self.source, take)
        self.request: Request = make_request(self._picture(), styles, **asked)
        self.plan: Plan = make_plan(self.request)
        if warning := pitfalls.frame_by_frame(take.stability):
            self.plan = dataclasses.replace(self.plan, warnings=(*self.plan.warnings, warning))
        setting = self.plan.setting
        if (setting.height, setting.width) != (facts.height, facts.width):  # fitted to the memory
            self.source = open_source(content, take, max(setting.height, setting.width))
        self.stylizer: FrameStylizer = make_frame_stylizer(
            self.request,
            self.plan,
            stability=take.stability,
            flow=take.flow,
            source=lambda: open_source(content, take, max(setting.height, setting.width)),
            find_shots=take.detect_shots,
        )

    def _picture(self) -> Picture:
        """The first frame; of a film from words, its size."""
        facts, notes = self.source.info, (*self.source.info.notes, *self._out.notes)
        if isinstance(self.source, EmptySource):
            return dataclasses.replace(self.source.picture, name=facts.name, notes=notes)
        first = next(self.source.frames()).pixels
        return Picture(first, name=facts.name, sha256=facts.sha256, bits=facts.bits, notes=notes)

    def preview(self, times: Sequence[float]) -> Pixels:
        """A sheet of frames and their paintings, each painted as the first of a shot.

        Args:
            times: in seconds of the source.

        Raises:
            InputError: a time that is not in the film.
        """
        wanted = sorted({t - self.take.start for t in times})
        rows: list[tuple[str, Pixels]] = []
        for number, frame in enumerate(self.source.frames()):
            if not wanted or wanted[0] < 0:
                break
            if frame.time >= 0 and wanted[0] < frame.time + 1 / self.source.info.rate:
                painted = self.stylizer.preview_frame(number, frame.pixels)
                at = f"{self.take.start + wanted.pop(0):.2f} s"
                rows += [(at, frame.pixels), (self.request.method.name, painted)]
        if wanted or not rows:
            raise InputError(
                f"{self.source.info.name} has no frame at "
                f"{self.take.start + (wanted or [0])[0]:g} s: choose another --preview-times."
            )
        return make_contact_sheet(rows, columns=2, height=min(384, rows[0][1].shape[0]))

    def run(
        self,
        *,
        resume: bool = False,
        callback: ProgressCallback = ignore_progress,
        gauge: VideoMetrics | None = None,
        on_message: Say = ignore_message,
    ) -> VideoResult:
        """Paint it.

        Args:
            resume: go on with an unfinished run of the same film.
            callback: called after every frame.
            gauge: measures the film on the way.
            on_message: told what is worth knowing, one sentence each.

        Returns:
            The film; if Ctrl-C came in between, what there was by then, and its recipe says so.

        Raises:
            InputError: what is written does not fit on the disk, or what is read is damaged; the
                message says where the film is up to there.
        """
        parts = SegmentStore(segments_folder(self._out.path), self._identity(), resume)
        if parts.why_new:
            on_message(f"It begins from the start: {parts.why_new}.")
        elif resume and parts.state is None:
            on_message(f"No unfinished run of {self.output} lies here: it begins from the start.")
        elif not resume and parts.folder.exists():
            on_message(f"An unfinished run of {self.output} lies here and is replaced.")
        run = _Run(self, parts, callback, gauge, on_message)
        try:
            with InterruptHandler() as stop:
                run.stylize(stop)
        except KeyboardInterrupt:
            left = self._out.finish_partial(parts.files(), run.recipe(False), run.saved)
            return run.result(left, finished=False)
        except InputError as error:
            found = self._out.finish_partial(parts.files(), run.recipe(False), run.saved)
            where = f" What was painted is in {found}." if found else ""
            way = " --resume goes on." if parts.resumable else ""
            raise InputError(f"{error}{where}{way}") from error
        for remark in self.source.remarks:
            on_message(remark)
        try:
            path = self._out.finish(parts.files(), run.recipe(True), run.seconds)
        except InputError as error:
            raise InputError(f"{error} All is painted: --resume only writes it.") from error
        parts.remove()
        film = run.result(path, finished=True)
        if left := self._out.leftover_files(film.frames):
            on_message(f"{left} and what follows it are of an earlier film: delete them.")
        return film

    def _identity(self) -> dict[str, Any]:
        """All that decides the frames."""
        take = dataclasses.asdict(self.take)
        del take["audio"]
        return {
            **run_identity(self.request, self.plan),
            **take,
            "coding": repr(self._out.encoding),
            "files": dict(self.stylizer.digests),
        }


class _Run:
    """One run of a job: what it has done so far."""

    def __init__(
        self,
        job: VideoJob,
        parts: SegmentStore,
        watch: ProgressCallback,
        gauge: VideoMetrics | None,
        say: Say,
    ) -> None:
        self._job, self._parts, self._watch, self._gauge = job, parts, watch, gauge
        self._say = say
        self._start, self._share = time.monotonic(), 0.0
        state = parts.state or {"frames": 0, "read": 0, "shots": 0, "ends": 0.0}
        self._frames, self._read, self._shots = state["frames"], state["read"], state["shots"]
        self.seconds: float = state["ends"]
        self.saved, self._kept = self.seconds, (self._frames, self._shots)
        job.stylizer.load_state_dict(state.get("brush", {}))

    def stylize(self, stop: InterruptHandler) -> None:
        """All frames that are not painted yet, part by part."""
        job, out = self._job, self._job._out
        facts, rate = job.source.info, job.source.info.rate
        done, read, number = self._read, 0, None
        if done:
            self._say(f"Going on after frame {self._frames} of about {facts.frames}.")
        frames = detect_shots(job.source.frames(), job.take.detect_shots)
        job.stylizer.set_callback(lambda share: self._ahead(stop, share))
        with contextlib.closing(frames):
            for frame, cut in frames:
                stop.raise_if_interrupted()
                read += 1
                if read <= done:  # looked at again, for the cuts
                    continue
                if frame.time >= 0 and number not in (None, frame.time // SEGMENT_SECONDS):
                    self._commit(out.close(), read - 1)
                painted = self._painted(frame, cut)
                if frame.time < 0:  # before the beginning of a loop
                    continue
                number = frame.time // SEGMENT_SECONDS
                self._frames += 1
                out.add(painted, frame, self._frames)
                self.seconds = float(frame.time + 1 / rate)
                self._share = max(self._share, min(1.0, self.seconds / float(facts.seconds)))
                self._tell(painted)
        if number is not None:
            self._commit(out.close(), read)
        if not self._frames:
            raise InputError(f"{facts.name} is too short for a loop.")

    def _ahead(self, stop: InterruptHandler, share: float) -> None:
        """A brush that works ahead has come so far, and may be stopped."""
        stop.raise_if_interrupted()
        self._share = max(share, self._share)
        self._tell(np.asarray(self._job.request.content.pixels))

    def _tell(self, still: Pixels) -> None:
        frames = self._job.source.info.frames
        self._watch(ProgressEvent(self._frames, frames, self._share, {}, lambda: still, dict))

    def _painted(self, frame: Frame, cut: bool) -> Pixels:
        job = self._job
        if cut:
            self._shots += 1
            job.stylizer.start_shot()
            if self._gauge:
                self._gauge.start_shot()
        painted = job.stylizer(frame.pixels)
        if self._gauge and frame.time >= 0:
            try:
                self._gauge.update(frame.pixels, painted)
            except InputError as error:  # too small, say: no film is lost for its measures
                self._gauge = None
                self._say(f"Nothing is measured: {error}")
        if job.take.fade_in:
            share = np.float32(min(1.0, float(frame.time) / max(self._length(), 1e-9)))
            painted = frame.pixels + share * (painted - frame.pixels)
        if job.take.side_by_side:
            painted = np.concatenate([frame.pixels, painted], axis=1)
        return painted

    def _length(self) -> float:
        """Seconds from the first frame to the last."""
        facts = self._job.source.info
        return float(facts.seconds - 1 / facts.rate)

    def _commit(self, part: bytes | None, read: int) -> None:
        self._parts.commit(
            part,
            {
                "brush": dict(self._job.stylizer.state_dict()),
                "frames": self._frames,
                "read": read,
                "shots": self._shots,
                "ends": self.seconds,
            },
        )
        self.saved, self._kept = self.seconds, (self._frames, self._shots)

    def result(self, path: Path | None, finished: bool) -> VideoResult:
        recipe = self.recipe(finished)
        facts = self._job.source.info
        frames, seconds = recipe.film["frames"], self.seconds if finished else self.saved
        return VideoResult(path, frames, seconds, float(facts.rate), self._measures(), recipe)

    def recipe(self, finished: bool) -> Recipe:
        """How it was made; of a run that was stopped, what the finished parts hold."""
        job = self._job
        frames, shots = (self._frames, self._shots) if finished else self._kept
        painting = MethodOutput(
            job.request.content.pixels, {}, frames, finished, job.stylizer.digests, {}
        )
        recipe = make_recipe(job.request, job.plan, painting, {}, time.monotonic() - self._start)
        film = {
            "frames": frames,
            "seconds": round(self.seconds if finished else self.saved, 3),
            "fps": round(float(job.source.info.rate), 3),
            "shots": shots,
            "sound": list(job.source.info.sound) if job.take.audio else [],
            "take": dataclasses.asdict(job.take),
            "measures": {n: round(v, 5) for n, v in self._measures().items()},
        }
        return dataclasses.replace(recipe, film=film, notes=(*recipe.notes, *job.source.remarks))

    def _measures(self) -> Mapping[str, float]:
        return self._gauge.compute() if self._gauge else {}


def _overwrites(output: str, content: str) -> bool:
    """Whether the output is the input, or lies among its pictures."""
    one, other = Path(output), Path(content)
    if is_image_sequence(output) and is_image_sequence(content):
        if is_still_image(content) and not has_frame_number(output, other):
            return False
        one, other = one.parent, other if other.is_dir() else other.parent
    return os.path.realpath(one) == os.path.realpath(other)
