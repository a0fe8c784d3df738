"""One training run from folders of pictures to a model file with its card."""

from __future__ import annotations

import contextlib
import importlib
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from impasto.core.errors import InputError, WeightsError
from impasto.core.knobs import knobs_from_dict, knobs_to_args, knobs_to_dict
from impasto.pictures import atomic_write
from impasto.train import get_task
from impasto.train.dataset import ImageDataset
from impasto.train.task import DataSpec, TrainingTask
from impasto.train.trainer import Trainer, TrainResult, Watch

LICENSE = "Apache-2.0 (weights)"
"""Of the models that come with the package."""


def checkpoint_for(output: Path) -> Path:
    """The checkpoint that belongs to a model file."""
    return output.with_name(f"{output.name}.impasto-training")


def prepare(
    name: str,
    knobs: Mapping[str, Any],
    *,
    photos: Sequence[str],
    styles: Sequence[str] = (),
    init_from: str = "",
    captions: Mapping[str, str] | None = None,
    output: Path,
    device: str = "auto",
    resume: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Trainer:
    """Read the pictures and build what is to be trained.

    Args:
        name: of the lesson: "compact", "adain", "wct", "photowct", "fast" or "lora".
        knobs: its knobs; the others have their defaults.
        photos: folders with photographs.
        styles: folders with style pictures, or files; needed by "adain" and "fast".
        init_from: a model of the same kind to start from, by name or path.
        captions: of pictures, by their paths; for a "lora". None: from the .txt files beside them.
        output: the model file that will be written.
        device: as for :func:`impasto.stylize`.
        resume: go on from the checkpoint beside ``output``.
        warn: told if a checkpoint cannot be written.

    Raises:
        ImpastoError: whatever cannot be used.
    """
    kind = get_task(name)
    if kind.needs_styles and not styles:
        raise InputError(f"Training {name} needs style pictures: --styles DIR.")
    sources = DataSpec(tuple(photos), tuple(styles), init_from, captions or {})
    lesson = _make_task(kind, knobs_from_dict(kind.knobs, knobs), sources)
    loop = Trainer(lesson, checkpoint_for(output), device, sources, warn)
    if init_from:  # which may be gone in the end
        loop.earlier = kind.start_model(init_from).card
    if resume:
        loop.resume()
    return loop


def train(
    loop: Trainer, output: Path, note: str, watch: Watch, license: str = LICENSE
) -> TrainResult:
    """Run the loop to its end, or until it is stopped, and write the model with its card.

    Args:
        loop: from :func:`prepare`.
        output: the model file; written at the end only, the checkpoint stands for it before.
        note: what the card says of the training pictures: whose they are, under which license.
        watch: called at every step.
        license: of the model, for the card.

    Raises:
        TrainingError: the training diverged.
        KeyboardInterrupt: stopped at once, by a second Ctrl-C.
    """
    taught = loop.run(watch)
    if taught.finished and loop.accelerator.is_main_process:
        tensors, about = loop.model_tensors()
        text = make_card(loop, taught, note, license, output)
        with atomic_write(output) as file:
            loop.task.write(file, tensors, about, text)
        loop.checkpoint.unlink(missing_ok=True)
    return taught


def make_card(
    loop: Trainer, taught: TrainResult, note: str, license: str, output: Path
) -> dict[str, Any]:
    """What a model's file says of how it was made. Of paths, it has the last name alone."""
    lesson = loop.task
    return {
        "command": command_line(lesson, loop.sources, note, license, output),
        "knobs": _without_paths(knobs_to_dict(lesson.config)),
        "pictures": {album.role: len(album) for album in lesson.datasets},
        "data": note,
        "license": license,
        "steps": taught.step,
        "seconds": round(taught.seconds),
        "machine": _machine_description(loop),
        "losses": {name: round(value, 4) for name, value in taught.terms.items()},
        **({"started from": loop.earlier} if loop.sources.init_from else {}),
    }


def command_line(
    lesson: TrainingTask, sources: DataSpec, note: str, license: str, output: Path
) -> str:
    """The command that repeats a training; of paths, it has the last name alone."""
    words = ["impasto", "train", lesson.name]
    for flag, given in zip(lesson.flags, (sources.photos, sources.styles), strict=True):
        words += [word for path in given for word in (f"--{flag}", _last(path))]
    if sources.init_from:
        words += ["--init-from", _last(sources.init_from)]
    words += [
        w for flag, text in (("--note", note), ("--license", license)) if text for w in (flag, text)
    ]
    words += knobs_to_args(type(lesson.config), _without_paths(knobs_to_dict(lesson.config)))
    return shlex.join([*words, "-o", output.name])


def unreadable_images(albums: Sequence[ImageDataset]) -> dict[Path, str]:
    """Every picture that could not be read so far, with the reason."""
    return {path: reason for album in albums for path, reason in list(album.unreadable.items())}


def unreadable_images_of_all_ranks(loop: Trainer) -> dict[Path, str]:
    """The same of all processes; each of them must ask."""
    mine = unreadable_images(loop.task.datasets)
    if loop.share.count == 1:
        return mine
    gather = importlib.import_module("accelerate.utils").gather_object
    return {path: reason for theirs in gather([mine]) for path, reason in theirs.items()}


def _make_task(kind: type[TrainingTask], course: Any, sources: DataSpec) -> TrainingTask:
    try:
        return kind.from_sources(course, sources)
    except RuntimeError as error:  # torch's word for tensors of other names or shapes
        if not sources.init_from:
            raise
        raise WeightsError(
            f"{sources.init_from} is a network of other widths than is trained here, and cannot be "
            "started from."
        ) from error


def _without_paths(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Knobs without the folders of the files they name."""
    return {n: _last(v) if isinstance(v, str) and _is_path(v) else v for n, v in knobs.items()}


def _is_path(text: str) -> bool:
    """Whether a text names a file here, and is no prompt or name on the hub."""
    with contextlib.suppress(OSError, ValueError):
        return text.startswith(("/", "~", ".")) or Path(text).exists()
    return False


def _last(path: str) -> str:
    return Path(path).resolve().name if path in (".", "..") else Path(path).name


def _machine_description(loop: Trainer) -> str:
    device = loop.accelerator.device
    if device.type == "cuda":
        one = torch.cuda.get_device_name(device)
    else:
        one = f"{torch.get_num_threads()} threads of {platform.machine()}"
    return one if loop.share.count == 1 else f"{loop.share.count} x {one}"
