"""One training run from folders of pictures to a model file with its card."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from impasto.core.errors import InputError
from impasto.core.knobs import as_mapping, build
from impasto.pictures import replacing
from impasto.train import find
from impasto.train.album import Album
from impasto.train.lesson import Lesson
from impasto.train.loop import Loop, Taught, Watch
from impasto.weights.models import write_model


def checkpoint_for(output: Path) -> Path:
    """The checkpoint that belongs to a model file."""
    return output.with_name(f"{output.name}.impasto-training")


def prepare(
    name: str,
    knobs: Mapping[str, Any],
    *,
    photos: Sequence[str],
    styles: Sequence[str] = (),
    start: str = "",
    output: Path,
    device: str = "auto",
    resume: bool = False,
) -> Loop:
    """Read the pictures and build what is to be trained.

    Args:
        name: of the lesson: "compact", "adain", "wct" or "fast".
        knobs: its knobs; the others have their defaults.
        photos: folders with photographs.
        styles: folders with style pictures, or files; needed by "adain" and "fast".
        start: a model of the same kind to start from, by name or path.
        output: the model file that will be written.
        device: as for :func:`impasto.stylize`.
        resume: go on from the checkpoint beside ``output``.

    Raises:
        ImpastoError: whatever cannot be used.
    """
    kind = find(name)
    if kind.wants_styles and not styles:
        raise InputError(f"Training {name} needs style pictures: --styles DIR.")
    lesson = kind(build(kind.knobs, knobs), photos, styles, start)
    loop = Loop(lesson, checkpoint_for(output), device)
    if resume:
        loop.resume()
    return loop


def teach(loop: Loop, output: Path, note: str, watch: Watch) -> Taught:
    """Run the loop to its end, or until it is stopped, and write the model with its card.

    Args:
        loop: from :func:`prepare`.
        output: the model file; written at the end only, the checkpoint stands for it before.
        note: what the card says of the training pictures: whose they are, under which licence.
        watch: called at every step.

    Raises:
        TrainingError: the training diverged.
    """
    taught = loop.run(watch)
    if taught.finished and loop.accelerator.is_main_process:
        tensors, about = loop.product()
        with replacing(output) as file:
            write_model(file, loop.lesson.name, tensors, about, card(loop.lesson, taught, note))
        loop.checkpoint.unlink(missing_ok=True)
    return taught


def card(lesson: Lesson, taught: Taught, note: str) -> dict[str, Any]:
    """What a model's file says of how it was made."""
    return {
        "command": f"impasto train {lesson.name}",
        "knobs": as_mapping(lesson.course),
        "pictures": {album.role: len(album) for album in lesson.albums},
        "data": note,
        "licence": "Apache-2.0 (weights)",
        "steps": taught.step,
        "seconds": round(taught.seconds),
        "machine": f"{torch.get_num_threads()} threads of {platform.machine()}",
        "losses": {name: round(value, 4) for name, value in taught.terms.items()},
    }


def unreadable(albums: Sequence[Album]) -> dict[Path, str]:
    """Every picture that could not be read so far, with the reason."""
    return {path: reason for album in albums for path, reason in album.unreadable.items()}

