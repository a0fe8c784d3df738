"""The loop that teaches any lesson: checkpoints, resume, a guard against divergence, several GPUs.

A run is a function of its knobs and pictures: crops depend on the seed and the step alone, the
learning rate on the step, and nothing else is random. What a checkpoint holds is therefore all
there is, and a run that was stopped ends with the same bits as one that was not (on a CPU).
"""

from __future__ import annotations

import copy
import errno
import importlib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.devices import choose_device, has_fast_bf16, keep_freed_memory
from impasto.core.errors import InputError, MissingExtraError, ResourceError, TrainingError
from impasto.core.interrupt import InterruptHandler
from impasto.core.knobs import knobs_to_dict
from impasto.pictures import atomic_write
from impasto.train.task import DataSpec, Rank, TrainingTask

WARMUP_FRACTION = 100
"""Steps in which the learning rate rises to its full value."""
SETTLING_STEPS = 20
"""Steps after which the smoothed loss says whether a run goes astray."""
FINAL_LR_FRACTION = 0.01
"""Share of the learning rate that is left at the end of its cosine."""
EMA_DECAY = 0.998
"""Decay of the average of the weights that is the product."""
MAX_GRADIENT_NORM = 3.0
"""Longest gradient that is followed, in units of the running mean of its length."""
LOSS_SMOOTHING = 0.98
DIVERGENCE_FACTOR = 4.0
"""How often the smoothed loss may lie above its best before the run is called diverged."""
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """One step, as a callback receives it.

    Attributes:
        step, steps: done, and in all.
        terms: the loss's terms, smoothed over some fifty steps.
        seconds: wall time of this run so far.
        remaining: seconds to go, estimated.
        preview: paints the examples as they are now, (3, H, W) in 0..1.
    """

    step: int
    steps: int
    terms: Mapping[str, float]
    seconds: float
    remaining: float
    preview: Callable[[], Tensor]


Watch = Callable[[Progress], None]


@dataclass
class TrainResult:
    """How a run went: ``finished`` is False if it was stopped; ``seconds`` counts earlier parts."""

    step: int
    terms: dict[str, float]
    seconds: float
    finished: bool


class Trainer:
    """Teaches a lesson.

    Args:
        task: what is taught.
        checkpoint: where the state is kept; removed by whoever has saved the product.
        device: "auto", "cpu", "cuda" …; several GPUs are used under ``torchrun``.
        sources: where the lesson's pictures and its start come from.
        warn: told once if a checkpoint cannot be written, which costs no more than that.

    ``kept`` says whether the checkpoint is of this run. Until the time ``spared`` (of
    ``time.monotonic``) nothing is written over an earlier run's. ``earlier`` is the card of the
    model that was started from.

    Raises:
        MissingExtraError: accelerate is not installed.
        ResourceError: no such device.
    """

    def __init__(
        self,
        task: TrainingTask,
        checkpoint: Path,
        device: str = "auto",
        sources: DataSpec | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        accelerate = _accelerate()
        self.task, self.checkpoint, self.warn = task, checkpoint, warn
        self.sources = sources or DataSpec()
        where = choose_device(device)
        precision = task.config.precision
        if precision == "auto":
            precision = "bf16" if has_fast_bf16(where) else "fp32"
        self.precision = precision
        if ":" in where and "WORLD_SIZE" not in os.environ:
            # By itself, accelerate takes the first of several devices.
            os.environ["ACCELERATE_TORCH_DEVICE"] = where
        # It remembers the precision of an earlier training in this process, and would insist on it.
        accelerate.state.AcceleratorState._reset_state()
        self.accelerator = accelerate.Accelerator(
            mixed_precision="bf16" if precision == "bf16" else "no", cpu=where == "cpu"
        )
        keep_freed_memory()
        task.to(str(self.accelerator.device), precision)
        task.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = task.optimizer()
        self.average = copy.deepcopy(task.network).requires_grad_(False)
        self.average.to(self.accelerator.device)
        self.network, self.optimizer = self.accelerator.prepare(task.network, optimizer)
        self.share = Rank(self.accelerator.process_index, self.accelerator.num_processes)
        self.step = 0
        self.seconds = 0.0
        self.terms: dict[str, float] = {}
        self.best = math.inf
        self.length = 0.0
        self.kept, self.spared = False, 0.0
        self.earlier: Mapping[str, Any] = {}

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            InputError: no checkpoint, a damaged one, or one of another course.
        """
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
            theirs = state["identity"]
        except FileNotFoundError as error:
            raise InputError(
                f"There is no {self.checkpoint} to go on from: leave --resume out."
            ) from error
        except Exception as error:  # torch.load raises nearly anything on a damaged file
            raise InputError(
                f"{self.checkpoint} is no checkpoint of ours, or damaged: delete it."
            ) from error
        theirs = {
            "start": self.fingerprint()["start"],
            **theirs,
        }  # unknown in the first checkpoints
        differs = [k for k, v in self.fingerprint().items() if theirs.get(k) != v]
        if differs:
            raise InputError(
                f"{self.checkpoint} is of another run: {', '.join(differs)} differ. Delete it to "
                "start anew, or repeat the command it came from."
            )
        try:
            self.task.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.task.load_state_dict(state.get("lesson", {}))
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.checkpoint} is of another network: delete it to start anew."
            ) from error
        self.step, self.seconds = state["step"], state["seconds"]
        self.terms, self.best, self.length = state["terms"], state["best"], state["length"]
        self.kept = True

    def fingerprint(self) -> dict[str, Any]:
        """What makes two runs the same."""
        albums = {
            a.role: [f"{f.name}, {f.stat().st_size} bytes" for f in a.files]
            for a in self.task.datasets
        }
        return {
            "lesson": self.task.name,
            **knobs_to_dict(self.task.config),
            **albums,
            "processes": self.share.count,
            "start": Path(self.sources.init_from).name,
            **self.task.fingerprint(),
        }

    def estimate_seconds(self, passes: int = 3) -> float:
        """Seconds of the whole course, from a few passes that teach nothing."""
        times = []
        for _ in range(passes):
            start = time.monotonic()
            self._backward(self.step)
            times.append(time.monotonic() - start)
        self.optimizer.zero_grad(set_to_none=True)
        return min(times) * (self.task.config.steps - self.step)

    def run(self, callback: Watch) -> TrainResult:
        """Teach to the end; Ctrl-C (or KeyboardInterrupt from ``callback``) stops without loss.

        Raises:
            TrainingError: it diverged. The checkpoint is of before.
            KeyboardInterrupt: a second Ctrl-C: stopped at once. The checkpoint is of before.
        """
        steps, before = self.task.config.steps, self.seconds
        begun = saved = time.monotonic()
        from_step = self.step
        with InterruptHandler(ignore_repeats=self.share.count > 1) as stop:
            while self.step < steps:
                self._train_step()
                try:
                    ended = self._enough()
                    now = time.monotonic()
                    ran = now - begun
                    self.seconds = before + ran
                    left = ran / (self.step - from_step) * (steps - self.step)
                    tick = Progress(self.step, steps, dict(self.terms), ran, left, self.preview)
                    stopped = self._stopped(callback, tick, stop)
                except ResourceError:  # the step itself went well
                    self._try_save()
                    raise
                if stopped and not ended:
                    self.save()
                    return TrainResult(self.step, self.terms, self.seconds, finished=False)
                if ended:
                    break
                if now - saved > CHECKPOINT_SECONDS:
                    self._try_save()
                    saved = time.monotonic()
        self._try_save()
        return TrainResult(self.step, self.terms, self.seconds, finished=True)

    def _stopped(self, watch: Watch, tick: Progress, stop: InterruptHandler) -> bool:
        """Call the callback, and see whether anybody wants to stop; processes stop together."""
        asked = False
        try:
            watch(tick)
            stop.raise_if_interrupted()
        except KeyboardInterrupt:
            if stop.is_forced:
                raise
            asked = True
        return self._any_rank(asked)

    def _enough(self) -> bool:
        """Whether the lesson ends the run early; it is asked now and then."""
        if not self.task.should_evaluate(self.step):
            return False
        with self._ema_weights(), torch.no_grad(), self.accelerator.autocast():
            return self._any_rank(self.task.should_stop(self.step))

    def _any_rank(self, asks: bool) -> bool:
        """Whether any of the processes asks for something."""
        if self.share.count == 1:
            return asks
        votes = torch.tensor(float(asks), device=self.accelerator.device)
        return bool(self.accelerator.reduce(votes, "sum") > 0)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all.

        Raises:
            InputError: it cannot be written.
        """
        if not self.accelerator.is_main_process or time.monotonic() < self.spared:
            return
        state = {
            "identity": self.fingerprint(),
            "network": self.task.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "terms": self.terms,
            "best": self.best,
            "length": self.length,
            "lesson": self.task.state_dict(),
        }
        with atomic_write(self.checkpoint) as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # torch's word for a file that took no more
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        self.kept = True

    def _try_save(self) -> None:
        try:
            self.save()
        except InputError as error:
            self.warn(f"If this training is stopped, what it did lately is lost: {error}")
            self.warn = lambda _: None

    def preview(self) -> Tensor:
        """Examples of the averaged network, (3, H, W) in 0..1."""
        with self._ema_weights(), torch.no_grad(), self.accelerator.autocast():
            return self.task.preview()

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        """Of the averaged network; see :meth:`Lesson.product`."""
        with self._ema_weights(), torch.no_grad():
            return self.task.model_tensors()

    def _ema_weights(self) -> _SwappedWeights:
        return _SwappedWeights(self.task.network, self.average)

    def _train_step(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.task.config.learning_rate * self._learning_rate() * group["times"]
        terms = self._backward(self.step)
        total = sum(terms.values())
        if not math.isfinite(total):
            raise self._diverged(f"the loss became {total}")
        limit = MAX_GRADIENT_NORM * self.length if self.step else math.inf
        length = float(self.accelerator.clip_grad_norm_(self.network.parameters(), limit))
        if not math.isfinite(length):
            raise self._diverged("the gradient is not finite")
        self.length += (min(length, limit) - self.length) * (1 - LOSS_SMOOTHING if self.step else 1)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_terms(terms)
        self.step += 1

    def _update_terms(self, terms: Mapping[str, float]) -> None:
        """Smooth the terms and the weights, and see whether it still goes the right way."""
        keep = min(LOSS_SMOOTHING, self.step / (self.step + 1))
        self.terms = {
            name: keep * self.terms.get(name, value) + (1 - keep) * value
            for name, value in terms.items()
        }
        decay = min(EMA_DECAY, (self.step + 1) / (self.step + 10))
        for mean, now in zip(
            self.average.parameters(), self.task.network.parameters(), strict=True
        ):
            if now.requires_grad:
                mean.lerp_(now.detach(), 1 - decay)
        smooth = sum(self.terms.values())
        if self.step > SETTLING_STEPS:
            self.best = min(self.best, smooth)
            if smooth > DIVERGENCE_FACTOR * self.best:
                raise self._diverged(f"the loss rose to {smooth / self.best:.1f} times its best")

    def _diverged(self, why: str) -> TrainingError:
        found = ", ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        return TrainingError(
            f"The training diverged at step {self.step + 1}: {why} (before it: {found or 'none'}). "
            f"Try --learning-rate {self.task.config.learning_rate / 3:.1g}, or --precision fp32. "
            + (f"The last good state is in {self.checkpoint}." if self.kept else "")
        )

    def _backward(self, step: int) -> dict[str, float]:
        try:
            with self.accelerator.autocast():
                terms = self.task.loss(self.network, step, self.share)
            self.accelerator.backward(torch.stack(list(terms.values())).sum())
        except torch.OutOfMemoryError as error:
            course = self.task.config
            raise ResourceError(
                f"Too little memory for {course.batch_size} pictures of {course.crop_size} px a "
                f"step: "
                "try a smaller --batch-size or --crop-size."
            ) from error
        return {name: float(term.detach()) for name, term in terms.items()}

    def _learning_rate(self) -> float:
        """Share of the learning rate at this step: a linear rise, then a cosine."""
        rise = min(1.0, (self.step + 1) / min(WARMUP_FRACTION, self.task.config.steps))
        turn = math.pi * self.step / self.task.config.steps
        return rise * (FINAL_LR_FRACTION + (1 - FINAL_LR_FRACTION) * 0.5 * (1 + math.cos(turn)))


class _SwappedWeights:
    """For a block, a network has the weights of another; then its own again."""

    def __init__(self, network: nn.Module, other: nn.Module) -> None:
        self.pairs = list(zip(network.parameters(), other.parameters(), strict=True))

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    def _swap(self) -> None:
        for one, other in self.pairs:
            one.data, other.data = other.data, one.data


def _accelerate() -> Any:
    try:
        return importlib.import_module("accelerate")
    except ImportError as error:
        raise MissingExtraError(
            'Training needs an extra; run: pip install "impasto[train]"'
        ) from error
