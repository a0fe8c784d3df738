"""A method that paints in no time, two pictures for it, and a tuning of it."""

import dataclasses
import signal
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from impasto.advise.tune.search_stage import TuneCallback
from impasto.advise.tune.tune import tune_request
from impasto.core.card import MethodCard
from impasto.core.errors import KnobError
from impasto.core.knobs import SearchRange, get_knobs, knob, knobs_from_dict
from impasto.core.plan import Forecast
from impasto.core.progress import ProgressEvent
from impasto.core.request import MethodOutput, Request
from impasto.pictures import as_picture, resize


@dataclass(frozen=True)
class Toy:
    """Shares of the style come in steps; ``shade`` darkens, which is no good."""

    name: ClassVar[str] = "toy"
    card: ClassVar[MethodCard] = MethodCard(
        "A toy", "tests", "all else", "none", "none", weights=()
    )

    strength: float = knob(
        1.0, "how much", low=0, high=1, search=SearchRange(0.1, 1, initial_values=(0.5,))
    )
    shade: float = knob(0.3, "how dark", low=0, high=1, search=SearchRange(0.0, 0.5))
    grain: str = knob(
        "none", "grain", choices=("none", "odd"), search=SearchRange(values=("none",))
    )
    steps: int = knob(8, "steps", low=1, search=SearchRange(trial_value=2))

    def forecast(self, request, setting):
        return Forecast(1e-4 * self.steps, 1)

    def precision_agreement(self, request, device, precision):
        return 1.0

    def warnings(self, request):
        return ()

    def stylize(self, request, plan, watch, state=None):
        if self.grain == "odd" and self.shade < 0.2:
            raise KnobError("grain = odd goes with a shade of 0.2 or more.")
        height, width = plan.setting.height, plan.setting.width
        content = np.asarray(resize(request.content.pixels, height, width))
        style = np.asarray(resize(request.styles[0].pixels, height, width))
        done, finished = 0, True
        while done < self.steps and finished:
            done += 1
            try:
                watch(ProgressEvent(done, self.steps, done / self.steps, {}, lambda: content, dict))
            except KeyboardInterrupt:
                finished = False
        share = self.strength * (1 - 0.7**done)
        pixels = (content * (1 - share) + style * share) * (1 - self.shade)
        return MethodOutput(pixels.astype(np.float32), {}, done, finished, {}, {})


class Heard(TuneCallback):
    """Keeps what it is told; raises Ctrl-C after a number of trials if asked to."""

    def __init__(self, stop_after=None):
        self.said, self.warned, self.stop_after = [], [], stop_after

    def on_progress(self, progress):
        assert 0 <= progress.fraction <= 1
        if self.stop_after is not None and progress.trial_count >= self.stop_after:
            signal.raise_signal(signal.SIGINT)
            self.stop_after = None

    def on_note(self, sentence):
        self.said.append(sentence)

    def on_warning(self, sentence):
        self.warned.append(sentence)


def _house():
    """A yellow house before a blue sky."""
    y = np.mgrid[0:48, 0:64][0]
    pixels = np.stack([y / 120, y / 90, 0.9 - y / 200], -1)
    pixels[20:40, 18:44] = (0.9, 0.8, 0.2)
    pixels[28:40, 26:32] = 0.1
    return pixels.astype(np.float32)


def _stripes():
    """Dark stripes on red and green."""
    y, x = np.mgrid[0:56, 0:56]
    stripes = ((x + 2 * y) % 7 < 3).astype(np.float32)
    return np.stack([stripes * 0.9, stripes * (x // 14 % 2), stripes * 0.1], -1).astype(np.float32)


CONTENT, STYLE = _house(), _stripes()


def toy_tuning(*, size=None, seed=0, alpha=None, on=CONTENT, **settings):
    """Tunes the toy; takes its knobs and the settings of a search alike."""
    names = {knob.name for knob in get_knobs(Toy)}
    held = {name: settings.pop(name) for name in names & set(settings)}
    shown = dataclasses.replace(as_picture(on, "content"), alpha=alpha)
    request = Request(
        shown, (as_picture(STYLE, "style"),), knobs_from_dict(Toy, held), size=size, seed=seed
    )
    return tune_request(request, held, **{"budget": 60, "trials": 4, **settings})
