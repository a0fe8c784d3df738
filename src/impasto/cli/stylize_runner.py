"""The work that stylize and rerun share: plan, paint, save, and stop without loss."""

from __future__ import annotations

import dataclasses
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.console import Voice
from impasto.cli.keeper import Keeper
from impasto.cli.lock import only_run
from impasto.cli.output_options import Target, write_regions
from impasto.cli.plan import tell
from impasto.cli.previews import Preview
from impasto.cli.process import as_interrupt, on
from impasto.cli.progress import Meter, Teller, waiting
from impasto.cli.words import duration, memory
from impasto.core.errors import InputError, InterruptedRun
from impasto.core.picture import Pixels
from impasto.core.plan import Plan
from impasto.core.progress import Tick
from impasto.core.request import Request
from impasto.core.result import Result
from impasto.metrics.edge_report import verdict
from impasto.pictures import sheet, write
from impasto.pipeline import make_plan
from impasto.pipeline.checkpoint import place_for
from impasto.pipeline.lut import described, fitted
from impasto.pipeline.stylize import identity, perform

if TYPE_CHECKING:
    from impasto.pictures.lut import Table


def paint(
    request: Request, target: Target, voice: Voice, inputs: Sequence[Path], regions_out: str = ""
) -> int:
    """Carry out a request and write what was asked for; the regions first.

    Returns:
        The exit code: 0, or 130 if it was stopped and the painting so far was written.

    Raises:
        ImpastoError: whatever is wrong; what can be known before the work is found before it.
    """
    target.check(request.content, inputs)
    with only_run(Path(target.output)), on(signal.SIGTERM, as_interrupt):
        for path in write_regions(request, regions_out, inputs):
            voice.say(f"Wrote {path}.")
        with waiting(voice, "Planning"):
            plan = make_plan(request)
        size = plan.setting.height, plan.setting.width
        tell(request, plan, voice, target.check(request.content, inputs, size))
        return _Run(request, plan, target, voice).through()


class _Run:
    """One run, from the plan on."""

    def __init__(self, request: Request, plan: Plan, target: Target, voice: Voice) -> None:
        self.request, self.plan, self.target, self.voice = request, plan, target, voice
        self.output = Path(target.output)
        place = place_for(self.output)
        self.resumes = target.resume and place.exists()
        if target.resume and not self.resumes:
            voice.say(f"No unfinished run of {self.output} lies here: it begins from the start.")
        elif place.exists() and not target.resume:
            voice.say(f"An unfinished run of {self.output} lies here; --resume continues it.")
        self.checkpoint = Keeper(
            place,
            identity(request, plan),
            spare=place.exists() and not target.resume,
            warn=voice.warn,
        )
        self.preview: Preview | None = None
        self.last: Tick | None = None

    def through(self) -> int:
        result = self._painted()
        with on(signal.SIGINT, signal.SIG_IGN):  # a Ctrl-C now would lose all of it
            self._save(result)
            if result.recipe.finished:  # not before: the painting might have been lost
                self.checkpoint.remove()
            written = [self.output]
            if self.target.sheet:
                write(self._sheet(result), self.target.sheet)
                written.append(Path(self.target.sheet))
            table = self._table(result)
            if table:
                written.append(Path(self.target.lut))
        finished = result.recipe.finished
        if self.preview and finished:
            self.preview.finish(result.pixels)
            if self.target.animate and self.preview.frames:
                written.append(self.preview.animate())
        self._report(result, written, table)
        return 0 if finished else InterruptedRun.exit_code

    def _painted(self) -> Result:
        if self.target.preview:
            self.preview = Preview(
                Path(self.target.preview),
                self.target.preview_every,
                self.plan.setting,
                self.resumes,
                self.voice.warn,
            )
        with Meter(self.voice, "Painting") as meter:
            teller = Teller(meter, self.voice, self.plan.forecast.seconds, self.resumes)

            def watch(tick: Tick) -> None:
                self.last = tick
                teller(tick)
                if self.preview:
                    self.preview(tick)

            try:
                return perform(
                    self.request,
                    self.plan,
                    watch=watch,
                    checkpoint=self.checkpoint,
                    resume=self.resumes,
                )
            except KeyboardInterrupt as error:  # the second one: at once
                raise InterruptedRun(
                    f"Stopped at once; {self.output} was not written. {self._way_on()}"
                ) from error

    def _save(self, result: Result) -> None:
        """Write the painting: where it was asked for, or else where it is not lost."""
        bits, quality = self.target.bits, self.target.quality
        try:
            notes = result.save(self.output, bits=bits, quality=quality)
        except InputError as error:
            refuge = Path(tempfile.gettempdir()) / f"impasto-{self.output.name}"
            try:
                result.save(refuge, bits=bits, quality=quality)
            except InputError:
                raise error from None
            raise InputError(f"{error} The painting is in {refuge} instead.") from error
        for note in notes:
            if "laid on white" not in note:  # told with the plan
                self.voice.warn(f"{self.output}: {note}.")

    def _sheet(self, result: Result) -> Pixels:
        styles = self.request.styles
        labels = ["style"] if len(styles) == 1 else [f"style {i + 1}" for i in range(len(styles))]
        return sheet(
            [
                ("content", self.request.content.pixels),
                *zip(labels, (style.pixels for style in styles), strict=True),
                (result.recipe.method, result.pixels),
            ]
        )

    def _table(self, result: Result) -> Table | None:
        """Write the table of colours, if it was asked for."""
        if not self.target.lut:
            return None
        with waiting(self.voice, "Fitting the table of colours"):
            table = fitted(self.request.content.pixels, result.pixels)
        names = [Path(p.name).stem for p in (*self.request.styles, self.request.content)]
        table.write(self.target.lut, f"{' and '.join(names[:-1])} on {names[-1]}")
        return table

    def _report(self, result: Result, written: Sequence[Path], table: Table | None) -> None:
        recipe = result.recipe
        if recipe.finished:
            self.voice.say(
                f"Painted in {duration(recipe.seconds)}, {memory(recipe.peak_bytes)} at the peak."
            )
        else:
            of = f" of {self.last.steps}" if self.last else ""
            self.voice.warn(
                f"Stopped after step {recipe.steps}{of}: {self.output} is the painting so far. "
                + self._way_on()
            )
        for note in recipe.warnings[len(self.plan.warnings) :]:
            self.voice.warn(note)
        said = verdict(recipe.structure) if "photo" in self.request.method.card.supports else ""
        for sentence in (said, described(table) if table else ""):
            if sentence:
                self.voice.say(sentence)
        for path in written:
            self.voice.result(str(path))
        self.voice.data(
            {
                "output": str(self.output),
                "sheet": self.target.sheet or None,
                "lut": self.target.lut or None,
                **({"lut_explains": table.explained, "lut_error": table.error} if table else {}),
                "seconds": recipe.seconds,
                "peak_bytes": recipe.peak_bytes,
                "losses": recipe.losses,
                "warnings": list(recipe.warnings),
                "recipe": dataclasses.asdict(recipe),
            }
        )

    def _way_on(self) -> str:
        if self.checkpoint.saved or self.resumes:
            return "The same command with --resume goes on."
        if self.checkpoint.spare:
            return "The earlier unfinished run is still there: --resume continues that one."
        return "It begins from the start next time."
