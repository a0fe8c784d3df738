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
from impasto.core.interrupt import InterruptHandler
from impasto.core.knobs import knobs_from_dict, knobs_to_dict
from impasto.core.picture import Picture, blank_picture
from impasto.core.plan import Plan
from impasto.core.progress import ProgressCallback, ProgressEvent, ignore_progress
from impasto.core.recipe import InputFile, Recipe
from impasto.core.request import BuiltInStyles, Method, MethodOutput, RemoteWeights, Request
from impasto.core.result import Result
from impasto.engines.region_weights import keep_background
from impasto.metrics.edge_report import measure_edges
from impasto.pictures import as_picture, resize, write
from impasto.pictures.formats import max_bits
from impasto.pipeline import color_preservation
from impasto.pipeline.checkpoint import Checkpoint
from impasto.pipeline.plan import make_plan
from impasto.pipeline.region_options import (
    parse_regions,
    region_input_files,
    region_recipe_options,
    region_table,
    segmentation_weights,
)

RECORDED_LIBRARIES = ("torch", "numpy", "pillow", "pyvips-binary")


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
    shrink_to_fit: bool = False,
    regions: object = (),
    labels: object = None,
    style_labels: object = (),
    background: str = "style",
    feather: float = 0.0,
    keep_color: str = "none",
    color_strength: float = 1.0,
    color_stage: str = "after",
    color_mask: object = None,
    **knobs: Any,
) -> Request:
    """Read the pictures and check every setting; see :func:`stylize` for the arguments.

    Raises:
        ImpastoError: a picture or setting that cannot be used.
    """
    settings = knobs_from_dict(methods.get_method(method), knobs)
    try:
        shares = tuple(float(w) for w in style_weights)
    except (TypeError, ValueError) as error:
        raise KnobError(
            f"style_weights = {style_weights!r}: give one number for each style."
        ) from error
    several = styles if isinstance(styles, (list, tuple)) else [styles]

    def read_style(style: object, name: str) -> Picture:
        return _read_style(style, name, settings, weights)

    photo = _read_content(content, settings)
    given = [read_style(style, f"style {i}") for i, style in enumerate(several, start=1)]
    divided = parse_regions(
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
        shrink_to_fit=shrink_to_fit,
        regions=divided.regions,
        background=background,
        feather=feather,
        region_options=divided.options,
        region_warnings=divided.warnings,
        colors=color_preservation.parse_color_options(
            photo, keep_color, color_strength, color_stage, color_mask
        ),
    )


def _read_content(content: object, method: Method) -> Picture:
    """The content picture; only a size for a method that can make it from words."""
    size = re.fullmatch(r"(\d+)x(\d+)", content) if isinstance(content, str) else None
    if size is None or Path(str(content)).exists():
        return as_picture(content, "content")
    if "prompt" not in method.card.supports:
        raise InputError(
            f"{content} is only a size, and {method.name} paints over a picture: give one, or say "
            "--method sdxl."
        )
    width, height = int(size[1]), int(size[2])
    if not 16 <= min(width, height) <= max(width, height) <= 30_000:
        raise InputError(f"{content} does not fit: both sides must be 16 to 30000 pixels.")
    return blank_picture(width, height)


def _read_style(style: object, name: str, method: Method, weights: str) -> Picture:
    """A style picture, or one that the method knows by name."""
    if not isinstance(method, BuiltInStyles):
        try:
            return as_picture(style, name)
        except InputError as error:
            if hint := _built_in_style_hint(style):
                raise InputError(f"{error} {hint}") from error
            raise
    if isinstance(style, (str, os.PathLike)):
        return method.load_style(os.fspath(style), weights)
    raise InputError(
        f"The method {method.name} cannot look at {name}: give the name of a style that it has "
        f"learnt, one of {', '.join(method.style_names(weights))}."
    )


def _built_in_style_hint(style: object) -> str:
    """A hint if what cannot be read is the name of a built-in style, else nothing."""
    for other in methods.method_names() if isinstance(style, str) else ():
        kind = methods.get_method(other)
        if isinstance(kind, BuiltInStyles) and style in kind.style_names():
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
    shrink_to_fit: bool = False,
    regions: object = (),
    labels: object = None,
    style_labels: object = (),
    background: str = "style",
    feather: float = 0.0,
    keep_color: str = "none",
    color_strength: float = 1.0,
    color_stage: str = "after",
    color_mask: object = None,
    callback: ProgressCallback = ignore_progress,
    **knobs: Any,
) -> Result:
    """Restyle a picture after one or several others.

    Args:
        content: what is kept: a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W). For a
            method that takes a prompt also a size, as "1024x768".
        styles: whose manner is taken: one such picture, or a list of them to be blended. For a
            method that has learnt its styles beforehand, their names.
        method: a name from ``impasto.methods.method_names()``. ``impasto.stylize`` and
            ``impasto.request`` also take "auto": the one that ``impasto.recommend`` puts first.
        size: long side of the result in pixels; None keeps the content's.
        seed: of everything random; the same seed on the same machine gives the same pixels.
        style_weights: the share of each style; empty means equal shares.
        weights: a name in the weights registry, or a file; "" is the method's default.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto", "fp32" or "bf16"; for diffusion models also "fp16".
        shrink_to_fit: shrink what does not fit into memory instead of refusing it.
        regions: parts of the content with a style of their own: pairs of a mask (a picture as the
            content is one; white is inside) and a style picture, or its place among ``styles``;
            a third item is a mask of the style. Or "auto", or "auto:4": that many, found in
            content and style by themselves.
        labels: instead, a label picture of the content: each color is a region.
        style_labels: its like for each style; regions of one color go together. Without, each
            label takes the style in its place, the largest label the first.
        background: what no region covers: "style", in the manner of the styles that no region
        names, or
            "keep", as the content is, to the bit.
        feather: width of the soft edge that regions are given, in pixels of the content.
        keep_color: the content's colors are kept: "luminance", only lightness is painted;
            "yuv", the same in YUV; "histogram" or "covariance", its colors are matched.
        color_strength: how far, 0 to 1.
        color_stage: "after", the painting takes them; or "before", the styles do.
        color_mask: where they are kept, a mask of the content as those of regions.
        callback: called every step with a :class:`~impasto.core.progress.ProgressEvent`.
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
        shrink_to_fit=shrink_to_fit,
        regions=regions,
        labels=labels,
        style_labels=style_labels,
        background=background,
        feather=feather,
        keep_color=keep_color,
        color_strength=color_strength,
        color_stage=color_stage,
        color_mask=color_mask,
        **knobs,
    )
    return run_request(request, make_plan(request), callback=callback)


def run_request(
    request: Request,
    plan: Plan,
    *,
    callback: ProgressCallback = ignore_progress,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
) -> Result:
    """Carry out a planned request.

    Args:
        request: what is to look like what.
        plan: from :func:`make_plan`, for this request.
        callback: called every step.
        checkpoint: where to save the state every few seconds. It stays: who has saved the result
            removes it.
        resume: go on from the checkpoint if there is one.
    """
    start = time.monotonic()
    state = checkpoint.load() if checkpoint and resume else None

    def watched(event: ProgressEvent) -> None:
        callback(event)
        if checkpoint:
            checkpoint(event)
        stop.raise_if_interrupted()

    with InterruptHandler() as stop:
        painting = request.method.stylize(
            color_preservation.preprocess(request), plan, watched, state
        )
    if checkpoint and painting.state:
        checkpoint.save(painting.state)
    alpha = request.content.alpha
    pixels = color_preservation.postprocess(painting.pixels, request)
    pixels = keep_background(pixels, request) if request.background == "keep" else pixels
    edges = {} if request.content.is_blank else measure_edges(pixels, request.content.pixels)
    return Result(
        pixels=pixels,
        alpha=None if alpha is None else resize(alpha, *pixels.shape[:2], to_disk=True),
        recipe=make_recipe(request, plan, painting, edges, time.monotonic() - start),
        bits=request.content.bits,
        _write=_write,
    )


def run_identity(request: Request, plan: Plan) -> dict[str, Any]:
    """What makes two runs the same: every input, knob and setting that decides the pixels."""
    import torch

    return {
        "method": request.method.name,
        "content": request.content.sha256,
        "styles": [style.sha256 for style in request.styles],
        "knobs": knobs_to_dict(request.method),
        "regions": [[r.name, r.style_index, sorted(r.sources.items())] for r in request.regions],
        "background": [request.background, request.feather],
        "colors": color_preservation.color_recipe_options(request.colors),
        "color mask": list(request.colors.mask_source),
        "seed": request.seed,
        "style weights": list(request.normalized_style_weights),
        "weights": request.weights,
        "size": [plan.setting.height, plan.setting.width],
        "device": plan.setting.device,
        "precision": plan.setting.precision,
        "threads": torch.get_num_threads(),
        "parts": weight_file_digests(request, plan.setting.precision),
    }


def weight_file_digests(request: Request, precision: str) -> dict[str, str]:
    """Name → sha256 of the files of a method that fetches its own weights."""
    method = request.method
    return dict(method.digests(request, precision)) if isinstance(method, RemoteWeights) else {}


def make_recipe(
    request: Request, plan: Plan, output: MethodOutput, edges: dict[str, float], seconds: float
) -> Recipe:
    """How a painting was made, in ``seconds``.

    ``edges`` is :func:`measure_edges` of it, or empty.
    """
    import torch

    versions = {name: metadata.version(name) for name in ("impasto", *RECORDED_LIBRARIES)}
    pictures = [("content", request.content), *(("style", s) for s in request.styles)]
    masks = region_input_files(request)
    found = segmentation_weights(request)
    kept = request.colors
    return Recipe(
        method=request.method.name,
        knobs=knobs_to_dict(request.method),
        inputs=(
            *(InputFile(role, p.name, p.sha256) for role, p in pictures),
            *(InputFile(*mask) for mask in masks),
            *([InputFile("color mask", *kept.mask_source)] if kept.mask_source else []),
        ),
        options={
            "seed": request.seed,
            "style_weights": list(request.style_weights),
            "weights": request.weights,
            **region_recipe_options(request),
            **color_preservation.color_recipe_options(kept),
        },
        setting={
            "height": plan.setting.height,
            "width": plan.setting.width,
            "device": plan.setting.device,
            "precision": plan.setting.precision,
            "threads": torch.get_num_threads(),
        },
        files={**output.files, **found},
        versions={**versions, "python": platform.python_version()},
        losses={name: round(value, 6) for name, value in output.losses.items()},
        steps=output.steps,
        seconds=round(seconds, 2),
        peak_bytes=devices.peak_bytes(),
        finished=output.finished,
        notes=tuple(n for p in (request.content, *request.styles) for n in p.notes) + plan.notes,
        warnings=plan.warnings + output.notes,
        regions=tuple(region_table(request)),
        structure=edges,
    )


def _write(result: Result, path: Path, bits: int | None, quality: int) -> tuple[str, ...]:
    return write(
        result.pixels,
        path,
        alpha=result.alpha,
        bits=min(result.bits, max_bits(path)) if bits is None else bits,
        recipe=result.recipe.to_json(),
        quality=quality,
    )
