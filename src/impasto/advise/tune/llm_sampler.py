"""A language model proposes the trials, in a typed tool loop with the same budget.

It can try knobs, list the trials and finish. What it proposes is checked by the knobs themselves;
what does not fit is answered with their message. Whatever goes wrong with the model ends in one
sentence, and Optuna goes on.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from impasto.advise.llm import (
    LanguageModel,
    connect,
    describe_error,
    encode_jpeg,
    make_chat_model,
    make_client,
    run_coroutine,
)
from impasto.advise.tune.search_space import SearchDimension
from impasto.advise.tune.search_stage import BudgetExhausted, SearchStage, TuneCallback
from impasto.advise.tune.trial import Trial
from impasto.core.errors import KnobError, LanguageModelError, MissingExtraError
from impasto.core.knobs import closest_name
from impasto.core.picture import Raster
from impasto.core.words import format_duration
from impasto.pictures.resize import thumbnail

if TYPE_CHECKING:
    from pydantic_ai import Agent

MAX_ANSWER_BUDGET_FRACTION = 0.25
"""Share of the budget that one answer may take at most."""
MIN_TIMEOUT_SECONDS = 5.0
"""Seconds that it may always take."""
MAX_REPEATED_CALLS = 5
"""So many calls in a row that try nothing new are a loop."""
REQUESTS_PER_TRIAL = 2
"""Answers for each trial that there is room for, after which it is a loop too."""
MAX_RETRIES = 2
"""So often it may try again after an answer that cannot be read."""
POLL_SECONDS = 0.1
"""Seconds between two looks at the budget and at Ctrl-C while an answer is awaited."""
MAX_IMAGE_SIDE_PX = 384
"""Of the pictures that are sent, in pixels."""
MAX_LISTED_TRIALS = 20
"""So many trials are listed."""

INSTRUCTIONS = """\
You tune the knobs of a neural style transfer method: a content picture is painted in the manner of
a style picture. Each trial paints it and measures two errors on a network of its own:
style_error: 0 has the style's statistics, 1 is the untouched content.
content_error: 0 is the untouched content, about 1 is an unrelated picture.
The score to be made as low as possible is
2 max((1 - aim) style_error, aim content_error) + 0.04 ((1 - aim) style_error + aim content_error).
Propose one trial after another with try_knobs, learn from the errors and from the pictures, and
call finish when nothing more is to be gained. Knobs that you leave out keep their defaults."""


@dataclass
class FinishSearch:
    """The search is over; ``reason`` says why nothing more is to be gained, in one sentence."""

    reason: str = ""


def connect_or_warn(name: str, url: str, callback: TuneCallback) -> LanguageModel | None:
    """The language model that is configured; None, and a warning, if there is none to be had."""
    try:
        model = connect(name, url)
    except (LanguageModelError, MissingExtraError) as error:
        callback.on_warning(f"{str(error).rstrip('.')}. Optuna proposes the trials.")
        return None
    if model is None:
        callback.on_warning(
            "No language model is configured: name one with --model, or in IMPASTO_MODEL. Optuna "
            "proposes the trials."
        )
    return model


def propose_trials(model: LanguageModel, round_: SearchStage, max_trials: int) -> bool:
    """Let a language model propose trials until the budget is spent, or it finishes or fails.

    Args:
        model: is asked.
        round_: where trials are made; the defaults have been tried.
        max_trials: trials in the round, earlier ones included.

    Returns:
        Whether the search is over. If not, another way of proposing is to go on.

    Raises:
        BudgetSpent: nothing is left for another trial.
        KeyboardInterrupt: Ctrl-C.
    """
    conversation = _Conversation(model, round_, max_trials)
    try:
        finished = conversation.run()
    except LanguageModelError as error:
        round_.listener.on_warning(
            f"{str(error).rstrip('.')}. Optuna goes on, with the {len(round_.trials)} trials so "
            f"far and the {format_duration(max(0.0, round_.budget.left))} that are left."
        )
        return False
    best, usual = round_.best, round_.defaults
    said = " ".join(finished.reason.split())
    if best is None or usual is None or best.score >= usual.score:
        round_.listener.on_warning(
            f"The model {model} finished without a trial that beats the defaults: Optuna goes on."
        )
        return False
    round_.listener.on_note(f"The model {model} finished. {said}".strip())
    return True


class _Conversation:
    """One talk with a model."""

    def __init__(self, model: LanguageModel, round_: SearchStage, most: int) -> None:
        self.model, self.round, self.max_trials = model, round_, most
        self.timeout_seconds = min(
            model.timeout_seconds,
            max(MAX_ANSWER_BUDGET_FRACTION * round_.budget.seconds, MIN_TIMEOUT_SECONDS),
        )
        self.accepts_images = True
        self.repeated_calls = 0
        self.stop_reason: BaseException | None = None

    def run(self) -> FinishSearch:
        """Talk to the end.

        Raises:
            ModelError: why it cannot go on.
            BudgetSpent, KeyboardInterrupt: what ended it.
        """
        try:
            finished = run_coroutine(self._talk)
        except Exception as error:
            if self.accepts_images and _may_reject_images(error):
                self.accepts_images = False
                return self.run()
            raise LanguageModelError(
                describe_error(self.model, error, self.timeout_seconds)
            ) from error
        if self.stop_reason:
            raise self.stop_reason
        return finished

    async def _talk(self) -> FinishSearch:
        from pydantic_ai.usage import UsageLimits

        limits = UsageLimits(
            request_limit=REQUESTS_PER_TRIAL * self.max_trials + 2 * MAX_REPEATED_CALLS
        )
        async with make_client(self.model, self.timeout_seconds) as client:
            run = self._agent(client).run(self._initial_prompt(), usage_limits=limits)
            talk = asyncio.ensure_future(run)
            try:
                while not talk.done() and not self._is_over():
                    await asyncio.wait({talk}, timeout=POLL_SECONDS)
                return talk.result().output if talk.done() else FinishSearch()
            finally:
                talk.cancel()

    def _is_over(self) -> bool:
        """Whether it ends for another reason than the model's."""
        try:
            self.round.budget.stop.raise_if_interrupted()
        except KeyboardInterrupt as interrupt:
            self.stop_reason = interrupt
        if not self._remaining_trials():
            self.stop_reason = self.stop_reason or BudgetExhausted()
        return self.stop_reason is not None

    def _remaining_trials(self) -> int:
        """For how many trials there is time."""
        by_time = int(self.round.left / self.round.bench.seconds())
        return max(0, min(self.max_trials - len(self.round.trials), by_time))

    # ------------------------------------------------------------------ what it is told

    def _initial_prompt(self) -> list[Any]:
        round_, request = self.round, self.round.bench.request
        held = round_.space.fixed_knobs
        text = (
            f"The method is {request.method.name}: {request.method.card.title}. "
            + (f"Held are {json.dumps(held)}. " if held else "")
            + f"aim = {round_.aim:g}.{self._scaled()} There is time for about "
            f"{self._remaining_trials()} "
            f"trials. The trials so far:\n{self._table()}"
        )
        if not self.accepts_images:
            return [text]
        shown = [text, "The content:", _encode_thumbnail(request.content.pixels)]
        for style in request.styles:
            shown += ["The style:", _encode_thumbnail(style.pixels)]
        return [*shown, *self._picture(round_.trials[0])]

    def _scaled(self) -> str:
        style, content = self.round.times
        if (style, content) == (1.0, 1.0):
            return ""
        return (
            f" These trials are drafts: in the finished painting style_error is about {style:.2f} "
            f"and content_error {content:.2f} times as large, and the score counts them so."
        )

    def _table(self) -> str:
        """The best trials, a line each."""
        ranked = sorted(self.round.trials, key=lambda trial: trial.score)[:MAX_LISTED_TRIALS]
        return "\n".join(json.dumps(self._facts(trial)) for trial in ranked)

    def _facts(self, trial: Trial) -> dict[str, Any]:
        names = [d.name for d in self.round.space.dimensions]
        return {
            "trial": trial.number,
            "knobs": {name: trial.knobs[name] for name in names},
            "style_error": round(trial.style_error, 4),
            "content_error": round(trial.content_error, 4),
            "score": round(trial.score, 4),
        }

    def _picture(self, trial: Trial) -> list[Any]:
        pixels = (
            self.round.album.get(self.round.picture_name(trial)) if self.accepts_images else None
        )
        return [] if pixels is None else [f"Trial {trial.number}:", _encode_thumbnail(pixels)]

    # ------------------------------------------------------------------ what it can do

    def _agent(self, client: Any) -> Agent[None, FinishSearch]:
        from pydantic_ai import Agent, Tool, ToolOutput

        knobs = {d.name: _knob_schema(d) for d in self.round.space.dimensions}
        why = {"type": "string", "description": "what you expect of it, in one sentence"}
        return Agent(
            make_chat_model(self.model, client),
            output_type=ToolOutput(FinishSearch, name="finish"),
            instructions=INSTRUCTIONS,
            tools=[
                Tool.from_schema(
                    self._try_knobs,
                    name="try_knobs",
                    description="Paint and measure one trial with these knobs.",
                    json_schema={"type": "object", "properties": {**knobs, "why": why}},
                    sequential=True,
                ),
                Tool.from_schema(
                    self._list_trials,
                    name="list_trials",
                    description="The best trials so far, the best first.",
                    json_schema={"type": "object", "properties": {}},
                    sequential=True,
                ),
            ],
            retries=MAX_RETRIES,
        )

    async def _list_trials(self, **_nothing: Any) -> str:
        self._count_repeat()
        return self._table()

    async def _try_knobs(self, **given: Any) -> Any:
        """Paint here and now: nothing else waits for the loop meanwhile."""
        from pydantic_ai import ToolReturn

        if self.stop_reason or not self._remaining_trials():
            return "The budget is spent."
        why = str(given.pop("why", ""))
        before = len(self.round.trials)
        try:
            trial = self.round.attempt(self._check_knob_names(given), str(self.model), why)
        except KnobError as error:
            self._count_repeat()
            return str(error)
        except (BudgetExhausted, KeyboardInterrupt) as over:
            self.stop_reason = over
            return "The budget is spent."
        if len(self.round.trials) == before:
            self._count_repeat()
            return {"tried before": self._facts(trial)}
        self.repeated_calls = 0
        best = self.round.best
        facts = {
            **self._facts(trial),
            "best trial": best.number if best else trial.number,
            "best score": round(best.score if best else trial.score, 4),
            "time left for trials": self._remaining_trials(),
        }
        return ToolReturn(facts, content=self._picture(trial) or None)

    def _check_knob_names(self, given: dict[str, Any]) -> dict[str, Any]:
        """The knobs that are proposed; all of them must be searched."""
        names = [d.name for d in self.round.space.dimensions]
        for name in given:
            if name not in names:
                near = closest_name(name, names)
                hint = f"Did you mean {near}?" if near else f"There is {', '.join(names)}."
                raise KnobError(f"{name!r} is not searched. {hint}")
        return given

    def _count_repeat(self) -> None:
        self.repeated_calls += 1
        if self.repeated_calls >= MAX_REPEATED_CALLS:
            self.stop_reason = LanguageModelError(
                f"The model {self.model} goes round in circles: {MAX_REPEATED_CALLS} calls tried "
                f"nothing new."
            )


def _knob_schema(dimension: SearchDimension) -> dict[str, Any]:
    """A knob for a model; what it gives is checked by the knob itself."""
    knob = dimension.knob
    kind = {int: "integer", float: "number", bool: "boolean"}.get(knob.item_type, "string")
    about = [knob.doc, knob.allowed_text, f"worth trying: {dimension.describe_range()}"]
    found: dict[str, Any] = {
        "type": "array" if knob.is_tuple else kind,
        "description": "; ".join(part for part in about if part),
        "default": list(knob.default) if knob.is_tuple else knob.default,
    }
    if knob.is_tuple:
        found["items"] = {"type": kind}
    if knob.choices and not knob.is_tuple:
        found["enum"] = list(knob.choices)
    return found


def _encode_thumbnail(pixels: Raster) -> Any:
    return encode_jpeg(thumbnail(pixels, MAX_IMAGE_SIDE_PX))


def _may_reject_images(error: Exception) -> bool:
    """Whether a model may have refused the pictures alone; servers have many codes for that."""
    from pydantic_ai.exceptions import ModelHTTPError

    return isinstance(error, ModelHTTPError) and error.status_code not in (401, 403, 404, 429)
