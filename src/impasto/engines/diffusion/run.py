"""The work on one request: load, look, sample, check, and what to do when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import ResourceError
from impasto.core.picture import Picture, Pixels, Raster
from impasto.core.plan import Setting
from impasto.core.progress import Tick, Watch
from impasto.core.request import Painting
from impasto.engines.diffusion import content_leak, controlnet, memory, pipelines
from impasto.engines.diffusion.components import Kit
from impasto.engines.diffusion.content_leak import LeakCheck
from impasto.engines.diffusion.ip_adapter import Blocks, Looks, look, set_scales
from impasto.engines.diffusion.lora import Loras, Use
from impasto.engines.diffusion.memory import Step, out_of_memory
from impasto.engines.diffusion.pipelines import Loaded
from impasto.engines.diffusion.sampling import Control, Job, Sampled, State, sample
from impasto.nets import clip
from impasto.pictures import resize
from impasto.weights.integrity import sha256_of

WEAKER, ATTEMPTS = 0.7, 5
"""What a leak leaves of the adapter's scale, and how often it is tried at most."""


@dataclass(frozen=True)
class Guide:
    """A ControlNet's picture, as it is asked for.

    Attributes:
        kind: "canny", "depth" or "tile".
        given: a file that stands for it, or "".
        scale, start, end: see :class:`~impasto.engines.diffusion.sampling.Control`.
    """

    kind: str
    given: str
    scale: float
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Work:
    """All that decides a picture.

    Attributes:
        kit: the parts.
        canvas: the setting in which the model works.
        size: (height, width) of the result.
        content: the picture, or only a size.
        styles: that the adapter sees.
        shares: (styles, height, width) of the canvas, or (styles, 1, 1).
        prompt, negative, steps, guidance, seed, scheduler, denoise: see
            :class:`~impasto.engines.diffusion.sampling.Job`.
        scale: λ.
        blocks: the blocks that see the styles; None: all.
        less, less_scale: what is subtracted from what the adapter sees, in words, and how much.
        loras: in order, their files as names.
        guides: the ControlNets' pictures, in order.
        controls_out: folder in which they are written, or "".
        depth_model: makes depth pictures.
        leak_limit: share of the styles' things that may come in.
        no_leak: lower λ until no more of them do.
        clip: the CLIP that looks for them.
    """

    kit: Kit
    canvas: Setting
    size: tuple[int, int]
    content: Picture
    styles: Sequence[Raster]
    shares: Tensor | None
    prompt: str
    negative: str
    steps: int
    guidance: float
    seed: int
    scheduler: str
    denoise: float
    scale: float
    blocks: Blocks | None
    less: str
    less_scale: float
    loras: Sequence[Use]
    guides: Sequence[Guide]
    controls_out: str
    depth_model: str
    leak_limit: float
    no_leak: bool
    clip: str


def paint(work: Work, step: Step, watch: Watch, state: Mapping[str, Any] | None = None) -> Painting:
    """Paint; if memory runs out, once more in a way that takes less.

    Of several threads, one paints at a time.

    Raises:
        ResourceError: memory ran out twice, or there is nothing that takes less.
        ImpastoError: parts that cannot be loaded.
    """
    with pipelines.WORK:
        return _painted(work, step, watch, state or {})


def _painted(work: Work, step: Step, watch: Watch, state: Mapping[str, Any]) -> Painting:
    try:
        return _Studio(work, step, watch, state).paint()
    except Exception as error:
        if not out_of_memory(error):
            raise
        lower = memory.below(step, work.canvas.device)
    pipelines.drop()
    if lower is None:
        raise _too_large(work)
    try:
        painting = _Studio(work, lower, watch, state).paint()
    except Exception as error:
        if not out_of_memory(error):
            raise
        pipelines.drop()
        raise _too_large(work) from error
    said = f"Memory ran out, so it was painted in a way that takes less. {lower.words}"
    return replace(painting, notes=(said, *painting.notes))


def _too_large(work: Work) -> ResourceError:
    side = round((work.canvas.height * work.canvas.width) ** 0.5)
    return ResourceError(
        f"{work.canvas.width} x {work.canvas.height} px do not fit into the memory of "
        f"{work.canvas.device}: use --paint-size {side * 3 // 4}, a smaller model (--model "
        "stable-diffusion-v1-5/stable-diffusion-v1-5), or close other programs."
    )


class _Studio:
    def __init__(self, work: Work, step: Step, watch: Watch, state: Mapping[str, Any]) -> None:
        self.work, self.watch, self.state = work, watch, state
        self.notes: list[str] = []
        self.losses: dict[str, float] = {}
        self.check = self._leak_check()
        kit, canvas = work.kit, work.canvas
        parts = kit.parts(canvas.device, canvas.precision, step.name)
        self.files = kit.digests(canvas.precision)
        self.loaded: Loaded = pipelines.load(parts, kit.base, self.files)

    def paint(self) -> Painting:
        """The picture, at the request's size."""
        uses = self.work.kit.taken(self.work.loras)
        pipe = self.loaded.pipe(self.work.denoise < 1, self.work.scheduler)
        worn = Loras(pipe, uses, self.work.kit.base.title) if uses else None
        try:
            found = self._sampled(self._job(pipe))
        finally:
            if worn is not None:
                worn.remove()
        if found.widened:
            self.notes.append("The decoder gave no numbers in half precision: fp32 was used there.")
        return Painting(
            pixels=self._pixels(found.picture),
            losses=self.losses,
            steps=found.steps,
            finished=found.finished,
            files=self.files,
            state=self.state if not found.finished else {},
            notes=tuple(self.notes),
        )

    def _job(self, pipe: object) -> Job:
        work = self.work
        height, width = work.canvas.height, work.canvas.width
        content = np.asarray(resize(work.content.pixels, height, width))
        return Job(
            prompt=work.prompt,
            negative=work.negative,
            height=height,
            width=width,
            steps=work.steps,
            guidance=work.guidance,
            seed=work.seed,
            scheduler=work.scheduler,
            denoise=work.denoise,
            picture=_tensor(content) if work.denoise < 1 else None,
            looks=self._looks(pipe),
            shares=work.shares,
            controls=self._controls(content),
        )

    def _looks(self, pipe: object) -> Looks | None:
        adapter = self.work.kit.adapter
        if adapter is None:
            return None
        less = self._less(pipe) if self.work.less else None
        with self.loaded.at_work() as encoder:
            return look(encoder, self.work.styles, adapter.plus, less)

    def _less(self, pipe: object) -> Tensor:
        """What the style shows, in words, as the adapter sees pictures (InstantStyle, eq. 2)."""
        from impasto.engines.diffusion import prompts

        words = prompts.read(pipe, self.work.less, "")
        assert words.pooled is not None
        return self.work.less_scale * words.pooled

    def _controls(self, content: Pixels) -> list[Control]:
        work = self.work
        height, width = content.shape[:2]
        made = []
        for guide in work.guides:
            seen = controlnet.control_picture(
                guide.kind, content, height, width, guide.given, work.depth_model
            )
            made.append((guide.kind, seen))
            if guide.given:
                path = Path(guide.given)
                self.files[f"control {guide.kind} {path.name}"] = sha256_of(path)
        if work.controls_out:
            controlnet.write_controls(work.controls_out, made)
        return [
            Control(_tensor(seen), guide.scale, guide.start, guide.end)
            for guide, (_, seen) in zip(work.guides, made, strict=True)
        ]

    def _leak_check(self) -> LeakCheck | None:
        """What looks for leaks; None where there can be none, or CLIP is not here.

        Raises:
            ImpastoError: λ is to be lowered by it, and it cannot be had.
        """
        work = self.work
        if work.kit.adapter is None or not (work.no_leak or clip.here(work.clip)):
            return None
        content = None if work.content.blank else work.content.pixels
        return LeakCheck(content_leak.clip_of(work.clip), work.styles, content, work.prompt)

    def _sampled(self, job: Job) -> Sampled:
        """A picture; where leaks lower λ, as many as it takes."""
        work, check, scale = self.work, self.check, self.work.scale
        if job.looks is None or check is None:
            return self._once(job, scale, 0, 1)
        attempts = ATTEMPTS if work.no_leak else 1
        first = int(self.state.get("attempt", 0))
        scale *= WEAKER**first
        for attempt in range(first, attempts):
            found = self._once(job, scale, attempt, attempts)
            self.losses["leak"] = check(self._pixels(found.picture))
            self.losses["scale"] = scale
            if self.losses["leak"] <= work.leak_limit or not found.finished:
                break
            if attempt + 1 < attempts:
                scale *= WEAKER
        if attempt and found.finished:
            self.notes.append(
                f"The style's things came in: the adapter's scale was lowered from {work.scale:g} "
                f"to {scale:.2g}."
            )
        if self.losses["leak"] > work.leak_limit and found.finished:
            self.notes.append(
                f"{self.losses['leak']:.0%} of the style's things are in the picture: try "
                + ("" if work.no_leak else "--no-leak, ")
                + ("" if work.blocks else "--preset style, ")
                + "a smaller --scale, or say in --less what the style shows."
            )
        return found

    def _once(self, job: Job, scale: float, attempt: int, attempts: int) -> Sampled:
        if job.looks is not None:
            set_scales(self.loaded.unet, scale, self.work.blocks)

        def later(now: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**now, "attempt": attempt}

        def told(
            done: int, steps: int, picture: Callable[[], Tensor], now: Callable[[], State]
        ) -> None:
            self.watch(
                Tick(
                    step=done,
                    steps=steps,
                    share=(attempt + done / steps) / attempts,
                    losses=dict(self.losses),
                    picture=lambda: self._pixels(picture()),
                    state=lambda: later(now()),
                )
            )

        begun = self.state if self.state and self.state["attempt"] == attempt else None
        found = sample(self.loaded, job, told, begun)
        self.state = later(found.state)
        return found

    def _pixels(self, picture: Tensor) -> Pixels:
        """A picture (1, 3, h, w) at the request's size."""
        pixels = np.ascontiguousarray(picture[0].permute(1, 2, 0).float().cpu().numpy())
        return np.asarray(resize(pixels, *self.work.size))


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).permute(2, 0, 1)[None]
