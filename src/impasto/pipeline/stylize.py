"""The one way from a request to a result, for the command line and for Python alike."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from impasto import methods
from impasto.core import devices
from impasto.core.errors import InputError, KnobError
from impasto.core.interrupt import Stop
from impasto.core.knobs import as_mapping, build
from impasto.core.picture import Picture, blank
from impasto.core.plan import Plan
from impasto.core.progress import Tick, Watch, unwatched
from impasto.core.recipe import Ingredient, Recipe
from impasto.core.request import Fetches, Method, NamesStyles, Painting, Request
from impasto.core.result import Result
from impasto.engines.region_weights import keep_rest
from impasto.metrics.edge_report import structure
from impasto.pictures import from_any, resize, write
from impasto.pictures.formats import deepest_bits
from impasto.pipeline import color_preservation
from impasto.pipeline.checkpoint import Checkpoint
from impasto.pipeline.plan import make_plan
from impasto.pipeline.region_options import divide, encoders_of, options, pictures_of, table

LIBRARIES = ("torch", "numpy", "pillow", "pyvips-binary")


def make_request(
    content: object,
    styles: object | Sequence[object] = (),
    *,
    method: str = "gatys",
    size: int | None = None,
    seed: int = 0,
    style_weights: Sequence[float] = (),
    weights: str = "",
    device: str = "auto",
    precision: str = "auto",
    fit: bool = False,
    regions: object = (),
    labels: object = None,
    style_labels: object = (),
    rest: str = "style",
    feather: float = 0.0,
    keep_colour: str = "none",
    colour_share: float = 1.0,
    colour_when: str = "after",
    colour_mask: object = None,
    **knobs: Any,
) -> Request:
    """Read the pictures and check every setting; see :func:`stylize` for the arguments.

    Raises:
        ImpastoError: a picture or setting that cannot be used.
    """
    settings = build(methods.find(method), knobs)
    try:
        shares = tuple(float(w) for w in style_weights)
    except (TypeError, ValueError) as error:
        raise KnobError(
            f"style_weights = {style_weights!r}: give one number for each style."
        ) from error
    several = styles if isinstance(styles, (list, tuple)) else [styles]

    def read_style(style: object, name: str) -> Picture:
        return _style(style, name, settings, weights)

    photo = _content(content, settings)
    given = [read_style(style, f"style {i}") for i, style in enumerate(several, start=1)]
    divided = divide(
        photo, given, read_style, regions=regions, labels=labels, style_labels=style_labels
    )
    if len(shares) == len(given) > 0:
        shares += (0.0,) * (len(divided.styles) - len(given))
    return Request(
        content=photo,
        styles=divided.styles,
        method=settings,
        style_weights=shares,
        size=size,
        seed=seed,
        weights=weights,
        device=device,
        precision=precision,
        fit=fit,
        regions=divided.regions,
        rest=rest,
        feather=feather,
        asked=divided.asked,
        remarks=divided.remarks,
        colours=color_preservation.asked(
            photo, keep_colour, colour_share, colour_when, colour_mask
        ),
    )


def _content(content: object, method: Method) -> Picture:
    """The content picture; only a size for a method that can make it from words."""
    size = re.fullmatch(r"(\d+)x(\d+)", content) if isinstance(content, str) else None
    if size is None or Path(str(content)).exists():
        return from_any(content, "content")
    if "prompt" not in method.card.supports:
        raise InputError(
            f"{content} is only a size, and {method.name} paints over a picture: give one, or say "
            "--method sdxl."
        )
    width, height = int(size[1]), int(size[2])
    if not 16 <= min(width, height) <= max(width, height) <= 30_000:
        raise InputError(f"{content} does not fit: both sides must be 16 to 30000 pixels.")
    return blank(width, height)


def _style(style: object, name: str, method: Method, weights: str) -> Picture:
    """A style picture, or one that the method knows by name."""
    if not isinstance(method, NamesStyles):
        try:
            return from_any(style, name)
        except InputError as error:
            if hint := _learnt_by(style):
                raise InputError(f"{error} {hint}") from error
            raise
    if isinstance(style, (str, os.PathLike)):
        return method.named_style(os.fspath(style), weights)
    raise InputError(
        f"The method {method.name} cannot look at {name}: give the name of a style that it has "
        f"learnt, one of {', '.join(method.known_styles(weights))}."
    )


def _learnt_by(style: object) -> str:
    """A hint if what cannot be read is the name of a learnt style, else nothing."""
    for other in methods.names() if isinstance(style, str) else ():
        kind = methods.find(other)
        if isinstance(kind, NamesStyles) and style in kind.known_styles():
            return f"It is a style that --method {other} has learnt."
    return ""


def stylize(
    content: object,
    styles: object | Sequence[object] = (),
    *,
    method: str = "gatys",
    size: int | None = None,
    seed: int = 0,
    style_weights: Sequence[float] = (),
    weights: str = "",
    device: str = "auto",
    precision: str = "auto",
    fit: bool = False,
    regions: object = (),
    labels: object = None,
    style_labels: object = (),
    rest: str = "style",
    feather: float = 0.0,
    keep_colour: str = "none",
    colour_share: float = 1.0,
    colour_when: str = "after",
    colour_mask: object = None,
    watch: Watch = unwatched,
    **knobs: Any,
) -> Result:
    """Restyle a picture after one or several others.

    Args:
        content: what is kept: a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W). For a
            method that takes a prompt also a size, as "1024x768".
        styles: whose manner is taken: one such picture, or a list of them to be blended. For a
            method that has learnt its styles beforehand, their names.
        method: a name from ``impasto.methods.names()``. ``impasto.stylize`` and
            ``impasto.request`` also take "auto": the one that ``impasto.recommend`` puts first.
        size: long side of the result in pixels; None keeps the content's.
        seed: of everything random; the same seed on the same machine gives the same pixels.
        style_weights: the share of each style; empty means equal shares.
        weights: a name in the weights catalogue, or a file; "" is the method's default.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto", "fp32" or "bf16"; for diffusion models also "fp16".
        fit: shrink what does not fit into memory instead of refusing it.
        regions: parts of the content with a style of their own: pairs of a mask (a picture as the
            content is one; white is inside) and a style picture, or its place among ``styles``;
            a third item is a mask of the style. Or "auto", or "auto:4": that many, found in
            content and style by themselves.
        labels: instead, a label picture of the content: each colour is a region.
        style_labels: its like for each style; regions of one colour go together. Without, each
            label takes the style in its place, the largest label the first.
        rest: what no region covers: "style", in the manner of the styles that no region names, or
            "keep", as the content is, to the bit.
        feather: width of the soft edge that regions are given, in pixels of the content.
        keep_colour: the content's colours are kept: "luminance", only lightness is painted;
            "yuv", the same in YUV; "histogram" or "covariance", its colours are matched.
        colour_share: how far, 0 to 1.
        colour_when: "after", the painting takes them; or "before", the styles do.
        colour_mask: where they are kept, a mask of the content as those of regions.
        watch: called every step with a :class:`~impasto.core.progress.Tick`.
        **knobs: the method's own settings; an unknown name or a bad value is a KnobError.

    Returns:
        The result, with ``.image``, ``.recipe`` and ``.save(path)``. If Ctrl-C came in between,
        it is the picture as it was then, and ``recipe.finished`` is False.

    Raises:
        ImpastoError: a picture or setting that cannot be used, or too little memory.
    """
    request = make_request(
        content,
        styles,
        method=method,
        size=size,
        seed=seed,
        style_weights=style_weights,
        weights=weights,
        device=device,
        precision=precision,
        fit=fit,
        regions=regions,
        labels=labels,
        style_labels=style_labels,
        rest=rest,
        feather=feather,
        keep_colour=keep_colour,
        colour_share=colour_share,
        colour_when=colour_when,
        colour_mask=colour_mask,
        **knobs,
    )
    return perform(request, make_plan(request), watch=watch)


def perform(
    request: Request,
    plan: Plan,
    *,
    watch: Watch = unwatched,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
) -> Result:
    """Carry out a planned request.

    Args:
        request: what is to look like what.
        plan: from :func:`make_plan`, for this request.
        watch: called every step.
        checkpoint: where to save the state every few seconds. It stays: who has saved the result
            removes it.
        resume: go on from the checkpoint if there is one.
    """
    start = time.monotonic()
    state = checkpoint.load() if checkpoint and resume else None

    def watched(tick: Tick) -> None:
        watch(tick)
        if checkpoint:
            checkpoint(tick)
        stop.check()

    with Stop() as stop:
        painting = request.method.paint(color_preservation.before(request), plan, watched, state)
    if checkpoint and painting.state:
        checkpoint.save(painting.state)
    alpha = request.content.alpha
    pixels = color_preservation.after(painting.pixels, request)
    pixels = keep_rest(pixels, request) if request.rest == "keep" else pixels
    edges = {} if request.content.blank else structure(pixels, request.content.pixels)
    return Result(
        pixels=pixels,
        alpha=None if alpha is None else resize(alpha, *pixels.shape[:2], to_disk=True),
        recipe=recipe_of(request, plan, painting, edges, time.monotonic() - start),
        bits=request.content.bits,
        _write=_write,
    )


def identity(request: Request, plan: Plan) -> dict[str, Any]:
    """What makes two runs the same: every input, knob and setting that decides the pixels."""
    import torch

    return {
        "method": request.method.name,
        "content": request.content.sha256,
        "styles": [style.sha256 for style in request.styles],
        "knobs": as_mapping(request.method),
        "regions": [[r.name, r.style, sorted(r.sources.items())] for r in request.regions],
        "rest": [request.rest, request.feather],
        "colours": color_preservation.options(request.colours),
        "colour mask": list(request.colours.source),
        "seed": request.seed,
        "style weights": list(request.shares),
        "weights": request.weights,
        "size": [plan.setting.height, plan.setting.width],
        "device": plan.setting.device,
        "precision": plan.setting.precision,
        "threads": torch.get_num_threads(),
        "parts": parts_of(request, plan.setting.precision),
    }


def parts_of(request: Request, precision: str) -> dict[str, str]:
    """Name → sha256 of the files of a method that fetches its own weights."""
    method = request.method
    return dict(method.digests(request, precision)) if isinstance(method, Fetches) else {}


def recipe_of(
    request: Request, plan: Plan, painting: Painting, edges: dict[str, float], seconds: float
) -> Recipe:
    """How a painting was made, in ``seconds``; ``edges`` is :func:`structure` of it, or empty."""
    import torch

    versions = {name: metadata.version(name) for name in ("impasto", *LIBRARIES)}
    pictures = [("content", request.content), *(("style", s) for s in request.styles)]
    masks = pictures_of(request)
    found = encoders_of(request)
    kept = request.colours
    return Recipe(
        method=request.method.name,
        knobs=as_mapping(request.method),
        inputs=(
            *(Ingredient(role, p.name, p.sha256) for role, p in pictures),
            *(Ingredient(*mask) for mask in masks),
            *([Ingredient("colour mask", *kept.source)] if kept.source else []),
        ),
        options={
            "seed": request.seed,
            "style_weights": list(request.style_weights),
            "weights": request.weights,
            **options(request),
            **color_preservation.options(kept),
        },
        setting={
            "height": plan.setting.height,
            "width": plan.setting.width,
            "device": plan.setting.device,
            "precision": plan.setting.precision,
            "threads": torch.get_num_threads(),
        },
        files={**painting.files, **found},
        versions={**versions, "python": platform.python_version()},
        losses={name: round(value, 6) for name, value in painting.losses.items()},
        steps=painting.steps,
        seconds=round(seconds, 2),
        peak_bytes=devices.peak_bytes(),
        finished=painting.finished,
        notes=tuple(n for p in (request.content, *request.styles) for n in p.notes) + plan.notes,
        warnings=plan.warnings + painting.notes,
        regions=tuple(table(request)),
        structure=edges,
    )


def _write(result: Result, path: Path, bits: int | None, quality: int) -> tuple[str, ...]:
    return write(
        result.pixels,
        path,
        alpha=result.alpha,
        bits=min(result.bits, deepest_bits(path)) if bits is None else bits,
        recipe=result.recipe.to_json(),
        quality=quality,
    )
