"""Planning: choose device, precision and size, forecast the cost, refuse what does not fit."""

from __future__ import annotations

from pathlib import Path

from impasto.core import devices, pitfalls
from impasto.core.errors import ResourceError
from impasto.core.plan import ExecutionSettings, Forecast, Plan
from impasto.core.request import RemoteWeights, Request
from impasto.pictures import fit_long_side, sequence
from impasto.pipeline.color_preservation import color_notes

MIN_PRECISION_AGREEMENT = 0.98
"""Least agreement (a cosine) of a fast precision with fp32 for the fast one to be used."""
MAX_MEMORY_FRACTION = 0.9
"""Share of the free memory that a run may plan to fill."""


def make_plan(request: Request) -> Plan:
    """Fit a request to this machine.

    Raises:
        ResourceError: no such device, or not enough memory (the message says what would fit).
        ImpastoError: what the method finds wrong with the request.
    """
    device = devices.choose_device(request.device)
    precision, why = _choose_precision(request, device)
    notes = [f"Runs on {device} in {precision}: {why}."]
    notes += [note for region in request.regions for note in region.notes]
    notes += color_notes(request.colors)
    warnings = [*request.region_warnings, *request.method.warnings(request)]
    if request.content.sha256 in {style.sha256 for style in request.styles}:
        warnings.append("A style is the content picture itself: little will change.")
    if film := _video_frame_warning(Path(request.content.name)):
        warnings.append(film)

    size = request.long_side
    setting = _execution_settings(request, size, device, precision)
    forecast = request.method.forecast(request, setting)
    free = devices.available_bytes(device) + devices.resident_bytes()
    limit = int(MAX_MEMORY_FRACTION * free)
    if forecast.peak_bytes > limit:
        fitting = _largest_size(request, size, device, precision, limit)
        if not (request.shrink_to_fit and fitting):
            raise ResourceError(_out_of_memory_text(setting, forecast, limit, fitting))
        warnings.append(
            f"{size} px would need {forecast.peak_bytes / 1e9:.1f} GB: fitted to {fitting} px."
        )
        setting = _execution_settings(request, fitting, device, precision)
        forecast = request.method.forecast(request, setting)
    if max(setting.height, setting.width) > request.content.long_side:
        notes.append(
            f"The content has {request.content.long_side} px on its long side: it is enlarged."
        )
    if isinstance(request.method, RemoteWeights):
        notes += request.method.plan_notes(request, setting)
    return Plan(setting, forecast, limit, tuple(notes), tuple(warnings))


def _video_frame_warning(content: Path) -> str | None:
    beside = sequence.adjacent_picture(content) if content.is_file() else None
    if beside is None:
        return None
    return pitfalls.single_frame(
        content.name, beside.name, sequence.mean_abs_difference(content, beside)
    )


def _execution_settings(
    request: Request, size: int, device: str, precision: str
) -> ExecutionSettings:
    height, width = fit_long_side(request.content.height, request.content.width, size)
    return ExecutionSettings(height, width, device, precision)


def _choose_precision(request: Request, device: str) -> tuple[str, str]:
    if request.precision != "auto":
        return request.precision, "as asked"
    if not devices.has_fast_bf16(device):
        return "fp32", "bf16 is not faster here"
    if isinstance(request.method, RemoteWeights):
        return "bf16", "the model is made for half precision"
    cosine = request.method.precision_agreement(request, device, "bf16")
    if not cosine >= MIN_PRECISION_AGREEMENT:  # NaN is no agreement either
        return "fp32", f"bf16 and fp32 agree too little here (cosine {cosine:.3f})"
    return "bf16", f"faster here, and it agrees with fp32 (cosine {cosine:.3f})"


def _largest_size(request: Request, size: int, device: str, precision: str, limit: int) -> int:
    """The largest long side in pixels below ``size`` whose forecast fits; 0 if none does."""
    low, high = 0, size
    while high - low > max(1, high // 64):
        middle = (low + high) // 2
        forecast: Forecast = request.method.forecast(
            request, _execution_settings(request, middle, device, precision)
        )
        low, high = (middle, high) if forecast.peak_bytes <= limit else (low, middle)
    return low


def _out_of_memory_text(
    setting: ExecutionSettings, forecast: Forecast, limit: int, fitting_size: int
) -> str:
    says = (
        f"{setting.width} x {setting.height} px needs {forecast.peak_bytes / 1e9:.1f} GB "
        f"of memory and {limit / 1e9:.1f} GB are free for it. "
    )
    if not fitting_size:
        return says + "No size fits: close other programs, or use a smaller picture."
    return (
        says + f"{fitting_size} px on the long side would fit: --size {fitting_size}, or "
        f"--shrink-to-fit."
    )
