"""The work that stylize and rerun share: plan, paint, save, and stop without loss."""

from __future__ import annotations

import dataclasses
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.console import Reporter
from impasto.cli.keeper import SafeCheckpoint
from impasto.cli.lock import exclusive_run
from impasto.cli.output_options import OutputOptions, write_regions
from impasto.cli.plan import show_plan
from impasto.cli.previews import PreviewWriter
from impasto.cli.process import handle_signal, raise_interrupt
from impasto.cli.progress import ProgressBar, ProgressBarCallback, spinner
from impasto.cli.words import format_bytes, format_duration
from impasto.core.errors import InputError, InterruptedRun
from impasto.core.picture import Pixels
from impasto.core.plan import Plan
from impasto.core.progress import ProgressEvent
from impasto.core.request import Request
from impasto.core.result import Result
from impasto.metrics.edge_report import photograph_verdict
from impasto.pictures import make_contact_sheet, write
from impasto.pipeline import make_plan
from impasto.pipeline.checkpoint import checkpoint_path
from impasto.pipeline.lut import fit_raster_lut, format_lut_fit
from impasto.pipeline.stylize import run_identity, run_request

if TYPE_CHECKING:
    from impasto.pictures.lut import ColorLut


def run_stylize(
    request: Request,
    output_options: OutputOptions,
    reporter: Reporter,
    inputs: Sequence[Path],
    regions_out: str = "",
) -> int:
    """Carry out a request and write what was asked for; the regions first.

    Returns:
        The exit code: 0, or 130 if it was stopped and the painting so far was written.

    Raises:
        ImpastoError: whatever is wrong; what can be known before the work is found before it.
    """
    output_options.check(request.content, inputs)
    with exclusive_run(Path(output_options.output)), handle_signal(signal.SIGTERM, raise_interrupt):
        for path in write_regions(request, regions_out, inputs):
            reporter.info(f"Wrote {path}.")
        with spinner(reporter, "Planning"):
            plan = make_plan(request)
        size = plan.setting.height, plan.setting.width
        show_plan(request, plan, reporter, output_options.check(request.content, inputs, size))
        return _StylizeRun(request, plan, output_options, reporter).run()


class _StylizeRun:
    """One run, from the plan on."""

    def __init__(
        self, request: Request, plan: Plan, output_options: OutputOptions, reporter: Reporter
    ) -> None:
        self.request, self.plan, self.output_options, self.reporter = (
            request,
            plan,
            output_options,
            reporter,
        )
        self.output = Path(output_options.output)
        place = checkpoint_path(self.output)
        self.is_resumed = output_options.resume and place.exists()
        if output_options.resume and not self.is_resumed:
            reporter.info(
                f"No unfinished run of {self.output} lies here: it begins from the start."
            )
        elif place.exists() and not output_options.resume:
            reporter.info(f"An unfinished run of {self.output} lies here; --resume continues it.")
        self.checkpoint = SafeCheckpoint(
            place,
            run_identity(request, plan),
            has_earlier_run=place.exists() and not output_options.resume,
            warn=reporter.warn,
        )
        self.preview: PreviewWriter | None = None
        self.last_event: ProgressEvent | None = None

    def run(self) -> int:
        result = self._stylize()
        with handle_signal(signal.SIGINT, signal.SIG_IGN):  # a Ctrl-C now would lose all of it
            self._save(result)
            if result.recipe.finished:  # not before: the painting might have been lost
                self.checkpoint.remove()
            written = [self.output]
            if self.output_options.contact_sheet:
                write(self._contact_sheet(result), self.output_options.contact_sheet)
                written.append(Path(self.output_options.contact_sheet))
            table = self._write_lut(result)
            if table:
                written.append(Path(self.output_options.lut))
        finished = result.recipe.finished
        if self.preview and finished:
            self.preview.write_final(result.pixels)
            if self.output_options.animate and self.preview.paths:
                written.append(self.preview.animate())
        self._report(result, written, table)
        return 0 if finished else InterruptedRun.exit_code

    def _stylize(self) -> Result:
        if self.output_options.preview:
            self.preview = PreviewWriter(
                Path(self.output_options.preview),
                self.output_options.preview_every,
                self.plan.setting,
                self.is_resumed,
                self.reporter.warn,
            )
        with ProgressBar(self.reporter, "Painting") as meter:
            teller = ProgressBarCallback(
                meter, self.reporter, self.plan.forecast.seconds, self.is_resumed
            )

            def watch(event: ProgressEvent) -> None:
                self.last_event = event
                teller(event)
                if self.preview:
                    self.preview(event)

            try:
                return run_request(
                    self.request,
                    self.plan,
                    callback=watch,
                    checkpoint=self.checkpoint,
                    resume=self.is_resumed,
                )
            except KeyboardInterrupt as error:  # the second one: at once
                raise InterruptedRun(
                    f"Stopped at once; {self.output} was not written. {self._resume_hint()}"
                ) from error

    def _save(self, result: Result) -> None:
        """Write the painting: where it was asked for, or else where it is not lost."""
        bits, quality = self.output_options.bits, self.output_options.encoding_quality
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
                self.reporter.warn(f"{self.output}: {note}.")

    def _contact_sheet(self, result: Result) -> Pixels:
        styles = self.request.styles
        labels = ["style"] if len(styles) == 1 else [f"style {i + 1}" for i in range(len(styles))]
        return make_contact_sheet(
            [
                ("content", self.request.content.pixels),
                *zip(labels, (style.pixels for style in styles), strict=True),
                (result.recipe.method, result.pixels),
            ]
        )

    def _write_lut(self, result: Result) -> ColorLut | None:
        """Write the table of colors, if it was asked for."""
        if not self.output_options.lut:
            return None
        with spinner(self.reporter, "Fitting the table of colors"):
            table = fit_raster_lut(self.request.content.pixels, result.pixels)
        names = [Path(p.name).stem for p in (*self.request.styles, self.request.content)]
        table.write(self.output_options.lut, f"{' and '.join(names[:-1])} on {names[-1]}")
        return table

    def _report(self, result: Result, written: Sequence[Path], lut: ColorLut | None) -> None:
        recipe = result.recipe
        if recipe.finished:
            self.reporter.info(
                f"Painted in {format_duration(recipe.seconds)}, "
                f"{format_bytes(recipe.peak_bytes)} at the peak."
            )
        else:
            of = f" of {self.last_event.steps}" if self.last_event else ""
            self.reporter.warn(
                f"Stopped after step {recipe.steps}{of}: {self.output} is the painting so far. "
                + self._resume_hint()
            )
        for note in recipe.warnings[len(self.plan.warnings) :]:
            self.reporter.warn(note)
        said = (
            photograph_verdict(recipe.structure)
            if "photo" in self.request.method.card.supports
            else ""
        )
        for sentence in (said, format_lut_fit(lut) if lut else ""):
            if sentence:
                self.reporter.info(sentence)
        for path in written:
            self.reporter.print_result(str(path))
        self.reporter.print_json(
            {
                "output": str(self.output),
                "sheet": self.output_options.contact_sheet or None,
                "lut": self.output_options.lut or None,
                **({"lut_explains": lut.explained_fraction, "lut_error": lut.error} if lut else {}),
                "seconds": recipe.seconds,
                "peak_bytes": recipe.peak_bytes,
                "losses": recipe.losses,
                "warnings": list(recipe.warnings),
                "recipe": dataclasses.asdict(recipe),
            }
        )

    def _resume_hint(self) -> str:
        if self.checkpoint.is_saved or self.is_resumed:
            return "The same command with --resume goes on."
        if self.checkpoint.has_earlier_run:
            return "The earlier unfinished run is still there: --resume continues that one."
        return "It begins from the start next time."
